"""Proves filmed scenes: sound in place, frames counted and reproducible,
mixture and references in step, and no file lost or left half-written."""

from dataclasses import replace

import av
import numpy as np
import pytest

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.synth import scene
from avsep_sb.synth.face import render_face
from avsep_sb.synth.scene import write_scene
from avsep_sb.synth.utterance import make_utterance
from avsep_sb.synth.voices import speakers_of

SIZE = 64


def cut(utterance, first, frames):
    """A second or so from the middle of an utterance."""
    video = slice(first, first + frames)
    return replace(
        utterance,
        audio=utterance.audio[640 * first : 640 * (first + frames)],
        tracks=utterance.tracks[video],
        viseme=utterance.viseme[video],
    )


@pytest.fixture(scope="module")
def pair():
    one, two = speakers_of("test")[:2]
    return [
        cut(make_utterance(5, one, 0), 20, 30),
        cut(make_utterance(5, two, 1), 20, 20),
    ]


@pytest.fixture(scope="module")
def filmed(pair, tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.mp4"
    return path, *write_scene(path, pair, size=SIZE, level_db=(0.0, -5.0))


def decode(path):
    """Frames with their times, and sound placed by its time stamps."""
    with av.open(str(path)) as container:
        frames = [
            (float(f.pts * f.time_base), f.to_ndarray(format="rgb24"))
            for f in container.decode(video=0)
        ]
    audio = np.zeros(32000)
    with av.open(str(path)) as container:
        for f in container.decode(audio=0):
            assert f.sample_rate == 16000
            start = round(float(f.pts * f.time_base) * 16000)
            block = f.to_ndarray()[0][max(0, -start) :]
            start = max(0, start)
            audio[start : start + len(block)] = block
    return frames, audio


def test_sound_is_in_place(filmed):
    path, mix, _ = filmed
    audio = decode(path)[1][: len(mix)]
    lags = np.arange(-2000, 2001)
    likeness = [
        np.dot(audio[2000:-2000], np.roll(mix, lag)[2000:-2000]) for lag in lags
    ]
    assert abs(lags[int(np.argmax(likeness))]) <= 16  # 1 ms
    # AAC codes the sound well enough to separate it.
    assert np.mean((audio - mix) ** 2) < 0.05 * np.mean(mix**2)


def test_frames_are_counted_and_on_the_clock(filmed):
    frames, _ = decode(filmed[0])
    assert len(frames) == 30
    times = [time for time, _ in frames]
    assert times == pytest.approx(np.arange(30) / 25, abs=1e-4)
    assert frames[0][1].shape == (SIZE, 2 * SIZE, 3)


def test_faces_stand_in_the_order_of_the_sources(filmed, pair):
    picture = decode(filmed[0])[0][10][1].astype(float)
    left, right = picture[:, :SIZE], picture[:, SIZE:]
    faces = [render_face(u, SIZE)[10].astype(float) for u in pair]
    for side, own, other in ((left, *faces), (right, *faces[::-1])):
        error = np.abs(side - own).mean()
        assert error < 0.5 * np.abs(side - other).mean()


def test_references_sum_to_the_mixture_at_their_levels(filmed, pair):
    _, mix, sources = filmed
    assert mix.dtype == sources.dtype == np.float32
    assert sources.shape == (30 * 640, 2)
    np.testing.assert_allclose(sources.sum(1), mix, atol=1e-6)
    assert not sources[20 * 640 :, 1].any()
    scale = [
        np.abs(sources[:, s]).max() / np.abs(pair[s].audio).max()
        for s in (0, 1)
    ]
    assert 20 * np.log10(scale[1] / scale[0]) == pytest.approx(-5, abs=1e-3)


def test_loud_scenes_do_not_clip(pair, tmp_path):
    mix, sources = write_scene(
        tmp_path / "a.mp4", pair, size=SIZE, level_db=(30, 30)
    )
    assert np.abs(mix).max() == pytest.approx(0.95, abs=1e-3)
    np.testing.assert_allclose(sources.sum(1), mix, atol=1e-6)


def test_same_seed_same_bytes(filmed, pair, tmp_path):
    again, other = tmp_path / "again.mp4", tmp_path / "other.mp4"
    write_scene(again, pair, size=SIZE, level_db=(0.0, -5.0))
    write_scene(other, pair, size=SIZE, level_db=(0.0, -5.0), seed=1)
    first, same, different = (
        np.stack([f for _, f in decode(p)[0]])
        for p in (filmed[0], again, other)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != different).any()


def test_whole_scenes_are_the_same_bytes(tmp_path):
    # x264 with a macroblock tree often differs here, never in small pictures.
    utterance = make_utterance(5, speakers_of("test")[0], 0)
    paths = [tmp_path / f"{k}.mp4" for k in range(3)]
    for path in paths:
        write_scene(path, [utterance] * 2)
    assert len({path.read_bytes() for path in paths}) == 1


def test_the_mouth_moves_and_then_rests(pair):
    tracks = scene._rest_after(pair[1].tracks, 30)
    assert len(tracks) == 30
    assert np.ptp(tracks[:20, 0]) > 0.1
    assert np.ptp(tracks[24:], axis=0).max() < 1e-9
    np.testing.assert_array_equal(tracks[:20], pair[1].tracks)


def test_no_file_is_lost_or_left_half_written(pair, tmp_path, monkeypatch):
    path = tmp_path / "mine.mp4"
    path.write_text("precious")
    with pytest.raises(DataError, match="exists"):
        write_scene(path, pair[:1], size=SIZE)

    def fail(*args):
        args[0].write_text("half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(scene, "_write_video", fail)
        with pytest.raises(OSError):
            write_scene(path, pair[:1], size=SIZE, overwrite=True)
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["mine.mp4"]
    write_scene(path, pair[:1], size=SIZE, overwrite=True)
    assert len(decode(path)[0]) == 30


def test_bad_requests_are_explained(pair, tmp_path):
    for error, name, faces, options in (
        (DataError, "a.mp4", [], {}),
        (ConfigError, "a.avi", pair, {}),
        (ConfigError, "a.mp4", pair, {"size": 65}),
        (ConfigError, "a.mp4", pair, {"level_db": [0.0]}),
        (DataError, "no/folder/a.mp4", pair, {}),
    ):
        with pytest.raises(error):
            write_scene(tmp_path / name, faces, **options)
