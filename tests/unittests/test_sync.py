"""The offset between lips and sound is found, trusted with reason, undone.

Proves that shifts of either sign are found to a frame while another voice
speaks; that nothing is trusted where sound and lips have nothing to do with
each other; that corrected faces show at each time what was said then; and
that the windows looked at are those that tell most.
"""

import importlib
import logging
from pathlib import Path

import numpy as np
import pytest

from avsep_sb.errors import DataError
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.stays import ArrayFaces, Stay
from avsep_sb.inference.sync import (
    OffsetEstimate,
    ShiftedFaces,
    estimate_offset,
    probe_windows,
    warn_of_offset,
)
from avsep_sb.vision.quality import Quality
from tests.utils.gate_model import write_gate_model, write_turns

FRAME = 640
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_gate_model(tmp_path_factory.mktemp("g") / "gate", leak=0.1)
    return AVSeparation.from_hparams(folder, run_opts={"device": "cpu"})


def talk(frames=240, late=0, seed=0):
    """Two voices that come and go; the mouth of one, late by frames."""
    rng = np.random.default_rng(seed)
    noise = 0.1 * rng.standard_normal((2, frames, FRAME))
    speaks = np.stack(
        [np.repeat(rng.random(frames // 4) < 0.3, 4) for _ in range(2)]
    )
    mix = (noise * speaks[:, :, None]).sum(0).ravel().astype(np.float32)
    mouth = np.where(np.roll(speaks[0], late), 220, 20).astype(np.uint8)
    return mix, np.tile(mouth[:, None, None], (1, 8, 8)), speaks[0]


@pytest.mark.parametrize("late", [-10, -7, -1, 0, 2, 5, 10])
def test_offset_is_found(model, late):
    mix, lips, _ = talk(late=late, seed=late + 20)
    estimate = estimate_offset(model, [(mix, lips)])
    assert estimate.frames == late
    assert abs(estimate.ms - 40 * late) <= 20
    assert estimate.trusted


def test_windows_are_taken_together(model):
    parts = [talk(60, late=4, seed=seed)[:2] for seed in range(3)]
    assert estimate_offset(model, parts).frames == 4


def test_nothing_to_go_by_is_not_trusted(model):
    mix, _, _ = talk()
    still = np.full((240, 8, 8), 220, np.uint8)
    for windows in [], [(0 * mix, still)], [(mix, still)]:
        estimate = estimate_offset(model, windows)
        assert not estimate.trusted and np.isfinite(estimate.ms)
    with pytest.raises(DataError, match="more than 20"):
        estimate_offset(model, [(mix[: 20 * FRAME], still)])


def test_report_finds_known_offsets(tmp_path, monkeypatch):
    write_turns(tmp_path, frames=125, mixtures=2)
    folder = write_gate_model(tmp_path / "gate", leak=0.0)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    report = importlib.import_module("sync_report")
    argv = [str(folder), "--data", str(tmp_path), "--mixtures", "2"]
    argv += ["--manifest", str(tmp_path / "turns.csv"), "--windows", "1"]
    report.main([*argv, "--most-frames", "0", "--out", str(tmp_path / "out")])
    text = (tmp_path / "out" / "sync_report.md").read_text()
    assert "up to 0 frames" in text and "within 40 ms" in text
    assert len((tmp_path / "out" / "sync_report.csv").open().readlines()) == 5
    assert report.late_by(np.arange(4), 2).tolist() == [0, 0, 0, 1]
    errors, trusted = np.array([10, 50, 300]), np.array([1, 1, 0], bool)
    assert report.summary(errors, trusted) == "2 | 50 % | 30 | 50"


def test_warning_beyond_80_ms(caplog):
    with caplog.at_level(logging.WARNING):
        assert not warn_of_offset("face1", OffsetEstimate(79.0, 0.9, 2))
        assert not warn_of_offset("face1", OffsetEstimate(200.0, 0.1, 5))
        assert not caplog.records
        assert warn_of_offset("face2", OffsetEstimate(-120.0, 0.9, -3))
    assert "face2" in caplog.text and "120 ms earlier" in caplog.text


@pytest.mark.parametrize("late", [-4, 4])
def test_correction_restores_the_voice(model, late):
    mix, lips, speaks = talk(late=late)
    found = estimate_offset(model, [(mix, lips)])
    faces = ShiftedFaces(ArrayFaces(lips[None]), [found.frames])
    voice = np.concatenate(
        [b.voices for b in OverTime(model, faces).separate(mix)]
    )
    wanted = mix * np.where(np.repeat(speaks, FRAME), 1.0, 0.1)
    inner = slice(10 * FRAME, 230 * FRAME)
    assert np.allclose(voice[inner, 0], wanted[inner], atol=1e-4)


def test_stays_move_with_the_lips():
    mouths = np.arange(20, dtype=np.uint8).reshape(1, 20, 1, 1)
    faces = ArrayFaces(mouths, stays=[[(0, 3), (10, 20)]])
    late = ShiftedFaces(faces, [5])
    assert late.people[0].spans == [Stay(5, 15)]
    assert late.rois(0, 5, 7).ravel().tolist() == [10, 11]
    assert late.quality(0, 13, 17).tolist() == [1, 1, 0, 0]
    early = ShiftedFaces(faces, [-2])
    assert early.people[0].spans == [Stay(2, 5), Stay(12, 22)]
    with pytest.raises(DataError, match="as many offsets"):
        ShiftedFaces(faces, [1, 2])


def test_telling_windows_are_picked():
    frames = 100
    rng = np.random.default_rng(0)
    mouths = np.full((2, frames, 8, 8), 90, np.uint8)
    mouths[0, 20:40] = rng.integers(0, 255, (20, 8, 8))  # moves, and is heard
    mouths[0, 60:80] = rng.integers(0, 255, (20, 8, 8))  # not to be trusted
    mouths[1, 80:90] = rng.integers(0, 255, (10, 8, 8))
    codes = np.full((2, frames), Quality.FOUND)
    codes[0, 65] = Quality.BLURRED
    sound = np.ones(frames * FRAME, np.float32)
    blocks = np.array_split(sound, 7)
    first, second = probe_windows(
        blocks, ArrayFaces(mouths, codes), FRAME, 1, 0.8
    )
    assert np.array_equal(first[0][1], mouths[0, 20:40])
    assert np.array_equal(second[0][1], mouths[1, 80:100])
    assert [len(mix) for mix, _ in first + second] == [20 * FRAME] * 2
    codes[:, ::10] = Quality.MISSING
    nothing = probe_windows(blocks, ArrayFaces(mouths, codes), FRAME, 1, 0.8)
    assert nothing == [[], []]
