"""Proves that audio and video never drift apart, and that training items
depend on (seed, epoch, ID) alone: not on workers, ranks or restarts.

In the synthetic corpus each sample and each pixel states its frame number.
"""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import make_dataloader
from torch.utils.data import DataLoader, DistributedSampler

from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import ConfigError, DataError

FRAMES = [30, 41, 36, 50, 9, 33]  # utterance 4 is shorter than a window
WINDOW = 12 * 640


def write_utterance(folder, n, frames, samples=None):
    """Frame f (from 1) has samples f/1000 and pixels f."""
    samples = frames * 640 - 100 * n if samples is None else samples
    wave = (np.arange(samples) // 640 + 1) / 1000
    soundfile.write(folder / f"{n}.wav", wave, 16000, subtype="FLOAT")
    pixels = np.arange(1, frames + 1, dtype=np.uint8)[:, None, None]
    np.savez(folder / f"{n}.npz", data=np.tile(pixels, (1, 10, 12)))


def write_corpus(folder):
    for n, frames in enumerate(FRAMES):
        write_utterance(folder, n, frames)
    rows = []
    for i in range(6):
        row = {"ID": f"m{i}", "mix_wav": ""}
        for k, n in ((1, i), (2, (i + 1) % 6)):
            row[f"s{k}_wav"] = f"$data_root/{n}.wav"
            row[f"s{k}_lips"] = f"$data_root/{n}.npz"
            row[f"s{k}_gain"] = 0.5 * k
            row[f"s{k}_spk"] = f"p{n % 3}"
        pair = (i, (i + 1) % 6)
        row["duration"] = min(FRAMES[n] * 640 - 100 * n for n in pair) / 16000
        rows.append(row)
    write_manifest(folder / "all.csv", rows, 2)
    return rows


@pytest.fixture
def folder(tmp_path):
    write_corpus(tmp_path)
    return tmp_path


def hparams(folder, **changes):
    manifest = str(folder / "all.csv")
    base = {
        "data_folder": str(folder),
        "train_data": manifest,
        "valid_data": manifest,
        "test_data": manifest,
        "sample_rate": 16000,
        "video_fps": 25,
        "num_spks": 2,
        "training_signal_len": WINDOW,
        "dynamic_mixing": False,
        "mix_gain_db": [-5, 5],
        "seed": 7,
        "crop_size": [8, 8],
        "random_crop": False,
        "horizontal_flip": False,
        "use_lips": True,
    }
    return {**base, **changes}


def drift(item, gains=None):
    """Largest distance, in frames, of the audio's clock from the video's."""
    worst = 0.0
    for k in range(item["sources"].shape[1]):
        frames = item["lips"][:, k, 0, 0].double()
        wave = item["sources"][:, k].double().reshape(-1, 640)
        scale = 1000 / gains[k] if gains else frames[0] / wave[0, 0]
        # zeros are padding
        gap = (wave * scale - frames[:, None])[wave > 0]
        worst = max(worst, float(gap.abs().max()))
    return worst


@pytest.mark.parametrize("dynamic", [False, True])
def test_no_drift_over_200_random_windows(folder, dynamic):
    train, _, _ = make_datasets(hparams(folder, dynamic_mixing=dynamic))
    starts = set()
    for epoch in range(34):
        train.set_epoch(epoch)
        for i in range(6):
            item = train[i]
            assert item["mix_sig"].shape == (WINDOW,)
            assert item["sources"].shape == (WINDOW, 2)
            assert item["lips"].shape == (12, 2, 8, 8)
            assert item["lips"].dtype == torch.uint8
            assert drift(item, None if dynamic else [0.5, 1.0]) < 1e-3
            mixed = item["sources"].sum(dim=1)
            assert torch.allclose(mixed, item["mix_sig"], atol=1e-6)
            starts.update(item["lips"][0, :, 0, 0].tolist())
    assert len(starts) > 15  # the windows did move


def test_drift_would_be_seen(folder):
    train, _, _ = make_datasets(hparams(folder))
    item = train[0]
    item["lips"] = item["lips"] + 1
    assert drift(item, [0.5, 1.0]) > 0.9


def items(dataset, num_workers=0, **options):
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=num_workers,
        collate_fn=PaddedBatch,
        **options,
    )
    return {
        name: (batch.mix_sig.data[j], batch.sources.data[j], batch.lips.data[j])
        for batch in loader
        for j, name in enumerate(batch.id)
    }


