"""Proves that speech is found where it is, in files of any length."""

import numpy as np
import pytest
import soundfile

from avsep_sb.errors import DataError
from avsep_sb.inference.activity import (
    FrameEnergy,
    active_level,
    spans_of_energy,
    speech_spans,
    write_rttm,
)
from avsep_sb.inference.diarization import speech_of_faces
from avsep_sb.inference.wav_blocks import wav_blocks

RATE = 16000


def talk(spans, seconds, level=0.1, seed=0):
    """Noise in syllables of 0.15 s with pauses of 0.05 s, within spans."""
    wave = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    time = np.arange(len(wave)) / RATE
    there = np.zeros(len(wave), bool)
    for start, stop in spans:
        there |= (time >= start) & (time < stop)
    return level * wave * there * (time % 0.2 < 0.15)


def write(folder, **voices):
    for name, wave in voices.items():
        soundfile.write(folder / f"{name}.wav", wave, RATE)
    return {name: folder / f"{name}.wav" for name in voices}


def assert_near(found, expected, least=0.03):
    assert len(found) == len(expected), found
    for (a, b), (start, stop) in zip(found, expected, strict=True):
        assert abs(a - start) <= least
        assert stop - 0.06 <= b <= stop + least


def test_speech_is_found_where_it_is(tmp_path):
    said = [(1.0, 3.0), (5.0, 5.6)]
    paths = write(tmp_path, voice=talk(said, 8))
    assert_near(speech_spans(paths["voice"]), said)


@pytest.mark.parametrize("leak_db", [-18.0, -40.0])
def test_leaks_are_no_speech(tmp_path, leak_db):
    """Who is silent all along is found silent, beside a voice that is not."""
    said = [(1.0, 7.0)]
    voice = talk(said, 8)
    leak = 10 ** (leak_db / 20)
    paths = write(tmp_path, loud=voice * (1 - leak), silent=voice * leak)
    found = speech_of_faces(paths)
    assert found["silent"] == []
    assert_near(found["loud"], said)
    # One by one it is the same.
    both = list(paths.values())
    assert speech_spans(paths["silent"], both) == []
    assert speech_spans(paths["loud"], both) == found["loud"]
    # Without the mixture nothing tells a leak from a soft voice.
    assert speech_spans(paths["silent"])


def test_soft_voices_speak_too(tmp_path):
    """6 dB below another, at the same time, is heard."""
    said = [(2.0, 4.0)]
    paths = write(
        tmp_path,
        loud=talk([(0.0, 8.0)], 8),
        soft=talk(said, 8, 0.1 * 10**-0.3, seed=1),
        residual=np.full(8 * RATE, 1e-3),
    )
    rest = [paths.pop("residual")]
    assert_near(speech_of_faces(paths, rest)["soft"], said, least=0.1)


def test_breath_and_echo_are_no_speech():
    energy = np.r_[np.full(300, 1.0), np.full(300, 10**-2.5)]
    assert spans_of_energy(energy, energy) == [(0.0, 3.02)]
    quiet = spans_of_energy(energy, energy, below_active_db=40.0)
    assert quiet == [(0.0, 6.0)]


def test_short_sounds_and_short_gaps_do_not_count():
    times = np.arange(1000)
    click = (times >= 900) & (times < 903)
    energy = ((times < 200) | ((times >= 226) & (times < 400)) | click) * 1.0
    assert spans_of_energy(energy) == [(0.0, 4.02)]
    apart = ((times < 200) | ((times >= 240) & (times < 400))) * 1.0
    assert spans_of_energy(apart) == [(0.0, 2.02), (2.38, 4.02)]


def test_level_is_that_of_speech_alone():
    """An hour of silence beside one minute of speech does not lower it."""
    speech = np.r_[np.ones(6000), np.zeros(360000)]
    assert active_level(speech) == pytest.approx(1.0)
    noise = np.r_[np.ones(6000), np.full(6000, 10**-2.5)]
    assert active_level(noise) == pytest.approx(1.0, rel=0.01)
    assert active_level(np.zeros(10)) == 0.0
    assert active_level(np.zeros(0)) == 0.0


def test_scale_does_not_matter():
    rng = np.random.default_rng(0)
    voice = rng.random(2000) * (np.arange(2000) % 700 < 300)
    mixture = voice + rng.random(2000)
    assert spans_of_energy(voice, mixture) == spans_of_energy(
        voice * 1e-3, mixture * 1e-3
    )


def test_blocks_are_the_whole(tmp_path):
    wave = talk([(0.5, 2.0)], 3.007)
    paths = list(write(tmp_path, a=wave, b=wave[::-1]).values())
    blocks = list(wav_blocks(paths, block_seconds=0.33))
    assert {len(block) for block in blocks[:-1]} == {round(0.33 * RATE)}
    whole = np.stack([soundfile.read(p)[0] for p in paths], axis=1)
    assert np.array_equal(np.concatenate(blocks), whole.astype(np.float32))
    energy = FrameEnergy(RATE)
    for block in np.array_split(wave, 7):
        energy.feed(block)
    once = FrameEnergy(RATE)
    once.feed(wave)
    assert np.allclose(energy.values(), once.values(), rtol=1e-12)
    assert len(once.values()) == 301


@pytest.mark.parametrize("samples", [1, 80, 1600])
def test_silence_and_short_files(tmp_path, samples):
    paths = write(tmp_path, a=np.zeros(samples), b=np.zeros(samples))
    assert speech_of_faces(paths) == {"a": [], "b": []}
    assert speech_spans(paths["a"], paths["b"]) == []
    assert speech_of_faces({}) == {}


def test_files_that_do_not_fit_are_named(tmp_path):
    paths = write(tmp_path, a=np.zeros(100), b=np.zeros(101))
    with pytest.raises(DataError, match=r"b\.wav has 101 samples"):
        speech_of_faces(paths)
    with pytest.raises(DataError, match="missing"):
        speech_spans(tmp_path / "none.wav")
    with pytest.raises(DataError, match="3 frames and the mixture 4"):
        spans_of_energy(np.ones(3), np.ones(4))


def test_rttm_is_as_nist_lays_it_out(tmp_path):
    path = write_rttm(
        tmp_path / "talk.rttm",
        "my talk",
        {"face2": [(0.25, 1.0), (9.0, 9.5)], "face 1": [(0.5, 3.125)]},
    )
    rows = [line.split() for line in path.read_text().splitlines()]
    assert rows == [
        f"SPEAKER my_talk 1 {start} {length} <NA> <NA> {name} <NA> <NA>".split()
        for start, length, name in (
            ("0.250", "0.750", "face2"),
            ("0.500", "2.625", "face_1"),
            ("9.000", "0.500", "face2"),
        )
    ]
    assert all(len(row) == 10 for row in rows)
    assert [p.name for p in tmp_path.iterdir()] == ["talk.rttm"]
    write_rttm(path, "talk", {"face1": []})
    assert path.read_text() == ""


def test_rttm_names_are_checked(tmp_path):
    with pytest.raises(DataError, match="one name"):
        write_rttm(tmp_path / "a", "x", {"a b": [], "a_b": []})
    for file_id, name in (("", "a"), ("x", " ")):
        with pytest.raises(DataError, match="needs names"):
            write_rttm(tmp_path / "a", file_id, {name: []})
    assert not list(tmp_path.iterdir())
