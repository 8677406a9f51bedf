"""Rows about what a recording holds: rates, layouts, pictures and clocks."""

from fractions import Fraction

import cv2
import numpy as np

from tests.torture.films import (
    grey,
    many_faces,
    noise,
    on_canvas,
    turn_by_flag,
    write_film,
)
from tests.torture.rows import Refused, Right, Row, film

NTSC = Fraction(30000, 1001)
JUMPY = [0, *np.cumsum([20, 50, 17, 33, 90, 40, 11, 60, 25, 40, 74] * 3) / 1000]
RICH = {"b": "4000000", "maxrate": "9000000", "bufsize": "9000000"}
QUIET = {"preset": "ultrafast", "crf": "10", "x265-params": "log-level=none"}
PCM = {"codec": "pcm_s16le"}
SPEAKERS = ("--speakers", "2")


def turned(turns):
    """The scene filmed with the camera on its side, and a flag."""

    def make(scene, folder):
        frames = [np.rot90(f, turns) for f in scene.frames]
        given = write_film(folder / "turned.mp4", frames, scene.sound)
        turn_by_flag(given.paths[0], turns)
        return given

    return make


def portrait(scene, folder):
    """One face above the other: the left one comes first all the same."""
    half = scene.frames[0].shape[1] // 2
    frames = [
        np.vstack(
            [np.pad(part, ((0, 0), pad, (0, 0)), "edge") for part, pad in cut]
        )
        for cut in (
            [(f[:, :half], (0, 20)), (f[:, half:], (20, 0))]
            for f in scene.frames
        )
    ]
    return write_film(folder / "portrait.mp4", frames, scene.sound)


