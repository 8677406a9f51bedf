"""Whose face says which voice: voices of any separator, labelled by lips.

A separator without faces gives its voices in any order. A SyncNet
(:class:`avsep_sb.inference.lip_sync.LipSync`) tells how well each voice goes
with each mouth, frame by frame; what they agree in is taken as evidence, and
voices are dealt to faces, one to each, so that the sum of it is largest
(Hungarian algorithm).

Authors
 * avsep_sb contributors
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from avsep_sb.errors import DataError
from avsep_sb.inference.assign import assign

#: log-likelihood of a pair for each frame and unit of cosine: the steepness
#: of a logistic regression of right deals on their lead. SynthAV's validation
#: speakers give 0.46 and real faces of GRID 0.19; which voice is whose does not
#: depend on it, only the confidence does (``benchmarks/assignment_report.py``)
EVIDENCE = 0.25
# Less than any sum of evidence.
_NEVER = -1e9


class FaceLabels(NamedTuple):
    """Which voice belongs to which face.

    Arguments
    ---------
    voices : tuple of int or None
        For each face the number of its voice; None where none was left.
    confidences : tuple of float
        For each face from 0.5, or less where it had to yield to others, to
        1: how likely its voice is compared with the best deal in which it
        has another one; NaN for a face without a voice.
    rest : tuple of int
        Voices of no face.

    Example
    -------
    >>> FaceLabels((1, 0), (0.9, 0.9), ()).voices
    (1, 0)
    """

    voices: tuple
    confidences: tuple
    rest: tuple


def label_faces(evidence):
    """Deals voices to faces, and tells how sure that is.

    Arguments
    ---------
    evidence : np.ndarray
        Log-likelihoods [S, N] of S faces and N voices, each up to a constant
        for all.

    Returns
    -------
    FaceLabels

    Example
    -------
    >>> labels = label_faces([[0.0, 3.0], [0.0, 0.0], [2.0, 0.0]])
    >>> labels.voices, [round(x, 2) for x in labels.confidences]
    ((1, None, 0), [0.95, nan, 0.88])
    >>> label_faces([[0.0, 3.0]]).rest
    (0,)
    """
    evidence = np.asarray(evidence, np.float64)
    given = assign(evidence)
    best = _total(evidence, given)
    confidences = []
    for face, voice in enumerate(given):
        if voice is None:
            confidences.append(math.nan)
            continue
        other = evidence.copy()
        other[face, voice] = _NEVER
        margin = best - _total(other, assign(other))
        confidences.append(1 / (1 + math.exp(-min(margin, 700.0))))
    rest = set(range(evidence.shape[1])) - set(given)
    return FaceLabels(tuple(given), tuple(confidences), tuple(sorted(rest)))


def _total(evidence, given):
    return sum(evidence[i, n] for i, n in enumerate(given) if n is not None)


def lip_evidence(voices, lips, sync, mask=None):
    """Log-likelihood that a face says a voice.

    Arguments
    ---------
    voices : np.ndarray or torch.Tensor
        [T, N] at the rate of ``sync``; their level does not matter.
    lips : np.ndarray or torch.Tensor
        Mouth ROIs of the same time, uint8 [S, Tv, H, W].
    sync : LipSync
        The judge.
    mask : np.ndarray or None
        bool [S, Tv], False where lips cannot be read: such a frame says
        nothing.

    Returns
    -------
    np.ndarray
        float64 [S, N]. ``DataError`` is raised for sound and lips of other
        shapes, or of less than a frame.

    Example
    -------
    >>> from avsep_sb.inference.lip_sync import LipSync
    >>> from avsep_sb.inference.shipped import shipped_model
    >>> sync = LipSync.from_hparams(shipped_model("syncnet-synthav"))
    >>> lips = np.zeros((1, 5, 96, 96), np.uint8)
    >>> lip_evidence(np.ones((3200, 2)), lips, sync).shape
    (1, 2)
    """
    voices, lips = torch.as_tensor(voices), torch.as_tensor(lips)
    if voices.ndim != 2 or lips.ndim != 4:
        raise DataError(
            "Voices are [T, N] and mouth ROIs [S, Tv, H, W], not "
            f"{list(voices.shape)} and {list(lips.shape)}."
        )
    cosines = sync.by_frame(voices.float().T.contiguous(), lips).numpy()
    frames = cosines.shape[2]
    seen = np.ones((len(lips), frames))
    if mask is not None:
        seen = np.asarray(mask, float)[:, :frames]
    return EVIDENCE * np.einsum("nst,st->sn", cosines.astype(float), seen)


def assign_to_faces(voices, lips, sync, mask=None):
    """Finds the voice of each face.

    Arguments
    ---------
    voices, lips, sync, mask
        As of :func:`lip_evidence`.

    Returns
    -------
    FaceLabels

    Example
    -------
    >>> from avsep_sb.inference.lip_sync import LipSync
    >>> from avsep_sb.inference.shipped import shipped_model
    >>> sync = LipSync.from_hparams(shipped_model("syncnet-synthav"))
    >>> lips = np.zeros((3, 5, 96, 96), np.uint8)
    >>> assign_to_faces(np.ones((3200, 2)), lips, sync).voices.count(None)
    1
    """
    return label_faces(lip_evidence(voices, lips, sync, mask))


def in_order(voices, labels):
    """The voices in the order of the faces.

    Arguments
    ---------
    voices : torch.Tensor
        [T, N].
    labels : FaceLabels
        Of S faces.

    Returns
    -------
    torch.Tensor
        [T, S], zero for a face without a voice.

    Example
    -------
    >>> labels = FaceLabels((1, None), (0.9, math.nan), (0,))
    >>> in_order(torch.tensor([[1.0, 2.0]]), labels).tolist()
    [[2.0, 0.0]]
    """
    sorted_voices = voices.new_zeros(len(voices), len(labels.voices))
    for face, voice in enumerate(labels.voices):
        if voice is not None:
            sorted_voices[:, face] = voices[:, voice]
    return sorted_voices
