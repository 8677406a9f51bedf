"""Writes videos of any make: rates, layouts, codecs, clocks and damage."""

import os
import struct
from dataclasses import dataclass, field
from fractions import Fraction

import av
import cv2
import numpy as np
from scipy.signal import resample_poly

RATE = 16000
#: ticks per second of all pictures: whole numbers for all usual frame rates
TICKS = 60000
#: seconds that a lossy codec may add at the end: one block of 8 kHz
PADDING = 0.129
LOSSLESS = ("pcm_s16le", "pcm_f32le", "flac")
CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6}


@dataclass
class Scene:
    """A plain scene: what it shows and what is heard, two people.

    Arguments
    ---------
    frames : list of np.ndarray
        uint8 [H, W, 3], RGB, 25 per second, a face in each half.
    sound : np.ndarray
        float32 [T] at 16 kHz.
    """

    frames: list
    sound: np.ndarray

    @property
    def seconds(self):
        """Its length."""
        return len(self.frames) / 25

    def at(self, time):
        """The frame that is shown at a time."""
        index = int(np.floor(time * 25 + 1e-6))
        return self.frames[min(max(index, 0), len(self.frames) - 1)]


@dataclass
class Given:
    """What a row hands to the command.

    Arguments
    ---------
    paths : list of str
        The videos.
    seconds : float or None
        How long the voices must be; None if that is not known.
    slack : float
        By how many seconds they may be longer; a quarter of it shorter.
    options : list of str
        Further options.
    has_picture : bool
        Whether the last one is a video.
    result : str or None
        Name of its result; None for that of the file.
    """

    paths: list
    seconds: float = None
    slack: float = 0.0
    options: list = field(default_factory=list)
    has_picture: bool = True
    result: str = None


def write_film(
    path,
    frames=None,
    sound=None,
    times=None,
    fps=25,
    rate=RATE,
    layout="mono",
    picture="libx264",
    pix_fmt="yuv420p",
    options=None,
    codec="aac",
    sound_at=0.0,
    picture_at=0.0,
    aspect=None,
    tracks=1,
    format=None,
):
    """Writes a video, with its sound and picture on one clock.

    Arguments
    ---------
    path : str or Path
        Its ending names the container.
    frames : list of np.ndarray or None
        uint8 [H, W, 3], RGB; None for a file of sound.
    sound : np.ndarray or None
        float [T] or [C, T] at 16 kHz; brought to ``rate`` here.
    times : list of float or None
        When each frame is shown; None for a constant ``fps``.
    fps : float or Fraction
        Frames per second.
    rate : int
        Samples per second of the file.
    layout : str
        Channels of the file; one channel is written to all of them.
    picture, pix_fmt, options
        Codec of the picture.
    codec : str
        Codec of the sound.
    sound_at, picture_at : float
        When they begin on the clock of the file, in seconds.
    aspect : Fraction or None
        Width of a pixel by its height.
    format : str or None
        Container, if the ending does not name it.
    tracks : int
        Tracks of sound; all but the first hold noise.

    Returns
    -------
    Given
        The file, and how long its voices must be.
    """
    if frames is not None and times is None:
        times = [float(k / Fraction(fps)) for k in range(len(frames))]
    with av.open(os.path.abspath(path), "w", format=format) as out:
        shown = heard = None
        if frames is not None:
            default = {"preset": "ultrafast", "crf": "10", "threads": "1"}
            if options is None:
                options = default if picture == "libx264" else {"threads": "1"}
            shown = out.add_stream(
                picture,
                rate=Fraction(fps).limit_denominator(1001),
                options=options,
            )
            shown.height, shown.width = frames[0].shape[:2]
            shown.pix_fmt = pix_fmt
            if picture == "libx264":
                shown.codec_context.time_base = Fraction(1, TICKS)
            if aspect:
                shown.codec_context.sample_aspect_ratio = aspect
        if sound is not None:
            heard = [
                out.add_stream(codec, rate=rate, layout=layout)
                for _ in range(tracks)
            ]
        if shown is not None:
            _write_picture(out, shown, frames, times, picture_at)
        for number, stream in enumerate(heard or []):
            data = sound if not number else 0.1 * np.sin(np.arange(RATE) ** 1.5)
            write_sound(out, stream, data, rate, layout, sound_at)
    slack = 0.002 if codec in LOSSLESS else PADDING
    seconds = None
    if sound is not None:
        seconds = sound_at - picture_at + np.shape(sound)[-1] / RATE
    return Given([str(path)], seconds, slack, has_picture=frames is not None)


