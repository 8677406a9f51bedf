"""Proves the scores of an utterance and the table they end up in.

Values against independent formulas, undefined scores as NaN and never a
crash, intervals that cover, a table that survives an interrupted test.
"""

import csv
import importlib.util
import math

import fast_bss_eval
import numpy as np
import pytest
import torch

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.metrics import plain_sdr, score_utterance, score_voices
from avsep_sb.results import ResultsTable, confidence95, rate95

RATE = 16000
ALL = ["sdr", "sdr_i", "si-snr", "si-snr_i", "pesq", "stoi"]


@pytest.fixture(scope="module")
def scene():
    """Two speech-like voices, their mixture and estimates, [T] and [T, 2]."""
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    voices = []
    for pitch, rate in ((110, 3.0), (190, 4.3)):
        wave = sum(
            np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 20)
        )
        bursts = np.clip(np.sin(2 * np.pi * rate * time + pitch), 0, 1)
        voices.append(0.1 * wave * bursts + 1e-4 * rng.standard_normal(RATE))
    target = np.stack(voices, 1)
    estimate = target + 0.1 * target[:, ::-1] + 0.02
    return target.sum(1), estimate, target


def test_all_scores_of_a_good_estimate(scene):
    mix, estimate, target = scene
    scores = score_utterance(mix, estimate, target, RATE)
    assert list(scores) == ALL
    assert all(isinstance(v, float) for v in scores.values())
    assert 0.5 < scores["stoi"] <= 1.0
    if importlib.util.find_spec("pesq"):
        assert 1.0 < scores["pesq"] < 4.65
    else:
        assert math.isnan(scores["pesq"])
    worse = score_utterance(mix, np.stack([mix, mix], 1), target, RATE)
    assert worse["si-snr_i"] == pytest.approx(0, abs=1e-6)
    assert worse["sdr_i"] == pytest.approx(0, abs=1e-6)
    for name in ALL:
        assert scores[name] > worse[name]


def test_si_snr_and_sdr_against_their_definitions(scene):
    mix, estimate, target = scene
    got = score_utterance(mix, estimate, target, RATE, ("sdr", "si-snr"))
    want = []
    for e in (estimate, np.stack([mix, mix], 1)):
        e, t = e - e.mean(0), target - target.mean(0)
        p = (e * t).sum(0) / (t * t).sum(0) * t
        ratio = (p * p).sum(0) / ((e - p) ** 2).sum(0)
        want.append(10 * np.log10(ratio).mean())
    assert got["si-snr"] == pytest.approx(want[0], abs=1e-4)
    assert got["si-snr_i"] == pytest.approx(want[0] - want[1], abs=1e-4)
    sdr = fast_bss_eval.sdr(target.T, estimate.T).mean()
    assert got["sdr"] == pytest.approx(sdr, abs=1e-4)


def test_arguments_of_sdr_are_not_swapped(scene):
    """A coloured estimate with noise scores differently in each order."""
    mix, _, target = scene
    rng = np.random.default_rng(1)
    noise = 0.01 * rng.standard_normal(target.shape)
    taps = [1.0, 0.0, 0.0, 0.9]
    coloured = np.stack([np.convolve(t, taps)[:RATE] for t in target.T], 1)
    right = score_utterance(mix, coloured + noise, target, RATE, ("sdr",))
    direct = fast_bss_eval.sdr(target.T, (coloured + noise).T).mean()
    swapped = fast_bss_eval.sdr((coloured + noise).T, target.T).mean()
    assert abs(direct - swapped) > 0.1
    assert right["sdr"] == pytest.approx(direct, abs=1e-4)


def test_tensors_and_arrays_score_alike(scene):
    mix, estimate, target = (torch.from_numpy(x).float() for x in scene)
    estimate.requires_grad_(True)
    got = score_utterance(mix, estimate, target, RATE, ("si-snr",))
    want = score_utterance(*scene, RATE, ("si-snr",))
    assert got == pytest.approx(want, abs=1e-3)


def test_silent_target_is_left_out_of_the_mean(scene):
    mix, estimate, target = scene
    silent = target.copy()
    silent[:, 1] = 0.0
    got = score_utterance(mix, estimate, silent, RATE)
    alone = score_utterance(mix, estimate[:, :1], target[:, :1], RATE)
    assert got == pytest.approx(alone)
    nothing = score_utterance(mix, estimate, 0 * target, RATE)
    assert all(math.isnan(v) for v in nothing.values())


def test_silent_estimate_is_bad_but_finite(scene):
    mix, estimate, target = scene
    got = score_utterance(mix, 0 * estimate, target, RATE)
    assert math.isnan(got["pesq"])
    assert got["si-snr"] == pytest.approx(0, abs=1e-6)
    assert got["sdr"] == 0.0
    assert got["stoi"] == pytest.approx(0, abs=1e-3)


