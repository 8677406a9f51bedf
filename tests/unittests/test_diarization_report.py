"""Proves that the reports of diarization run, and that they know the truth.

The separator gives the true voices, so nothing but the rule is scored.
"""

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


class TrueVoices:
    """Separates with the true voices, at their place by the mixture."""

    sees = True
    hparams = SimpleNamespace(sample_rate=16000, video_fps=25, num_spks=2)

    def __init__(self):
        self.talk = None

    def separate_batch(self, mix, lips, lips_mask=None, consistent=None):
        voices = self.talk.sources
        sound = voices.sum(axis=1)
        size = mix.shape[1]
        starts = range(0, len(sound) - size + 1, 640)
        gaps = [
            np.abs(sound[k : k + size] - mix[0].numpy()).max() for k in starts
        ]
        first = 640 * int(np.argmin(gaps))
        return torch.from_numpy(voices[first : first + size])[None]


@pytest.fixture
def scripts(monkeypatch):
    """The two scripts, with a stand-in for the model they load."""
    pytest.importorskip("espeakng_loader")
    pytest.importorskip("pyannote.metrics")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    model, found = TrueVoices(), []
    for name in ("diarization_report", "diarization_tuning"):
        script = importlib.import_module(name)
        draw = importlib.import_module("diarization_scenes").draw_scene

        def drawn(*args, draw=draw):
            scene = draw(*args)
            model.talk = scene.talk
            return scene

        monkeypatch.setattr(script, "draw_scene", drawn)
        monkeypatch.setattr(script, "load_models", lambda names: {"it": model})
        found.append(script)
    return found


def test_true_voices_are_diarized_without_error(
    scripts, tmp_path, capsys, monkeypatch
):
    report, tuning = scripts
    argv = ["it", "--seconds", "10", "--out", str(tmp_path), "--scenes", "1"]
    assert report.main(argv) == 0
    text = (tmp_path / "diarization_report.md").read_text()
    assert text in capsys.readouterr().out
    row = next(line for line in text.splitlines() if "| all |" in line)
    rates = [float(cell.split()[0]) for cell in row.split("|")[3:5]]
    assert rates[0] < 3.0 and rates[1] == 0.0
    # What was measured is not measured again.
    (tmp_path / "diarization_report.md").unlink()
    (tmp_path / "diarization.csv").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(TrueVoices, "separate_batch", None)
        assert report.main(argv) == 0
    assert (tmp_path / "diarization_report.md").read_text() == text
    names = {path.name for path in tmp_path.iterdir()}
    assert {"test0_truth.rttm", "test0_found.rttm"} <= names
    assert tuning.main(argv) == 0
    text = (tmp_path / "diarization_tuning.md").read_text()
    assert "| below_mixture_db | 12 |" in text and "| copy_s | 0.1 |" in text


def test_pooled_rates_are_of_all_speech(scripts):
    pooled = importlib.import_module("diarization_scenes").pooled_der
    kinds = {"false alarm": 0.0, "confusion": 0.0}
    scores = [
        {"missed": 1.0, "total": 10.0, **kinds},
        {"missed": 0.0, "total": 30.0, **kinds},
    ]
    rate, low, high = pooled(scores)
    assert rate == pytest.approx(2.5) and low == 0.0 and high == 10.0
    assert np.isnan(pooled([])[0])
