"""Reads the sound and the frames of any video on one clock.

Time zero is the first video frame. Frame n of the 25 fps clock shows what the
viewer sees at n / 25 s, and sample n of the audio is what he hears at
n / sample_rate s. Both are placed by their time stamps: frame rates in file
headers and frame counts are not to be trusted.

Authors
 * avsep_sb contributors
"""

import logging
import os
from collections import namedtuple
from contextlib import contextmanager

import av
import cv2
import numpy as np
from scipy.signal import resample_poly

from avsep_sb.errors import VideoError

logger = logging.getLogger(__name__)

#: a jump of the time stamps by more than this is damage, not a still picture
MAX_GAP_SECONDS = 60.0

VideoInfo = namedtuple(
    "VideoInfo",
    "width height fps duration rotation video_codec has_audio sample_rate",
)
VideoInfo.__doc__ = """What the header of a video says.

Size in pixels as shown (after rotation), average frame rate in Hz, duration
in seconds (None if the header does not say), rotation in degrees
counterclockwise, codec name, and sampling rate in Hz (None without audio).
"""


@contextmanager
def open_video(path):
    """Opens a video file and turns decoder errors into ``VideoError``.

    Arguments
    ---------
    path : str or Path
        The video file.

    Yields
    ------
    av.container.InputContainer
        The open file; closed at the end of the ``with`` block.

    Example
    -------
    >>> with open_video("nowhere.mp4"):
    ...     pass
    Traceback (most recent call last):
    avsep_sb.errors.VideoError: nowhere.mp4: there is no such file; check \
the path.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise VideoError(f"{path}: there is no such file; check the path.")
    if os.path.getsize(path) == 0:
        raise VideoError(
            f"{path}: the file is empty; download or record it again."
        )
    try:
        with av.open(path) as container:
            yield container
    except av.error.FFmpegError as err:
        raise VideoError(
            f"{path}: cannot be decoded ({err.strerror}); it is corrupt, cut "
            "short or not a video, so obtain it again or re-encode it."
        ) from err


def video_stream(container, path):
    """The picture of a file; a cover picture does not count.

    Arguments
    ---------
    container : av.container.InputContainer
        The open file.
    path : str or Path
        Its name, for the message.

    Returns
    -------
    av.VideoStream
        ``VideoError`` is raised if there is none.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            stream.thread_type = "AUTO"
            return stream
    raise VideoError(
        f"{path}: has no video track; give a video that shows the speakers."
    )


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
        frame = next((f for _, f in _timed_frames(container, stream)), None)
        if frame is None:
            raise VideoError(_no_frames(path))
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

    The channels are averaged: the decoder's own down-mix sums them with a
    gain of 0.707, which is 3 dB louder and clips. Samples are placed by time
    stamp, so that a gap in the stream becomes silence and moves nothing.

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
    with open_video(path) as container:
        start = _first_frame_time(container, path)
    with open_video(path) as container:
        if not container.streams.audio:
            raise VideoError(
                f"{path}: has no sound track; give a video with the mixture "
                "of voices in it."
            )
        blocks, rate = _audio_blocks(container, path)
    if not blocks:
        raise VideoError(
            f"{path}: its sound track holds no samples; re-encode the file or "
            "give another one."
        )
    wav = _place(blocks, rate, start)
    if not np.isfinite(wav).all():
        raise VideoError(
            f"{path}: its sound track holds NaN or infinite samples; export "
            "the file again."
        )
    if rate != sample_rate and wav.size:
        divisor = np.gcd(rate, sample_rate)
        # A filter of linear phase that is centred: it adds no delay.
        wav = resample_poly(wav, sample_rate // divisor, rate // divisor)
    return wav.astype(np.float32)


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
        for time, frame in _timed_frames(container, stream):
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
                shown = _to_rgb(held, stream) if shown is None else shown
                yield shown
                slot += 1
            held, previous = frame, time
        if held is None:
            raise VideoError(_no_frames(path))
        shown = _to_rgb(held, stream)
        while slot == 0 or (slot + 0.25) / fps < previous + length - start:
            yield shown
            slot += 1


def _no_frames(path):
    return (
        f"{path}: not one frame could be decoded; the file is cut short or "
        "corrupt, so obtain it again."
    )


def _decoded(container, stream):
    """All frames of a stream; damaged packets are skipped, as players do."""
    damaged = 0
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
    if damaged:
        logger.warning(
            "%s: skipped %d damaged packets of its %s",
            container.name,
            damaged,
            stream.type,
        )


def _timed_frames(container, stream):
    """Pairs (time in seconds, frame) of strictly rising time."""
    step = float(1 / (stream.average_rate or stream.base_rate or 25))
    time = None
    for frame in _decoded(container, stream):
        stamp = frame.time
        if stamp is None:  # raw streams carry no time stamps
            stamp = 0.0 if time is None else time + step
        if time is None or stamp > time:
            time = stamp
            yield time, frame


def _first_frame_time(container, path):
    stream = video_stream(container, path)
    first = next(_timed_frames(container, stream), None)
    if first is None:
        raise VideoError(_no_frames(path))
    return first[0]


def _shown_size(frame, stream):
    """Size with square pixels, before rotation."""
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    return round(frame.width * aspect), frame.height


def _to_rgb(frame, stream):
    image = frame.to_ndarray(format="rgb24")
    size = _shown_size(frame, stream)
    if size != (frame.width, frame.height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # Cameras write rotated pictures and a flag: undo by quarter turns.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _audio_blocks(container, path):
    """Blocks (start in seconds, mono float32 samples) at the native rate."""
    stream = container.streams.audio[0]
    blocks, rate, converter, key, end = [], None, None, None, None
    for frame in _decoded(container, stream):
        if rate not in (None, frame.rate):
            raise VideoError(
                f"{path}: its sampling rate changes from {rate} to "
                f"{frame.rate} Hz on the way; re-encode the file."
            )
        if key != (frame.format.name, frame.layout.name):
            key, rate = (frame.format.name, frame.layout.name), frame.rate
            # Only the sample format changes here, so there is no delay.
            converter = av.AudioResampler("fltp", frame.layout, rate)
        start = frame.time
        if start is None:
            start = 0.0 if end is None else end
        for part in converter.resample(frame):
            samples = part.to_ndarray().mean(axis=0, dtype=np.float32)
            blocks.append((start, samples))
            start += len(samples) / rate
        end = start
    return blocks, rate


def _place(blocks, rate, origin):
    """Puts blocks at their times; time ``origin`` becomes sample 0."""
    # Stamps are rounded (1 ms in Matroska): blocks that nearly touch do.
    tolerance = round(0.02 * rate)
    position, placed = None, []
    for time, samples in blocks:
        wanted = round((time - origin) * rate)
        if position is None or abs(wanted - position) > tolerance:
            if position is not None:
                logger.warning(
                    "the sound jumps by %+.3f s at %.3f s",
                    (wanted - position) / rate,
                    position / rate,
                )
            position = wanted
        placed.append((position, samples))
        position += len(samples)
    longest = round(MAX_GAP_SECONDS * rate) + sum(len(b) for _, b in blocks)
    total = max(0, min(longest, max(p + len(s) for p, s in placed)))
    wav = np.zeros(total, np.float32)
    for begin, samples in placed:
        stop = min(begin + len(samples), total)
        if stop > max(begin, 0):
            wav[max(begin, 0) : stop] = samples[max(-begin, 0) : stop - begin]
    return wav
