"""Measures of how close estimates are to targets, in dB.

Every measure (SI-SNR, SNR, SD-SDR) is a ratio of two energies, and all
energies follow from three numbers per pair: <e, t>, |e|^2 and |t|^2. They are
summed in float64 whatever the precision of the training, so a pairwise matrix
is one matrix product and the differences of energies stay exact up to 100 dB.

Padding never counts, silence never gives NaN, and a quiet signal is measured
like a loud one.

Authors
 * avsep_sb contributors
"""

import functools

import torch

from avsep_sb.errors import ConfigError

# Ratios stay within -80 dB (as in the release of IIANet) and +100 dB. The
# upper limit is relative to the signals, so that a quiet one has the same.
_MIN_RATIO = 1e-8
_MIN_NOISE = 1e-10
# A signal is silent if removing its mean leaves less than rounding error.
_SILENT_RELATIVE = 1e-12
_SILENT_ABSOLUTE = 1e-30


def _prepare(signal, lengths):
    """float64, zero mean over the valid samples, and zero beyond them.

    Returns the signal [B, T, S], its energy [B, S] and whether it is audible.
    """
    if signal.dim() != 3:
        raise ValueError(
            f"expected signals of shape [B, T, S], got {tuple(signal.shape)}"
        )
    signal = signal.double()
    time = signal.shape[1]
    if lengths is None:
        count = float(time)
    else:
        count = torch.round(lengths.to(signal) * time)[:, None, None]
        steps = torch.arange(time, device=signal.device)[None, :, None]
        valid = steps < count
        # where, not a product: what lies in the padding may be NaN.
        signal = torch.where(valid, signal, 0.0)
        count = count.clamp(min=1.0)
    raw = signal.detach().square().sum(1)
    signal = signal - signal.sum(1, keepdim=True) / count
    if lengths is not None:
        signal = torch.where(valid, signal, 0.0)
    energy = signal.square().sum(1)
    floor = _SILENT_RELATIVE * raw + _SILENT_ABSOLUTE
    # Written so that a NaN signal is audible: it must not pass for silence.
    audible = ~(energy.detach() <= floor)
    return signal, energy, audible


def _db(power, noise, reference):
    """10 log10 of a ratio, kept finite relative to a reference energy."""
    # Rounding can push a vanishing difference of energies below zero.
    noise = noise.clamp(min=0.0) + _MIN_NOISE * reference
    return 10.0 * torch.log10(power / noise + _MIN_RATIO)


def _snr_db(cross, est, tgt, est_audible):
    return _db(tgt, est - 2.0 * cross + tgt, tgt)


def _si_snr_db(cross, est, tgt, est_audible):
    # A silent estimate has no direction to project on: it is scored as SNR
    # (0 dB), which also gives it a gradient towards the target.
    safe = torch.where(est_audible, est, 1.0)
    projected = torch.where(est_audible, cross, 0.0).square() / tgt
    scaled = _db(projected, safe - projected, safe)
    return torch.where(
        est_audible, scaled, _snr_db(cross, est, tgt, est_audible)
    )


def _sd_sdr_db(cross, est, tgt, est_audible):
    return _db(cross.square() / tgt, est - 2.0 * cross + tgt, tgt)


def audible(signal, lengths=None):
    """Whether a signal is more than a constant.

    Arguments
    ---------
    signal : torch.Tensor
        Signals, [B, T, S].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.

    Returns
    -------
    torch.Tensor
        True where there is something to compare with, [B, S].

    Example
    -------
    >>> audible(torch.full((1, 8, 1), 0.5)).tolist()
    [[False]]
    """
    return _prepare(signal, lengths)[2]


def _measure(formula, estimate, target, lengths, pairs=False):
    """Applies a formula to matching sources, or to all pairs of sources."""
    if (
        estimate.shape[:2] != target.shape[:2]
        or not pairs
        and estimate.shape != target.shape
    ):
        raise ConfigError(
            f"estimates {tuple(estimate.shape)} and targets "
            f"{tuple(target.shape)} do not match: give both as [B, T, S] and "
            "set the number of sources of the network to that of the data"
        )
    e, est, est_audible = _prepare(estimate, lengths)
    t, tgt, tgt_audible = _prepare(target, lengths)
    if pairs:
        cross = e.transpose(1, 2) @ t
        est, est_audible = est[:, :, None], est_audible[:, :, None]
        tgt, tgt_audible = tgt[:, None, :], tgt_audible[:, None, :]
    else:
        cross = (e * t).sum(1)
    # Nothing can be said about a silent target: 0 dB and no gradient. The
    # energy is replaced first, since where() lets a NaN gradient through.
    tgt = torch.where(tgt_audible, tgt, 1.0)
    est_audible = est_audible.expand_as(cross)
    value = formula(cross, est, tgt, est_audible)
    return torch.where(tgt_audible, value, 0.0).to(torch.float32)


def si_snr(estimate, target, lengths=None):
    """Scale-invariant signal-to-noise ratio in dB (higher is better).

    10 log10(|p|^2 / |e - p|^2) with p = <e, t> t / |t|^2, both signals with
    zero mean over their valid samples (Le Roux et al. 2019, "SDR - half-baked
    or well done?", also named SI-SDR), from -80 to 100 dB. A silent estimate
    gets 0 dB as with :func:`snr`; a silent target 0 dB without a gradient.

    Arguments
    ---------
    estimate : torch.Tensor
        Estimated sources, [B, T, S].
    target : torch.Tensor
        Target sources, [B, T, S].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.

    Returns
    -------
    torch.Tensor
        dB per item and source, [B, S], float32.

    Example
    -------
    >>> target = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 4, 1)
    >>> noise = torch.tensor([0.1, 0.1, -0.1, -0.1]).view(1, 4, 1)
    >>> round(si_snr(3 * (target + noise), target).item(), 3)
    20.0
    """
    return _measure(_si_snr_db, estimate, target, lengths)


