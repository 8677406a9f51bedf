"""Proves the scores of the evaluation, and how they are gathered."""

import json
import os

import numpy as np
import pytest

from avsep_sb.errors import DataError
from avsep_sb.evaluation import summary
from avsep_sb.evaluation.journal import Journal
from avsep_sb.evaluation.orientation import orientation_of, read_orientations
from avsep_sb.evaluation.pool import stream
from avsep_sb.evaluation.scoring import (
    Job,
    follows_faces,
    score_job,
    wrong_speakers,
)

RATE = 16000


@pytest.fixture(scope="module")
def voices():
    return np.random.default_rng(0).standard_normal((1600, 4))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_wrong_speakers_are_those_closer_to_another(voices, count):
    target = voices[:, :count]
    estimate = target + 0.3 * np.roll(target, 1, axis=1)
    assert wrong_speakers(estimate, target) == [0.0] * count
    # Mostly the neighbour's voice, at another level and with its sign turned.
    estimate = 0.4 * target - 0.6 * np.roll(target, 1, axis=1)
    assert wrong_speakers(7 * estimate, target) == [1.0] * count
    estimate[:, 0] = target[:, 0]
    assert wrong_speakers(estimate, target) == [0.0] + [1.0] * (count - 1)


def test_silent_voices_are_not_wrong(voices):
    target = voices[:, :3].copy()
    target[:, 1] = 0.0
    wrong = wrong_speakers(target[:, [2, 0, 2]], target)
    assert wrong[0] == 1.0 and np.isnan(wrong[1]) and wrong[2] == 0.0
    # A silent estimate is as far from all of them.
    assert wrong_speakers(0 * voices, voices) == [0.0] * 4
    assert np.isnan(wrong_speakers(voices[:, :1], voices[:, :1])).all()


def test_voices_follow_faces_only_if_they_do_so_both_ways(voices):
    for count in (2, 3, 4):
        target = voices[:, :count]
        moved = np.roll(target, 1, axis=1)
        assert follows_faces(target, moved, target) == 1.0
        assert follows_faces(target, target, target) == 0.0
        assert follows_faces(moved, moved, target) == 0.0
        one_wrong = moved.copy()
        one_wrong[:, 0] = target[:, 0]
        assert follows_faces(target, one_wrong, target) == 0.0


def test_scores_of_a_mixture(voices):
    target = 0.1 * voices[:, :2] * [1.0, 0.5]
    mix = target.sum(1)
    estimate = target + 0.1 * mix[:, None]
    metrics = ("si-snr", "sdr")
    alone = score_job(
        Job("a", mix, estimate, target, None, None, RATE, metrics)
    )
    assert np.isnan(alone["swap_right"])
    first, second = alone["voices"]
    # Energies 4 to 1, up to what the two noises have in common.
    assert first["input_snr"] == pytest.approx(6.02, abs=0.5)
    assert second["input_snr"] == pytest.approx(-first["input_snr"])
    both = score_job(
        Job("a", mix, estimate, target, target, mix[:, None] + 0 * target,
            RATE, metrics)
    )  # fmt: skip
    assert both["swap_right"] == 0.0
    for voice, known in zip(both["voices"], alone["voices"], strict=True):
        # The twin gave the mixture back.
        assert voice["audio_si-snr_i"] == pytest.approx(0, abs=1e-5)
        assert voice["audio_sdr_i"] == pytest.approx(0, abs=1e-5)
        assert {k: voice[k] for k in known} == known
    row = summary.utterance_scores(both)
    assert row["gap_si-snr_i"] == pytest.approx(row["si-snr_i"], abs=1e-5)
    assert row["sdr"] == pytest.approx((first["sdr"] + second["sdr"]) / 2)


def test_worst_mixtures_come_first_and_undefined_ones_not_at_all():
    gains = {"a": 3.0, "b": float("nan"), "c": -2.0, "d": 9.0, "e": 0.5}
    rows = {name: {"si-snr_i": gain} for name, gain in gains.items()}
    assert summary.worst(rows, 3) == ["c", "e", "a"]
    assert summary.worst(rows) == ["c", "e", "a", "d"]


