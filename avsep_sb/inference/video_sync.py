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

#: length of the windows in which offsets are sought: the one for which
#: ``benchmarks/sync_report.py`` tells how far they can be trusted
PROBE_SECONDS = 5.0


def find_offsets(model, faces, sound, seconds=PROBE_SECONDS):
    """By how much the lips of each face are late.

    Arguments
    ---------
    model : AVSeparation
        An audio-visual model.
    faces : FaceTimeline or ArrayFaces
        The faces.
    sound : iterable of np.ndarray
        The mixture from its start, [t] each.
    seconds : float
        Length of a window.

    Returns
    -------
    list of OffsetEstimate or None
        For each person; None for one whose lips are never to be read for
        so long.
    """
    fps = int(model.hparams.video_fps)
    frame = int(model.hparams.sample_rate) // fps
    if not 2 * MAX_SHIFT < round(seconds * fps) <= faces.frames:
        return [None] * len(faces.people)
    picked = probe_windows(sound, faces, frame, seconds=seconds)
    return [estimate_offset(model, own) if own else None for own in picked]


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
