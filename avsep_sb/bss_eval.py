"""SDR of BSS-eval for all voices at once, by FFT and one Cholesky a target.

The distortion filter that fits a target to a signal best solves normal
equations whose matrix is Toeplitz, and whose terms are 512 lags of
correlations (Scheibler 2022, "SDR - medium rare with fast computations",
ICASSP). One FFT per signal gives all of them, and one factorisation serves
every signal that is compared with a target. mir_eval builds and solves the
equations of all targets together for every pair, which takes about a hundred
times as long and leads to the same SDR.

Authors
 * avsep_sb contributors
"""

import torch
from scipy.fft import next_fast_len

from avsep_sb.errors import DataError

#: usual length of the distortion filter, in samples
FILTER_TAPS = 512
# Limit of SDR, as for SI-SNR in avsep_sb.measures.
_LIMIT_DB = 100.0
_TINY = 1e-300


def bss_sdr(estimate, target, taps=FILTER_TAPS):
    """SDR of every estimate against every target, in dB.

    10 log10(|p|^2 / |e - p|^2) with p the projection of the estimate e on the
    target delayed by 0 to ``taps`` - 1 samples: the SDR of BSS-eval version
    3 (Vincent, Gribonval and Fevotte 2006), as ``bss_eval_sources`` of
    mir_eval gives it. Means are left in, as there.

    Arguments
    ---------
    estimate : torch.Tensor
        Signals to be scored, [..., E, T]; the mixture may be one of them.
    target : torch.Tensor
        Targets, [..., S, T].
    taps : int
        Length of the distortion filter, in samples.

    Returns
    -------
    torch.Tensor
        dB, [..., E, S] float64, from -100 to 100; 0 for a silent estimate,
        NaN for a silent target and where a signal is not finite.
        ``DataError`` if the shapes do not match.

    Example
    -------
    >>> target = torch.randn(2, 4000, dtype=torch.float64)
    >>> echo = target + 0.5 * target.roll(20, -1)
    >>> sdr = bss_sdr(echo, target)
    >>> sdr.shape, bool((sdr.diagonal() > 15).all())
    (torch.Size([2, 2]), True)
    """
    if (
        estimate.shape[-1:] != target.shape[-1:]
        or estimate.shape[:-2] != target.shape[:-2]
    ):
        raise DataError(
            f"estimates {list(estimate.shape)} and targets "
            f"{list(target.shape)} must be [..., E, T] and [..., S, T]: cut "
            "them to the same length"
        )
    estimate, target = estimate.double(), target.double()
    broken = ~torch.isfinite(estimate).all(-1)
    lost = ~torch.isfinite(target).all(-1)
    estimate, silent = _unit(estimate, broken)
    target, mute = _unit(target, lost)
    lags, cross = _correlations(estimate, target, taps)
    # A silent target has no equations: those of a single impulse stand in.
    lags[..., 0] = torch.where(mute, 1.0, lags[..., 0])
    filters = _solve(_toeplitz(lags), cross)
    part = (cross * filters).sum(-2).transpose(-1, -2)
    part = part.clamp(0.0, 1.0)
    sdr = 10.0 * torch.log10((part + _TINY) / (1.0 - part + _TINY))
    sdr = sdr.clamp(-_LIMIT_DB, _LIMIT_DB)
    sdr = torch.where(silent[..., :, None], 0.0, sdr)
    undefined = broken[..., :, None] | (mute | lost)[..., None, :]
    return torch.where(undefined, torch.nan, sdr)


def _unit(signal, broken):
    """Signals of energy 1, and which of them are silent."""
    signal = torch.where(broken[..., None], 0.0, signal)
    # By the peak first: the squares of a very quiet signal would vanish.
    peak = signal.abs().amax(-1, keepdim=True)
    silent = peak == 0
    signal = signal / torch.where(silent, 1.0, peak)
    norm = signal.norm(dim=-1, keepdim=True)
    return signal / torch.where(silent, 1.0, norm), silent[..., 0]


def _correlations(estimate, target, taps):
    """Autocorrelations [..., S, taps], cross ones [..., S, taps, E]."""
    # Long enough that no lag that is used wraps around.
    size = next_fast_len(target.shape[-1] + taps - 1, real=True)
    heard = torch.fft.rfft(estimate, size)
    wanted = torch.fft.rfft(target, size)
    power = wanted.real.square() + wanted.imag.square()
    lags = torch.fft.irfft(power, size)[..., :taps]
    product = wanted.conj()[..., :, None, :] * heard[..., None, :, :]
    cross = torch.fft.irfft(product, size)[..., :taps]
    return lags.clone(), cross.transpose(-1, -2)


def _toeplitz(lags):
    """Symmetric matrices [..., taps, taps] of their first rows."""
    taps = lags.shape[-1]
    steps = torch.arange(taps, device=lags.device)
    return lags[..., (steps[:, None] - steps).abs()]


def _solve(matrix, right):
    """Solves [..., n, n] x = [..., n, m] of positive matrices.

    Where rounding has made one singular, as for a pure tone, the solution of
    least squares is taken, as in mir_eval.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    solution = torch.cholesky_solve(right, factor)
    failed = (failed != 0) | ~torch.isfinite(solution).all(-1).all(-1)
    for place in failed.nonzero().tolist():
        at = tuple(place)
        inverse = torch.linalg.pinv(matrix[at], rtol=1e-12, hermitian=True)
        solution[at] = inverse @ right[at]
    return solution
