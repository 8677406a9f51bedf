"""Proves that joint training reaches what it should, and nothing else: the
gradient passes a frozen recogniser, each network steps when it is thawed, and
a run that was cut off goes on as if nothing had been."""

import functools

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.core import Stage
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.train_logger import FileTrainLogger

from avsep_sb.asr_brain import AVSeparationASR
from avsep_sb.cosine import CosineDecay
from avsep_sb.ctc_recogniser import CTCRecogniser
from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import ConfigError
from avsep_sb.inference.asr_load import load_asr
from avsep_sb.losses import fixed_order, pit, snr
from avsep_sb.schedule import EarlyStopper
from tests.asr_folder import make_toy_asr

NORM = """\
    norm2: !new:speechbrain.nnet.normalization.BatchNorm1d
        input_size: 20
    linear:"""
TEXTS = ["bin blue", "set red", "lay one", "place four"]


class Filters(torch.nn.Module):
    """A separator: one filter per voice."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 2, 9, padding=4)

    def forward(self, mix, visual):
        return self.conv(mix[:, None]).transpose(1, 2)


@pytest.fixture(scope="module")
def asr(tmp_path_factory):
    """A toy recogniser with a batch norm."""
    folder = make_toy_asr(tmp_path_factory.mktemp("asr"))
    yaml = folder / "hyperparams.yaml"
    yaml.write_text(yaml.read_text().replace("    linear:", NORM))
    weights = torch.load(folder / "encoder.ckpt", weights_only=True)
    for name, value in (
        *(("weight", torch.ones(20)), ("bias", torch.zeros(20))),
        *(("running_mean", torch.zeros(20)), ("running_var", torch.ones(20))),
        ("num_batches_tracked", torch.tensor(0)),
    ):
        weights[f"norm2.norm.{name}"] = value
    torch.save(weights, folder / "encoder.ckpt")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four voices of one to two seconds, in mixtures with their texts."""
    folder = tmp_path_factory.mktemp("voices")
    rng = np.random.default_rng(0)
    seconds = [1.0, 1.2, 1.2, 1.6]
    for n, length in enumerate(seconds):
        wave = 0.1 * rng.standard_normal(int(16000 * length))
        soundfile.write(folder / f"{n}.wav", wave, 16000)
    rows = []
    for i in range(4):
        j = (i + 1) % 4
        row = {"ID": f"m{i}", "duration": min(seconds[i], seconds[j])}
        for k, n in ((1, i), (2, j)):
            row[f"s{k}_wav"] = f"$data_root/{n}.wav"
            row[f"s{k}_gain"] = 1.0
            row[f"s{k}_spk"] = f"p{n}"
            row[f"s{k}_text"] = TEXTS[n]
        rows.append(row)
    write_manifest(folder / "all.csv", rows, 2)
    return folder


def make_brain(asr, folder, kind=AVSeparationASR, opts=None, **changes):
    torch.manual_seed(0)
    nets = {"separator": Filters(), "recogniser": CTCRecogniser(asr, 16000)}
    counter = EarlyStopper(limit=2, patience=9)
    hparams = {
        "seed": 1,
        "sample_rate": 16000,
        "output_folder": folder,
        "test_metrics": ["si-snr"],
        "save_audio": False,
        "n_audio_to_save": 0,
        "loss": functools.partial(fixed_order, measure=snr),
        "loss_threshold": None,
        "lr_scheduler": CosineDecay(0.01, 0.001, 2),
        "asr_lr_scheduler": CosineDecay(0.02, 0.001, 2),
        "epoch_counter": counter,
        "train_logger": FileTrainLogger(str(folder / "log.txt")),
        "recogniser": nets["recogniser"],
        "asr_optimizer": functools.partial(torch.optim.Adam, lr=0.02),
        "use_texts": True,
        "sep_weight": 1.0,
        "asr_weight": 1.0,
        "separator_frozen_epochs": 0,
        "asr_frozen_epochs": None,
        **changes,
    }
    return kind(
        modules=nets,
        opt_class=functools.partial(torch.optim.Adam, lr=0.01),
        hparams=hparams,
        run_opts={"device": "cpu", "noprogressbar": True, **(opts or {})},
        checkpointer=Checkpointer(
            folder / "save", recoverables={**nets, "counter": counter}
        ),
    )