def test_means_intervals_and_the_split():
    rows = [
        {"input_snr": 0.0, "sdr_i": x, "swap_right": 1.0, "pesq": float("nan")}
        for x in (1.0, 2.0, 3.0)
    ]
    lines = {line.score: line for line in summary.means(rows, [0.5])}
    assert list(lines) == ["sdr_i", "swap_right", "rtf"]
    assert lines["sdr_i"].text() == ("2.00 dB", "-0.48 to 4.48")
    # 3 of 3 leave room for doubt, by Wilson.
    assert lines["swap_right"].text() == ("100.0 %", "43.9 to 100.0")
    assert lines["rtf"].text() == ("0.500", "– to –")
    voices = [
        {"ID": "a", "voice": 1, "orientation": where, "sdr_i": gain}
        for where, gain in (("side", 1.0), ("frontal", 4.0), ("frontal", 6.0))
    ]
    groups = summary.split(voices)
    assert list(groups) == ["frontal", "side"]
    assert [x[0].mean for x in groups.values()] == [5.0, 1.0]
    assert summary.split([{**voices[0], "orientation": ""}]) == {}


def landmarks(turned):
    """Five points of a face, its nose off the middle by eye distances."""
    return [[0, 0], [40, 0], [20 + 40 * turned, 22], [5, 45], [35, 45]]


@pytest.mark.parametrize(
    "content, want",
    [
        ({"landmarks": [landmarks(0.1)] * 3 + [landmarks(0.6)]}, "frontal"),
        ({"landmarks": [landmarks(-0.6)] * 3 + [landmarks(0.0)]}, "side"),
        ({"landmarks": np.full((3, 5, 2), np.nan)}, ""),
        ({"quality": [0, 0, 0, 3, 3, 1]}, "side"),
        ({"quality": [0, 2, 4, 1, 3]}, "frontal"),
        ({"data": np.zeros((2, 9, 9), np.uint8)}, ""),
    ],
)
def test_orientation_of_a_file(tmp_path, content, want):
    np.savez(tmp_path / "a.npz", **content)
    assert orientation_of(tmp_path / "a.npz") == want


def test_orientations_that_cannot_be(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 9, 9), np.uint8))
    assert orientation_of(tmp_path / "a.npy") == ""
    np.savez(tmp_path / "b.npz", landmarks=np.zeros((3, 4)))
    with pytest.raises(DataError, match="landmarks of shape"):
        orientation_of(tmp_path / "b.npz")
    table = tmp_path / "o.csv"
    for text in ("a,b\n1,2\n", "lips,orientation\nx.npz,left\n"):
        table.write_text(text)
        with pytest.raises(DataError, match="row 1 of"):
            read_orientations(table, tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read_orientations(tmp_path / "none.csv", tmp_path)


def test_journal_goes_on_after_a_torn_line(tmp_path):
    path = tmp_path / "new" / "scores.jsonl"
    journal = Journal(path, {"model": "m"})
    assert not path.parent.exists()  # nothing before the first score
    journal.add("a", {"x": 1.0})
    journal.add("b", {"x": float("nan")})
    with open(path, "a") as file:
        file.write('{"ID": "c", "sco')
    again = Journal(path, {"model": "m"})
    assert list(again.scores) == ["a", "b"] and np.isnan(again.scores["b"]["x"])
    again.add("c", {"x": 3.0})
    lines = path.read_text().splitlines()
    assert [json.loads(x).get("ID") for x in lines] == [None, "a", "b", "c"]
    with pytest.raises(DataError, match="another model"):
        Journal(path, {"model": "n"})
    assert Journal(path, {"model": "n"}, overwrite=True).scores == {}
    again.remove()
    assert not path.exists()


@pytest.fixture
def light_processes(monkeypatch):
    """Processes that import no torch, for work that needs none."""
    monkeypatch.setattr("avsep_sb.evaluation.pool.one_thread", None)


def test_jobs_are_taken_as_needed_and_errors_passed_on(light_processes):
    taken = []

    def texts():
        for number in range(2000):
            taken.append(number)
            yield "three" if number == 3 else str(number)

    with pytest.raises(ValueError, match="three"):
        list(stream(int, texts(), 1))
    assert 4 <= len(taken) < 20
    with pytest.raises(ValueError, match="three"):
        list(stream(int, texts(), 0))
    assert sorted(stream(int, map(str, range(30)), 2)) == list(range(30))


def test_death_of_a_process_is_explained(light_processes):
    with pytest.raises(DataError, match="died while it scored"):
        list(stream(os._exit, range(3), 1))
