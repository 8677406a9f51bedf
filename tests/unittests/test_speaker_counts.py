"""Proves that one training run holds mixtures of different numbers of speakers,
and that each is what it would be in a run of that number alone.
"""

import functools
from collections import Counter

import pytest
import torch
from speechbrain.core import Stage
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.dataio.sampler import DistributedSamplerWrapper
from torch.utils.data import DataLoader

from avsep_sb import losses
from avsep_sb.brain import AVSeparationBrain
from avsep_sb.dataio.draws import SharedEpoch
from avsep_sb.dataio.manifest import (
    check_manifest,
    read_manifest,
    write_manifest,
)
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.dataio.speakers import SameCountBatches
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.lobes.iianet import IIANet
from tests.utils.framed_corpus import hparams, write_corpus

VOICES = 12
RANGE = {"num_spks": 4, "min_spks": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve voices in mixtures of 2, 3, 4, 2, ... speakers."""
    path = tmp_path_factory.mktemp("counts")
    write_corpus(path, voices=VOICES, num_spks=4)
    rows = read_manifest(path / "all.csv")
    mixed = []
    for i, row in enumerate(rows):
        there = [f"s{k}" for k in range(1, 3 + i % 3)]
        mixed.append(
            {
                name: value
                for name, value in row.items()
                if name[0] != "s" or name.split("_")[0] in there
            }
        )
    write_manifest(path / "mixed.csv", mixed, 4, min_spks=2)
    return path


def options(folder, **changes):
    mixed = str(folder / "mixed.csv")
    lists = {"train_data": mixed, "valid_data": mixed, "test_data": mixed}
    return hparams(folder, **{**lists, **RANGE, **changes})


def batches_of(dataset, batch_size=4, seed=7, shuffle=True):
    return SameCountBatches(
        dataset.data_ids,
        dataset.count_of,
        dataset.counts,
        batch_size,
        seed,
        dataset.epoch,
        shuffle,
    )


def loaded(dataset, workers=0, sampler=None):
    """All items by ID as a loader brings them; batches must stack."""
    loader = DataLoader(
        dataset,
        batch_sampler=sampler or batches_of(dataset),
        num_workers=workers,
        collate_fn=PaddedBatch,
    )
    return {
        name: (batch.sources.data[j], batch.lips.data[j])
        for batch in loader
        for j, name in enumerate(batch.id)
    }


def same(left, right):
    return left.keys() == right.keys() and all(
        torch.equal(a, b)
        for name in left
        for a, b in zip(left[name], right[name], strict=True)
    )


def test_counts_are_equally_frequent_and_leave_no_trace(folder):
    train, _, _ = make_datasets(options(folder))
    found = Counter()
    for epoch in range(8):
        train.set_epoch(epoch)
        for i, name in enumerate(train.data_ids):
            item = train[i]
            count = item["sources"].shape[1]
            assert count == train.count_of(name) == item["lips"].shape[1]
            assert all(item["sources"][:, k].any() for k in range(count))
            rest = item["mix_sig"] - item["sources"].sum(1)
            assert rest.abs().max() < 1e-6
            found[count] += 1
    assert set(found) == {2, 3, 4}
    assert min(found.values()) > 0.2 * 8 * VOICES


@pytest.mark.parametrize("count", [2, 3, 4])
def test_an_item_is_that_of_a_run_of_its_number_alone(folder, count):
    keys = {"silent_target_prob": 0.5, "same_voice_ratio": 0.3}
    train, _, _ = make_datasets(options(folder, **keys))
    rows = read_manifest(folder / "all.csv")
    cut = [
        {
            name: value
            for name, value in row.items()
            if name[0] != "s" or int(name[1]) <= count
        }
        for row in rows
    ]
    write_manifest(folder / f"{count}.csv", cut, count)
    lists = dict.fromkeys(
        ("train_data", "valid_data", "test_data"), str(folder / f"{count}.csv")
    )
    # the pool of partners is that of all listed voices
    alone, _, _ = make_datasets(
        hparams(folder, num_spks=count, **lists, **keys)
    )
    assert alone.count_of is None
    compared = 0
    for i, name in enumerate(train.data_ids):
        if train.count_of(name) == count:
            assert torch.equal(train[i]["sources"], alone[i]["sources"])
            assert torch.equal(train[i]["lips"], alone[i]["lips"])
            compared += 1
    assert compared


def test_workers_ranks_and_restarts_draw_the_same(folder):
    settings = options(folder, random_crop=True, crop_size=[8, 8])
    train, _, _ = make_datasets(settings)
    train.set_epoch(1)
    first = loaded(train)
    train.set_epoch(4)
    alone = loaded(train)
    order = list(batches_of(train))
    assert not same(first, alone) and len(alone) == VOICES
    assert same(alone, loaded(train, workers=2))
    # a restart at epoch 4, without the epochs before, on two ranks
    torch.manual_seed(99)
    ranks = {}
    for rank in (0, 1):
        own, _, _ = make_datasets(settings)
        own.set_epoch(4)
        assert list(batches_of(own)) == order
        sampler = DistributedSamplerWrapper(
            batches_of(own), num_replicas=2, rank=rank
        )
        sampler.set_epoch(4)
        ranks.update(loaded(own, sampler=sampler))
    assert same(alone, ranks)


@pytest.mark.parametrize("size", [1, 3, 4, 50])
def test_batches_hold_one_number_and_each_item_once(size):
    epoch = SharedEpoch()
    names = [str(n) for n in range(41)]

    def count_of(name):
        return 2 + hash((int(name), epoch.get())) % 3

    lengths, orders = set(), []
    for number in range(6):
        epoch.set(number)
        sampler = SameCountBatches(names, count_of, 3, size, 1, epoch)
        batches = list(sampler)
        lengths |= {len(sampler), len(batches)}
        orders.append(batches)
        assert sorted(i for batch in batches for i in batch) == list(range(41))
        for batch in batches:
            assert 1 <= len(batch) <= size
            assert len({count_of(names[i]) for i in batch}) == 1
    # as many in each epoch: processes and schedulers count on it
    assert len(lengths) == 1
    assert orders[0] != orders[1]


def test_listed_mixtures_of_different_numbers(folder):
    train, valid, test = make_datasets(options(folder, dynamic_mixing=False))
    for data in (train, valid, test):
        counts = [data[i]["sources"].shape[1] for i in range(VOICES)]
        assert counts == [2 + i % 3 for i in range(VOICES)]
        assert data.count_of("m1") == 3 and data.counts == 3
    kept = train.filtered_sorted(sort_key="duration", select_n=4)
    assert kept.count_of("m2") == 4


def test_lists_of_one_number_serve_a_run_of_several(folder):
    two = read_manifest(folder / "all.csv")
    rows = [
        {k: v for k, v in row.items() if k[0] != "s" or int(k[1]) <= 2}
        for row in two
    ]
    write_manifest(folder / "two.csv", rows, 2)
    lists = dict.fromkeys(
        ("train_data", "valid_data", "test_data"), str(folder / "two.csv")
    )
    train, valid, _ = make_datasets(options(folder, **lists))
    assert valid.count_of is None and valid[0]["sources"].shape[1] == 2
    assert {train.count_of(name) for name in train.data_ids} == {2, 3, 4}
    with pytest.raises(DataError, match="num_spks is 4"):
        make_datasets(options(folder, min_spks=None, **lists))


@pytest.mark.parametrize("value", [0, 5, 2.5, True, [2, 4]])
def test_unusable_min_spks_is_named(folder, value):
    with pytest.raises(ConfigError, match="min_spks is"):
        make_datasets(options(folder, min_spks=value))


def test_holes_and_missing_speakers_are_refused(folder, tmp_path):
    mixed = folder / "mixed.csv"
    with pytest.raises(DataError, match="no s3_wav"):
        check_manifest(mixed, folder)
    with pytest.raises(DataError, match="first 3 and no gap"):
        check_manifest(mixed, folder, num_spks=4, min_spks=3)
    row = read_manifest(folder / "all.csv")[0]
    for name in row:
        if name.startswith("s3_"):
            row[name] = ""
    with pytest.raises(DataError, match=r"\[1, 2, 4\]"):
        write_manifest(tmp_path / "a.csv", [row], 4, min_spks=2)
    assert not (tmp_path / "a.csv").exists()
    text = mixed.read_text().replace("$data_root/2.wav", "", 1)
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError):
        check_manifest(tmp_path / "a.csv", folder, num_spks=4, min_spks=2)


class Pixels(torch.nn.Module):
    """Mouths as embeddings."""

    def forward(self, roi):
        return roi[..., :2, :4].flatten(-2).float() / 255


class Keep:
    def __init__(self):
        self.stats = []

    def log_stats(self, stats_meta, train_stats=None, valid_stats=None):
        self.stats.append((train_stats, valid_stats))


def test_a_brain_trains_on_all_numbers_and_tells_them_apart(folder):
    torch.manual_seed(0)
    net = IIANet(
        num_av_cycles=1,
        num_audio_cycles=1,
        out_channels=8,
        in_channels=16,
        vpre_channels=8,
        vin_channels=8,
        depth=2,
        cross_face=4,
    )
    train, valid, _ = make_datasets(options(folder))
    log = Keep()
    brain = AVSeparationBrain(
        modules={"separator": net, "visual_frontend": Pixels()},
        opt_class=functools.partial(torch.optim.Adam, lr=1e-3),
        hparams={
            "loss": losses.fixed_order,
            "loss_threshold": None,
            "seed": 7,
            "lr_scheduler": lambda optimizers, epoch, loss: (1e-3, 1e-3),
            "epoch_counter": type(
                "Counter",
                (),
                {
                    "__iter__": lambda self: iter([1, 2]),
                    "update_metric": lambda self, loss: None,
                },
            )(),
            "train_logger": log,
        },
        run_opts={"device": "cpu", "noprogressbar": True},
    )
    brain.checkpointer = type(
        "Nothing",
        (),
        {
            "checkpoints_dir": folder,
            "save_and_keep_only": lambda self, **_: None,
            "add_recoverable": lambda self, *_: None,
            "recover_if_possible": lambda self, **_: None,
        },
    )()
    brain.train_set = train
    seen = []
    forward = brain.compute_forward

    def watched(batch, stage):
        sources = forward(batch, stage)
        assert sources.shape == batch.sources.data.shape
        seen.append((stage, sources.shape[-1]))
        return sources

    brain.compute_forward = watched
    brain.fit(
        brain.hparams.epoch_counter,
        train,
        valid,
        train_loader_kwargs={"batch_size": 4, "shuffle": True},
        valid_loader_kwargs={"batch_size": 3},
    )
    assert {s for stage, s in seen if stage == Stage.TRAIN} == {2, 3, 4}
    (_, stats), (_, later) = log.stats
    parts = [stats[f"si-snr_i of {c} voices"] for c in (2, 3, 4)]
    # four mixtures of each number
    assert sum(parts) / 3 == pytest.approx(stats["si-snr_i"])
    assert len({round(part, 6) for part in parts}) == 3
    assert stats.keys() == later.keys()


def test_an_epoch_goes_on_with_its_next_batch(folder, tmp_path):
    def loader():
        train, _, _ = make_datasets(options(folder))
        train.set_epoch(3)
        return make_dataloader(train, batch_sampler=batches_of(train, 2))

    whole = [batch.id for batch in loader()]
    begun = loader()
    stream = iter(begun)
    done = [next(stream).id for _ in range(3)]
    begun._speechbrain_save(tmp_path / "state")
    resumed = loader()
    resumed._speechbrain_load(tmp_path / "state", end_of_epoch=False)
    assert done + [batch.id for batch in resumed] == whole
    assert len(whole) == len(loader())
