"""Proves the SDR against mir_eval, another library and what can be known.

Stored numbers of the release: test_losses_parity.py.
"""

import warnings

import fast_bss_eval
import numpy as np
import pytest
import torch

from avsep_sb.bss_eval import bss_sdr
from avsep_sb.errors import DataError

RATE = 16000


def voices(count, samples=RATE, seed=0):
    """Coloured noises with pauses, [S, T] float64."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, samples))
    taps = np.exp(-np.arange(60) / 9.0) * np.cos(np.arange(60) * 0.6)
    waves = [np.convolve(x, taps)[:samples] for x in noise]
    time = np.arange(samples) / RATE
    pace = 2.0 + np.arange(count)[:, None]
    return np.stack(waves) * (np.sin(2 * np.pi * pace * time) > -0.3)


def estimates(target, seed=1):
    """Each voice with an echo, some of the next one and noise."""
    rng = np.random.default_rng(seed)
    echo = np.roll(target, 37, 1) * 0.4
    noise = 0.05 * rng.standard_normal(target.shape)
    return target + echo + 0.2 * np.roll(target, 1, 0) + noise


def score(estimate, target):
    return bss_sdr(torch.from_numpy(estimate), torch.from_numpy(target))


@pytest.mark.parametrize("count", [1, 3])
def test_equals_mir_eval(count):
    separation = pytest.importorskip("mir_eval.separation")
    target = voices(count, 4000)
    estimate = estimates(target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        want = separation.bss_eval_sources(
            target, estimate, compute_permutation=False
        )[0]
    got = score(estimate, target).diagonal().numpy()
    assert got == pytest.approx(want, abs=1e-6)
    # A measure without a filter would see the echo as an error.
    assert got.min() > 8.0


def test_equals_another_library_for_all_pairs():
    target = voices(3)
    estimate = estimates(target)
    want = -fast_bss_eval.sdr_loss(estimate, target, 512, pairwise=True)
    assert score(estimate, target).T.numpy() == pytest.approx(want, abs=1e-6)


def test_batches_are_scored_item_by_item():
    target = np.stack([voices(2, 4000, seed) for seed in (3, 4)])
    estimate = np.stack([estimates(x) for x in target])
    both = score(estimate, target)
    assert both.shape == (2, 2, 2)
    for k in (0, 1):
        alone = score(estimate[k], target[k])
        assert both[k].numpy() == pytest.approx(alone.numpy(), abs=1e-9)


def test_filter_covers_512_taps_and_no_more():
    target = voices(1)
    delayed = [np.roll(target, shift, 1) for shift in (511, 560)]
    for wave, shift in zip(delayed, (511, 560), strict=True):
        wave[:, :shift] = 0.0
    target[:, -600:] = 0.0
    near, far = (score(wave, target).item() for wave in delayed)
    assert near > 30 > 10 > far


def test_scale_does_not_count_however_small():
    target = voices(2)
    estimate = estimates(target)
    want = score(estimate, target).numpy()
    tiny = score(1e-180 * estimate, 1e3 * target).numpy()
    assert tiny == pytest.approx(want, abs=1e-6)


def test_perfect_silent_and_broken_signals():
    target = voices(2)
    assert score(target, target).diagonal().tolist() == [100.0, 100.0]
    estimate = estimates(target)
    want = score(estimate, target)
    estimate[1] = 0.0
    got = score(estimate, target)
    assert got[1].tolist() == [0.0, 0.0]
    assert got[0].tolist() == pytest.approx(want[0].tolist())
    estimate[1, 5] = np.inf
    silenced = target.copy()
    silenced[0] = 0.0
    got = score(estimate, silenced)
    assert torch.isnan(got[:, 0]).all() and torch.isnan(got[1]).all()
    assert got[0, 1].item() == pytest.approx(want[0, 1].item())


def test_a_tone_has_no_unique_filter_and_still_a_score():
    rng = np.random.default_rng(0)
    tone = np.sin(0.1 * np.arange(RATE))[None]
    noisy = tone + 0.1 * rng.standard_normal(tone.shape)
    # 10 log10(0.5 / 0.01), plus what 512 taps fit of the noise.
    assert score(noisy, tone).item() == pytest.approx(17.0, abs=0.3)


def test_other_shapes_are_refused():
    with pytest.raises(DataError, match="same length"):
        bss_sdr(torch.zeros(2, 10), torch.zeros(2, 9))
