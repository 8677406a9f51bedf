"""Which output of a model without faces is whose voice.

Such a model gives its voices in any order, and in another one in each window.
A voice is known again by what it was where two windows overlap.

Authors
 * avsep_sb contributors
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

#: a reference this far below the loudest output (dB) says nothing
SILENT_DB = -40.0


def likeness(reference, outputs):
    """How much a voice is like each output: the cosine, at least 0.

    A square of it, c^2 / (1 - c^2), is the SI-SNR of the output with respect
    to the voice.

    Arguments
    ---------
    reference : np.ndarray
        The known voice, [t].
    outputs : np.ndarray
        The outputs at the same time, [t, N].

    Returns
    -------
    np.ndarray
        [N], from 0 to 1; all 0 where the voice is silent.

    Example
    -------
    >>> outputs = np.array([[1.0, 1.0], [1.0, -1.0], [0.0, 0.0]])
    >>> likeness(np.array([2.0, 2.0, 0.0]), outputs).round(3).tolist()
    [1.0, 0.0]
    """
    reference = np.asarray(reference, np.float64)
    outputs = np.asarray(outputs, np.float64)
    power = float(reference @ reference)
    powers = np.einsum("tn,tn->n", outputs, outputs)
    floor = powers.max(initial=0.0) * 10 ** (SILENT_DB / 10)
    if power <= floor or power == 0.0:
        return np.zeros(outputs.shape[1])
    cross = reference @ outputs
    norm = np.sqrt(power * np.maximum(powers, 1e-30))
    return np.clip(cross / norm, 0.0, 1.0)


def assign(scores):
    """Deals outputs to voices so that the sum of likeness is largest.

    Arguments
    ---------
    scores : np.ndarray
        [K, N]: K voices, N outputs; of :func:`likeness`. A voice of which
        nothing is known has a row of zeros and gets what is left.

    Returns
    -------
    list of int or None
        An output for each voice, each given once; None for a voice that none
        is left for.

    Example
    -------
    >>> assign(np.array([[0.1, 0.9], [0.0, 0.0]]))
    [1, 0]
    >>> assign(np.array([[0.1], [0.2]]))
    [None, 0]
    """
    scores = np.asarray(scores, np.float64)
    voices, outputs = linear_sum_assignment(-scores)
    given = dict(zip(voices.tolist(), outputs.tolist(), strict=True))
    return [given.get(voice) for voice in range(len(scores))]


def decided(scores):
    """How clearly outputs can be dealt to voices.

    Arguments
    ---------
    scores : np.ndarray
        [K, N] of :func:`likeness`, K at most N.

    Returns
    -------
    float
        What the likeness that :func:`assign` finds has over that of any deal
        on average: 0 where all deals are alike, at most K.

    Example
    -------
    >>> decided(np.array([[1.0, 0.0], [0.0, 1.0]]))
    1.0
    >>> decided(np.array([[0.5, 0.5], [0.5, 0.5]]))
    0.0
    """
    scores = np.asarray(scores, np.float64)
    best = scores[np.arange(len(scores)), assign(scores)].sum()
    return float(best - scores.mean(axis=1).sum())