def snr(estimate, target, lengths=None):
    """Signal-to-noise ratio in dB (higher is better), scale included.

    10 log10(|t|^2 / |e - t|^2) of zero-mean signals; the training loss of the
    released IIANet with its sign turned. A silent target gives 0 dB without
    a gradient.

    Arguments
    ---------
    estimate : torch.Tensor
        Estimated sources, [B, T, S].
    target : torch.Tensor
        Target sources, [B, T, S].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.

    Returns
    -------
    torch.Tensor
        dB per item and source, [B, S], float32.

    Example
    -------
    >>> target = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 4, 1)
    >>> round(snr(0.9 * target, target).item(), 3)
    20.0
    """
    return _measure(_snr_db, estimate, target, lengths)


def sd_sdr(estimate, target, lengths=None):
    """Scale-dependent SDR in dB: SI-SNR's signal over SNR's noise.

    10 log10(|p|^2 / |e - t|^2) of zero-mean signals, p as in :func:`si_snr`
    (Le Roux et al. 2019, eq. 7).

    Arguments
    ---------
    estimate : torch.Tensor
        Estimated sources, [B, T, S].
    target : torch.Tensor
        Target sources, [B, T, S].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.

    Returns
    -------
    torch.Tensor
        dB per item and source, [B, S], float32.

    Example
    -------
    >>> target = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 4, 1)
    >>> round(sd_sdr(0.5 * target, target).item(), 3)
    0.0
    """
    return _measure(_sd_sdr_db, estimate, target, lengths)


def level_db(signal, reference, lengths=None, floor_db=-40.0):
    """Energy of signals relative to a reference, in dB with a soft floor.

    10 log10((|e|^2 + tau |x|^2) / |x|^2) with tau = 10^(floor_db / 10), of
    zero-mean signals: what Wisdom et al. 2021 ("What's All the FUSS About
    Free Universal Sound Separation Data?") minimise where the target is
    silent, with x the mixture, up to the constant |x|^2.

    Arguments
    ---------
    signal : torch.Tensor
        Signals, [B, T, S].
    reference : torch.Tensor
        What they are compared with, [B, T, 1] or [B, T, S].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.
    floor_db : float
        A silent signal has this level, and no gradient; one as low as the
        floor is 3 dB above it.

    Returns
    -------
    torch.Tensor
        dB per item and source, [B, S], float32; 0 without a gradient where
        the reference is silent.

    Example
    -------
    >>> mix = torch.randn(2, 800, 1)
    >>> level_db(torch.cat([0.1 * mix, 0 * mix], 2), mix).round().tolist()
    [[-20.0, -40.0], [-20.0, -40.0]]
    """
    energy = _prepare(signal, lengths)[1]
    _, base, base_audible = _prepare(reference, lengths)
    base = torch.where(base_audible, base, 1.0)
    value = 10.0 * torch.log10(energy / base + 10.0 ** (floor_db / 10.0))
    return torch.where(base_audible, value, 0.0).to(torch.float32)


_FORMULAS = {si_snr: _si_snr_db, snr: _snr_db, sd_sdr: _sd_sdr_db}


def pairwise(measure, estimate, target, lengths=None):
    """The measure of every estimate against every target.

    Arguments
    ---------
    measure : callable
        :func:`si_snr`, :func:`snr` or :func:`sd_sdr`, which take one matrix
        product; any other function with their signature is applied pair by
        pair.
    estimate : torch.Tensor
        Estimated sources, [B, T, S_est].
    target : torch.Tensor
        Target sources, [B, T, S_tgt].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.

    Returns
    -------
    torch.Tensor
        dB, [B, S_est, S_tgt]; differentiable.

    Example
    -------
    >>> target = torch.randn(2, 800, 3)
    >>> matrix = pairwise(snr, target.flip(-1), target)
    >>> matrix.shape
    torch.Size([2, 3, 3])
    >>> matrix.argmax(1)[0].tolist()
    [2, 1, 0]
    """
    # `!name:` in YAML wraps a function in a partial, even without arguments.
    bare = isinstance(measure, functools.partial) and not (
        measure.args or measure.keywords
    )
    formula = _FORMULAS.get(measure.func if bare else measure)
    if formula is not None:
        return _measure(formula, estimate, target, lengths, pairs=True)
    rows = [
        measure(
            estimate[..., i : i + 1].expand_as(target).clone(), target, lengths
        )
        for i in range(estimate.shape[-1])
    ]
    return torch.stack(rows, dim=1)


def all_there(targets, mix, floor_db=-40.0):
    """Which mixtures are the sum of their targets, and have no more in them.

    Arguments
    ---------
    targets : torch.Tensor
        [B, T, S]
    mix : torch.Tensor
        [B, T]
    floor_db : float
        The rest counts as nothing from here down, in dB of the mixture.

    Returns
    -------
    torch.Tensor
        [B], bool: False with noise, or a voice that is no target.

    Example
    -------
    >>> targets = torch.randn(2, 100, 2)
    >>> mix = targets.sum(-1)
    >>> mix[1] += torch.randn(100)
    >>> all_there(targets, mix)
    tensor([ True, False])
    """
    rest = (mix.float() - targets.float().sum(-1)).square().sum(-1)
    return rest <= mix.float().square().sum(-1) * 10 ** (floor_db / 10)