def _write_picture(out, stream, frames, times, start):
    for time, image in zip(times, frames, strict=True):
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(image), format="rgb24"
        )
        base = stream.codec_context.time_base or Fraction(1, TICKS)
        frame.pts, frame.time_base = round((time + start) / base), base
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def write_sound(out, stream, sound, rate, layout, start):
    """Writes a track of sound.

    Arguments
    ---------
    out : av.container.OutputContainer
        The file.
    stream : av.AudioStream
        The track.
    sound : np.ndarray
        float [T] or [C, T] at 16 kHz.
    rate : int
        Samples per second of the file.
    layout : str
        Channels of the file.
    start : float
        When it begins, in seconds.
    """
    data = np.atleast_2d(np.asarray(sound, np.float64))
    if rate != RATE:
        divisor = np.gcd(rate, RATE)
        data = resample_poly(data, rate // divisor, RATE // divisor, axis=1)
    if len(data) == 1:
        data = np.repeat(data, CHANNELS[layout], axis=0)
    data = data.astype(np.float32)
    for begin in range(0, data.shape[1], 1024):
        block = np.ascontiguousarray(data[:, begin : begin + 1024])
        frame = av.AudioFrame.from_ndarray(block, "fltp", layout)
        frame.sample_rate = rate
        frame.pts = round(start * rate) + begin
        frame.time_base = Fraction(1, rate)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def turn_by_flag(path, turns):
    """Writes into an mp4 that its picture is to be turned.

    Arguments
    ---------
    path : str
        The file.
    turns : int
        Quarter turns clockwise.
    """
    one = 1 << 16
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][turns % 4]
    rows = [cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30]
    with open(path, "rb") as file:
        data = bytearray(file.read())
    # The matrix in the first track header, which is the picture's.
    at = data.find(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", *rows)
    with open(path, "wb") as file:
        file.write(data)


def on_canvas(frames, width, height, left=0, top=0, colour=70):
    """Puts frames on a larger picture.

    Arguments
    ---------
    frames : list of np.ndarray
        uint8 [h, w, 3].
    width, height : int
        Of the picture.
    left, top : int
        Where they are put.
    colour : int
        Grey level around them.

    Returns
    -------
    list of np.ndarray
        uint8 [height, width, 3].
    """
    result = []
    for frame in frames:
        canvas = np.full((height, width, 3), colour, np.uint8)
        h, w = frame.shape[:2]
        canvas[top : top + h, left : left + w] = frame
        result.append(canvas)
    return result


def grey(frames):
    """The frames without colours."""
    return [
        np.repeat(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        for f in frames
    ]


def many_faces(frames, columns, rows):
    """Copies of a picture side by side, each in another light."""
    height, width = frames[0].shape[:2]
    rng = np.random.default_rng(0)
    light = rng.uniform(0.75, 1.15, (rows, columns, 3))
    result = []
    for frame in frames:
        canvas = np.zeros((height * rows, width * columns, 3), np.uint8)
        for row in range(rows):
            for column in range(columns):
                image = np.clip(frame * light[row, column], 0, 255)
                canvas[
                    row * height : (row + 1) * height,
                    column * width : (column + 1) * width,
                ] = image.astype(np.uint8)
        result.append(canvas)
    return result


def noise(frames, seed=0):
    """Coloured noise of the size of frames."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, f.shape, np.uint8) for f in frames]
