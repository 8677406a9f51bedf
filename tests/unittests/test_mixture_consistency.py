"""Voices that add up to their mixture: what is shared, and among whom."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.mixture_consistency import MixtureConsistency
from avsep_sb.measures import all_there, si_snr

TINY = {
    "out_channels": 8,
    "in_channels": 8,
    "depth": 2,
    "num_av_cycles": 0,
    "num_audio_cycles": 1,
    "codec": "spectral",
    "kernel_size": 64,
    "stride": 16,
    "audio_only": True,
    "num_sources": 2,
}


@pytest.fixture
def scene():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(2, 4001, 2, generator=generator)
    return targets, targets.sum(-1), generator


@pytest.mark.parametrize("gain", [1.0, 9.0, 0.02])
def test_the_voices_add_up_at_any_level(scene, gain):
    targets, mix, generator = scene
    errors = 0.3 * torch.randn(targets.shape, generator=generator)
    estimate = gain * (targets + errors)
    consistent = MixtureConsistency()(estimate, mix)
    assert torch.allclose(consistent.sum(-1), mix, atol=1e-4)
    # Independent errors of two equal voices are halved in energy: 3 dB.
    raw = si_snr(estimate, targets).mean()
    assert si_snr(consistent, targets).mean() > raw + 2.0


def test_a_silent_voice_stays_silent(scene):
    targets, _, _ = scene
    voice = targets[..., :1]
    estimate = torch.cat([0.8 * voice, torch.zeros_like(voice)], -1)
    consistent = MixtureConsistency()(estimate, voice[..., 0])
    assert torch.allclose(consistent[..., 0], voice[..., 0], atol=1e-4)
    assert consistent[..., 1].abs().max() < 1e-4


def test_true_voices_stay_as_they_are(scene):
    targets, mix, _ = scene
    assert torch.allclose(
        MixtureConsistency()(targets, mix), targets, atol=1e-5
    )


@pytest.mark.parametrize("length", [1, 100, 511, 513])
def test_short_and_silent_inputs_are_finite(length):
    mix, silent = torch.zeros(1, length), torch.zeros(1, length, 2)
    silent.requires_grad_()
    out = MixtureConsistency()(silent, mix)
    assert out.shape == (1, length, 2)
    out.square().sum().backward()
    assert torch.isfinite(out).all() and torch.isfinite(silent.grad).all()


def test_some_training_batches_pass_as_they_are(scene):
    targets, mix, generator = scene
    estimate = targets + 0.3 * torch.randn(targets.shape, generator=generator)
    net = MixtureConsistency(raw_prob=0.5)
    torch.manual_seed(0)
    raw = sum(net.train()(estimate, mix) is estimate for _ in range(40))
    assert 10 < raw < 30
    assert not any(net.eval()(estimate, mix) is estimate for _ in range(40))
    with pytest.raises(ValueError, match="raw_prob"):
        MixtureConsistency(raw_prob=2)


def test_a_mixture_with_more_in_it_than_its_voices_is_left_alone(scene):
    targets, mix, generator = scene
    estimate = targets + 0.3 * torch.randn(targets.shape, generator=generator)
    mix = mix.clone()
    mix[0] += 0.1 * torch.randn(mix[0].shape, generator=generator)
    complete = all_there(targets, mix)
    assert complete.tolist() == [False] + [True] * (len(mix) - 1)
    out = MixtureConsistency()(estimate, mix, complete)
    assert torch.equal(out[0], estimate[0])
    assert torch.equal(out[1:], MixtureConsistency()(estimate, mix)[1:])
    # Rounding to 16 bits is no further voice.
    assert all_there(targets, (targets.sum(-1) * 2**15).round() / 2**15).all()


def test_a_pretrained_folder_keeps_it_and_callers_may_refuse(tmp_path):
    torch.manual_seed(0)
    net = IIANet(**TINY).eval()
    args = {"kernel_size": 64, "stride": 16}
    folder = write_pretrained_folder(
        tmp_path / "model",
        net,
        None,
        yaml_object("avsep_sb.lobes.iianet.IIANet", TINY),
        None,
        "# Card",
        consistency_yaml=yaml_object(
            "avsep_sb.lobes.mixture_consistency.MixtureConsistency", args
        ),
    )
    model = AVSeparation.from_hparams(folder)
    mix = torch.randn(1, 1600)
    raw = model.separate_batch(mix, consistent=False)
    with torch.no_grad():
        assert torch.allclose(raw, net(mix), atol=1e-5)
    consistent = model.separate_batch(mix)
    assert torch.allclose(consistent.sum(-1), mix, atol=1e-4)
    assert not torch.allclose(raw.sum(-1), mix, atol=1e-2)


class HearsHalf:
    """Two voices of a quarter of the mixture each, or of half of it."""

    sees = True
    hparams = SimpleNamespace(sample_rate=16000, video_fps=25)
    mods = {"mixture_consistency": None}

    def separate_batch(self, mix, lips, lips_mask=None, consistent=None):
        share = 0.25 if consistent is False else 0.5
        return share * torch.stack([mix] * lips.shape[1], 2)


def residual(stays=None, **options):
    faces = ArrayFaces(np.zeros((2, 50, 96, 96), np.uint8), stays=stays)
    sound = np.ones(32000, np.float32)
    over_time = OverTime(
        HearsHalf(), faces, match_level=False, overlap=0, **options
    )
    return np.concatenate([b.residual for b in over_time.separate(sound)])


def test_a_residual_is_kept_unless_all_are_in_view():
    assert np.allclose(residual(), 0.5)
    assert np.allclose(residual(all_in_view=True), 0.0)
