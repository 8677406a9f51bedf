"""Separation losses: the estimates in a fixed order, or in the best one.

The measures they maximise are in :mod:`avsep_sb.measures` and may be taken
from here too.

Authors
 * avsep_sb contributors
"""

import functools
import itertools

import torch
from scipy.optimize import linear_sum_assignment

from avsep_sb.errors import ConfigError
from avsep_sb.measures import audible, pairwise, sd_sdr, si_snr, snr
from avsep_sb.silent_loss import check_measure, zero_reference

__all__ = [
    "fixed_order",
    "pairwise",
    "pit",
    "sd_sdr",
    "si_snr",
    "snr",
    "threshold_weights",
    "zero_reference",
]

# Above this, assignment is cheaper than trying all permutations.
_MAX_EXHAUSTIVE = 3


def _mean_over_audible(value, target, lengths):
    """Mean over the sources that have a target to be compared with."""
    weight = audible(target, lengths).to(value.dtype)
    return (value * weight).sum(1) / weight.sum(1).clamp(min=1.0)


def fixed_order(
    estimate,
    target,
    lengths=None,
    measure=si_snr,
    silent=None,
    mix=None,
    pauses=None,
):
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
    silent : callable, optional
        What to maximise where the target is silent, in dB, such as
        :func:`avsep_sb.silent_loss.zero_reference`; without it nothing is
        asked of those sources. It needs a ``measure`` that knows levels, so
        not :func:`si_snr`; ``ConfigError`` says so.
    mix : torch.Tensor
        Mixtures, [B, T]; needed by ``silent`` and ``pauses`` alone.
    pauses : callable, optional
        What to maximise besides where a voice pauses, in dB, such as
        :func:`avsep_sb.silent_loss.quiet_pauses`; needs ``silent``.

    Returns
    -------
    loss : torch.Tensor
        Minus the mean over the sources whose target is not silent, or with
        ``silent`` over all of them, [B].
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
    if silent is None:
        if pauses is not None:
            raise ConfigError(
                "the loss of pauses goes with one of silent targets: give "
                "silent too, such as avsep_sb.silent_loss.zero_reference."
            )
        return -_mean_over_audible(value, target, lengths), estimate
    check_measure(measure)
    quiet, is_silent = silent(estimate, target, mix, lengths)
    value = torch.where(is_silent, quiet, value)
    if pauses is not None:
        pausing = pauses(estimate, target, mix, lengths)
        value = value + torch.where(is_silent, 0.0, pausing)
    return -value.mean(1), estimate


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


def pit(estimate, target, lengths=None, measure=si_snr, silent=None, mix=None):
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
    silent, mix
        As in :func:`fixed_order`; silent targets then take part in the
        choice of the order.

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
        if silent is not None:
            _, is_silent = silent(target, target, mix, lengths)
            quiet, _ = silent(
                estimate, torch.zeros_like(estimate), mix, lengths
            )
            score = torch.where(is_silent[:, None], quiet[:, :, None], score)
        order = _best_order(score)
    index = order[:, None, :].expand_as(estimate)
    return fixed_order(
        estimate.gather(2, index), target, lengths, measure, silent, mix
    )


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
