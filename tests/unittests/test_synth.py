"""Proves the synthetic corpus: the same bytes for the same seed whatever was
made before, speakers disjoint, whole frames, visemes that look different,
and a mouth that follows the sound without copying its level."""

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest

from avsep_sb.errors import DataError
from avsep_sb.synth import corpus, mouth, utterance, visemes
from avsep_sb.synth.look import draw_look
from avsep_sb.synth.speech import speak
from avsep_sb.synth.voices import SPLITS, all_speakers, speakers_of

SEED = 4
CHILD = """
import sys
from hashlib import sha256
from avsep_sb.synth.utterance import make_utterance, render_roi
from avsep_sb.synth.voices import all_speakers
speakers = all_speakers()
for index in map(int, sys.argv[1:]):
    one = make_utterance(4, speakers[index], 0)
    data = one.audio.tobytes() + render_roi(one).tobytes()
    print(index, sha256(data).hexdigest())
"""


def digests(repo, indices):
    """What a process of its own makes, by speaker."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, indices)],
        capture_output=True,
        text=True,
        check=True,
        cwd=repo,
    )
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def some():
    """Two utterances, GRID and open text, of speakers of all splits."""
    chosen = [speakers_of(split)[1] for split in SPLITS]
    return [
        utterance.make_utterance(SEED, speaker, number)
        for speaker in chosen
        for number in (0, 1)
    ]


def test_two_processes_in_any_order_make_the_same_bytes(repo):
    order = [0, 17, 33, 52, 65]
    first = digests(repo, order)
    second = digests(repo, order[::-1])
    assert len(first) == len(order) == len(set(first.values()))
    assert first == second


def test_another_seed_makes_another_utterance(some):
    other = utterance.make_utterance(SEED + 1, some[0].speaker, 0)
    assert other.audio.tobytes() != some[0].audio.tobytes()


def test_speakers_are_distinct_and_splits_disjoint():
    speakers = all_speakers()
    assert len(speakers) >= 60
    for field in ("name", "face"):
        assert len({getattr(s, field) for s in speakers}) == len(speakers)
    voices = {(s.variant, s.language, s.pitch, s.formant) for s in speakers}
    assert len(voices) == len(speakers)
    sets = [{s.variant for s in speakers_of(split)} for split in SPLITS]
    for one, other in itertools.combinations(sets, 2):
        assert not one & other
    assert {s.split for s in speakers} == set(SPLITS)


def test_sound_fills_whole_frames(some):
    for one in some:
        roi = utterance.render_roi(one)
        assert roi.dtype == np.uint8 and roi.shape[1:] == (96, 96)
        assert one.audio.dtype == np.float32
        assert len(one.audio) == 640 * len(roi)
        assert len(roi) == len(one.viseme) == len(one.tracks)
        assert 3.0 <= len(roi) / 25 <= 4.55
        assert 0.02 < one.audio.std() and np.abs(one.audio).max() <= 0.95


def test_visemes_look_different():
    """Framing and noise switched off, so that only the shape differs."""
    names = ("sil", "PBM", "FV", "TH", "SZ", "SH", "i", "AE", "A", "O", "U")
    index = [visemes.VISEMES.index(name) for name in names]
    states = np.concatenate(
        [visemes.mouth_tracks([(i, 0.0, 1.0)], np.array([0.5])) for i in index]
    )
    still = np.zeros(len(states))
    framing = mouth.Framing(still, still, still, still + 1, 1.0, 0.0, 0.4, 0.0)
    renderer = mouth.MouthRenderer(draw_look(9000))
    images = renderer.render(states, np.random.default_rng(0), framing)
    lips = images[:, 28:76, 20:76].astype(float)
    for one, other in itertools.combinations(range(len(names)), 2):
        apart = np.abs(lips[one] - lips[other]).mean()
        assert apart > 0.5, (names[one], names[other], apart)


def test_the_mouth_follows_the_sound_but_is_no_copy(some):
    found = []
    for one in some:
        levels = utterance.frame_levels(one.audio)
        found.append(np.corrcoef(levels, one.tracks[:, 0])[0, 1])
    assert 0.3 < np.mean(found) < 0.8
    # Another utterance's mouth does not follow this sound as well.
    wrong = []
    for one, other in zip(some, some[1:] + some[:1], strict=False):
        n = min(len(one.tracks), len(other.tracks))
        levels = utterance.frame_levels(one.audio)[:n]
        wrong.append(np.corrcoef(levels, other.tracks[:n, 0])[0, 1])
    assert np.mean(wrong) < np.mean(found) - 0.1


def test_closed_lips_where_lips_must_close():
    audio, phonemes = speak("bob may map a puppy", variant="m3")
    segments = visemes.to_visemes(phonemes)
    closed = visemes.VISEMES.index("PBM")
    middles = np.array([(a + b) / 2 for v, a, b in segments if v == closed])
    assert len(middles) >= 6 and middles.max() < len(audio) / 16000
    tracks = visemes.mouth_tracks(segments, middles)
    assert tracks[:, 0].max() < 0.25 and tracks[:, 6].min() > 0.6


def test_fewer_training_speakers_and_all_others(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        corpus, "write_utterance", lambda job: made.append(job) or {"ID": ""}
    )
    monkeypatch.setattr(corpus, "FIELDS", ("ID",))
    corpus.generate(tmp_path, 1, SEED, train_speakers=3)
    splits = [all_speakers()[job[2]].split for job in made]
    assert [splits.count(split) for split in SPLITS] == [3, 6, 10]
    with pytest.raises(DataError, match="at least one training speaker"):
        corpus.generate(tmp_path, 1, SEED, train_speakers=0)


def test_the_corpus_on_disk_equals_memory_and_goes_on(tmp_path, monkeypatch):
    few = all_speakers()[:1] + speakers_of("test")[:1]
    monkeypatch.setattr(corpus, "all_speakers", lambda: few)
    corpus.generate(tmp_path, 1, SEED)
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    before = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    lost = next(tmp_path.rglob("*.npz"))
    with np.load(lost) as arrays:
        assert arrays["data"].dtype == np.uint8
        assert arrays["viseme"].dtype == np.int16
        assert arrays["opening"].dtype == np.float32
    lost.unlink()
    corpus.generate(tmp_path, 1, SEED)
    after = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    assert after == before
    with pytest.raises(DataError, match="seed"):
        corpus.generate(tmp_path, 1, SEED + 1)


def test_unknown_voices_are_refused():
    # espeak-ng itself ignores both silently.
    with pytest.raises(DataError, match="variant"):
        speak("hello", variant="nosuch")
    with pytest.raises(DataError, match="no voice named"):
        speak("hello", language="xx-nowhere")


def test_a_missing_wheel_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(DataError, match="pip install espeakng-loader"):
        speak("hello")