def same(left, right):
    return left.keys() == right.keys() and all(
        torch.equal(a, b)
        for name in left
        for a, b in zip(left[name], right[name], strict=True)
    )


@pytest.fixture
def augmented(folder):
    """Everything random is on."""
    return hparams(
        folder,
        dynamic_mixing=True,
        random_crop=True,
        horizontal_flip=True,
        same_voice_ratio=0.3,
    )


def test_workers_ranks_and_restarts_draw_the_same(augmented):
    train, _, _ = make_datasets(augmented)
    train.set_epoch(1)
    first = items(train)
    train.set_epoch(4)
    alone = items(train)
    assert not same(first, alone)
    for workers in (1, 2):
        assert same(alone, items(train, workers))
    # a restart at epoch 4, without the epochs before, on two ranks
    torch.manual_seed(123)
    np.random.seed(123)
    ranks = {}
    for rank in (0, 1):
        own, _, _ = make_datasets(augmented)
        own.set_epoch(4)
        sampler = DistributedSampler(own, 2, rank, shuffle=True)
        share = items(own, sampler=sampler)
        assert len(share) == 3
        ranks.update(share)
    assert same(alone, ranks)


def test_persistent_workers_follow_the_epoch(augmented):
    train, _, _ = make_datasets(augmented)
    loader = DataLoader(
        train,
        batch_size=6,
        num_workers=2,
        persistent_workers=True,
        collate_fn=PaddedBatch,
    )
    for epoch in (1, 2, 3):
        train.set_epoch(epoch)
        (batch,) = list(loader)
        for j in range(6):
            assert torch.equal(batch.sources.data[j], train[j]["sources"])


def test_other_seed_draws_other_items(augmented):
    one, _, _ = make_datasets(augmented)
    two, _, _ = make_datasets({**augmented, "seed": 8})
    assert not same(items(one), items(two))


def test_lips_change_no_draw_of_the_audio(augmented):
    with_lips, _, _ = make_datasets(augmented)
    without, _, _ = make_datasets({**augmented, "use_lips": False})
    for i in range(6):
        item = without[i]
        assert set(item) == {"id", "mix_sig", "sources"}
        assert torch.equal(item["sources"], with_lips[i]["sources"])


def test_audio_only_needs_no_lip_files(folder):
    for path in folder.glob("*.npz"):
        path.unlink()
    train, _, _ = make_datasets(hparams(folder, use_lips=False))
    assert all(train[i]["mix_sig"].any() for i in range(6))


def test_filtered_dataset_keeps_the_clock(augmented):
    train, _, _ = make_datasets(augmented)
    short = train.filtered_sorted(sort_key="duration", select_n=3)
    short.set_epoch(5)
    later = short[0]["mix_sig"]
    assert train.epoch.get() == 5
    short.set_epoch(6)
    assert not torch.equal(later, short[0]["mix_sig"])
    assert train.overfit_test(2, 4).epoch.get() == 6


def test_augmentation_is_for_training_only(augmented):
    _, valid, _ = make_datasets(augmented)
    before = items(valid)
    valid.set_epoch(3)
    assert same(before, items(valid))
    # the centre of the 10 x 12 frames, as they are
    assert valid[0]["lips"].shape[2:] == (8, 8)


