"""Writes a video with a given sound: one frame clock, one start for both.

Authors
 * avsep_sb contributors
"""

import os
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from avsep_sb.errors import ConfigError, VideoError
from avsep_sb.vision.container import open_video, video_stream
from avsep_sb.vision.decode import probe, read_frames

#: codecs that every player expects in mp4; others are encoded again
COPIED_CODECS = ("h264", "hevc", "mpeg4", "av1")
AAC_BLOCK = 1024


def write_video(
    path, audio, sample_rate, frames=None, source=None, fps=25, overwrite=False
):
    """Writes an mp4 of frames, or of another video's picture, and a sound.

    Exactly one of ``frames`` and ``source`` is given. The picture of a source
    is copied bit by bit if mp4 can hold it and it starts with a key frame;
    otherwise it is encoded again (H.264, upright).

    Arguments
    ---------
    path : str or Path
        The file to write, whole or not at all.
    audio : np.ndarray or sequence
        float [T], one channel in -1..1; sample 0 sounds with the first frame.
        Any object with a length whose slices are arrays will do: long sound
        can be read from disk as it is written.
    sample_rate : int
        In Hz.
    frames : iterable of np.ndarray
        uint8 [H, W, 3], RGB, all of one size.
    source : str or Path
        A video whose picture is used.
    fps : int
        Frames per second of ``frames``, or of an encoded-again source.
    overwrite : bool
        Whether to replace a file that exists.

    Returns
    -------
    Path
        The file. ``ConfigError`` is raised if it exists, or if both or none
        of ``frames`` and ``source`` are given; ``VideoError`` for a source
        that cannot be decoded and for no frames.

    Example
    -------
    >>> picture = np.zeros((64, 64, 3), np.uint8)
    >>> path = getfixture("tmp_path") / "black.mp4"
    >>> write_video(path, np.zeros(3200), 16000, [picture] * 5).name
    'black.mp4'
    """
    path = Path(path)
    if (frames is None) == (source is None):
        raise ConfigError("give write_video either frames or a source video")
    if path.exists() and not overwrite:
        raise ConfigError(
            f"'{path}' exists; name another file or ask to overwrite."
        )
    if source is not None and not _can_copy(source):
        frames, source = read_frames(source, fps), None
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # A name such as talk:one.mp4 would be taken for a protocol.
        with av.open(os.path.abspath(part), "w", format="mp4") as output:
            if source is not None:
                _copy_picture(output, source, audio, sample_rate)
            else:
                _encode_picture(output, frames, fps, audio, sample_rate)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _can_copy(source):
    info = probe(source)
    if info.video_codec not in COPIED_CODECS or info.rotation:
        return False
    # Cut off from its key frame, trimmed by an edit list, or without all time
    # stamps, a stream must be decoded to be placed.
    with open_video(source) as container:
        packets = _packets(container, source)
        first = next(packets, None)
        return (
            first is not None
            and first.is_keyframe
            and not any(
                None in (p.pts, p.dts) or p.is_discard
                # One after the other: an hour of them is half a gigabyte.
                for p in chain([first], packets)
            )
        )


def _packets(container, source):
    stream = video_stream(container, source)
    return (packet for packet in container.demux(stream) if packet.size)


def _copy_picture(output, source, audio, sample_rate):
    with open_video(source) as container:
        start = min(packet.pts for packet in _packets(container, source))
    with open_video(source) as container:
        stream = video_stream(container, source)
        picture = output.add_stream_from_template(stream)
        sound = _Sound(output, audio, sample_rate)
        rate = stream.average_rate or stream.base_rate or 25
        length = round(1 / (rate * stream.time_base))
        for packet in _packets(container, source):
            # Players leave out a last frame that lasts no time.
            packet.duration = packet.duration or length
            packet.pts -= start
            packet.dts -= start
            packet.stream = picture
            sound.write(float(packet.dts * packet.time_base))
            output.mux(packet)
        sound.write()


def _encode_picture(output, frames, fps, audio, sample_rate):
    picture = None
    for index, image in enumerate(frames):
        if picture is None:
            # H.264 halves the colour planes: sides must be even.
            height, width = (side // 2 * 2 for side in image.shape[:2])
            picture = output.add_stream("libx264", rate=fps)
            picture.width, picture.height = width, height
            picture.pix_fmt = "yuv420p"
            picture.options = {"crf": "18", "preset": "veryfast"}
            sound = _Sound(output, audio, sample_rate)
        image = np.ascontiguousarray(image[:height, :width])
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, fps)
        sound.write(index / fps)
        output.mux(picture.encode(frame))
    if picture is None:
        raise VideoError(
            "a video needs at least one frame; give frames to write_video."
        )
    output.mux(picture.encode())
    sound.write()


class _Sound:
    """The sound track, written in step with the picture."""

    def __init__(self, output, audio, sample_rate):
        self.output, self.audio, self.rate = output, audio, sample_rate
        self.stream = output.add_stream("aac", rate=sample_rate, layout="mono")
        self.done = 0

    def write(self, until=None):
        """Up to a time in seconds; None writes the rest and ends."""
        end = len(self.audio) if until is None else round(until * self.rate)
        while self.done < min(end, len(self.audio)):
            block = self.audio[self.done : self.done + AAC_BLOCK]
            block = np.asarray(block, np.float32)[None].clip(-1, 1)
            frame = av.AudioFrame.from_ndarray(
                block, format="fltp", layout="mono"
            )
            frame.sample_rate = self.rate
            # Without a time stamp the encoder's delay would not be taken
            # back, and the sound would come 64 ms late.
            frame.pts, frame.time_base = self.done, Fraction(1, self.rate)
            self.output.mux(self.stream.encode(frame))
            self.done += block.shape[1]
        if until is None:
            self.output.mux(self.stream.encode())