def datasets(corpus, **changes):
    manifest = str(corpus / "all.csv")
    return make_datasets(
        {
            "data_folder": str(corpus),
            **dict.fromkeys(
                ("train_data", "valid_data", "test_data"), manifest
            ),
            "sample_rate": 16000,
            "video_fps": 25,
            "num_spks": 2,
            "training_signal_len": None,
            "dynamic_mixing": True,
            "mix_gain_db": [-5, 5],
            "seed": 7,
            "crop_size": None,
            "random_crop": False,
            "horizontal_flip": False,
            "use_lips": False,
            "use_texts": True,
            **changes,
        }
    )


def fit(brain, corpus, **changes):
    train, valid, test = datasets(corpus, **changes)
    brain.train_set = train
    kwargs = {"batch_size": 2, "shuffle": True}
    brain.fit(brain.hparams.epoch_counter, train, valid, False, kwargs)
    return test


def state(net):
    return {k: v.clone() for k, v in net.state_dict().items()}


def differs(net, before):
    return any(not torch.equal(v, before[k]) for k, v in state(net).items())


class Watched(AVSeparationASR):
    """Notes which networks moved in each epoch; may fall over."""

    die_at = None

    def on_stage_start(self, stage, epoch=None):
        super().on_stage_start(stage, epoch)
        if stage == Stage.TRAIN:
            self.before = {k: state(net) for k, net in self.modules.items()}

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        if (self.epoch, self.step) == self.die_at:
            raise KeyboardInterrupt

    def on_stage_end(self, stage, stage_loss, epoch=None):
        if stage == Stage.TRAIN:
            self.moved = getattr(self, "moved", {})
            self.moved[epoch] = {
                name
                for name, net in self.modules.items()
                if differs(net, self.before[name])
            }
        super().on_stage_end(stage, stage_loss, epoch)


@pytest.mark.parametrize(
    "frozen, moved",
    [
        ((0, None), [{"separator"}, {"separator"}]),
        ((0, 1), [{"separator"}, {"separator", "recogniser"}]),
        ((1, 0), [{"recogniser"}, {"separator", "recogniser"}]),
        ((None, 0), [{"recogniser"}, {"recogniser"}]),
    ],
)
def test_each_network_moves_in_its_epochs(asr, corpus, tmp_path, frozen, moved):
    """Weights and statistics of batch norms alike; by words alone."""
    separator, recogniser = frozen
    brain = make_brain(
        asr,
        tmp_path,
        Watched,
        sep_weight=0.0,
        separator_frozen_epochs=separator,
        asr_frozen_epochs=recogniser,
    )
    fit(brain, corpus)
    assert [brain.moved[1], brain.moved[2]] == moved
    assert set(brain.optimizers_dict) == set.union(*moved)


def test_gradient_passes_the_frozen_recogniser(asr, corpus, tmp_path):
    brain = make_brain(asr, tmp_path, sep_weight=0.0)
    fit(brain, corpus)
    assert not any(
        p.requires_grad for p in brain.modules.recogniser.parameters()
    )
    brain.on_stage_start(Stage.TRAIN, 1)
    train, _, _ = datasets(corpus)
    batch = next(iter(brain.make_dataloader(train, Stage.TRAIN)))
    brain.modules.train()
    brain.on_fit_batch_start(batch, True)
    assert not any(m.training for m in brain.modules.recogniser.modules())
    assert brain.modules.separator.training
    estimate = brain.compute_forward(batch, Stage.TRAIN)
    brain.compute_objectives(estimate, batch, Stage.TRAIN).backward()
    assert brain.modules.separator.conv.weight.grad.abs().sum() > 0


class AsRank(Watched):
    """Keeps gradients on in frozen epochs, as distributed runs must."""

    def on_stage_start(self, stage, epoch=None):
        self.distributed_launch = True
        super().on_stage_start(stage, epoch)
        self.distributed_launch = False


def test_gradients_of_frozen_epochs_are_forgotten(asr, corpus, tmp_path):
    """They must not add up for the first free step."""
    ends = []
    for kind in (Watched, AsRank):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        brain = make_brain(asr, folder, kind, asr_frozen_epochs=1)
        fit(brain, corpus)
        assert brain.moved[1] == {"separator"}
        ends.append(state(brain.modules))
    for name, value in ends[0].items():
        assert torch.allclose(value, ends[1][name]), name


