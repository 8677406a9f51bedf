"""Scores the voices separated from one mixture against their targets.

SI-SNR and BSS-eval SDR with their improvement over the mixture, wide-band
PESQ and STOI; on demand the level of the output while its speaker is silent.

Authors
 * avsep_sb contributors
"""

import functools
import math
import warnings

import fast_bss_eval
import numpy as np
import pystoi
import torch
from speechbrain.utils.logger import get_logger

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.measures import si_snr
from avsep_sb.silent_spans import silent_span_db

logger = get_logger(__name__)

# Those that are taken unless a user names others.
METRICS = ("si-snr", "sdr", "pesq", "stoi")
# The scores of each metric, in the order of SpeechBrain's result tables.
COLUMNS = {
    "sdr": ("sdr", "sdr_i"),
    "si-snr": ("si-snr", "si-snr_i"),
    "pesq": ("pesq",),
    "stoi": ("stoi",),
    "silence": ("silence_db",),
}
# The usual length of BSS-eval's distortion filter.
_FILTER_TAPS = 512
# Limit of SDR, as for SI-SNR in avsep_sb.measures.
_LIMIT_DB = 100.0
_NAN = float("nan")


def _columns_of(metrics):
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
    # Estimate first, reference second; the release of IIANet swaps them.
    try:
        loss = fast_bss_eval.sdr_loss(
            np.stack([estimate, mix]),
            target[None],
            filter_length=_FILTER_TAPS,
            clamp_db=_LIMIT_DB,
            pairwise=True,
        )
    except np.linalg.LinAlgError:
        return {"sdr": _NAN, "sdr_i": _NAN}
    score, before = (-loss[0]).tolist()
    if not estimate.any():
        score = 0.0  # as SI-SNR; the projection of silence is not defined
    return {"sdr": score, "sdr_i": score - before}


@functools.cache
def _pesq_package():
    """The package, or None: it is compiled, which not every machine can."""
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
    package = _pesq_package()
    if package is None or not estimate.any():
        return _NAN
    try:
        return float(package.pesq(sample_rate, target, estimate, "wb"))
    except (package.NoUtterancesError, package.BufferTooShortError):
        return _NAN


def _stoi(estimate, target, sample_rate):
    with warnings.catch_warnings():
        # pystoi warns and returns 1e-5 if too little speech is left.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(target, estimate, sample_rate))
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
    by fast_bss_eval), PESQ is wide-band P.862.2, STOI that of Taal et al.
    2011. "silence" is the energy of the output relative to the mixture, in dB,
    while the target is silent
    (:func:`avsep_sb.silent_spans.silent_span_db`). Estimate i is compared
    with target i.

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
        Which of "si-snr", "sdr", "pesq", "stoi" and "silence".

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
    columns = _columns_of(metrics)
    mix, estimate, target = (
        np.asarray(
            x.detach().cpu().float() if torch.is_tensor(x) else x, np.float64
        )
        for x in (mix, estimate, target)
    )
    _check(mix, estimate, target, sample_rate, metrics)
    rows = []
    for e, t in zip(estimate.T, target.T, strict=True):
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
        if "sdr" in metrics:
            row.update(_sdr(mix, e, t))
        if "pesq" in metrics:
            row["pesq"] = _pesq(e, t, sample_rate)
        if "stoi" in metrics:
            row["stoi"] = _stoi(e, t, sample_rate)
    return {c: _mean([row[c] for row in rows]) for c in columns}


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
