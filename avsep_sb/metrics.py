"""Scores the voices separated from one mixture against their targets.

SI-SNR and BSS-eval SDR with their improvement over the mixture, wide-band
PESQ and STOI; on demand ESTOI, and the level of the output while its speaker
is silent.

Authors
 * avsep_sb contributors
"""

import functools
import logging
import math
import warnings

import numpy as np
import pystoi
import torch

from avsep_sb.bss_eval import bss_sdr
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.measures import si_snr
from avsep_sb.silent_spans import silent_span_db

# Not SpeechBrain's: processes that only score are spared its import.
logger = logging.getLogger(__name__)

# Those that are taken unless a user names others.
METRICS = ("si-snr", "sdr", "pesq", "stoi")
# The scores of each metric, in the order of SpeechBrain's result tables.
COLUMNS = {
    "sdr": ("sdr", "sdr_i"),
    "si-snr": ("si-snr", "si-snr_i"),
    "pesq": ("pesq",),
    "stoi": ("stoi",),
    "estoi": ("estoi",),
    "silence": ("silence_db",),
}
_NAN = float("nan")


def columns_of(metrics):
    """The scores of some metrics.

    Arguments
    ---------
    metrics : sequence of str
        Names among those of :func:`score_utterance`.

    Returns
    -------
    list of str
        In the order of ``COLUMNS``; ``ConfigError`` names unknown metrics.

    Example
    -------
    >>> columns_of(["stoi", "sdr"])
    ['sdr', 'sdr_i', 'stoi']
    """
    unknown = sorted(set(metrics) - set(COLUMNS))
    if unknown:
        raise ConfigError(
            f"unknown metric {', '.join(unknown)}: choose from "
            f"{', '.join(COLUMNS)}"
        )
    return [c for m in COLUMNS if m in metrics for c in COLUMNS[m]]


def _si_snr(mix, estimate, target):
    pair = torch.from_numpy(np.stack([estimate, mix]))[:, :, None]
    same = torch.from_numpy(np.stack([target, target]))[:, :, None]
    score, before = si_snr(pair, same)[:, 0].tolist()
    return {"si-snr": score, "si-snr_i": score - before}


def _sdr(mix, estimate, target):
    """SDR and its improvement for all voices [T, S] at once."""
    heard = torch.from_numpy(np.column_stack([estimate, mix]).T)
    table = bss_sdr(heard, torch.from_numpy(target.T))
    own, before = table.diagonal().tolist(), table[-1].tolist()
    return [
        {"sdr": score, "sdr_i": score - base}
        for score, base in zip(own, before, strict=True)
    ]


@functools.cache
def pesq_package():
    """The package, or None: it is compiled, which not every machine can.

    Returns
    -------
    module or None

    Example
    -------
    >>> getattr(pesq_package(), "__name__", "pesq")
    'pesq'
    """
    try:
        import pesq
    except ImportError:
        logger.warning(
            "There is no PESQ in the results: install a C compiler and the "
            "headers of Python, then 'pip install pesq'."
        )
        return None
    return pesq


def _pesq(estimate, target, sample_rate):
    package = pesq_package()
    if package is None or not estimate.any():
        return _NAN
    try:
        return float(package.pesq(sample_rate, target, estimate, "wb"))
    except (package.NoUtterancesError, package.BufferTooShortError):
        return _NAN


def _stoi(estimate, target, sample_rate, extended):
    with warnings.catch_warnings():
        # pystoi warns and returns 1e-5 if too little speech is left.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(target, estimate, sample_rate, extended))
        except RuntimeWarning:
            return _NAN


def _check(mix, estimate, target, sample_rate, metrics):
    if estimate.ndim != 2 or estimate.shape != target.shape:
        raise DataError(
            f"estimates {estimate.shape} and targets {target.shape} must "
            "both be [T, S]: cut them to the same length and number of voices"
        )
    if mix.shape != target.shape[:1]:
        raise DataError(
            f"the mixture {mix.shape} must have the {target.shape[0]} samples "
            "of its targets, in one channel"
        )
    if "pesq" in metrics and sample_rate != 16000:
        raise ConfigError(
            f"wide-band PESQ needs 16000 Hz, not {sample_rate}: leave "
            '"pesq" out of the metrics'
        )


