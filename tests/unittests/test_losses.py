"""Proves the losses: values by formula, padding, silence, scale, gradients.

Also that PIT finds the optimum of brute force, and that weighting by a
threshold equals dropping the items.
"""

import functools
import itertools

import numpy as np
import pytest
import torch

from avsep_sb import losses
from avsep_sb.errors import ConfigError

MEASURES = [losses.si_snr, losses.snr, losses.sd_sdr]


def signals(batch=2, time=800, sources=2, seed=0):
    """A target and noise, both [B, T, S]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, time, sources)
    return (
        torch.randn(shape, generator=generator),
        torch.randn(shape, generator=generator),
    )


def by_formula(measure, estimate, target):
    """One pair of 1-D signals, straight from the definition, in NumPy."""
    e = np.asarray(estimate, np.float64)
    t = np.asarray(target, np.float64)
    e, t = e - e.mean(), t - t.mean()
    p = (e @ t) / (t @ t) * t
    top = t if measure is losses.snr else p
    noise = e - (p if measure is losses.si_snr else t)
    return 10 * np.log10((top @ top) / (noise @ noise))


@pytest.mark.parametrize("measure", MEASURES)
def test_value_equals_the_definition(measure):
    target, noise = signals()
    estimate = 0.7 * target + 0.2 * noise + 0.3
    got = measure(estimate, target)
    assert got.shape == (2, 2) and got.dtype == torch.float32
    for b, s in itertools.product(range(2), range(2)):
        want = by_formula(measure, estimate[b, :, s], target[b, :, s])
        assert got[b, s].item() == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("measure", MEASURES)
def test_pairwise_equals_every_single_pair(measure):
    target, noise = signals(sources=3)
    estimate = target.roll(1, -1) + 0.4 * noise
    lengths = torch.tensor([1.0, 0.6])
    matrix = losses.pairwise(measure, estimate, target, lengths)
    generic = losses.pairwise(
        lambda e, t, n: measure(e, t, n), estimate, target, lengths
    )
    torch.testing.assert_close(matrix, generic)
    as_yaml = functools.partial(measure)
    torch.testing.assert_close(
        matrix, losses.pairwise(as_yaml, estimate, target, lengths)
    )


@pytest.mark.parametrize("junk", [3.0, float("nan"), float("inf")])
@pytest.mark.parametrize("measure", [losses.si_snr, losses.snr])
def test_padding_does_not_count(measure, junk):
    target, noise = signals(batch=1, sources=1, time=400)
    target = target - target.mean(1, keepdim=True)
    noise = noise - noise.mean(1, keepdim=True)
    noise = noise - (noise * target).sum() / target.square().sum() * target
    noise = 0.1 * noise * target.norm() / noise.norm()
    estimate = torch.cat([target + noise, junk * torch.ones(1, 100, 1)], 1)
    target = torch.cat([target, torch.randn(1, 100, 1)], 1)
    estimate.requires_grad_(True)
    got = measure(estimate, target, torch.tensor([0.8]))
    assert got.item() == pytest.approx(20.0, abs=1e-3)
    got.sum().backward()
    assert torch.isfinite(estimate.grad).all()
    assert (estimate.grad[:, 400:] == 0).all()
    assert abs(measure(estimate, target).item() - 20.0) > 1 or junk != 3.0


def test_padded_batch_equals_items_one_by_one():
    target, noise = signals(batch=3, time=900)
    estimate = target + 0.3 * noise
    valid = [900, 640, 333]
    lengths = torch.tensor([n / 900 for n in valid])
    loss, _ = losses.pit(estimate.flip(-1), target, lengths)
    for b, n in enumerate(valid):
        alone, _ = losses.pit(
            estimate[b : b + 1, :n].flip(-1), target[b : b + 1, :n]
        )
        assert loss[b].item() == pytest.approx(alone.item(), abs=1e-4)


@pytest.mark.parametrize("scale", [1e-5, 1e-2, 30.0])
def test_scale_law(scale):
    target, noise = signals()
    estimate = target + 0.001 * noise
    base = losses.si_snr(estimate, target)
    assert (base > 55).all()
    close = functools.partial(torch.testing.assert_close, atol=1e-2, rtol=0)
    close(losses.si_snr(scale * estimate, target), base)
    close(losses.si_snr(estimate, scale * target), base)
    # Quiet signals are measured like loud ones, without a ceiling of theirs.
    close(
        losses.snr(scale * estimate, scale * target),
        losses.snr(estimate, target),
    )
    assert (losses.snr(0.5 * target, target) - 6.0206).abs().max() < 1e-3


@pytest.mark.parametrize("measure", MEASURES)
def test_perfect_estimate_ends_at_100_db(measure):
    target, _ = signals()
    for scale in (1.0, 1e-4):
        estimate = (scale * target).requires_grad_(True)
        got = measure(estimate, scale * target)
        torch.testing.assert_close(got, torch.full((2, 2), 100.0))
        got.sum().backward()
        assert torch.isfinite(estimate.grad).all()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("silence", ["zero", "constant"])
def test_silent_target_says_nothing(measure, silence):
    target, noise = signals()
    target[:, :, 1] = 0.0 if silence == "zero" else 0.25
    estimate = (target + 0.1 * noise).requires_grad_(True)
    assert (measure(estimate, target)[:, 1] == 0).all()
    for order in (losses.fixed_order, losses.pit):
        loss, _ = order(estimate, target, measure=measure)
        alone = -measure(estimate[:, :, :1], target[:, :, :1])[:, 0]
        torch.testing.assert_close(loss, alone)
        (grad,) = torch.autograd.grad(loss.sum(), estimate)
        assert torch.isfinite(grad).all()
        assert (grad[:, :, 1] == 0).all() and grad[:, :, 0].norm() > 0
    loss, _ = losses.fixed_order(estimate, 0.0 * target, measure=measure)
    assert (loss == 0).all()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("level", [0.0, 0.25])
def test_silent_estimate_is_finite(measure, level):
    target, _ = signals()
    estimate = torch.full_like(target, level).requires_grad_(True)
    value = measure(estimate, target)
    expected = -80.0 if measure is losses.sd_sdr else 0.0
    torch.testing.assert_close(value, torch.full((2, 2), expected))
    value.sum().backward()
    assert torch.isfinite(estimate.grad).all()
    # Not a dead end: the gradient leads towards the target.
    if measure is not losses.sd_sdr:
        assert ((estimate.grad * target).sum(1) > 0).all()
    both = measure(estimate.detach(), torch.zeros_like(target))
    assert (both == 0).all()


def test_nan_is_not_hidden():
    target, noise = signals(sources=4)
    estimate = target + noise
    estimate[0, 5, 2] = float("nan")
    for order in (losses.fixed_order, losses.pit):
        loss, _ = order(estimate, target)
        assert torch.isnan(loss[0]) and torch.isfinite(loss[1])


@pytest.mark.parametrize("measure", MEASURES)
def test_gradient_equals_finite_differences(measure):
    target, noise = signals(batch=1, time=12)
    estimate = (target + 0.5 * noise).double().requires_grad_(True)
    lengths = torch.tensor([0.75])
    (grad,) = torch.autograd.grad(
        measure(estimate, target, lengths).sum(), estimate
    )
    step = 1e-3

    def value(shift):
        # Outputs are float32: a wide step keeps the difference significant.
        e = estimate.detach() + shift
        return sum(
            by_formula(measure, e[0, :9, s], target[0, :9, s]) for s in range(2)
        )

    for t, s in itertools.product(range(12), range(2)):
        shift = torch.zeros_like(estimate)
        shift[0, t, s] = step
        want = (value(shift) - value(-shift)) / (2 * step)
        assert grad[0, t, s].item() == pytest.approx(want, abs=1e-3)


def test_gradient_of_si_snr_is_orthogonal_to_the_estimate():
    target, noise = signals()
    estimate = (target + 0.1 * noise).requires_grad_(True)
    losses.si_snr(estimate, target).sum().backward()
    inner = (estimate.grad * estimate).sum(1)
    assert (inner.abs() < 1e-4).all()


@pytest.mark.parametrize("sources", [2, 3, 4, 5])
@pytest.mark.parametrize("measure", [losses.si_snr, losses.snr])
def test_pit_equals_brute_force(measure, sources):
    # Noise as loud as the signals, so that the best order is not obvious.
    target, noise = signals(batch=6, time=60, sources=sources, seed=sources)
    estimate = 0.3 * target.flip(-1) + noise
    lengths = torch.linspace(0.5, 1.0, 6)
    loss, ordered = losses.pit(estimate, target, lengths, measure)
    totals = torch.stack(
        [
            -measure(estimate[:, :, list(p)], target, lengths).mean(1)
            for p in itertools.permutations(range(sources))
        ]
    )
    torch.testing.assert_close(loss, totals.min(0).values)
    again, same = losses.fixed_order(ordered, target, lengths, measure)
    torch.testing.assert_close(again, loss)
    assert same is ordered


@pytest.mark.parametrize("sources", [2, 3, 5])
def test_permutation_law(sources):
    target, noise = signals(sources=sources)
    estimate = target + 0.5 * noise
    loss, ordered = losses.pit(estimate, target)
    shuffle = torch.randperm(sources)
    other, reordered = losses.pit(estimate[:, :, shuffle], target)
    torch.testing.assert_close(other, loss)
    assert torch.equal(ordered, estimate) and torch.equal(reordered, estimate)
    both, _ = losses.pit(estimate, target[:, :, shuffle])
    torch.testing.assert_close(both, loss)


def test_pit_passes_gradients_to_the_estimates_it_chose():
    target, noise = signals()
    estimate = (target.flip(-1) + 0.2 * noise).requires_grad_(True)
    loss, _ = losses.pit(estimate, target)
    (got,) = torch.autograd.grad(loss.sum(), estimate)
    fixed, _ = losses.fixed_order(estimate, target.flip(-1))
    (want,) = torch.autograd.grad(fixed.sum(), estimate)
    torch.testing.assert_close(got, want)


def test_inputs_are_left_alone_and_low_precision_is_widened():
    target, noise = signals()
    estimate = target + 0.1 * noise
    kept = estimate.clone()
    losses.pit(estimate, target)
    assert torch.equal(estimate, kept)
    low = losses.si_snr(estimate.bfloat16(), target)
    assert low.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        mixed = losses.pairwise(losses.si_snr, estimate, target)
    torch.testing.assert_close(
        mixed, losses.pairwise(losses.si_snr, estimate, target)
    )


def test_threshold_weights_equal_dropping():
    loss = torch.tensor([-40.0, -10.0, -30.0, -4.0], requires_grad=True)
    weights = losses.threshold_weights(loss, -30.0)
    assert weights.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert not weights.requires_grad
    mean = (weights * loss).sum() / weights.sum().clamp(min=1)
    assert mean.item() == loss[loss > -30.0].mean().item() == -7.0
    nothing = losses.threshold_weights(loss - 60, -30.0)
    assert nothing.sum() == 0
    assert losses.threshold_weights(loss, None).tolist() == [1.0] * 4


def test_mismatched_sources_are_explained():
    target, _ = signals(sources=2)
    with pytest.raises(ConfigError, match="number of sources"):
        losses.pit(target[:, :, :1], target)
    with pytest.raises(ConfigError, match="number of sources"):
        losses.fixed_order(target[:, :, :1], target)
    with pytest.raises(ConfigError, match="do not match"):
        losses.si_snr(target[:, :-1], target)
    with pytest.raises(ValueError, match="B, T, S"):
        losses.si_snr(target[0], target[0])