def squeezed(frames):
    """Half as wide, for pixels twice as wide as high."""
    return [
        cv2.resize(f, (f.shape[1] // 2, f.shape[0]), None, 0, 0, cv2.INTER_AREA)
        for f in frames
    ]


def empty_half(first, last):
    """Shows the right half in some frames only."""

    def change(frames):
        half = frames[0].shape[1] // 2
        result = []
        for k, frame in enumerate(frames):
            frame = frame.copy()
            if not first <= k < last:
                frame[:, half:] = 90
            result.append(frame)
        return result

    return change


def swapped_after(cut):
    """Both change sides at a cut."""

    def change(frames):
        half = frames[0].shape[1] // 2
        return [
            f if k < cut else np.concatenate([f[:, half:], f[:, :half]], 1)
            for k, f in enumerate(frames)
        ]

    return change


def left_half(frames):
    return [f[:, : f.shape[1] // 2] for f in frames]


def black(frames):
    return [np.zeros_like(f) for f in frames]


def scenery(frames):
    """A slow gradient: nothing that looks like a face."""
    height, width = frames[0].shape[:2]
    ramp = np.linspace(40, 200, width)[None, :, None]
    image = np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8)
    return [image + np.uint8(k) for k in range(len(frames))]


def canvas(*place):
    return lambda frames: on_canvas(frames, *place)


def stereo(sound):
    """One louder on each side; the mean is the sound."""
    return np.stack([1.5 * sound, 0.5 * sound])


def surround(sound):
    """All in the centre, six times, so that the mean is the sound / 2."""
    parts = np.zeros((6, len(sound)))
    parts[2] = 3 * sound
    return parts


def longer(sound):
    return np.concatenate([sound, sound[: 8000 + 123]])


def at(rate):
    return {"rate": rate}


ROWS = [
    Row("24 fps", film(fps=24), Right(like=5)),
    Row("29.97 fps", film(fps=NTSC), Right(like=6)),
    Row("30 fps", film(fps=30), Right(like=6)),
    Row("50 fps", film(fps=50), Right(like=10)),
    Row("60 fps", film(fps=60), Right(like=10)),
    Row("12 fps of a webcam", film(fps=12), Right(like=2)),
    Row(
        "variable frame rate",
        film(times=[t for t in JUMPY if t < 1.2]),
        Right(like=2),
        videos=True,
    ),
    Row(
        "variable frame rate in Matroska",
        film("f.mkv", times=[t for t in JUMPY if t < 1.2], **PCM),
        Right(like=2),
    ),
    Row("portrait", portrait, Right(like=8)),
    Row("rotation flag of 90 degrees", turned(1), Right(like=10), videos=True),
    Row("rotation flag of 180 degrees", turned(2), Right(like=10)),
    Row("rotation flag of 270 degrees", turned(3), Right(like=10)),
    Row(
        "upside down without a flag",
        film(frames=lambda f: [np.rot90(x, 2) for x in f]),
        Right(by_face=False),
        SPEAKERS,
    ),
    Row(
        "48 kHz stereo, one louder on each side",
        film("f.mov", sound=stereo, layout="stereo", **at(48000), **PCM),
        Right(like=10),
    ),
    Row("44.1 kHz mp3", film(codec="libmp3lame", **at(44100)), Right(like=8)),
    Row(
        "48 kHz AAC stereo", film(layout="stereo", **at(48000)), Right(like=10)
    ),
    Row("8 kHz mono", film("f.mov", **at(8000), **PCM), Right(sound=3)),
    Row(
        "96 kHz FLAC", film("f.mkv", codec="flac", **at(96000)), Right(like=10)
    ),
    Row(
        "5.1, all in the centre",
        film("f.mkv", sound=surround, layout="5.1", **at(48000), **PCM),
        Right(like=10),
    ),
    Row(
        "5.1 AC-3", film(codec="ac3", layout="5.1", **at(48000)), Right(like=5)
    ),
    Row(
        "VP9 and Opus in WebM",
        film(
            "f.webm",
            picture="libvpx-vp9",
            options={"cpu-used": "8", "deadline": "realtime"},
            codec="libopus",
            **at(48000),
        ),
        Right(like=1, sound=10),
        videos=True,
    ),
    Row(
        "MPEG-1 and MP2",
        film(
            "f.mpg",
            picture="mpeg1video",
            options=RICH,
            codec="mp2",
            **at(44100),
        ),
        Right(like=0, sound=10),
    ),
    Row(
        "AVI",
        film("f.avi", picture="mpeg4", options=RICH, **PCM),
        Right(like=3),
    ),
    Row("transport stream", film("f.ts"), Right(like=10), videos=True),
    Row("H.265", film(picture="libx265", options=QUIET), Right(like=10)),
    Row(
        "frames stored out of order",
        film(options={"preset": "fast", "bf": "3", "crf": "10"}),
        Right(like=10),
        videos=True,
    ),
    Row(
        "10 bit pixels",
        film("f.mkv", picture="ffv1", pix_fmt="yuv420p10le"),
        Right(like=10),
    ),
    Row(
        "pixels with transparency",
        film("f.mov", picture="qtrle", pix_fmt="argb", **PCM),
        Right(like=10),
        videos=True,
    ),
    Row(
        "greyscale pixels",
        film("f.mkv", frames=grey, picture="ffv1", pix_fmt="gray"),
        Right(like=10),
        videos=True,
    ),
    Row("greyscale picture", film(frames=grey), Right(like=10)),
    Row(
        "pixels twice as wide as high",
        film(frames=squeezed, aspect=Fraction(2, 1)),
        Right(like=5),
    ),
    Row(
        "odd size, 333 x 247",
        film(frames=canvas(333, 247, 60, 51), pix_fmt="yuv444p"),
        Right(like=8),
        videos=True,
        overview=True,
    ),
    Row(
        "very wide, 1280 x 96",
        film(frames=canvas(1280, 96, 400, 0)),
        Right(like=8),
    ),
    Row(
        "full HD",
        film(
            times=[k / 25 for k in range(8)],
            frames=canvas(1920, 1080, 800, 400),
        ),
        Right(),
    ),
    Row("1 face", film(frames=left_half), Right(voices=1)),
    Row(
        "12 faces",
        film(frames=lambda f: many_faces(f[:10], 2, 3)),
        Right(voices=12, each_heard=False),
    ),
    Row(
        "12 faces, 2 wanted",
        film(frames=lambda f: many_faces(f[:10], 2, 3)),
        Right(voices=2),
        ("--faces", "2"),
    ),
    Row("a face that comes late", film(frames=empty_half(12, 99)), Right()),
    Row("a face that leaves", film(frames=empty_half(0, 15)), Right()),
    Row("both change sides at a cut", film(frames=swapped_after(15)), Right()),
    Row(
        "no face in any frame",
        film(frames=scenery),
        Right(by_face=False),
        SPEAKERS,
    ),
    Row(
        "no face, speakers not told",
        film(frames=scenery),
        Refused(r"shows no face.*--speakers"),
    ),
    Row(
        "black video",
        film(frames=black),
        Right(by_face=False),
        SPEAKERS,
        videos=True,
        overview=True,
    ),
    Row("noise video", film(frames=noise), Right(by_face=False), SPEAKERS),
    Row(
        "0.2 s",
        film(times=[k / 25 for k in range(5)], sound=lambda s: s[8000:11200]),
        Right(sound=None),
        overview=True,
    ),
    Row(
        "one frame",
        film(frames=lambda f: f[:1], sound=lambda s: s[:640]),
        Right(by_face=False, sound=None),
        SPEAKERS,
        overview=True,
    ),
]
