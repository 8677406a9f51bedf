"""The YAMLs of BIN and AVLiT state what the reference trained with.

The published values, what an ablation may change, the schedules against
torch's, and trainings on a toy corpus: the rate follows the loss that the
YAML names, and the frozen front end stays as it was.
"""

import re
from pathlib import Path

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from avsep_sb.brain import AVSeparationBrain
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import ConfigError
from avsep_sb.lobes.bin import ABLATIONS
from avsep_sb.losses import si_snr
from avsep_sb.schedule import Plateau
from avsep_sb.step_decay import StepDecay
from avsep_sb.summary import summarise
from tests.utils.toy_corpus import make_toy_corpus

HPARAMS = Path(__file__).resolve().parents[2] / "hparams"
GPUS = 8
# notes of the reference: iterations, tokens; whole batch, samples, frames/s
BIN = {
    "bin": (20, 256, 128, 32000, 25),
    "bin_ntcd": (20, 256, 32, 64000, 62.5),
    "bin_audio_token": (12, 256, 128, 32000, 25),
    "bin_video_token": (12, 256, 128, 32000, 25),
    "bin_separate_tokens": (12, 256, 128, 32000, 25),
    "bin_no_tokens": (12, 256, 128, 32000, 25),
    "bin_early": (12, 256, 128, 32000, 25),
    "bin_low_dim": (4, 8, 128, 32000, 25),
}
AVLIT = {"avlit": (128, 32000, 25), "avlit_ntcd": (128, 64000, 62.5)}
ABLATION_OF = {
    "bin_audio_token": "CAOnly",
    "bin_video_token": "CVOnly",
    "bin_separate_tokens": "NoCR",
    "bin_no_tokens": "NoC",
    "bin_early": "Early",
    "bin_low_dim": "LowDim",
}


def load(name, **overrides):
    text = (HPARAMS / f"{name}.yaml").read_text(encoding="utf-8")
    return load_hyperpyyaml(
        text, {"data_folder": "x", "dataset": "toy", **overrides}
    )


def keys_and_lines(name):
    """What stands under each top-level key, comments left out."""
    found, key = {}, None
    for line in (HPARAMS / f"{name}.yaml").read_text().splitlines():
        line = line.split(" # ")[0].rstrip()
        if not line or line.startswith("#"):
            continue
        if not line.startswith(" "):
            key = line.split(":")[0]
        found.setdefault(key, []).append(line)
    return found


@pytest.mark.parametrize("name", [*BIN, *AVLIT])
def test_training_is_that_of_the_reference(name):
    h = load(name)
    batch, length, fps = BIN[name][2:] if name in BIN else AVLIT[name]
    assert h["seed"] == 42 and h["N_epochs"] == 100
    assert h["epoch_counter"].limit_to_stop == 100
    assert h["batch_size"] * GPUS == batch
    assert h["training_signal_len"] == length and h["video_fps"] == fps
    drawn = ("dynamic_mixing", "random_crop", "horizontal_flip")
    assert not any(h[key] for key in drawn)
    # No gradient meets such a bound.
    assert h["max_grad_norm"] >= 1e9
    parts = [p for m in h["modules"].values() for p in m.parameters()]
    optimizer = h["optimizer"](parts)
    assert isinstance(optimizer, torch.optim.AdamW)
    (group,) = optimizer.param_groups
    assert group["lr"] == 1e-3 and tuple(group["betas"]) == (0.9, 0.98)
    assert group["weight_decay"] == 0.1
    assert h["loss"].keywords["measure"] is si_snr
    net, frontend = h["separator"], h["visual_frontend"]
    assert net.vpre_channels == frontend.out_channels == 1024
    assert frontend.frozen


@pytest.mark.parametrize("name", BIN)
def test_size_is_that_of_the_reference(name):
    h = load(name)
    iterations, tokens = BIN[name][:2]
    assert h["num_iterations"] == iterations
    assert h["fusion_channels"] == tokens
    assert h["token_length"] == 1601
    assert isinstance(h["lr_scheduler"], Plateau)
    assert h["lr_scheduler_loss"] == "train"
    plateau = h["lr_scheduler"]._scheduler
    assert (plateau.factor, plateau.patience) == (0.5, 5)
    count = sum(p.numel() for p in h["separator"].parameters())
    expected = {
        "bin_no_tokens": 5740179,
        "bin_early": 8394378,
        "bin_low_dim": 5190963,
    }
    assert count == expected.get(name, 6889107)


def test_summary_counts_the_frames_of_the_yaml():
    """Also where they are no whole number: 62.5 of NTCD-TIMIT."""
    summary = summarise(HPARAMS / "bin_ntcd.yaml")
    assert summary.frames == 62
    assert summary.frontend_parameters == 22099
    assert summary.frontend_macs.convs > 0


