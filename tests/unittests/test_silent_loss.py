"""Proves that a loss and a report are defined for silent targets."""

import functools

import numpy as np
import pytest
import torch

from avsep_sb import losses
from avsep_sb.errors import ConfigError
from avsep_sb.metrics import score_utterance
from avsep_sb.silent_loss import quiet_pauses
from avsep_sb.silent_spans import silent_span_db, silent_spans


def batch_with_silence(seed=0):
    """Two mixtures; the second face of the first one is silent."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(2, 800, 2, generator=generator)
    target[0, :, 1] = 0
    noise = torch.randn(2, 800, 2, generator=generator)
    return target, noise, target.sum(2)


def test_loss_is_the_mean_of_snr_and_of_the_level():
    target, noise, mix = batch_with_silence()
    estimate = target + 0.1 * noise
    loss, _ = losses.fixed_order(
        estimate,
        target,
        measure=losses.snr,
        silent=functools.partial(
            losses.zero_reference, floor_db=-30, weight=0.5
        ),
        mix=mix,
    )
    ratio = losses.snr(estimate, target)
    left, heard = (
        (x - x.mean()).double().square().sum()
        for x in (estimate[0, :, 1], mix[0])
    )
    level = 10 * torch.log10(left / heard + 1e-3)
    assert loss[0].item() == pytest.approx(
        (-ratio[0, 0] + 0.5 * level).item() / 2
    )
    assert loss[1].item() == pytest.approx(-ratio[1].mean().item())
    assert loss.dtype == torch.float32


def test_without_the_option_a_silent_target_says_nothing():
    target, noise, mix = batch_with_silence()
    for order in (losses.fixed_order, losses.pit):
        for measure in (losses.snr, losses.si_snr):
            estimate = (target + 0.1 * noise).requires_grad_(True)
            plain, _ = order(estimate, target, None, measure)
            given, _ = order(estimate, target, None, measure, mix=mix)
            assert torch.equal(plain, given)
            (grad,) = torch.autograd.grad(plain.sum(), estimate)
            assert not grad[0, :, 1].any()


def test_gradients_are_finite_and_end_at_the_floor():
    target, noise, mix = batch_with_silence()
    sizes = {}
    for scale in (1.0, 1e-1, 1e-4, 1e-9, 0.0):
        estimate = target + scale * noise
        estimate.requires_grad_(True)
        value, silent = losses.zero_reference(estimate, target, mix)
        assert silent.tolist() == [[False, True], [False, False]]
        (grad,) = torch.autograd.grad(value[silent].sum(), estimate)
        assert torch.isfinite(grad).all()
        sizes[scale] = float((grad[0, :, 1] * scale * noise[0, :, 1]).sum())
        ratio = losses.snr(estimate, target)[~silent].sum()
        (other,) = torch.autograd.grad(ratio, estimate)
        if scale == 1e-1:
            # a change of level by one neper counts as one of SNR's error
            steps = (other * scale * noise).sum(1)[~silent]
            assert steps.mean().item() == pytest.approx(sizes[scale], rel=0.1)
    assert sizes[1.0] == pytest.approx(-8.7, abs=0.1)  # 20 / ln 10
    assert abs(sizes[1e-4]) < 1e-2 and abs(sizes[1e-9]) < 1e-9
    assert sizes[0.0] == 0.0
    floor = losses.zero_reference(target, target, mix)[0][0, 1]
    assert floor.item() == pytest.approx(40.0)


def test_quiet_targets_count_as_silent_from_the_floor_on():
    target, noise, mix = batch_with_silence()
    for db, wanted in ((-38, False), (-42, True)):
        target[0, :, 1] = noise[0, :, 0] * 10 ** (db / 20)
        target[0, :, 1] *= mix[0].norm() / noise[0, :, 0].norm()
        silent = losses.zero_reference(target, target, mix)[1]
        assert bool(silent[0, 1]) is wanted


@pytest.mark.parametrize("junk", [3.0, float("nan")])
def test_padding_does_not_count(junk):
    target, noise, mix = batch_with_silence()
    estimate = target + 0.1 * noise
    silent = losses.zero_reference
    options = {"measure": losses.snr, "silent": silent}
    alone, _ = losses.fixed_order(estimate, target, mix=mix, **options)
    pad = torch.full((2, 200, 2), junk)
    padded = torch.cat([estimate, pad], 1).requires_grad_(True)
    loss, _ = losses.fixed_order(
        padded,
        torch.cat([target, torch.randn(2, 200, 2)], 1),
        torch.tensor([0.8, 0.8]),
        mix=torch.cat([mix, pad[:, :, 0]], 1),
        **options,
    )
    torch.testing.assert_close(loss, alone)
    (grad,) = torch.autograd.grad(loss.sum(), padded)
    assert torch.isfinite(grad).all() and not grad[:, 800:].any()


def test_silent_mixture_asks_nothing():
    target, noise, mix = batch_with_silence()
    estimate = noise.requires_grad_(True)
    loss, _ = losses.fixed_order(
        estimate,
        0 * target,
        measure=losses.snr,
        silent=losses.zero_reference,
        mix=0 * mix,
    )
    (grad,) = torch.autograd.grad(loss.sum(), estimate)
    assert not loss.any() and not grad.any()


def test_pit_gives_the_quietest_estimate_to_the_silent_target():
    target, noise, mix = batch_with_silence()
    # three outputs, one voice: the louder of the wrong ones must not matter
    voice = target[:1, :, :1]
    wanted = torch.cat([voice, 0 * voice, noise[:1, :, :1]], 2)
    estimate = torch.cat([0.01 * noise[:1, :, 1:], noise[:1, :, :1], voice], 2)
    mix = wanted.sum(2)
    loss, ordered = losses.pit(
        estimate,
        wanted,
        measure=losses.snr,
        silent=losses.zero_reference,
        mix=mix,
    )
    assert torch.equal(ordered, estimate[:, :, [2, 0, 1]])
    assert loss.item() < -60


def test_misuse_of_the_loss_is_named():
    target, _, mix = batch_with_silence()
    silent = losses.zero_reference
    with pytest.raises(ConfigError, match="si_snr knows none"):
        losses.fixed_order(target, target, silent=silent, mix=mix)
    wrapped = functools.partial(losses.si_snr)
    with pytest.raises(ConfigError, match="si_snr knows none"):
        losses.pit(target, target, measure=wrapped, silent=silent, mix=mix)
    with pytest.raises(ConfigError, match="pass mix"):
        losses.fixed_order(target, target, measure=losses.snr, silent=silent)
    with pytest.raises(ConfigError, match="floor_db is 10"):
        losses.zero_reference(target, target, mix, floor_db=10)
    with pytest.raises(ConfigError, match="weight is 0"):
        losses.zero_reference(target, target, mix, weight=0)


# pauses


def batch_with_a_pause(seconds=1.0, seed=0):
    """One mixture: the first voice pauses from 0.4 to 0.8 s, the second
    speaks throughout.
    """
    generator = torch.Generator().manual_seed(seed)
    size = round(seconds * 16000)
    target = torch.randn(1, size, 2, generator=generator)
    target[:, 6400:12800, 0] = 0
    noise = torch.randn(1, size, 2, generator=generator)
    return target, noise, target.sum(2)


def test_a_leak_in_a_pause_costs_its_level_and_nothing_else_does():
    target, noise, mix = batch_with_a_pause()
    estimate = target + 0.1 * noise
    value = quiet_pauses(estimate, target, mix, weight=0.5)
    # frames of 25 ms; one at both ends is left out
    inner = slice(6800, 12400)
    left = estimate[0, inner, 0].square().sum() / mix[0, inner].square().sum()
    wanted = -0.5 * 10 * torch.log10(left + 1e-4)
    assert value[0, 0].item() == pytest.approx(wanted.item(), abs=1e-3)
    assert value[0, 1] == 0
    estimate[:, :6400] *= 5
    assert torch.equal(value, quiet_pauses(estimate, target, mix, weight=0.5))
    best = quiet_pauses(target, target, mix)
    assert best[0, 0].item() == pytest.approx(8.0)  # 40 dB times 0.2


def test_gradients_of_pauses_lower_the_leak_there_alone():
    target, noise, mix = batch_with_a_pause()
    estimate = (target + 0.1 * noise).requires_grad_(True)
    value = quiet_pauses(estimate, target, mix)
    (grad,) = torch.autograd.grad(value.sum(), estimate)
    assert not grad[:, :, 1].any()
    assert not grad[:, :6800, 0].any() and not grad[:, 12400:, 0].any()
    inside = grad[:, 6800:12400, 0] * estimate.detach()[:, 6800:12400, 0]
    assert (inside < 0).all()
    # at the floor and below it nothing more is asked
    (still,) = torch.autograd.grad(
        quiet_pauses(0 * estimate, target, mix).sum(), estimate
    )
    assert not still.any()


def test_voices_without_pauses_and_pauses_of_everybody_count_nothing():
    target, noise, mix = batch_with_a_pause()
    estimate = (target + 0.1 * noise).requires_grad_(True)
    both = target.clone()
    both[:, 6400:12800] = 0
    short = torch.ones_like(target)
    short[:, 6400:9000] = 0  # 6 frames: less than 0.2 s
    cases = [(torch.ones_like(target), mix), (both, both.sum(2)), (short, mix)]
    for voices, heard in cases:
        value = quiet_pauses(estimate, voices, heard)
        (grad,) = torch.autograd.grad(value.sum(), estimate)
        assert not value.any() and not grad.any()
    few = slice(0, 1000)  # shorter than a pause
    value = quiet_pauses(estimate[:, few], target[:, few], mix[:, few])
    assert value.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("seconds", [1.0, 0.75, 0.55, 0.44])
@pytest.mark.parametrize("junk", [3.0, float("nan")])
def test_padding_is_no_pause(seconds, junk):
    target, noise, mix = batch_with_a_pause(seconds)
    estimate = target + 0.1 * noise
    alone = quiet_pauses(estimate, target, mix)
    assert bool(alone[0, 0] > 0) is (seconds > 0.6)
    full = 16000
    pad = torch.full((1, 2 * full - target.shape[1], 2), junk)
    padded = torch.cat([estimate, pad], 1).requires_grad_(True)
    value = quiet_pauses(
        padded,
        torch.cat([target, torch.zeros_like(pad)], 1),
        torch.cat([mix, pad[:, :, 0]], 1),
        torch.tensor([target.shape[1] / (2 * full)]),
    )
    torch.testing.assert_close(value, alone)
    (grad,) = torch.autograd.grad(value.sum(), padded)
    assert torch.isfinite(grad).all() and not grad[:, target.shape[1] :].any()


def test_pauses_are_a_part_of_the_loss_and_need_silent():
    target, noise, mix = batch_with_a_pause()
    estimate = target + 0.1 * noise
    options = {
        "measure": losses.snr,
        "silent": losses.zero_reference,
        "mix": mix,
    }
    plain, _ = losses.fixed_order(estimate, target, **options)
    loss, _ = losses.fixed_order(
        estimate, target, pauses=quiet_pauses, **options
    )
    extra = quiet_pauses(estimate, target, mix).mean(1)
    torch.testing.assert_close(loss, plain - extra)
    # a voice that is silent throughout is not asked twice
    target[..., 0] = 0
    plain, _ = losses.fixed_order(estimate, target, **options)
    loss, _ = losses.fixed_order(
        estimate, target, pauses=quiet_pauses, **options
    )
    assert torch.equal(loss, plain)
    with pytest.raises(ConfigError, match="give silent too"):
        losses.fixed_order(
            estimate, target, measure=losses.snr, pauses=quiet_pauses, mix=mix
        )
    with pytest.raises(ConfigError, match="weight is 0"):
        quiet_pauses(estimate, target, mix, weight=0)


# the report


def test_level_in_silent_spans_by_construction():
    rng = np.random.default_rng(0)
    rate, speech = 16000, 0.1 * rng.standard_normal(16000)
    pause, gap = np.zeros(16000), np.zeros(1600)
    voice = np.concatenate([speech, pause, speech, gap, speech])
    spans = silent_spans(voice, rate)
    # the pause but 50 ms on both sides; 0.1 s is no pause
    assert spans[16000 + 800 : 32000 - 800].all()
    assert spans.sum() == 16000 - 1600
    other = 0.1 * rng.standard_normal(len(voice))
    mix = voice + other
    estimate = voice + 10 ** (-33 / 20) * other
    assert silent_span_db(mix, estimate, voice, rate) == pytest.approx(-33)
    # what is said elsewhere changes nothing
    estimate[:16000] *= 7
    assert silent_span_db(mix, estimate, voice, rate) == pytest.approx(-33)
    assert silent_span_db(mix, 0 * mix, voice, rate) == -100
    assert np.isnan(silent_span_db(speech, speech, speech, rate))
    assert np.isnan(silent_span_db(0 * mix, estimate, voice, rate))


def test_background_of_the_recording_is_silence():
    rng = np.random.default_rng(0)
    speech, hiss = 0.1 * rng.standard_normal((2, 16000))
    voice = np.concatenate([speech, 0.003 * hiss])  # 50 dB below
    assert silent_spans(voice, 16000)[16800:].all()
    assert not silent_spans(voice, 16000)[:16000].any()


def test_scores_tell_the_level_of_silent_voices():
    rng = np.random.default_rng(0)
    voice = 0.1 * rng.standard_normal(16000)
    target = np.stack([voice, 0 * voice], 1)
    estimate = np.stack([0.9 * voice, 0.01 * voice], 1)
    scores = score_utterance(
        voice, estimate, target, 16000, ("si-snr", "silence")
    )
    assert scores["silence_db"] == pytest.approx(-40, abs=1e-4)
    assert scores["si-snr"] == pytest.approx(100)
    plain = score_utterance(voice, estimate, target, 16000, ("si-snr",))
    assert list(plain) == ["si-snr", "si-snr_i"]