def test_validation_is_the_listed_mixture_whole(folder):
    _, valid, test = make_datasets(hparams(folder, dynamic_mixing=True))
    item = valid[3]  # 50 frames with 9: the shorter decides
    samples = 9 * 640 - 400
    assert item["mix_sig"].shape == (samples,)
    assert item["lips"].shape == (9, 2, 8, 8)
    wanted = (torch.arange(samples) // 640 + 1) / 1000
    assert torch.allclose(item["mix_sig"], 1.5 * wanted, atol=1e-6)
    assert torch.equal(test[3]["mix_sig"], item["mix_sig"])


def test_valid_signal_len_takes_the_beginning_without_padding(folder):
    _, valid, _ = make_datasets(hparams(folder, valid_signal_len=10 * 640))
    assert valid[0]["mix_sig"].shape == (6400,)
    assert valid[0]["lips"].shape[0] == 10
    assert valid[0]["lips"][0, 0, 0, 0] == 1
    assert valid[3]["mix_sig"].shape == (9 * 640 - 400,)


def test_whole_utterances_can_be_mixed_dynamically(folder):
    train, _, _ = make_datasets(
        hparams(folder, dynamic_mixing=True, training_signal_len=None)
    )
    for i in range(6):
        item = train[i]
        assert len(item["lips"]) == -(-len(item["mix_sig"]) // 640)


def test_brain_loader_pads_items_on_time(folder):
    _, valid, _ = make_datasets(hparams(folder))
    batch = next(iter(make_dataloader(valid, batch_size=6)))
    assert batch.lips.data.shape == (6, 36, 2, 8, 8)
    assert batch.lips.data.dtype == torch.uint8
    assert batch.sources.data.shape[0::2] == (6, 2)
    assert torch.allclose(batch.mix_sig.lengths, batch.sources.lengths)


def test_ready_mixture_is_read_and_may_have_longer_lips(folder):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * 640)
    soundfile.write(folder / "mix.wav", noise, 16000, subtype="FLOAT")
    for n in (10, 11):
        write_utterance(folder, n, 40, samples=20 * 640)
    row = {"ID": "r", "duration": 0.8, "mix_wav": "$data_root/mix.wav"}
    for k in (1, 2):
        row[f"s{k}_wav"] = f"$data_root/{9 + k}.wav"
        row[f"s{k}_lips"] = f"$data_root/{9 + k}.npz"
        row[f"s{k}_gain"], row[f"s{k}_spk"] = 1, f"p{k}"
    write_manifest(folder / "all.csv", [row], 2)
    train, valid, _ = make_datasets(hparams(folder))
    assert np.allclose(valid[0]["mix_sig"], noise, atol=1e-6)
    assert drift(train[0], [1, 1]) < 1e-3
    start = 640 * (int(train[0]["lips"][0, 0, 0, 0]) - 1)
    assert np.allclose(train[0]["mix_sig"], noise[start:][:WINDOW], atol=1e-6)


# bad input


def sentence(error, call, *args):
    with pytest.raises(error) as caught:
        call(*args)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


KEYS = sorted(set(hparams(Path())))


@pytest.mark.parametrize("key", KEYS)
def test_missing_key_is_named(folder, key):
    settings = hparams(folder, dynamic_mixing=True)
    del settings[key]
    assert f"lack {key}," in sentence(ConfigError, make_datasets, settings)


@pytest.mark.parametrize(
    "key, value",
    [
        ("training_signal_len", 32001),
        ("training_signal_len", -640),
        ("training_signal_len", 6400.0),
        ("valid_signal_len", -1),
        ("video_fps", 30),
        ("sample_rate", "16k"),
        ("num_spks", 0),
        ("crop_size", 88),
        ("crop_size", [88, 0]),
        ("seed", -1),
        ("seed", None),
    ],
)
def test_unusable_value_is_named(folder, key, value):
    settings = hparams(folder, **{key: value})
    assert key in sentence(ConfigError, make_datasets, settings)


def test_missing_file_is_named_before_the_first_batch(folder):
    (folder / "3.wav").unlink()
    assert "3.wav" in sentence(DataError, make_datasets, hparams(folder))


def test_manifest_of_other_size_is_refused(folder):
    settings = hparams(folder, num_spks=3)
    assert "num_spks is 3" in sentence(DataError, make_datasets, settings)


def damaged(folder, damage):
    train, _, _ = make_datasets(hparams(folder))
    damage(folder)
    return sentence(DataError, train.__getitem__, 0)


def test_nan_audio_is_named(folder):
    def damage(folder):
        soundfile.write(
            folder / "1.wav", np.full(41 * 640, np.nan), 16000, subtype="FLOAT"
        )

    assert "1.wav holds NaN" in damaged(folder, damage)


def test_wrong_npz_is_named(folder):
    def damage(folder):
        np.savez(folder / "1.npz", frames=np.zeros((41, 10, 12), np.uint8))

    assert "1.npz has no key 'data'" in damaged(folder, damage)


def test_frames_of_another_rate_are_refused_with_numbers(folder):
    text = damaged(folder, lambda f: write_utterance(f, 0, 36, 30 * 640))
    assert "30.0 frames, but 36 frames" in text and "0.npz" in text


def test_frames_that_state_their_rate_are_converted(folder):
    train, _, _ = make_datasets(hparams(folder))
    pixels = np.full((36, 10, 12), 5, np.uint8)
    np.savez(folder / "0.npz", data=pixels, fps=30)
    assert train[0]["lips"].shape == (12, 2, 8, 8)


def test_mouths_of_two_sizes_need_a_crop(folder):
    np.savez(folder / "0.npz", data=np.zeros((30, 9, 9), np.uint8))
    train, _, _ = make_datasets(hparams(folder, crop_size=None))
    assert "different sizes" in sentence(DataError, train.__getitem__, 0)