def test_broken_and_short_signals_score_nan(scene):
    mix, estimate, target = scene
    broken = estimate.copy()
    broken[7] = np.nan
    got = score_utterance(mix, broken, target, RATE)
    assert all(math.isnan(v) for v in got.values())
    cut = slice(RATE // 2, RATE // 2 + 2000)
    short = score_utterance(mix[cut], estimate[cut], target[cut], RATE)
    assert math.isnan(short["pesq"]) and math.isnan(short["stoi"])
    assert short["si-snr"] > 5


def test_unusable_input_is_explained(scene):
    mix, estimate, target = scene
    with pytest.raises(DataError, match="same length"):
        score_utterance(mix, estimate[:-1], target, RATE)
    with pytest.raises(DataError, match="one channel"):
        score_utterance(target, estimate, target, RATE)
    with pytest.raises(ConfigError, match="choose from"):
        score_utterance(mix, estimate, target, RATE, ("sisnr",))
    with pytest.raises(ConfigError, match="16000 Hz"):
        score_utterance(mix, estimate, target, 8000)
    score_utterance(mix, estimate, target, 8000, ("stoi",))


def test_plain_sdr_keeps_scale_and_mean(scene):
    _, _, target = scene
    assert plain_sdr(0.5 * target, target) == pytest.approx([6.0206] * 2)
    shifted = plain_sdr(target + 0.1, target)
    want = 10 * np.log10((target**2).sum(0) / (0.01 * RATE))
    assert shifted == pytest.approx(want)
    assert np.isnan(plain_sdr(target, 0 * target)).all()
    assert np.isposinf(plain_sdr(target, target)).all()


def test_interval_covers_the_mean_in_95_of_100_cases():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(2000):
        mean, half = confidence95(rng.normal(3.0, 2.0, 6))
        hits += abs(mean - 3.0) <= half
    assert 0.935 < hits / 2000 < 0.965
    assert confidence95([math.nan, 2.0])[0] == 2.0
    assert all(math.isnan(x) for x in confidence95([]))
    assert confidence95([1.0, math.nan, 3.0]) == confidence95([1.0, 3.0])


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def scores_of(value, **others):
    return {**dict.fromkeys(reversed(ALL), value), **others}


def test_table_has_the_columns_rows_and_summary(tmp_path):
    path = tmp_path / "run" / "test_results.csv"
    with ResultsTable(path) as table:
        table.add("a", scores_of(1.0))
        table.add("b", scores_of(2.0, pesq=math.nan))
        table.add("c, with comma", scores_of(3.0))
    rows = rows_of(path)
    assert rows[0] == ["snt_id", *ALL]
    assert [row[0] for row in rows[1:]] == [
        "a",
        "b",
        "c, with comma",
        "avg",
        "ci95",
    ]
    assert rows[2][5] == "nan" and rows[4][1:] == ["2.0000"] * 6
    half = confidence95([1.0, 2.0, 3.0])[1]
    assert float(rows[5][1]) == pytest.approx(half, abs=1e-4)
    assert table.missing() == {"pesq": 1} and len(table) == 3
    assert table.mean("pesq") == 2.0
    assert [p.name for p in path.parent.iterdir()] == ["test_results.csv"]


def test_rows_are_on_disk_at_once_and_an_unfinished_table_is_no_table(
    tmp_path,
):
    path = tmp_path / "r.csv"
    with pytest.raises(RuntimeError), ResultsTable(path) as table:
        table.add("a", {"si-snr": -1.5})
        assert rows_of(tmp_path / "r.csv.partial")[1] == ["a", "-1.5000"]
        raise RuntimeError
    assert not path.exists()
    with ResultsTable(path) as table:
        table.add("b", {"si-snr": 2.0})
    assert [row[0] for row in rows_of(path)] == ["snt_id", "b", "avg", "ci95"]


def test_finished_table_is_replaced_only_when_told(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("precious")
    with pytest.raises(DataError, match="exists"):
        ResultsTable(path)
    table = ResultsTable(path, overwrite=True)
    assert path.read_text() == "precious"  # until the new one is complete
    table.finish()
    assert rows_of(path)[0] == ["snt_id"]


def test_rows_with_other_scores_are_refused(tmp_path):
    table = ResultsTable(tmp_path / "r.csv")
    table.add("a", {"si-snr": 1.0})
    with pytest.raises(DataError, match="same metrics"):
        table.add("b", {"sdr": 1.0})


def test_voices_are_scored_one_by_one_and_estoi_on_demand(scene):
    mix, estimate, target = scene
    rows = score_voices(mix, estimate, target, RATE, ("sdr", "stoi", "estoi"))
    assert [list(row) for row in rows] == [
        ["sdr", "sdr_i", "stoi", "estoi"]
    ] * 2
    for k, row in enumerate(rows):
        cut = slice(k, k + 1)
        alone = score_utterance(
            mix, estimate[:, cut], target[:, cut], RATE, ("sdr", "estoi")
        )
        assert row["sdr_i"] == pytest.approx(alone["sdr_i"])
        assert row["estoi"] == pytest.approx(alone["estoi"])
        assert row["estoi"] != pytest.approx(row["stoi"], abs=1e-3)
    assert rows[0]["sdr"] != pytest.approx(rows[1]["sdr"], abs=1e-3)


def test_interval_of_a_rate_has_width_at_the_ends():
    # Wilson's interval of 0 in 20 trials, from tables.
    rate, low, high = rate95([0.0] * 20 + [math.nan])
    assert (rate, low) == (0.0, 0.0) and high == pytest.approx(0.1611, abs=1e-4)
    rate, low, high = rate95([1.0] * 5 + [0.0] * 5)
    assert (low, high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert all(math.isnan(x) for x in rate95([]))
