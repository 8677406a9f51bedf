"""Reads the sound and the frames of any video on one clock.

Time zero is the first video frame. Frame n of the 25 fps clock shows what the
viewer sees at n / 25 s, and sample n of the audio is what he hears at
n / sample_rate s. Both are placed by their time stamps: frame rates in file
headers and frame counts are not to be trusted.

Authors
 * avsep_sb contributors
"""

from collections import namedtuple

import av
import cv2
import numpy as np

from avsep_sb.errors import VideoError
from avsep_sb.vision.audio_stream import stream_audio
from avsep_sb.vision.container import (
    MAX_GAP_SECONDS,
    no_frames,
    open_video,
    timed_frames,
    video_stream,
)

VideoInfo = namedtuple(
    "VideoInfo",
    "width height fps duration rotation video_codec has_audio sample_rate",
)
VideoInfo.__doc__ = """What the header of a video says.

Size in pixels as shown (after rotation), average frame rate in Hz, duration
in seconds (None if the header does not say), rotation in degrees
counterclockwise, codec name, and sampling rate in Hz (None without audio).
"""


def probe(path):
    """Reads the header, and the first frame for its rotation.

    Arguments
    ---------
    path : str or Path
        The video file.

    Returns
    -------
    VideoInfo
        ``VideoError`` is raised for a file without a video stream.
    """
    with open_video(path) as container:
        stream = video_stream(container, path)
        audio = container.streams.audio
        frame = next((f for _, f in timed_frames(container, stream)), None)
        if frame is None:
            raise no_frames(path)
        width, height = _shown_size(frame, stream)
        if frame.rotation % 180:
            width, height = height, width
        duration = container.duration
        return VideoInfo(
            width=width,
            height=height,
            fps=float(stream.average_rate or stream.base_rate or 0),
            duration=duration / av.time_base if duration else None,
            rotation=frame.rotation,
            video_codec=stream.codec_context.name,
            has_audio=bool(audio),
            sample_rate=audio[0].rate if audio else None,
        )


def read_audio(path, sample_rate=16000):
    """Reads the sound of a video as one channel.

    All blocks of :func:`avsep_sb.vision.audio_stream.stream_audio` joined; a
    minute takes 4 MB at 16 kHz.

    Arguments
    ---------
    path : str or Path
        The video file.
    sample_rate : int
        Sampling rate of the result in Hz.

    Returns
    -------
    np.ndarray
        float32 [T]; sample 0 belongs to the first video frame. ``VideoError``
        is raised without an audio stream or without a sample in it.
    """
    parts = list(stream_audio(path, sample_rate))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def read_frames(path, fps=25):
    """Reads the frames of a video of any, or varying, rate at a fixed rate.

    Slot n shows the latest frame that has begun by n / fps, with a quarter of
    a slot of tolerance: time stamps jitter, and without it a 25 fps file with
    stamps rounded up would show every frame one slot late.

    Arguments
    ---------
    path : str or Path
        The video file.
    fps : float
        Frames per second of the result.

    Yields
    ------
    np.ndarray
        uint8 [H, W, 3], RGB, upright, square pixels. ``VideoError`` is raised
        for a file without frames. A frame shown twice is the same object.
    """
    with open_video(path) as container:
        stream = video_stream(container, path)
        slot, start, held, previous = 0, None, None, None
        length = 1.0 / fps
        for time, frame in timed_frames(container, stream):
            if held is None:
                start = time
            elif time - previous > MAX_GAP_SECONDS:
                raise VideoError(
                    f"{path}: its time stamps jump by "
                    f"{time - previous:.0f} s; re-encode the file."
                )
            else:
                length = time - previous
            shown = None
            while held is not None and (slot + 0.25) / fps < time - start:
                # Converted here, since not every decoded frame is shown.
                shown = upright_rgb(held, stream) if shown is None else shown
                yield shown
                slot += 1
            held, previous = frame, time
        if held is None:
            raise no_frames(path)
        shown = upright_rgb(held, stream)
        while slot == 0 or (slot + 0.25) / fps < previous + length - start:
            yield shown
            slot += 1


def _shown_size(frame, stream):
    """Size with square pixels, before rotation."""
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    return round(frame.width * aspect), frame.height


def upright_rgb(frame, stream):
    """The picture of a decoded frame as a viewer sees it.

    Arguments
    ---------
    frame : av.VideoFrame
        As decoded.
    stream : av.VideoStream
        Where it is from.

    Returns
    -------
    np.ndarray
        uint8 [H, W, 3], RGB, upright, square pixels.
    """
    image = frame.to_ndarray(format="rgb24")
    size = _shown_size(frame, stream)
    if size != (frame.width, frame.height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # Cameras write rotated pictures and a flag: undo by quarter turns.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
