"""Proves the rule by which mixtures get their noise, and what lists may hold:
against the published ones where they are, and on made-up rows."""

from collections import Counter

import numpy as np
import pytest

from avsep_sb.dataio.wham_lists import (
    draw_wham_list,
    mixture_ids,
    read_wham_list,
    speaker_of,
    write_wham_list,
)
from avsep_sb.dataio.wham_noise import (
    NoiseWindow,
    noise_order,
    noise_windows,
)
from avsep_sb.errors import DataError
from tests.utils.mini_lrs3_wham import LIST_FILE, write_list

ROW = ("a_b/00001", "c/00002", 1.25, "n_1_m_-1.wav", 4.0, -3.435)


def test_pointer_takes_turns_and_passes_over_short_files():
    lengths = [("a", 5), ("short", 1), ("b", 2), ("c", 6)]
    windows = noise_windows(lengths, 6, window=2)
    assert [tuple(w) for w in windows] == [
        ("a", 0, 2),
        ("b", 0, 2),
        ("c", 0, 2),
        ("a", 2, 4),  # a has one sample left after this one
        ("c", 2, 4),
        ("c", 4, 6),
    ]
    with pytest.raises(DataError, match="holds 6 windows .* but 7 mixtures"):
        noise_windows(lengths, 7, window=2)


def test_counts_of_the_published_training_noise(shared):
    """50000 mixtures on 20000 files: 4 once, 9992 twice, 10004 thrice.

    The list has no durations. Those counts follow from four files shorter
    than 4 s and enough of 6 s or more, which is what is made up here between
    the shortest and the longest file of WHAM!, 3.4 and 47.7 s.
    """
    path = shared / "lists" / "WHAM" / "mix_param_meta_tr.csv"
    names = noise_order(None, path)
    rng = np.random.default_rng(0)
    seconds = 4 + rng.gamma(2.0, 3.2, len(names)).clip(0, 43.7)
    seconds[[10, 5000, 12000, 19999]] = 3.4, 3.6, 3.8, 3.99
    lengths = [int(s * 16000) for s in seconds]
    drawn = noise_windows(list(zip(names, lengths, strict=True)), 50000)
    uses = Counter(window.name for window in drawn)
    assert Counter(uses.values()) == {1: 4, 2: 9992, 3: 10004}
    assert [w.name for w in drawn[:20000]] == names
    starts = {}
    for window in drawn:  # consecutive, none twice
        starts.setdefault(window.name, []).append(window.start)
    assert all(s == [0, 32000, 64000][: len(s)] for s in starts.values())


def test_published_test_list_follows_the_rule(shared):
    """The rule gives, mixture by mixture, the noise of the published list."""
    name = LIST_FILE.format("test")
    mixtures = read_wham_list(shared / "lists" / "LRS3-WHAM" / name)
    order = shared / "lists" / "WHAM" / "mix_param_meta_tt.csv"
    names = noise_order(None, order)
    windows = noise_windows([(n, 54000) for n in names], 3000)
    assert len(mixtures) == 3000
    assert [(m.noise, m.start) for m in mixtures] == [w[:2] for w in windows]
    levels = np.array([m.level_db for m in mixtures])
    noise = np.array([m.noise_db for m in mixtures])
    assert 0 < levels.min() and levels.max() < 5
    assert -6 <= noise.min() and noise.max() <= 3
    speakers = [tuple(map(speaker_of, m.utterances)) for m in mixtures]
    assert all(one != two for one, two in speakers)
    assert len({spk for pair in speakers for spk in pair}) == 118
    assert len({u for m in mixtures for u in m.utterances}) == 300
    assert len(set(mixture_ids(mixtures))) == 3000