@pytest.mark.parametrize("name", AVLIT)
def test_avlit_is_the_baseline_of_the_bin_paper(name):
    h = load(name)
    net = h["separator"]
    assert sum(p.numel() for p in net.parameters()) == 5740179
    assert net.audio_branch.num_blocks == 8
    assert net.video_branch.num_blocks == 4
    assert net.audio_branch.fusion_positions == {0}
    assert not net.audio_branch.block.residual
    kind = StepDecay if name == "avlit" else Plateau
    assert isinstance(h["lr_scheduler"], kind)


@pytest.mark.parametrize("name", ABLATION_OF)
def test_ablation_changes_nothing_else(name):
    whole, part = keys_and_lines("bin"), keys_and_lines(name)
    assert whole.keys() == part.keys()
    changed = {key for key in whole if whole[key] != part[key]}
    asked = ABLATIONS[ABLATION_OF[name]]
    assert changed == {"experiment_name", "num_iterations", *asked}
    h = load(name)
    for key, value in asked.items():
        assert h[key] == value
    # Each file starts a folder of results of its own.
    assert h["experiment_name"] == name


def test_step_decay_equals_torch():
    schedule = load("avlit")["lr_scheduler"]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1e-3)
    reference = torch.optim.lr_scheduler.StepLR(optimizer, 25, 1 / 3)
    for epoch in range(1, 101):
        now = optimizer.param_groups[0]["lr"]
        optimizer.step()
        reference.step()
        following = optimizer.param_groups[0]["lr"]
        assert schedule([], epoch) == pytest.approx((now, following))
    assert following == pytest.approx(1e-3 / 81)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return folder, make_toy_corpus(folder, mixtures=4)


class Watcher:
    """A schedule of the rate that notes what it is told."""

    def __init__(self, schedule):
        self.schedule, self.told = schedule, []

    def __call__(self, optimizers, epoch, loss):
        self.told.append(loss)
        return self.schedule(optimizers, epoch, loss)


def train(name, corpus, output, epochs, **more):
    folder, manifests = corpus
    h = load(
        name,
        data_folder=str(folder),
        output_folder=str(output),
        manifest_folder=str(manifests),
        N_epochs=epochs,
        batch_size=2,
        training_signal_len=12800,
        valid_signal_len=12800,
        dataloader_opts={"num_workers": 0},
        valid_dataloader_opts={"num_workers": 0},
        frame_size=[32, 32],
        embedding_dim=256,
        bottleneck_channels=8,
        audio_channels=16,
        video_channels=8,
        num_filters=24,
        depth=3,
        **more,
    )
    output.mkdir(exist_ok=True)
    datasets = make_datasets(h)
    h["lr_scheduler"] = watcher = Watcher(h["lr_scheduler"])
    brain = AVSeparationBrain(
        modules=h["modules"],
        opt_class=h["optimizer"],
        hparams=h,
        run_opts={"device": "cpu", "noprogressbar": True},
        checkpointer=h["checkpointer"],
    )
    brain.train_set = datasets[0]
    brain.fit(
        h["epoch_counter"],
        datasets[0],
        datasets[1],
        train_loader_kwargs=dict(h["dataloader_opts"]),
        valid_loader_kwargs=dict(h["valid_dataloader_opts"]),
    )
    log = (output / "train_log.txt").read_text()
    rates, *logged = (
        [float(number) for number in re.findall(rf"{key}: ([-+.\w]+)", log)]
        for key in ("lr", "train loss", "valid loss")
    )
    logged = dict(zip(("train", "valid"), logged, strict=True))
    return h, watcher.told, logged, rates


def test_bin_trains_and_its_rate_follows_the_training_loss(corpus, tmp_path):
    before = load("bin", frame_size=[32, 32])["visual_frontend"].state_dict()
    small = {"num_iterations": 2, "fusion_channels": 6, "lr": 0.01}
    h, told, logged, rates = train("bin", corpus, tmp_path / "a", 6, **small)
    assert told == pytest.approx(logged["train"], rel=1e-3)
    assert logged["train"][-1] < logged["train"][0] - 1
    # A rate this high is left alone as long as the training loss falls.
    assert rates == [0.01] * 6
    after = h["visual_frontend"].state_dict()
    assert all(torch.equal(after[name], w) for name, w in before.items())

    small["lr_scheduler_loss"] = "valid"
    _, told, logged, _ = train("bin", corpus, tmp_path / "b", 2, **small)
    assert told == pytest.approx(logged["valid"], rel=1e-3)
    assert told != pytest.approx(logged["train"], rel=1e-3)


def test_avlit_trains_by_steps(corpus, tmp_path):
    small = {"audio_blocks": 2, "video_blocks": 1, "lr_step": 2}
    h, _, logged, rates = train("avlit", corpus, tmp_path / "a", 4, **small)
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3 / 3, 1e-3 / 3], rel=1e-3)
    assert logged["train"][-1] < logged["train"][0]
    assert h["separator"].audio_branch.num_blocks == 2


def test_another_name_for_the_loss_is_refused(corpus, tmp_path):
    with pytest.raises(ConfigError, match="give 'train' or 'valid'"):
        train(
            "bin",
            corpus,
            tmp_path / "a",
            1,
            num_iterations=1,
            fusion_channels=4,
            lr_scheduler_loss="best",
        )
