"""Finds the faces of a video whose lips are late, and puts them right.

Authors
 * avsep_sb contributors
"""

import logging

from avsep_sb.inference.sync import (
    MAX_SHIFT,
    NOTICEABLE_MS,
    ShiftedFaces,
    estimate_offset,
    probe_windows,
    warn_of_offset,
)

logger = logging.getLogger(__name__)

#: lengths of the windows in which offsets are sought, in seconds; a face is
#: sought in the shorter ones if its lips are never to be read for longer
PROBE_SECONDS = (5.0, 2.0)


def find_offsets(model, faces, open_sound, seconds=PROBE_SECONDS):
    """By how much the lips of each face are late.

    Arguments
    ---------
    model : AVSeparation
        An audio-visual model.
    faces : FaceTimeline or ArrayFaces
        The faces.
    open_sound : callable
        Gives the blocks of the sound, [t] each, from the start; called once
        for each length of windows.
    seconds : sequence of float
        Lengths of windows, the longest first.

    Returns
    -------
    list of OffsetEstimate or None
        For each person; None for one whose lips are never to be read long
        enough.
    """
    fps = int(model.hparams.video_fps)
    frame = int(model.hparams.sample_rate) // fps
    found = [None] * len(faces.people)
    for length in seconds:
        frames = round(length * fps)
        missing = [person for person, own in enumerate(found) if own is None]
        if not missing or not 2 * MAX_SHIFT < frames <= faces.frames:
            continue
        picked = probe_windows(open_sound(), faces, frame, seconds=length)
        for person in missing:
            if picked[person]:
                found[person] = estimate_offset(model, picked[person])
    return found


def settle_offsets(faces, names, estimates, fix=False):
    """Warns of faces that are out of sync, or puts them right.

    Arguments
    ---------
    faces : FaceTimeline or ArrayFaces
        The faces.
    names : list of str
        What the user calls them.
    estimates : list of OffsetEstimate or None
        Of :func:`find_offsets`.
    fix : bool
        Whether offsets of more than 80 ms are taken out.

    Returns
    -------
    (faces, list of float)
        The faces to separate with, and by how many ms each was shifted.

    Example
    -------
    >>> import numpy as np
    >>> from avsep_sb.inference.stays import ArrayFaces
    >>> from avsep_sb.inference.sync import OffsetEstimate
    >>> faces = ArrayFaces(np.zeros((2, 50, 8, 8), np.uint8))
    >>> late = [OffsetEstimate(121.0, 0.5, 3), None]
    >>> settle_offsets(faces, ["face1", "face2"], late, fix=True)[1]
    [120.0, 0.0]
    """
    shifts = []
    for name, estimate in zip(names, estimates, strict=True):
        shift = 0
        if estimate is not None and fix:
            beyond = abs(estimate.ms) > NOTICEABLE_MS
            shift = estimate.frames if estimate.trusted and beyond else 0
        elif estimate is not None:
            warn_of_offset(name, estimate)
        if shift:
            logger.info("%s: lips moved by %d frames", name, -shift)
        shifts.append(shift)
    if any(shifts):
        faces = ShiftedFaces(faces, shifts)
    return faces, [1000.0 * shift / faces.fps for shift in shifts]
