"""Proves that who speaks when is told by voices, mouths and stays together.

A voice that was given to two faces counts once, for the one whose mouth
moves; who is not to be seen does not speak; and the truth of a scripted talk
is that of its phonemes, scored as a library scores it.
"""

import numpy as np
import pytest
import soundfile

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference.activity import write_rttm
from avsep_sb.inference.diarization import (
    Covariance,
    mouth_motion,
    own_shares,
    speech_of_faces,
)
from avsep_sb.inference.stays import ArrayFaces

RATE = 8000


def noise(seconds, seed, level=0.1):
    rng = np.random.default_rng(seed)
    return level * rng.standard_normal(round(seconds * RATE))


def mouths(seconds, *moving):
    """One mouth for each list of spans (start, stop) in which it moves."""
    rng = np.random.default_rng(3)
    frames = round(seconds * 25)
    rois = rng.integers(0, 4, (len(moving), frames, 24, 24), np.uint8)
    for own, spans in zip(rois, moving, strict=True):
        for start, stop in spans:
            here = slice(round(start * 25), round(stop * 25))
            own[here] = rng.integers(0, 60, own[here].shape, np.uint8)
    return rois


def write(folder, **voices):
    for name, wave in voices.items():
        soundfile.write(folder / f"{name}.wav", wave, RATE, "FLOAT")
    return {name: folder / f"{name}.wav" for name in voices}


def near(found, expected, least=0.05):
    assert len(found) == len(expected), found
    assert np.abs(np.array(found) - expected).max() <= least


def test_a_copied_voice_is_that_of_the_mouth_that_moves(tmp_path):
    """Although the face that rests has the louder part of it."""
    voice = noise(6, 0) * (np.arange(6 * RATE) < 3 * RATE)
    other = noise(6, 1) * (np.arange(6 * RATE) >= 3.5 * RATE)
    paths = write(tmp_path, a=0.4 * voice, b=0.6 * voice + other)
    faces = ArrayFaces(mouths(6, [(0, 3)], [(3.5, 6)]))
    found = speech_of_faces(paths, faces=faces)
    near(found["a"], [(0.0, 3.0)])
    near(found["b"], [(3.5, 6.0)])
    # Without mouths the louder one has it.
    assert speech_of_faces(paths)["a"] == []


def test_voices_of_two_are_no_copies(tmp_path):
    """Not even where one is softer and its mouth hardly moves."""
    paths = write(tmp_path, a=noise(4, 0), b=noise(4, 1, 0.05))
    faces = ArrayFaces(mouths(4, [(0, 4)], []))
    for own in speech_of_faces(paths, faces=faces).values():
        near(own, [(0.0, 4.0)])


def test_nobody_speaks_who_is_not_to_be_seen(tmp_path):
    paths = write(tmp_path, a=noise(8, 0))
    rois = mouths(8, [(0, 8)])
    stays = [[(25, 75), (100, 125)]]  # away for a second, as if turned round
    found = speech_of_faces(paths, faces=ArrayFaces(rois, stays=stays))
    assert found["a"] == [(1.0, 5.0)]
    stays = [[(25, 75), (150, 200)]]
    found = speech_of_faces(paths, faces=ArrayFaces(rois, stays=stays))
    assert found["a"] == [(1.0, 3.0), (6.0, 8.0)]


def test_faces_and_voices_must_be_as_many(tmp_path):
    paths = write(tmp_path, a=noise(1, 0))
    with pytest.raises(DataError, match="1 voices of 2 faces"):
        speech_of_faces(paths, faces=ArrayFaces(mouths(1, [], [])))


def test_products_do_not_depend_on_blocks():
    block = np.random.default_rng(0).standard_normal((2345, 3))
    once, often = Covariance(RATE, 2), Covariance(RATE, 2)
    once.feed(block)
    for part in np.array_split(block, 9):
        often.feed(part)
    assert once.voices.shape == (2, 2, 30) and once.mixture.shape == (30,)
    assert np.allclose(once.voices, often.voices, atol=1e-6)
    assert np.allclose(once.mixture, often.mixture, atol=1e-6)
    # A copy at any sign and level is one.
    copied = Covariance(RATE, 2)
    copied.feed(np.stack([block[:, 0], -0.2 * block[:, 0]], axis=1))
    shares = own_shares(copied.voices)
    assert shares[0].min() == 1.0 and shares[1].max() < 1e-3


