"""Opens containers and walks through the frames of one stream.

Damaged packets are skipped, as players do, and times always rise.

Authors
 * avsep_sb contributors
"""

import logging
import os
from contextlib import contextmanager

import av

from avsep_sb.errors import VideoError

logger = logging.getLogger(__name__)

#: a jump of the time stamps by more than this is damage, not a still picture
MAX_GAP_SECONDS = 60.0


#: what decoders say of a damaged packet; some give up with -1, which reads as
#: if a right were missing
DAMAGED = (av.error.InvalidDataError, av.error.PermissionError)


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
    if os.path.isdir(path):
        raise VideoError(f"{path}: is a folder; name the videos in it.")
    if not os.path.isfile(path):
        raise VideoError(f"{path}: there is no such file; check the path.")
    if os.path.getsize(path) == 0:
        raise VideoError(
            f"{path}: the file is empty; download or record it again."
        )
    try:
        # A name such as talk:one.mp4 would be taken for a protocol.
        with av.open(os.path.abspath(path)) as container:
            yield container
    except av.error.PermissionError as err:
        raise VideoError(
            f"{path}: you have no right to read it; change its permissions."
        ) from err
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


def decoded(container, stream):
    """All frames of a stream; damaged packets are skipped.

    Arguments
    ---------
    container : av.container.InputContainer
        The open file.
    stream : av.stream.Stream
        One of its streams.

    Yields
    ------
    av.VideoFrame or av.AudioFrame
        One at a time; nothing is kept.
    """
    damaged = 0
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except DAMAGED:
            damaged += 1
    if damaged:
        logger.warning(
            "%s: skipped %d damaged packets of its %s",
            container.name,
            damaged,
            stream.type,
        )


def timed_frames(container, stream):
    """The frames of a video stream with their times.

    Arguments
    ---------
    container : av.container.InputContainer
        The open file.
    stream : av.VideoStream
        Its picture.

    Yields
    ------
    time : float
        In seconds, on the clock of the file; strictly rising.
    frame : av.VideoFrame
        As decoded.
    """
    step = float(1 / (stream.average_rate or stream.base_rate or 25))
    time = None
    for frame in decoded(container, stream):
        stamp = frame.time
        if stamp is None:  # raw streams carry no time stamps
            stamp = 0.0 if time is None else time + step
        if time is None or stamp > time:
            time = stamp
            yield time, frame


def first_frame_time(path):
    """When the first video frame is shown: time zero of everything.

    Arguments
    ---------
    path : str or Path
        The video file.

    Returns
    -------
    float
        Seconds on the clock of the file. ``VideoError`` is raised for a file
        without a video frame.
    """
    with open_video(path) as container:
        stream = video_stream(container, path)
        first = next(timed_frames(container, stream), None)
    if first is None:
        raise no_frames(path)
    return first[0]


def no_frames(path):
    """The error for a video stream in which nothing can be decoded.

    Arguments
    ---------
    path : str or Path
        The video file.

    Returns
    -------
    VideoError
        To be raised.

    Example
    -------
    >>> "cut short" in str(no_frames("a.mp4"))
    True
    """
    return VideoError(
        f"{path}: not one frame could be decoded; the file is cut short or "
        "corrupt, so obtain it again."
    )
