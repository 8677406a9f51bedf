"""The report on bad faces changes what it says, and scores it right.

Proves that each condition spoils as many frames as it names and leaves the
others, that exceptions are counted and not hidden, and that figures are those
of models whose scores are known.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

from avsep_sb.errors import ConfigError
from avsep_sb.inference.trust import covered_frames, frozen_frames
from avsep_sb.vision.quality import Quality
from tests.utils.gate_model import write_gate_model, write_turns
from tests.utils.toy_model import write_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


@pytest.fixture
def argv(tmp_path):
    write_turns(tmp_path)
    model = write_gate_model(tmp_path / "gate", 0.1)
    audio = write_model(tmp_path / "audio", True)
    argv = [str(model), "--audio", str(audio), "--data", str(tmp_path)]
    argv += ["--manifests", str(tmp_path / "turns.csv"), "--limit", "2"]
    return [*argv, "--seconds", "1", "--out", str(tmp_path / "out")]


@pytest.fixture
def conditions(benchmarks):
    module = benchmarks("ladder_conditions")
    return {c.name: c for c in module.all_conditions()}


@pytest.fixture
def mouths():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, 100, 96, 96), np.uint8)


@pytest.mark.parametrize("share", [25, 50, 100])
def test_missing_frames(conditions, mouths, share):
    change = conditions[f"{share} % missing"].change
    faces = change(mouths.copy(), np.random.default_rng(1))
    gone = faces.codes == Quality.MISSING
    assert gone.sum(1).tolist() == [share, share]
    assert not faces.mouths[gone].any()
    assert np.array_equal(faces.mouths[~gone], mouths[~gone])


@pytest.mark.parametrize("name", ["covered, half", "covered, whole"])
def test_covered_mouths_are_found(conditions, mouths, name):
    faces = conditions[name].change(mouths.copy(), np.random.default_rng(1))
    assert (faces.codes == Quality.FOUND).all()
    for own, before in zip(faces.mouths, mouths, strict=True):
        hidden = covered_frames(own)
        assert hidden.sum() == (50 if "half" in name else 100)
        assert np.array_equal(own[~hidden], before[~hidden])


@pytest.mark.parametrize("name", ["frozen, half", "frozen, whole"])
def test_frozen_faces_are_found(conditions, mouths, name):
    faces = conditions[name].change(mouths.copy(), np.random.default_rng(1))
    for own in faces.mouths:
        assert frozen_frames(own).sum() == (49 if "half" in name else 99)


def test_lips_out_of_step_and_aside(conditions, mouths):
    off = conditions["200 ms off"].change(mouths, np.random.default_rng(1))
    late = [np.array_equal(off.mouths[:, 5:], mouths[:, :-5])]
    late.append(np.array_equal(off.mouths[:, :-5], mouths[:, 5:]))
    assert sorted(late) == [False, True]
    aside = conditions["profile, half"].change(
        mouths.copy(), np.random.default_rng(1)
    )
    turned = aside.codes == Quality.PROFILE
    changed = (aside.mouths != mouths).any((2, 3))
    assert turned.sum() == 100 and np.array_equal(turned, changed)


def test_one_absent_face(conditions, mouths):
    faces = conditions["one face absent"].change(
        mouths.copy(), np.random.default_rng(1)
    )
    assert sorted((faces.codes == 0).sum(1).tolist()) == [0, 100]


def test_known_scores(benchmarks, argv, tmp_path):
    report = benchmarks("ladder_report")
    report.main([*argv, "--conditions", "clean", "frozen, half", "--lips-only"])
    text = (tmp_path / "out" / "ladder_report.md").read_text()
    clean = next(x for x in text.splitlines() if x.startswith("| clean"))
    assert "| 0 | holds |" in clean and "exceptions" in text
    table = (tmp_path / "out" / "ladder_turns.csv").read_text().splitlines()
    assert len(table) == 1 + 2 + 2
    gain = float(clean.split("|")[2].split("±")[0])
    assert gain == pytest.approx(20, abs=1.5)  # the leak of the gate model


def test_exceptions_are_counted(benchmarks, argv, tmp_path, monkeypatch):
    report = benchmarks("ladder_report")

    def broken(*args):
        raise ValueError("broken on purpose")

    monkeypatch.setattr(report, "separate", broken)
    report.main([*argv, "--conditions", "clean"])
    text = (tmp_path / "out" / "ladder_report.md").read_text()
    clean = next(x for x in text.splitlines() if x.startswith("| clean"))
    assert "| 2 | falls short |" in clean


def test_wrong_models_are_refused(benchmarks, argv):
    report = benchmarks("ladder_report")
    with pytest.raises(ConfigError, match="Conditions are"):
        report.main([*argv, "--conditions", "rain"])
    argv[0], argv[2] = argv[2], argv[0]
    with pytest.raises(ConfigError, match="sees faces"):
        report.main(argv)
