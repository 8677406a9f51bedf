"""Reading and writing odd files: what the torture table brought to light.

Proves that a name is never taken for a protocol, that a file without rights
and a folder are named as what they are, that channels of opposite sign are
told of, that a constant offset is taken out where that is asked for, and that
a video trimmed by an edit list, or one whose packets have no durations, keeps
its frames and its sound in step when its voice is put in.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from avsep_sb.errors import VideoError
from avsep_sb.vision.audio_stream import stream_audio
from avsep_sb.vision.container import open_video
from avsep_sb.vision.decode import read_audio, read_frames
from avsep_sb.vision.encode import write_video
from tests.torture.films import RATE, write_film

CLICKS = (4800, 9600, 14400)


@pytest.fixture(scope="module")
def parts():
    """One second: frame k has the grey value 8 k; three clicks."""
    frames = [np.full((48, 64, 3), 8 * k, np.uint8) for k in range(25)]
    sound = np.zeros(RATE)
    sound[list(CLICKS)] = 0.9
    return frames, sound


def numbers(path):
    return [round(f.mean() / 8) for f in read_frames(path)]


def test_a_name_is_no_protocol(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_film("talk:one.mp4", *parts, format="mp4")
    assert numbers("talk:one.mp4") == list(range(25))
    made = write_video("out:1.mp4", parts[1], RATE, source="talk:one.mp4")
    assert numbers(made) == list(range(25))


def test_what_cannot_be_opened_is_named(parts):
    # Not in pytest's own folder: only its owner may enter that one.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with pytest.raises(VideoError, match="is a folder"):
            with open_video(folder):
                pass
        path = Path(folder) / "mine.mp4"
        write_film(path, *parts)
        path.chmod(0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)  # root may read everything
            with pytest.raises(VideoError, match="no right to read"):
                with open_video(path):
                    pass
        finally:
            os.seteuid(user)


@pytest.mark.parametrize("sign", [1, -1])
def test_channels_of_opposite_sign_are_told_of(parts, tmp_path, caplog, sign):
    frames, sound = parts
    path = tmp_path / "a.mkv"
    both = np.stack([sound, sign * sound])
    write_film(path, frames, both, layout="stereo", codec="pcm_s16le")
    heard = read_audio(path)
    assert heard.max() == pytest.approx(0.9 * (sign > 0), abs=1e-3)
    assert ("cancel each other" in caplog.text) == (sign < 0)


@pytest.mark.parametrize("rate", [8000, 48000])
@pytest.mark.parametrize("seconds", [0.5, 2.5])
def test_a_constant_offset_is_taken_out(parts, tmp_path, rate, seconds):
    frames = parts[0]
    sound = 0.2 * np.sin(np.arange(round(seconds * RATE)) / 9)
    path, clean = tmp_path / "a.mkv", tmp_path / "b.mkv"
    for name, offset in ((path, -0.1), (clean, 0.002)):
        write_film(name, frames, sound + offset, rate=rate, codec="pcm_f32le")
    inner = slice(800, -800)  # at the ends, resampling meets zeros
    centred = np.concatenate(list(stream_audio(path, centred=True)))
    assert len(centred) == len(sound)
    assert centred[inner] == pytest.approx(sound[inner], abs=5e-3)
    # Without it, and where there is hardly any, samples are as they were.
    assert read_audio(path)[inner].mean() == pytest.approx(-0.1, abs=5e-3)
    same = np.concatenate(list(stream_audio(clean, centred=True)))
    assert (same == read_audio(clean)).all()


@pytest.mark.parametrize("name, count", [("edit.mov", 20), ("late.flv", 25)])
def test_a_copied_picture_keeps_its_frames_and_its_clock(
    parts, tmp_path, name, count
):
    frames, sound = parts
    begin = 0.2 if count < 25 else 0.0  # what an edit list cuts off
    path = tmp_path / name
    write_film(path, frames, sound, sound_at=-begin, picture_at=-begin)
    shown = numbers(path)
    assert shown == list(range(25 - count, 25))
    made = write_video(tmp_path / "a.mp4", read_audio(path), RATE, source=path)
    assert numbers(made) == shown
    heard = read_audio(made)
    for click in CLICKS:
        at = round(click - begin * RATE)
        near = abs(heard[at - 400 : at + 400])
        assert abs(int(near.argmax()) - 400) <= 16  # 1 ms