def test_a_run_that_fell_over_goes_on_the_same(asr, corpus, tmp_path):
    ends = []
    for name, die_at in (("whole", None), ("cut", (2, 2))):
        folder = tmp_path / name
        folder.mkdir()
        options = {"asr_frozen_epochs": 1, "opts": {"ckpt_interval_steps": 1}}
        brain = make_brain(asr, folder, Watched, **options)
        brain.die_at = die_at
        if die_at:
            with pytest.raises(KeyboardInterrupt):
                fit(brain, corpus)
            brain = make_brain(asr, folder, Watched, **options)
        fit(brain, corpus)
        rates = [
            o.param_groups[0]["lr"] for o in brain.optimizers_dict.values()
        ]
        ends.append((state(brain.modules), rates))
    (whole, rates), (again, same_rates) = ends
    assert rates == same_rates and len(rates) == 2
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_results_have_word_errors_and_both_models_load(asr, corpus, tmp_path):
    brain = make_brain(asr, tmp_path, asr_frozen_epochs=0)
    test = fit(brain, corpus)
    brain.evaluate(test, min_key="loss")
    header, *rows = (tmp_path / "test_results.csv").read_text().splitlines()
    assert header == "snt_id,si-snr,si-snr_i,wer"
    assert len(rows) == 6 and float(rows[0].split(",")[-1]) > 0
    log = (tmp_path / "log.txt").read_text()
    assert "valid wer" in log and "asr lr" in log
    recogniser = brain.hparams.recogniser
    folder = recogniser.export(tmp_path / "recogniser")
    again = load_asr(folder, "cpu")
    wave = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    recogniser.eval()
    with torch.no_grad():
        scores = recogniser(wave, torch.ones(1))
        assert torch.allclose(again.encode_batch(wave, torch.ones(1)), scores)
        old = load_asr(asr, "cpu").encode_batch(wave, torch.ones(1))
    assert not torch.allclose(old, scores)
    assert recogniser.texts(scores, torch.ones(1))[0]


def batch_of(texts, samples=(16000, 12800)):
    """A batch as PaddedBatch has it: two voices of a second and 0.8 s."""
    from speechbrain.dataio.batch import PaddedBatch

    items = []
    for i, (pair, length) in enumerate(zip(texts, samples, strict=True)):
        rng = torch.Generator().manual_seed(i)
        sources = 0.1 * torch.randn(length, 2, generator=rng)
        items.append(
            {"id": f"m{i}", "sources": sources, "mix_sig": sources.sum(1)}
        )
        items[-1]["texts"] = pair
    return PaddedBatch(items)


def test_voices_without_a_text_take_no_part(asr, tmp_path):
    brain = make_brain(asr, tmp_path, sep_weight=0.0)
    brain.on_stage_start(Stage.TRAIN, 1)
    batch = batch_of([["bin blue", ""], [None, "set red"]])
    estimate = batch.sources.data.clone().requires_grad_()
    brain.compute_objectives(estimate, batch, Stage.TRAIN).backward()
    levels = estimate.grad.abs().sum(1)
    assert (levels > 0).tolist() == [[True, False], [False, True]]
    assert not estimate.grad[1, 12800:].any()  # nor does padding
    # A batch of silence alone costs nothing, and gives no NaN.
    batch = batch_of([["", ""], [None, None]])
    estimate = torch.zeros_like(batch.sources.data, requires_grad=True)
    loss = brain.compute_objectives(estimate, batch, Stage.TRAIN)
    loss.backward()
    assert loss == 0 and torch.isfinite(estimate.grad).all()
    assert not estimate.grad.any()


def test_voice_costs_the_same_beside_longer_ones(asr, tmp_path):
    brain = make_brain(asr, tmp_path, sep_weight=0.0)
    together = batch_of([[None, None], ["bin blue", "set red"]])
    alone = batch_of([["bin blue", "set red"]], [12800])
    alone.sources.data[:] = together.sources.data[1:, :12800]
    losses = [
        brain.compute_objectives(batch.sources.data, batch, Stage.TRAIN)
        for batch in (together, alone)
    ]
    assert torch.allclose(*losses) and losses[0] > 0


def test_texts_follow_voices_that_the_loss_puts_in_order(asr, tmp_path):
    brain = make_brain(asr, tmp_path, loss=functools.partial(pit, measure=snr))
    batch = batch_of([["bin blue", "set red"], ["lay one", "place four"]])
    right = batch.sources.data
    losses = [
        brain.compute_objectives(x, batch, Stage.TRAIN)
        for x in (right + 0.01, right.flip(2) + 0.01)
    ]
    assert torch.allclose(*losses)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"sep_weight": 0, "asr_weight": 0}, "not both 0"),
        ({"asr_weight": -1.0}, "below 0"),
        ({"use_texts": False}, "use_texts"),
        ({"separator_frozen_epochs": 1}, "nothing to train"),
        ({"asr_frozen_epochs": 1.5}, "asr_frozen_epochs is 1.5"),
    ],
)
def test_impossible_settings_are_refused(asr, tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        make_brain(asr, tmp_path, **changes)
