"""Proves the figures: right numbers, shared colours, no global state."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from speechbrain.utils.train_logger import FileTrainLogger

from avsep_sb import figures
from avsep_sb.errors import DataError

RATE = 16000


@pytest.fixture
def log(tmp_path):
    """A log written by SpeechBrain itself."""
    path = tmp_path / "train_log.txt"
    logger = FileTrainLogger(path)
    for epoch, loss in ((1, 120.5), (2, -1.2345), (3, math.nan), (3, -14.0)):
        logger.log_stats(
            {"epoch": epoch, "lr": 1e-3},
            {"loss": loss},
            {"loss": loss + 1, "si-snr_i": 8.25},
            verbose=False,
        )
    logger.log_stats(
        {"Epoch loaded": 3}, test_stats={"si-snr_i": 5.0}, verbose=False
    )
    return path


def test_log_is_read_as_speechbrain_writes_it(log):
    curves = figures.read_train_log(log)
    assert curves["train", "loss"] == {1: 120.0, 2: -1.23, 3: -14.0}
    assert curves["valid", "si-snr_i"] == {1: 8.25, 2: 8.25, 3: 8.25}
    assert curves["", "lr"] == {1: 1e-3, 2: 1e-3, 3: 1e-3}
    assert set(curves) == {
        ("train", "loss"),
        ("valid", "loss"),
        ("valid", "si-snr_i"),
        ("", "lr"),
    }


def test_curves_are_drawn(log, tmp_path, monkeypatch):
    drawn = {}
    save = figures.save_figure
    monkeypatch.setattr(
        figures,
        "save_figure",
        lambda f, p: drawn.update(figure=f) or save(f, p),
    )
    png = figures.training_curves(log, tmp_path / "new" / "curves.png")
    assert imread(png)[..., :3].std() > 0.01
    assert [p.name for p in png.parent.iterdir()] == ["curves.png"]
    panels = drawn["figure"].axes
    assert [p.get_ylabel() for p in panels] == [
        "loss [dB]",
        "si-snr_i [dB]",
        "learning rate",
    ]
    assert panels[0].lines[0].get_ydata()[-1] == -14.0
    assert panels[-1].get_xlabel() == "epoch"


def test_log_without_epochs_is_explained(tmp_path):
    with pytest.raises(DataError, match="not there"):
        figures.training_curves(tmp_path / "none.txt", tmp_path / "x.png")
    (tmp_path / "log.txt").write_text("Epoch loaded: 3 - test loss: 1.00\n")
    with pytest.raises(DataError, match="no line of an epoch"):
        figures.training_curves(tmp_path / "log.txt", tmp_path / "x.png")
    assert not list(tmp_path.glob("x.png*"))


def voices(seconds=0.5):
    time = np.arange(int(RATE * seconds)) / RATE
    return np.stack([np.sin(2 * np.pi * f * time) for f in (1000, 4000)], 1)


@pytest.mark.parametrize("given", [True, False])
def test_separation_figure(tmp_path, monkeypatch, given):
    target = voices()
    estimate = target + 0.1 * target[:, ::-1]
    drawn = {}
    save = figures.save_figure
    monkeypatch.setattr(
        figures,
        "save_figure",
        lambda f, p: drawn.update(figure=f) or save(f, p),
    )
    png = figures.separation_figure(
        torch.from_numpy(target.sum(1)),
        torch.from_numpy(estimate),
        torch.from_numpy(target) if given else None,
        RATE,
        tmp_path / "voices.png",
    )
    assert imread(png)[..., :3].std() > 0.05
    panels = [p for p in drawn["figure"].axes if p.images]
    titles = [p.get_title() for p in panels]
    if given:
        assert titles == [
            "mixture",
            "voice 1, estimated (SI-SNRi +20.0 dB)",
            "voice 1, target",
            "voice 2, estimated (SI-SNRi +20.0 dB)",
            "voice 2, target",
        ]
    else:
        assert titles == ["mixture", "voice 1, estimated", "voice 2, estimated"]
    limits = {p.images[0].get_clim() for p in panels}
    assert len(limits) == 1
    low, high = limits.pop()
    assert high - low == figures._RANGE_DB
    # A tone of 1 kHz lies at 1 kHz, and the rest of the other 20 dB down.
    image = panels[1].images[0]
    spectrum = np.asarray(image.get_array()).max(1)
    step = image.get_extent()[3] / (len(spectrum) - 1)
    assert spectrum.argmax() * step == pytest.approx(1.0, abs=0.05)
    other = spectrum[int(3.8 / step) : int(4.2 / step)].max()
    assert spectrum.max() - other == pytest.approx(20, abs=0.5)
    assert image.get_extent()[1] == pytest.approx(0.5)


def test_silent_short_and_long_signals_can_be_drawn(tmp_path):
    for samples in (1, 100, RATE):
        silent = np.zeros((samples, 2))
        figures.separation_figure(
            silent[:, 0], silent, silent, RATE, tmp_path / f"{samples}.png"
        )
    spectrum = figures._spectrogram(np.zeros(RATE * 600), RATE)
    assert spectrum.shape[1] <= figures._MAX_COLUMNS + 10


def test_mismatch_is_explained_and_leaves_nothing(tmp_path):
    target = voices()
    with pytest.raises(DataError, match="differ in length"):
        figures.separation_figure(
            target.sum(1), target[:-5], target, RATE, tmp_path / "x.png"
        )
    with pytest.raises(DataError, match="cannot draw"):
        figures.separation_figure(
            target[:0, 0], target, None, RATE, tmp_path / "x.png"
        )
    assert not list(tmp_path.iterdir())


def test_pyplot_is_not_touched(repo):
    code = (
        "import sys, avsep_sb.figures;"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repo, check=True)
