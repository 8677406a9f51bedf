"""Separation losses in dB that ignore padding and survive silence.

Three measures (SI-SNR, SNR, SD-SDR) and two ways to pair estimates with
targets: in the order of the target speakers, or by the best permutation.

Every measure is a ratio of two energies, and all energies follow from three
numbers per pair: <e, t>, |e|^2 and |t|^2. They are summed in float64 whatever
the precision of the training, so a pairwise matrix is one matrix product and
the differences of energies stay exact beyond 100 dB.

Authors
 * avsep_sb contributors
"""

import functools
import itertools

import torch
from scipy.optimize import linear_sum_assignment

from avsep_sb.errors import ConfigError

# Ratios stay within +-100 dB: relative to the signals, so that a quiet signal
# is measured like a loud one.
_EPS = 1e-10
# A signal is silent if removing its mean leaves less than rounding error.
_SILENT_RELATIVE = 1e-12
_SILENT_ABSOLUTE = 1e-30
# Above this, assignment is cheaper than trying all permutations.
_MAX_EXHAUSTIVE = 3


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
    floor = _EPS * reference
    # Rounding can push a vanishing difference of energies below zero.
    power = power.clamp(min=0.0) + floor
    noise = noise.clamp(min=0.0) + floor
    return 10.0 * (torch.log10(power) - torch.log10(noise))


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
    or well done?", also named SI-SDR). Limited to +-100 dB. A silent estimate
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
    if isinstance(measure, functools.partial):
        if not measure.args and not measure.keywords:
            measure = measure.func
    formula = _FORMULAS.get(measure)
    if formula is not None:
        return _measure(formula, estimate, target, lengths, pairs=True)
    rows = [
        measure(
            estimate[..., i : i + 1].expand_as(target).clone(), target, lengths
        )
        for i in range(estimate.shape[-1])
    ]
    return torch.stack(rows, dim=1)


def _mean_over_audible(value, target, lengths):
    """Mean over the sources that have a target to be compared with."""
    audible = _prepare(target, lengths)[2].to(value.dtype)
    return (value * audible).sum(1) / audible.sum(1).clamp(min=1.0)


def fixed_order(estimate, target, lengths=None, measure=si_snr):
    """Loss when source i belongs to target i, as with one face per voice.

    Arguments
    ---------
    estimate : torch.Tensor
        Estimated sources, [B, T, S].
    target : torch.Tensor
        Target sources, [B, T, S].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.
    measure : callable
        What to maximise, in dB: :func:`si_snr` or :func:`snr`.

    Returns
    -------
    loss : torch.Tensor
        Minus the mean over the sources whose target is not silent, [B].
    estimate : torch.Tensor
        The estimates as given, [B, T, S].

    Example
    -------
    >>> target = torch.randn(2, 800, 2)
    >>> loss, _ = fixed_order(target + 0.1 * target.flip(-1), target)
    >>> bool((loss < -15).all())
    True
    """
    value = measure(estimate, target, lengths)
    return -_mean_over_audible(value, target, lengths), estimate


@functools.cache
def _permutations(sources):
    return tuple(itertools.permutations(range(sources)))


def _best_order(score):
    """Which estimate goes to each target: [B, S] from scores [B, S, S]."""
    sources = score.shape[-1]
    if sources <= _MAX_EXHAUSTIVE:
        orders = torch.tensor(_permutations(sources), device=score.device)
        targets = torch.arange(sources, device=score.device)
        total = score[:, orders, targets].sum(-1)
        return orders[total.argmax(-1)]
    # Assignment refuses NaN; the loss itself will still show it.
    costs = -score.nan_to_num().cpu().numpy()
    # Transposed: rows are targets, so the answer is an estimate per target.
    orders = [linear_sum_assignment(cost.T)[1].tolist() for cost in costs]
    return torch.tensor(orders, device=score.device)


def pit(estimate, target, lengths=None, measure=si_snr):
    """Permutation-invariant loss: the best pairing within each item.

    All permutations for up to three sources, the assignment problem above
    (Kolbaek et al. 2017, "Multi-talker speech separation with utterance-level
    permutation invariant training"; both find the same optimum).

    Arguments
    ---------
    estimate : torch.Tensor
        Estimated sources in any order, [B, T, S].
    target : torch.Tensor
        Target sources, [B, T, S].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.
    measure : callable
        What to maximise, in dB: :func:`si_snr` or :func:`snr`.

    Returns
    -------
    loss : torch.Tensor
        As :func:`fixed_order` of the reordered estimates, [B].
    estimate : torch.Tensor
        The estimates in the order of the targets, [B, T, S].

    Example
    -------
    >>> target = torch.randn(2, 800, 4)
    >>> loss, ordered = pit(target.flip(-1), target)
    >>> torch.equal(ordered, target)
    True
    """
    if estimate.shape[-1] != target.shape[-1]:
        raise ConfigError(
            f"{estimate.shape[-1]} estimates cannot be paired with "
            f"{target.shape[-1]} targets: set the number of sources of the "
            "network to that of the data"
        )
    with torch.no_grad():
        score = pairwise(measure, estimate, target, lengths)
        order = _best_order(score)
    index = order[:, None, :].expand_as(estimate)
    return fixed_order(estimate.gather(2, index), target, lengths, measure)


def threshold_weights(loss, threshold):
    """Weights that leave out the items that are already good enough.

    The idea of SpeechBrain's ``threshold_byloss``, as weights: the loss of a
    batch is ``(weights * loss).sum() / weights.sum().clamp(min=1)``, so that
    every process always runs a backward pass (skipping it on one rank would
    pair its next step with another rank's).

    Arguments
    ---------
    loss : torch.Tensor
        Loss of each item, [B].
    threshold : float
        Items with a loss at or below this many dB get weight 0; None keeps
        all items.

    Returns
    -------
    torch.Tensor
        Zeros and ones, [B], without gradient.

    Example
    -------
    >>> threshold_weights(torch.tensor([-31.0, -12.0, 3.0]), -30)
    tensor([0., 1., 1.])
    """
    loss = loss.detach()
    if threshold is None:
        return torch.ones_like(loss)
    return (loss > threshold).to(loss.dtype)
