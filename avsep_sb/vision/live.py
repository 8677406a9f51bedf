"""Sound and frames of a video as they come in, on one clock.

As :mod:`avsep_sb.vision.decode` has it, time zero is the first video frame,
and frame n of the clock is what is seen at n / fps; but nothing is waited
for: a frame is given when it comes, unless a later one is needed to know that
nothing new was shown in between.

Authors
 * avsep_sb contributors
"""

import logging

import av
import numpy as np

from avsep_sb.errors import VideoError
from avsep_sb.vision.container import (
    DAMAGED,
    MAX_GAP_SECONDS,
    video_stream,
)
from avsep_sb.vision.decode import upright_rgb
from avsep_sb.vision.resample import BlockResampler

logger = logging.getLogger(__name__)

#: sound that may come before the first frame, in seconds
MOST_EARLY = 30.0
#: what the head of a recording is looked through for its streams
PROBE = {"probesize": "400000", "analyzeduration": "1500000"}
#: part of a second of sound that is resampled at once
RESAMPLED = 0.01


def live_events(source, sample_rate=16000, fps=25):
    """Decodes a recording that still comes in.

    Arguments
    ---------
    source : GrowingFile
        Matroska, WebM, MPEG-TS, FLV, fragmented MP4 and others that are
        written from the beginning to the end.
    sample_rate : int
        Of the sound that is given, in Hz.
    fps : int
        Frames per second that are given.

    Yields
    ------
    tuple
        ("sound", float32 [t]) and ("frame", uint8 [H, W, 3], RGB), each kind
        in its order, without gaps, from time zero on. ``VideoError`` is
        raised for what cannot be decoded so, without picture or sound.
    """
    name = source.name
    try:
        with av.open(source, options=PROBE) as container:
            picture = video_stream(container, name)
            if not container.streams.audio:
                raise VideoError(
                    f"{name}: has no sound track; give a video with the "
                    "mixture of voices in it."
                )
            sound = container.streams.audio[0]
            # Threads of the decoder would hold frames back.
            picture.thread_type = "SLICE"
            clock = _Clock(name, picture, sample_rate, fps)
            for packet in container.demux(picture, sound):
                for frame in _decoded(packet, name):
                    yield from clock.take(frame)
            yield from clock.finish()
    except av.error.FFmpegError as err:
        if not source.count:
            raise VideoError(
                f"{name}: nothing came in; start the recording first, or give "
                "it more time with --idle."
            ) from err
        raise VideoError(
            f"{name}: cannot be decoded as it comes in ({err.strerror}); send "
            "Matroska or MPEG-TS (an mp4 can be read only when it is whole)."
        ) from err


def _decoded(packet, name):
    try:
        return packet.decode()
    except DAMAGED:
        logger.warning("%s: skipped a damaged packet", name)
        return []


class _Clock:
    """Puts decoded frames of both kinds in their places."""

    def __init__(self, name, picture, sample_rate, fps):
        self.name, self.picture = name, picture
        self.sample_rate, self.fps = sample_rate, fps
        self.origin = None
        self.early, self.early_seconds = [], 0.0
        self.slot, self.held, self.shown = 0, None, None
        self.done, self.end = 0, None  # samples placed; seconds, of sound
        self.converter = self.kind = self.resampler = self.rate = None

    def take(self, frame):
        if isinstance(frame, av.VideoFrame):
            yield from self.see(frame)
        elif self.origin is None:
            self.early.append(frame)
            self.early_seconds += frame.samples / frame.rate
            if self.early_seconds > MOST_EARLY:
                raise VideoError(
                    f"{self.name}: {MOST_EARLY:.0f} s of sound came without "
                    "a picture; send both."
                )
        else:
            yield from self.hear(frame)

    def see(self, frame):
        time = frame.time
        if time is None:
            time = (self.slot + 1) / self.fps if self.held else 0.0
        if self.origin is None:
            self.origin = time
        at = (time - self.origin) * self.fps
        if at - self.slot > MAX_GAP_SECONDS * self.fps:
            raise VideoError(
                f"{self.name}: its time stamps jump by "
                f"{(at - self.slot) / self.fps:.0f} s; record it again."
            )
        # What was seen before is still seen in slots that begin before it.
        while self.held is not None and self.slot + 0.25 < at:
            yield "frame", self.show()
            self.slot += 1
        self.held, self.shown = frame, None
        if at >= self.slot - 0.25:
            yield "frame", self.show()
            self.slot += 1
        while self.early:
            yield from self.hear(self.early.pop(0))

    def show(self):
        """The picture that is held, converted once."""
        if self.shown is None:
            self.shown = upright_rgb(self.held, self.picture)
        return self.shown

    def hear(self, frame):
        if self.rate not in (None, frame.rate):
            raise VideoError(
                f"{self.name}: its sampling rate changes from {self.rate} to "
                f"{frame.rate} Hz on the way; record it again."
            )
        if self.kind != (frame.format.name, frame.layout.name):
            self.kind = frame.format.name, frame.layout.name
            self.rate = frame.rate
            self.converter = av.AudioResampler("fltp", frame.layout, frame.rate)
        if self.resampler is None:
            self.resampler = BlockResampler(self.rate, self.sample_rate)
            self.resampler.least = round(self.rate * RESAMPLED)
        start = frame.time
        if start is None:
            start = self.origin if self.end is None else self.end
        for part in self.converter.resample(frame):
            samples = part.to_ndarray().mean(axis=0, dtype=np.float32)
            if not np.isfinite(samples).all():
                raise VideoError(
                    f"{self.name}: its sound holds NaN or infinite samples; "
                    "record it again."
                )
            ready = self.resampler.feed(self.place(start, samples))
            if len(ready):
                yield "sound", ready
            start += len(samples) / self.rate
        self.end = start

    def place(self, start, samples):
        """Samples from where the last ones ended; gaps are silent."""
        position = round((start - self.origin) * self.rate)
        if self.end is not None and abs(start - self.end) <= 0.02:
            position = self.done  # stamps are rounded
        gap = position - self.done
        if gap > MAX_GAP_SECONDS * self.rate:
            raise VideoError(
                f"{self.name}: the time stamps of its sound jump by "
                f"{gap / self.rate:.0f} s; record it again."
            )
        if gap > 0:
            samples = np.concatenate([np.zeros(gap, np.float32), samples])
        elif gap < 0:  # before time zero, or given already
            samples = samples[-gap:]
        self.done += len(samples)
        return samples

    def finish(self):
        if self.origin is None:
            raise VideoError(
                f"{self.name}: ended before one frame could be decoded; send "
                "a video."
            )
        if self.resampler is not None:
            rest = self.resampler.flush()
            if len(rest):
                yield "sound", rest
