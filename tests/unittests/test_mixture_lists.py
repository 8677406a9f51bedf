"""Proves that mixture lists are read, drawn and turned into gains as the
published data sets do."""

from collections import Counter

import numpy as np
import pytest

from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.dataio.mixture_lists import (
    ListedMixture,
    check_known,
    make_mixture_list,
    read_mixture_list,
    write_mixture_list,
)
from avsep_sb.dataio.mixture_names import mixture_name, parse_mixture_name
from avsep_sb.dataio.mixture_rows import mixture_gains
from avsep_sb.errors import DataError

SPEAKERS = {f"s{k % 7}_{k:03d}": f"s{k % 7}" for k in range(70)}


@pytest.mark.parametrize("num_spks", [2, 3, 4])
def test_drawn_list_keeps_its_promises(num_spks):
    drawn = make_mixture_list(SPEAKERS, 200, seed=1, num_spks=num_spks)
    assert len(drawn) == 200
    assert len({frozenset(mix.utterances) for mix in drawn}) == 200
    for mix in drawn:
        assert len({SPEAKERS[name] for name in mix.utterances}) == num_spks
        assert 0 <= mix.gains_db[0] < 5
        assert mix.gains_db[-1] == -mix.gains_db[0]
        assert mix.gains_db[0] == round(mix.gains_db[0], 5)
    first = Counter(mix.utterances[0] for mix in drawn)
    assert max(first.values()) - min(first[name] for name in SPEAKERS) <= 2
    gains = np.array([mix.gains_db[0] for mix in drawn])
    assert abs(gains.mean() - 2.5) < 0.4


def test_list_depends_on_seed_only():
    drawn = make_mixture_list(SPEAKERS, 20, seed=1)
    backwards = dict(reversed(SPEAKERS.items()))
    assert make_mixture_list(backwards, 20, seed=1) == drawn
    assert make_mixture_list(SPEAKERS, 20, seed=2) != drawn


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match="different speakers, found 1"):
        make_mixture_list({"a1": "a", "a2": "a"}, 1, seed=0)
    with pytest.raises(DataError, match="only 2 of 3"):
        make_mixture_list({"a1": "a", "a2": "a", "b1": "b"}, 3, seed=0)
    with pytest.raises(DataError, match="5 speakers are not defined"):
        make_mixture_list(SPEAKERS, 1, seed=0, num_spks=5)


@pytest.mark.parametrize("num_spks", [2, 3, 4])
def test_write_and_read_back(tmp_path, num_spks):
    drawn = make_mixture_list(SPEAKERS, 10, seed=3, num_spks=num_spks)
    path = tmp_path / "new" / "mix.scp"
    write_mixture_list(path, drawn)
    assert read_mixture_list(path) == drawn
    assert [file.name for file in path.parent.iterdir()] == ["mix.scp"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a.wav 1 b.wav", "line 1"),
        ("a.wav 1 b.wav -1\n\nc.wav x d.wav -1", "line 3"),
        ("a.wav nan b.wav 0", "line 1"),
        ("\n\n", "is empty"),
        ("a 1 b -1\na 1 b 0 c -1", r"\[2, 3\] speakers"),
    ],
)
def test_bad_list_is_refused(tmp_path, text, message):
    path = tmp_path / "mix.scp"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_mixture_list(path)


def test_missing_or_binary_list_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot read the mixture list"):
        read_mixture_list(tmp_path / "none.scp")
    (tmp_path / "bytes.scp").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DataError, match="cannot read the mixture list"):
        read_mixture_list(tmp_path / "bytes.scp")


def test_unknown_utterances_are_counted_and_named():
    listed = [ListedMixture((f"u{k}", "v"), (0.0, 0.0)) for k in range(9)]
    with pytest.raises(DataError) as err:
        check_known(listed, {"v", "u0"}, "tt.scp", "main")
    assert "tt.scp names 8 of 10 utterances" in str(err.value)
    assert "first u1, u2, u3;" in str(err.value)


def test_gains_follow_levels_and_peak():
    """Active levels of the scaled sources differ by 2 g, peak is 0.9."""
    rng = np.random.default_rng(0)
    one = 0.1 * rng.standard_normal(32000)
    two = 0.02 * rng.standard_normal(40000)
    two[20000:] = 0
    levels = [active_speech_level(x, 16000)[0] for x in (one, two)]
    gains = mixture_gains([one, two], (2.5, -2.5), levels)
    scaled = [gains[0] * one, gains[1] * two]
    after = [active_speech_level(x, 16000)[0] for x in scaled]
    assert 10 * np.log10(after[0] / after[1]) == pytest.approx(5, abs=0.1)
    both = np.stack([scaled[0], scaled[1][:32000]])
    peaks = [np.abs(both).max(), np.abs(both.sum(0)).max()]
    assert max(peaks) == pytest.approx(0.9)


def test_silent_source_has_gain_zero_and_never_nan():
    tone = np.sin(np.arange(100))
    gains = mixture_gains([tone, 0 * tone], (1.0, -1.0), (0.5, 0.0))
    assert gains[0] > 0 and gains[1] == 0
    silent = mixture_gains([0 * tone, 0 * tone], (1.0, -1.0), (0.0, 0.0))
    assert silent.tolist() == [0.0, 0.0]


def test_names_of_ready_mixtures():
    mix = ListedMixture(("63_00004", "id_x_y_00057"), (3.28669, -3.28669))
    name = mixture_name(mix)
    assert name == "63_00004_3.2867_id_x_y_00057_-3.2867"
    assert parse_mixture_name(name, set(mix.utterances)) == mix.utterances
    # "63_00004" may also be read as utterance "63" at level 00004.
    known = {"63", "63_00004", "id_x_y_00057"}
    assert parse_mixture_name(name, known) == mix.utterances
    assert parse_mixture_name(name, {"63_00004"}) is None
    assert parse_mixture_name("", set()) is None


@pytest.mark.parametrize(
    "split, lines, utterances",
    [("tr", 20000, 18691), ("cv", 5000, 476), ("tt", 3000, 267)],
)
def test_published_lrs2_lists(shared, split, lines, utterances):
    path = shared / "lists" / "LRS2" / f"mix_2_spk_{split}.scp"
    mixtures = read_mixture_list(path)
    assert len(mixtures) == lines
    names = {name for mix in mixtures for name in mix.utterances}
    assert len(names) == utterances
    for mix in mixtures[:100]:
        name = mixture_name(mix)
        assert parse_mixture_name(name, names) == mix.utterances
