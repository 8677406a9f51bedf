"""Scores one separated mixture: every voice, and whether faces lead it.

What is here runs in the scoring processes: plain arrays in, plain floats out.

Authors
 * avsep_sb contributors
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from avsep_sb.measures import pairwise, si_snr, snr
from avsep_sb.metrics import score_voices

_NAN = float("nan")
#: scores of the audio-only twin that stand beside those of the model
TWIN_METRICS = ("si-snr", "sdr")


class Job(NamedTuple):
    """A separated mixture that waits for its scores.

    ``mix`` [T]; ``estimate``, ``target`` [T, S] in the order of the faces;
    ``swapped`` [T, S], what came out with every face moved to its neighbour,
    and ``twin`` [T, S], the estimates of the audio-only model, or None.
    ``words`` is what recognisers understood, of
    :func:`avsep_sb.evaluation.judges.hear`.
    """

    name: str
    mix: np.ndarray
    estimate: np.ndarray
    target: np.ndarray
    swapped: np.ndarray | None
    twin: np.ndarray | None
    sample_rate: int
    metrics: tuple
    words: list | None = None


def _table(estimate, target):
    """SI-SNR of all pairs [S, S]; NaN in the column of a silent target."""
    estimate, target = (
        torch.from_numpy(np.ascontiguousarray(x))[None]
        for x in (estimate, target)
    )
    table = pairwise(si_snr, estimate, target)[0].numpy()
    silent = ~target[0].any(0).numpy()
    table[:, silent] = _NAN
    return table


def wrong_speakers(estimate, target):
    """Which estimates are closer to another target than to their own.

    Arguments
    ---------
    estimate : np.ndarray
        [T, S].
    target : np.ndarray
        [T, S]; silent ones attract nothing.

    Returns
    -------
    list of float
        1.0 where SI-SNR is higher against another target, else 0.0; NaN for
        a silent target, and where there is no other.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal((800, 2))
    >>> wrong_speakers(target[:, [0, 0]], target)
    [0.0, 1.0]
    """
    table = _table(estimate, target)
    own = table.diagonal().copy()
    np.fill_diagonal(table, _NAN)
    wrong = []
    for value, others in zip(own, table, strict=True):
        others = others[~np.isnan(others)]
        known = len(others) and not math.isnan(value)
        wrong.append(float(others.max() > value) if known else _NAN)
    return wrong


def follows_faces(estimate, swapped, target):
    """Whether the voices follow the faces, in order and exchanged.

    Arguments
    ---------
    estimate : np.ndarray
        [T, S] with face k of speaker k.
    swapped : np.ndarray
        [T, S] with face k of speaker k - 1, that is
        ``lips.roll(1, dims=faces)``.
    target : np.ndarray
        [T, S].

    Returns
    -------
    float
        1.0 if no voice is closer to another target than to that of its face
        in either run, else 0.0; NaN where nothing can be exchanged.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal((800, 2))
    >>> follows_faces(target, target[:, ::-1], target)
    1.0
    >>> follows_faces(target, target, target)
    0.0
    """
    wrong = wrong_speakers(estimate, target)
    wrong += wrong_speakers(swapped, np.roll(target, 1, axis=1))
    wrong = [value for value in wrong if not math.isnan(value)]
    return float(not any(wrong)) if wrong else _NAN


def score_job(job):
    """All scores of a mixture.

    Arguments
    ---------
    job : Job
        The mixture.

    Returns
    -------
    dict
        ``voices``, a list of dicts: ``input_snr`` (dB of the voice against
        all else in the mixture), the scores of
        :func:`avsep_sb.metrics.score_voices`, ``wrong_speaker``, and those
        of the twin with ``audio_`` before; ``swap_right``; and the ``words``
        of the job, if there are any.

    Example
    -------
    >>> x = np.random.default_rng(0).standard_normal((800, 2))
    >>> mix = x.sum(1)
    >>> scores = score_job(Job("a", mix, x, x, None, None, 16000, ("sdr",)))
    >>> list(scores["voices"][0])
    ['input_snr', 'sdr', 'sdr_i', 'wrong_speaker']
    """
    mix, target = job.mix, job.target
    voices = score_voices(
        mix, job.estimate, target, job.sample_rate, job.metrics
    )
    wrong = wrong_speakers(job.estimate, target)
    before = snr(
        torch.from_numpy(np.repeat(mix[:, None], target.shape[1], 1))[None],
        torch.from_numpy(np.ascontiguousarray(target))[None],
    )[0].tolist()
    heard = [{} for _ in voices]
    if job.twin is not None:
        names = [m for m in TWIN_METRICS if m in job.metrics]
        heard = score_voices(mix, job.twin, target, job.sample_rate, names)
    rows = []
    for k, row in enumerate(voices):
        silent = not target[:, k].any()
        rows.append(
            {
                "input_snr": _NAN if silent else before[k],
                **row,
                "wrong_speaker": wrong[k],
                **{f"audio_{name}": x for name, x in heard[k].items()},
            }
        )
    swap = _NAN
    if job.swapped is not None:
        swap = follows_faces(job.estimate, job.swapped, target)
    scores = {"voices": rows, "swap_right": swap}
    return scores if job.words is None else {**scores, "words": job.words}
