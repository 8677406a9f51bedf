"""Single frames out of a long video, without decoding all of it.

Authors
 * avsep_sb contributors
"""

import av

from avsep_sb.vision.container import (
    first_frame_time,
    open_video,
    timed_frames,
    video_stream,
)
from avsep_sb.vision.decode import read_frames, upright_rgb

#: frames that are decoded after a jump before reading from the start is surer
_PATIENCE = 1000


def frames_at(path, slots, fps=25):
    """Reads some frames of the clock of ``read_frames``.

    Jumps to the key frame before each. In files that cannot be jumped in, and
    where a jump does not arrive, all frames are read up to the last one.

    Arguments
    ---------
    path : str or Path
        The video file.
    slots : iterable of int
        Numbers of frames.
    fps : float
        Frames per second of the clock.

    Returns
    -------
    dict
        Number -> uint8 [H, W, 3], RGB, upright, as
        :func:`avsep_sb.vision.decode.read_frames` gives it, or its neighbour
        in a video of another rate. Numbers beyond the end are not in it;
        ``VideoError`` is raised for a file without frames.

    Example
    -------
    >>> import numpy as np
    >>> from avsep_sb.vision.encode import write_video
    >>> path = getfixture("tmp_path") / "grey.mp4"
    >>> frames = [np.full((64, 64, 3), 20 * k, np.uint8) for k in range(10)]
    >>> _ = write_video(path, np.zeros(6400), 16000, frames)
    >>> found = frames_at(path, [2, 7, 30])
    >>> [(slot, int(image.mean().round(-1))) for slot, image in found.items()]
    [(2, 40), (7, 140)]
    """
    slots = sorted(set(slots))
    found = {}
    try:
        start = first_frame_time(path)
        for slot in slots:
            image = _jump(path, start + slot / fps, 1.5 / fps)
            if image is None:
                break
            found[slot] = image
    except av.error.FFmpegError:
        pass
    missing = {slot for slot in slots if slot not in found}
    if missing:
        for slot, image in enumerate(read_frames(path, fps)):
            if slot in missing:
                found[slot] = image
            if slot >= slots[-1]:
                break
    return {slot: found[slot] for slot in slots if slot in found}


def _jump(path, time, tolerance):
    """The frame shown at a time of the file's clock; None if not there."""
    with open_video(path) as container:
        stream = video_stream(container, path)
        try:
            container.seek(int(time / stream.time_base), stream=stream)
        except (av.error.FFmpegError, OverflowError):
            return None
        shown = None
        frames = timed_frames(container, stream)
        for _, (stamp, frame) in zip(range(_PATIENCE), frames, strict=False):
            if stamp > time + tolerance / 6:
                break
            shown = stamp, frame
        # A jump that went too far, or stamps that are not to be trusted.
        if shown is None or time - shown[0] > tolerance:
            return None
        return upright_rgb(shown[1], stream)