def test_motion_is_relative_to_rest():
    motion = mouth_motion(ArrayFaces(mouths(10, [(4, 8)], [])), 1000)
    assert motion[0, 600] > 5 and abs(motion[0, 100] - 1) < 0.5
    assert np.abs(motion[1] - 1).max() < 0.5
    # Black where nobody is: that is no motion.
    stays = [[(50, 150)]]
    faces = ArrayFaces(mouths(10, []), stays=stays)
    faces.mouths[:, :50] = 255
    assert np.abs(mouth_motion(faces, 1000) - 1).max() < 0.5


def test_talks_are_what_was_asked_for():
    pytest.importorskip("espeakng_loader")
    from avsep_sb.synth.script import draw_talk
    from avsep_sb.synth.voices import speakers_of

    people = speakers_of("test")[:3]
    talk = draw_talk(people, 14, overlap=0.4, late=1, seed=4)
    assert talk.sources.shape == (14 * 16000, 3) and talk.frames == 350
    assert 0.2 < talk.overlap < 0.6
    (late,) = [k for k in range(3) if talk.enters[k]]
    silent = talk.sources[: talk.enters[late] * 640, late]
    assert not silent.any() and talk.sources[:, late].any()
    for turn in talk.turns:
        # The truth is that of the phonemes, to a frame.
        said = np.flatnonzero(turn.utterance.viseme) / 25 + turn.start / 25
        assert abs(turn.spans[0][0] - said[0]) <= 0.08
        assert abs(turn.spans[-1][1] - said[-1] - 0.04) <= 0.08
        # Who speaks moves the lips.
        here = slice(turn.start, turn.stop)
        tracks = talk.people[turn.person].tracks
        assert np.array_equal(tracks[here], turn.utterance.tracks)
    again = draw_talk(people, 14, overlap=0.4, late=1, seed=4)
    assert np.array_equal(talk.sources, again.sources)
    for wrong in ({"overlap": 0.9}, {"late": 3}):
        with pytest.raises(ConfigError):
            draw_talk(people, 14, **wrong)


def test_a_face_comes_into_the_film_when_it_should(tmp_path):
    pytest.importorskip("espeakng_loader")
    from avsep_sb.synth.scene import write_scene
    from avsep_sb.synth.script import draw_talk
    from avsep_sb.synth.voices import speakers_of
    from avsep_sb.vision.decode import read_frames

    talk = draw_talk(speakers_of("test")[:2], 2, seed=4)
    film = tmp_path / "film.mp4"
    with pytest.raises(ConfigError, match="for each"):
        write_scene(film, talk.people, size=64, enters=[0])
    write_scene(film, talk.people, size=64, enters=[0, 20])
    detail = [frame[:, 64:].std() for frame in read_frames(film)]
    assert max(detail[:20]) < 5 and min(detail[20:]) > 10


def test_a_library_scores_the_rttm(tmp_path):
    """Half a second is missed, and half a second is somebody else's."""
    pytest.importorskip("pyannote.metrics")
    from benchmarks.diarization_scoring import read_rttm, score_speech

    truth = {"face1": [(0.0, 4.0)], "face2": [(4.0, 10.0)]}
    found = {"face1": [(0.5, 4.5)], "face2": [(4.5, 10.0)]}
    path = write_rttm(tmp_path / "a.rttm", "a", found)
    assert read_rttm(path) == found
    score = score_speech(truth, read_rttm(path))
    assert score["missed"] == pytest.approx(0.5)
    assert score["confusion"] == pytest.approx(0.5)
    assert score["der"] == score["by_face"] == pytest.approx(0.1)
    assert score_speech(truth, found, collar=0.6)["der"] == 0.0
    # Names that are exchanged do not matter to DER; by face they do.
    names = {"face1": "face2", "face2": "face1"}
    turned = score_speech(truth, {names[k]: v for k, v in found.items()})
    assert turned["der"] == pytest.approx(0.1) and turned["by_face"] > 0.8
