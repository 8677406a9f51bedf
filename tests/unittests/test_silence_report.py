"""The report on silence: a model whose leak is known gets its true figures."""

import csv
import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avsep_sb.errors import ConfigError, DataError
from tests.utils.gate_model import write_gate_model, write_turns

ROOT = Path(__file__).resolve().parents[2]
SPF = 640


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("silence_report")


@pytest.fixture
def argv(tmp_path):
    """Two rows, the second with a third speaker in place of the first."""
    manifest = write_turns(tmp_path, mixtures=2)
    text = manifest.read_text().splitlines()
    text[2] = text[2].replace(",a,", ",c,")
    manifest.write_text("\n".join(text) + "\n")
    model = write_gate_model(tmp_path / "gate", 0.1)
    argv = [str(model), "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    return argv + ["--manifest", str(manifest), "--gates", "30", "10"]


def rows_of(folder):
    with open(folder / "out" / "silence_gate.csv", newline="") as file:
        return {row["snt_id"]: row for row in csv.DictReader(file)}


def test_known_leak(report, argv, tmp_path):
    """A tenth of the other leaks: -20 dB, and 20 dB of improvement."""
    report.main([*argv, "--limit", "1"])
    rows = rows_of(tmp_path)
    for mouth in ("rests", "moves"):
        silent = {
            gate: float(
                rows[f"mix0: silent, mouth {mouth}: {gate}"]["silent_db"]
            )
            for gate in ("off", "30", "10")
        }
        assert silent["off"] == pytest.approx(-20, abs=0.1)
        assert silent["30"] == silent["off"]
        assert silent["10"] <= -99
    alone = rows["mix0: silent, mouth rests: 10"]
    assert alone["si_snr_i"] == "nan" and float(alone["si_snr"]) > 60
    both = rows["mix0: both speak: off"]
    assert float(both["si_snr"]) == pytest.approx(20, abs=0.5)
    unseen = rows["mix0: second voice off screen: off"]
    # One face: the rest of the other, and nothing of the face, is left over.
    assert float(unseen["residual_si_snr_i"]) > 40
    text = (tmp_path / "out" / "silence_report.md").read_text()
    assert "| silent, mouth rests | off | -20.0 | -20.0 | 0 % |" in text
    assert "| silent, mouth rests | 10 | -100.0 | -100.0 | 100 % |" in text
    assert text.count("changes SI-SNRi by") == 2
    with pytest.raises(DataError, match="is there already"):
        report.main(argv)


def test_cases(report):
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((20 * SPF, 2)).astype(np.float32)
    lips = np.zeros((2, 20, 4, 4), np.uint8)
    lips[1] = np.arange(20)[:, None, None]
    cases = report.cases_of(sources, lips, sources[:, 0], SPF)
    assert len(cases) == 7
    pauses = cases["pauses, mouth rests"]
    silent = ~pauses.targets[:, 1].any() | (pauses.targets[:, 1] == 0)
    assert silent[5 * SPF : 15 * SPF].all() and not silent[: 5 * SPF].any()
    assert len(np.unique(pauses.lips[1, 5:15])) == 1
    assert np.array_equal(pauses.lips[1, :5], lips[1, :5])
    moves = cases["silent, mouth moves"]
    assert not moves.targets[:, 1].any() and moves.lips is lips
    assert cases["second voice off screen"].lips.shape[0] == 1


def test_bad_input_is_explained(report, argv, tmp_path):
    with pytest.raises(ConfigError, match="above 0"):
        report.main([*argv, "--limit", "0"])
    manifest = tmp_path / "turns.csv"
    manifest.write_text(manifest.read_text().replace(",c,", ",a,"))
    with pytest.raises(DataError, match="no third speaker"):
        report.main(argv)


def test_a_model_that_is_replayed_is_used_like_itself(report):
    """One that makes voices add up must not do so where one is unseen."""

    class Model:
        mods = {"mixture_consistency": None}
        sees = True
        hparams = SimpleNamespace(sample_rate=16000, video_fps=25)

        def separate_batch(self, mix, lips, consistent=True):
            assert not consistent
            return torch.zeros(*mix.shape, lips.shape[1])

    sources = np.ones((25 * SPF, 2), np.float32)
    lips = np.zeros((2, 25, 4, 4), np.uint8)
    case = report.Case(sources, lips, (), sources[:, 0])
    (figures,) = report.compare(Model(), case, [None])
    # Nothing in the voices: the residual is the mixture.
    assert figures["residual_si_snr_i"] == pytest.approx(0, abs=1e-6)
