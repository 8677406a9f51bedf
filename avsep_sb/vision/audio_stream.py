"""Reads the sound of a video as a stream, in memory that does not grow.

Blocks are placed by their time stamps on the clock of the picture: a gap
becomes silence and moves nothing, and what sounds before the first video
frame is left out. A file without a picture begins with its first sound.

Authors
 * avsep_sb contributors
"""

import logging

import av
import numpy as np

from avsep_sb.errors import VideoError
from avsep_sb.vision.container import (
    MAX_GAP_SECONDS,
    decoded,
    first_frame_time,
    open_video,
)
from avsep_sb.vision.resample import BlockResampler

logger = logging.getLogger(__name__)

#: part of the energy of the channels that their mean keeps, unless they are
#: of opposite sign: with a wire swapped, next to nothing
LEAST_LEFT = 1e-3
#: least constant offset of the samples that is taken out
LEAST_OFFSET = 5e-3


def stream_audio(
    path, sample_rate=16000, block=16000, picture=True, centred=False
):
    """Reads the sound of a video as one channel, block by block.

    The channels are averaged: the decoder's own down-mix sums them with a
    gain of 0.707, which is 3 dB louder and clips.

    Arguments
    ---------
    path : str or Path
        The video file.
    sample_rate : int
        Sampling rate of the result in Hz.
    block : int
        Samples of each block; the last one may be shorter.
    picture : bool
        Whether time zero is the first video frame. False takes files without
        a picture as well, from their first sound on.
    centred : bool
        Whether a constant offset of the samples is taken out, which cheap
        converters add: nobody hears it, but models do.

    Yields
    ------
    np.ndarray
        float32 [block]; the first sample of the first block belongs to the
        first video frame, and each block continues the one before.
        ``VideoError`` is raised without a sound track or a sample in it.
    """
    origin = first_frame_time(path) if picture else None
    with open_video(path) as container:
        if not container.streams.audio:
            raise VideoError(
                f"{path}: has no sound track; give a video with the mixture "
                "of voices in it."
            )
        blocks = _native_blocks(container, path)
        blocks = _centred(blocks, path) if centred else blocks
        parts = _resampled(_placed(blocks, origin, path), sample_rate)
        yield from rechunk(parts, block)


def rechunk(parts, size):
    """Cuts a stream of arrays into arrays of one length.

    Arguments
    ---------
    parts : iterable of np.ndarray
        [T], any lengths.
    size : int
        The length wanted.

    Yields
    ------
    np.ndarray
        [size]; the last one is shorter if it must be, never empty.

    Example
    -------
    >>> [len(part) for part in rechunk([np.zeros(3), np.zeros(4)], 2)]
    [2, 2, 2, 1]
    """
    held, count = [], 0
    for part in parts:
        held.append(part)
        count += len(part)
        if count < size:
            continue
        whole = np.concatenate(held)
        stop = count // size * size
        for begin in range(0, stop, size):
            yield whole[begin : begin + size]
        held, count = [whole[stop:]], count - stop
    if count:
        yield np.concatenate(held)


def _native_blocks(container, path):
    """Blocks (start in seconds, mono float32, rate) as they are coded."""
    stream = container.streams.audio[0]
    rate, converter, key, end = None, None, None, None
    heard, left = 0.0, 0.0  # energy before and after averaging
    for frame in decoded(container, stream):
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
            channels = part.to_ndarray()
            samples = channels.mean(axis=0, dtype=np.float32)
            if not np.isfinite(samples).all():
                raise VideoError(
                    f"{path}: its sound track holds NaN or infinite samples; "
                    "export the file again."
                )
            heard += float(np.square(channels).sum()) / len(channels)
            left += float(np.square(samples).sum())
            yield start, samples, rate
            start += len(samples) / rate
        end = start
    if left < LEAST_LEFT * heard:
        logger.warning(
            "%s: its channels cancel each other, so that hardly anything is "
            "heard; turn the sign of one of them",
            path,
        )


def _centred(blocks, path):
    """Blocks without a constant offset: their mean in the first second."""
    held, count, offset = [], 0, None
    for start, samples, rate in blocks:
        if offset is not None:
            yield start, samples - offset, rate
            continue
        held.append((start, samples, rate))
        count += len(samples)
        if count >= rate:
            offset = _offset(held, path)
            yield from ((t, part - offset, r) for t, part, r in held)
            held = []
    if held:
        offset = _offset(held, path)
        yield from ((t, part - offset, r) for t, part, r in held)


def _offset(held, path):
    mean = float(np.mean(np.concatenate([part for _, part, _ in held])))
    if abs(mean) < LEAST_OFFSET:
        return np.float32(0)  # speech is off by as much within a second
    logger.warning(
        "%s: its samples are off by %+.3f of full scale, which is taken out",
        path,
        mean,
    )
    return np.float32(mean)


def _placed(blocks, origin, path):
    """Pairs (samples, rate) without gaps; time ``origin`` is sample 0.

    None stands for the time of the first block.
    """
    position, done = None, 0
    for time, samples, rate in blocks:
        origin = time if origin is None else origin
        wanted = round((time - origin) * rate)
        # Stamps are rounded (1 ms in Matroska): blocks that nearly touch do.
        if position is None or abs(wanted - position) > round(0.02 * rate):
            if position is not None:
                logger.warning(
                    "%s: the sound jumps by %+.3f s at %.3f s",
                    path,
                    (wanted - position) / rate,
                    position / rate,
                )
            position = wanted
        gap = position - done
        if gap > MAX_GAP_SECONDS * rate:
            raise VideoError(
                f"{path}: the time stamps of its sound jump by "
                f"{gap / rate:.0f} s; re-encode the file."
            )
        if gap > 0:
            yield np.zeros(gap, np.float32), rate
            done = position
        # What would lie before the start, or on what was given already.
        fresh = samples[done - position :]
        position += len(samples)
        done += len(fresh)
        yield fresh, rate
    if position is None:
        raise VideoError(
            f"{path}: its sound track holds no samples; re-encode the file or "
            "give another one."
        )


def _resampled(parts, sample_rate):
    resampler = None
    for samples, rate in parts:
        resampler = resampler or BlockResampler(rate, sample_rate)
        yield resampler.feed(samples)
    yield resampler.flush()
