"""The report on windows tells good joints from bad ones.

Proves that a model without memory loses nothing, and that holes, jumps at
joints and other differences are counted as what they are.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

from avsep_sb.errors import ConfigError
from avsep_sb.inference import over_time
from avsep_sb.inference.fallback import WindowNote
from tests.utils.gate_model import write_gate_model, write_turns

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("stitching_report")


@pytest.fixture
def argv(tmp_path):
    write_turns(tmp_path)
    model = write_gate_model(tmp_path / "gate", 0.1)
    argv = [str(model), "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    argv += ["--manifest", str(tmp_path / "turns.csv"), "--mixtures", "2"]
    return argv + ["--seconds", "2", "--window", "0.6", "--overlap", "0.4"]


def test_memoryless_model_loses_nothing(report, argv, tmp_path):
    report.main(argv)
    text = (tmp_path / "out" / "stitching_report.md").read_text()
    assert "| difference (dB) | 0.00 ± 0.00 | " in text.replace("-0.00", "0.00")
    assert "| zeroed (samples) | 0.00 ± 0.00 | 0.00 | 0 |" in text
    assert "| over time (dB SI-SNR) | 20.00 ± 0.00 |" in text
    assert "| boundary jump (dB) | " in text and "size 0.00 of" in text
    table = (tmp_path / "out" / "stitching_gate.csv").read_text().splitlines()
    assert len(table) == 1 + 2 + 2


def test_bad_joints_are_seen(report, argv, tmp_path, monkeypatch):
    """Each window ends 6 dB lower, in 5 samples that are zero."""
    whole = over_time.overlap_add

    def careless(fn, blocks, window, hop, unit):
        for first, block in whole(fn, blocks, window, hop, unit):
            block[-320:] *= 0.5
            block[-5:] = 0.0
            yield first, block

    monkeypatch.setattr(over_time, "overlap_add", careless)
    report.main(argv)
    text = (tmp_path / "out" / "stitching_report.md").read_text()
    assert "| zeroed (samples) | 0.00" not in text
    away = text.split("away from joints (dB) | ")[1]
    assert "size 0.00" in away.split("|")[0]
    jump = text.split("| boundary jump (dB) | ")[1].split("|")[0]
    assert "size 0.00" not in jump


def test_steps_of_the_level(report):
    signal = np.r_[np.ones(400), 2 * np.ones(400), np.zeros(400)]
    steps = report.level_steps(signal, [10, 200, 400, 800, 1000], 100)
    assert np.isnan(steps[[0, 3, 4]]).all()
    assert np.allclose(steps[1:3], [0.0, 20 * np.log10(2)])


def test_joints_and_middles(report):
    notes = [WindowNote(0, 40, ()), WindowNote(30, 40, ())]
    ends, middles = report.joints(notes, 70)
    assert ends == [30, 40] and middles == [15, 35, 55]


def test_short_mixtures_are_refused(report, argv):
    with pytest.raises(ConfigError, match="more --seconds"):
        report.main([*argv, "--seconds", "0.5"])
