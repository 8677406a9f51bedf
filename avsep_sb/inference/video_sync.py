"""Finds the faces of a video whose lips are late, and puts them right.

Authors
 * avsep_sb contributors
"""

from avsep_sb.inference.lip_sync import LipSync
from avsep_sb.inference.rungs import check_rates
from avsep_sb.inference.shipped import find_model
from avsep_sb.inference.sync import (
    MAX_SHIFT,
    ShiftedFaces,
    estimate_offset,
    probe_windows,
    warn_of_offset,
)

#: length of the windows in which offsets are sought: the one for which
#: ``benchmarks/sync_report.py`` tells how far they can be trusted
PROBE_SECONDS = 5.0
#: what is enough for a SyncNet where there is no more
SHORTEST_SECONDS = 2.0


def offset_finder(separator, sync_model=None):
    """What finds the offsets of lips.

    Arguments
    ---------
    separator : AVSeparation
        The model that will separate.
    sync_model : str or None
        Folder, or name among the models that ship, of a SyncNet.

    Returns
    -------
    LipSync or AVSeparation
        The SyncNet on the separator's device, or the separator. An
        ``AVSepError`` is raised for one that cannot be loaded, or has other
        rates.
    """
    if sync_model is None:
        return separator
    device = {"device": str(getattr(separator, "device", "cpu"))}
    finder = LipSync.from_hparams(find_model(sync_model), run_opts=device)
    check_rates(separator, finder)
    return finder


def find_offsets(model, faces, sound, seconds=PROBE_SECONDS):
    """By how much the lips of each face are late.

    Arguments
    ---------
    model : LipSync or AVSeparation
        A SyncNet, or an audio-visual separator.
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
    if hasattr(model, "delays") and faces.frames >= SHORTEST_SECONDS * fps:
        seconds = min(seconds, faces.frames / fps)
    if not 2 * MAX_SHIFT < round(seconds * fps) <= faces.frames:
        return [None] * len(faces.people)
    picked = probe_windows(sound, faces, frame, seconds=seconds)
    return [estimate_offset(model, own) if own else None for own in picked]


def settle_offsets(faces, names, estimates):
    """Warns of faces that are out of sync, and puts them right.

    The voices are separated by the lips as they belong to the sound: lips out
    of step would call for somebody else's voice.

    Arguments
    ---------
    faces : FaceTimeline or ArrayFaces
        The faces.
    names : list of str
        What the user calls them.
    estimates : list of OffsetEstimate or None
        Of :func:`find_offsets`.

    Returns
    -------
    (faces, list of float)
        The faces to separate with, and by how many ms the lips of each are
        late: 0 for what is not noticeable, or not sure.

    Example
    -------
    >>> import numpy as np
    >>> from avsep_sb.inference.stays import ArrayFaces
    >>> from avsep_sb.inference.sync import OffsetEstimate
    >>> faces = ArrayFaces(np.zeros((2, 50, 8, 8), np.uint8))
    >>> late = [OffsetEstimate(121.0, 0.5, 3), None]
    >>> settle_offsets(faces, ["face1", "face2"], late)[1]
    [120.0, 0.0]
    """
    shifts = []
    for name, estimate in zip(names, estimates, strict=True):
        off = estimate is not None and warn_of_offset(name, estimate)
        shifts.append(estimate.frames if off else 0)
    if any(shifts):
        faces = ShiftedFaces(faces, shifts)
    return faces, [1000.0 * shift / faces.fps for shift in shifts]