def test_reads_a_row(tmp_path):
    path = tmp_path / "list.csv"
    write_list(path, [ROW, ROW])
    mixture = read_wham_list(path)[0]
    assert tuple(mixture) == (
        ("a_b_00001", "c_00002"),
        1.25,
        "n_1_m_-1.wav",
        64000,
        -3.435,
    )
    assert speaker_of(mixture.utterances[0]) == "a_b"
    assert mixture_ids(read_wham_list(path)) == [
        "a_b_00001_c_00002",
        "a_b_00001_c_00002_2",
    ]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("noise_db", "noise_snr", r"lacks .*noise_db.* unknown .*noise_snr"),
        ("overlap_ms,", "overlap_ms,extra,", "unknown columns .'extra'.: take"),
        (",4.0,6.0,", ",4.0,5.5,", "row 1 takes the noise from 4 to 5.5 s"),
        (",4.0,6.0,", ",-1.0,1.0,", "row 1 takes the noise from -1 to 1 s"),
        (",2000,2000.0", ",1500,2000.0", "row 1 has overlap_ms 1500"),
        (",1.25,0,0,", ",1.25,0,8000,", "row 1 has s2_start 8000"),
        (",1.25,", ",loud,", "row 1 is not as its header says"),
        (",1.25,", ",nan,", "row 1 is not as its header says"),
        (",2000.0\n", ",2000.0,7\n", "row 1 is not as its header says"),
        ("c/00002.wav", "", "row 1 names the utterance"),
    ],
)
def test_rows_that_are_no_such_mixture(tmp_path, old, new, match):
    path = tmp_path / "list.csv"
    write_list(path, [ROW])
    text = path.read_text()
    if old == "c/00002.wav":
        old = "/elsewhere/LRS3/audio/c/00002.wav"
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=match) as caught:
        read_wham_list(path)
    assert "\n" not in str(caught.value)


def test_no_list_and_no_rows(tmp_path):
    with pytest.raises(DataError, match="cannot read the mixture list"):
        read_wham_list(tmp_path / "no.csv")
    write_list(tmp_path / "list.csv", [])
    with pytest.raises(DataError, match="is empty"):
        read_wham_list(tmp_path / "list.csv")


def test_drawn_list(tmp_path):
    speakers = {f"s{i}_0000{j}": f"s{i}" for i in range(9) for j in range(5)}
    windows = [NoiseWindow(f"{k}.wav", 32000 * k, None) for k in range(400)]
    drawn = draw_wham_list(speakers, windows, [3, 1])
    assert drawn == draw_wham_list(
        dict(reversed(speakers.items())), windows, [3, 1]
    )
    assert drawn != draw_wham_list(speakers, windows, [3, 2])
    assert [(m.noise, m.start) for m in drawn] == [w[:2] for w in windows]
    for mixture in drawn:
        one, two = map(speaker_of, mixture.utterances)
        assert one != two
    assert len({frozenset(m.utterances) for m in drawn}) == 400
    levels = np.array([m.level_db for m in drawn])
    noise = np.array([m.noise_db for m in drawn])
    assert 0 <= levels.min() < 0.2 and 4.8 < levels.max() < 5
    assert -6 <= noise.min() < -5.7 and 2.7 < noise.max() <= 3
    assert abs(np.corrcoef(levels, noise)[0, 1]) < 0.2
    path = tmp_path / "lists" / "list.csv"
    write_wham_list(path, drawn)
    assert read_wham_list(path) == drawn


def test_order_of_the_noise(tmp_path):
    for name in ("b.wav", "a.wav"):
        (tmp_path / name).touch()
    assert noise_order(tmp_path) == ["a.wav", "b.wav"]
    table = tmp_path / "mix_param_meta_tr.csv"
    table.write_text("utterance_id,x\nb.wav,1\na.wav,2\n")
    assert noise_order(tmp_path, table) == ["b.wav", "a.wav"]
    table.write_text("name\nb.wav\n")
    with pytest.raises(DataError, match="no column utterance_id"):
        noise_order(tmp_path, table)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no wavs"):
        noise_order(tmp_path / "empty")