def score_utterance(mix, estimate, target, sample_rate, metrics=METRICS):
    """Scores the voices separated from one mixture, averaged over them.

    SI-SNR and SDR come with their improvement over the mixture (``_i``). SDR
    is BSS-eval's with a distortion filter of 512 taps (Vincent et al. 2006,
    see :mod:`avsep_sb.bss_eval`), PESQ is wide-band P.862.2, STOI that of
    Taal et al. 2011, ESTOI that of Jensen and Taal 2016. "silence" is the
    energy of the output relative to the mixture, in dB, while the target is
    silent (:func:`avsep_sb.silent_spans.silent_span_db`). Estimate i is
    compared with target i.

    Arguments
    ---------
    mix : torch.Tensor or numpy.ndarray
        The mixture, [T].
    estimate : torch.Tensor or numpy.ndarray
        Separated voices in the order of the targets, [T, S].
    target : torch.Tensor or numpy.ndarray
        Target voices, [T, S].
    sample_rate : int
        In Hz; PESQ wants 16000.
    metrics : sequence
        Which of "si-snr", "sdr", "pesq", "stoi", "estoi" and "silence".

    Returns
    -------
    dict
        A float per score. A score that is not defined (silent
        target, NaN in a signal, no utterance found by PESQ, too short for
        STOI, pesq not installed) is left out of the mean over voices, and
        NaN if none is left.

    Example
    -------
    >>> target = torch.randn(4000, 2)
    >>> estimate = target + 0.1 * target.flip(-1)
    >>> scores = score_utterance(
    ...     target.sum(-1), estimate, target, 16000, metrics=("si-snr",)
    ... )
    >>> list(scores), scores["si-snr_i"] > 15
    (['si-snr', 'si-snr_i'], True)
    """
    rows = score_voices(mix, estimate, target, sample_rate, metrics)
    return {c: _mean([row[c] for row in rows]) for c in columns_of(metrics)}


def score_voices(mix, estimate, target, sample_rate, metrics=METRICS):
    """Scores each voice separated from one mixture.

    Arguments
    ---------
    mix, estimate, target, sample_rate, metrics
        As for :func:`score_utterance`.

    Returns
    -------
    list of dict
        A float per score for each voice, NaN where it is not defined.

    Example
    -------
    >>> target = torch.randn(4000, 2)
    >>> rows = score_voices(
    ...     target.sum(-1), target + 0.1, target, 16000, metrics=("sdr",)
    ... )
    >>> [row["sdr"] > 10 for row in rows]
    [True, True]
    """
    columns = columns_of(metrics)
    mix, estimate, target = (
        np.asarray(
            x.detach().cpu().float() if torch.is_tensor(x) else x, np.float64
        )
        for x in (mix, estimate, target)
    )
    _check(mix, estimate, target, sample_rate, metrics)
    sdr = _sdr(mix, estimate, target) if "sdr" in metrics else None
    rows = []
    for k, (e, t) in enumerate(zip(estimate.T, target.T, strict=True)):
        row = dict.fromkeys(columns, _NAN)
        rows.append(row)
        if not np.isfinite([mix, e, t]).all():
            continue
        if "silence" in metrics:
            row["silence_db"] = silent_span_db(mix, e, t, sample_rate)
        if not t.any():
            continue
        if "si-snr" in metrics:
            row.update(_si_snr(mix, e, t))
        if sdr is not None:
            row.update(sdr[k])
        if "pesq" in metrics:
            row["pesq"] = _pesq(e, t, sample_rate)
        for name in ("stoi", "estoi"):
            if name in metrics:
                row[name] = _stoi(e, t, sample_rate, name == "estoi")
    return rows


def _mean(values):
    values = [v for v in values if not math.isnan(v)]
    return sum(values) / len(values) if values else _NAN


def plain_sdr(estimate, target):
    """SDR as the IIANet paper prints it (eq. 10): a plain energy ratio.

    10 log10(|t|^2 / |e - t|^2): no distortion filter, no rescaling, and
    unlike :func:`avsep_sb.measures.snr` the mean is left in.

    Arguments
    ---------
    estimate : torch.Tensor or numpy.ndarray
        Separated voices, [T, S].
    target : torch.Tensor or numpy.ndarray
        Target voices, [T, S].

    Returns
    -------
    numpy.ndarray
        dB, [S]; NaN where the target is silent, inf where nothing differs.

    Example
    -------
    >>> target = torch.randn(4000, 1)
    >>> plain_sdr(0.9 * target, target).round(3).tolist()
    [20.0]
    """
    e = np.asarray(estimate, np.float64)
    t = np.asarray(target, np.float64)
    energy = np.where(t.any(0), (t**2).sum(0), _NAN)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(energy / ((e - t) ** 2).sum(0))
