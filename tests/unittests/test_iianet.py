"""IIANet keeps its contract in every form and variant.

Shapes, any length, silence, no leak between the items of a batch, gradients
to every weight that trains, outputs that follow the faces, refusal of what is
not a model, and the paper's sizes.
"""

import pytest
import torch
import torch.nn.functional as F

from avsep_sb.errors import CheckpointError
from avsep_sb.inference.iianet_keys import (
    infer_model_args,
    official_to_ours,
    ours_to_official,
)
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.iianet_blocks import IntraAttention
from avsep_sb.lobes.norms import GlobalLayerNorm
from avsep_sb.lobes.resize import resize

TOY = {
    "out_channels": 6,
    "in_channels": 10,
    "vpre_channels": 7,
    "vin_channels": 4,
    "num_av_cycles": 2,
    "num_audio_cycles": 1,
    "depth": 3,
}


def fusion(strategy, **changes):
    """Arguments of a small fusion by attention."""
    options = {"layers": 1, "heads": 1, "hidden": 8, "rate": 2, **changes}
    return {"control": 2, "fusion": strategy, "fusion_options": options}


VARIANTS = {
    "paper": {},
    "release": {"form": "release"},
    "strict": {"form": "strict"},
    "strict_no_b": {"form": "strict", "inter_bottom": False},
    "phi_prime": {"phi_prime": True},
    "control1": {"control": 1},
    "control2": {"control": 2},
    "no_t": {"inter_top": False},
    "no_m": {"inter_middle": False},
    "no_b": {"inter_bottom": False},
    "only_t": {"inter_middle": False, "inter_bottom": False},
    "only_m": {"inter_top": False, "inter_bottom": False},
    "one_cycle": {"num_av_cycles": 1, "num_audio_cycles": 0},
    "one_av": {"num_av_cycles": 1},
    "one_av_release": {"num_av_cycles": 1, "form": "release"},
    "one_av_only_t": {
        "num_av_cycles": 1,
        "inter_middle": False,
        "inter_bottom": False,
    },
    "fusion_sa": fusion("sa"),
    "fusion_ca": fusion("ca"),
    "fusion_sa_ca": fusion("sa+ca"),
    "fusion_one_av": {**fusion("sa+ca"), "num_av_cycles": 1},
    "coarse": {"kernel_size": 64, "stride": 32, "num_filters": 12},
    "no_overlap": {"kernel_size": 8, "stride": 8},
}
AUDIO_ONLY = {
    "audio_only": {},
    "audio_only_strict": {"form": "strict"},
    "audio_only_official": {"official_decoder": True},
    "audio_only_phi_prime": {"phi_prime": True},
}


def build(**changes):
    """A small model with fixed weights, in evaluation mode."""
    torch.manual_seed(0)
    return IIANet(**{**TOY, **changes}).eval()


def toy_input(num_batch=2, num_samples=600, faces=2, frames=5):
    """Mixtures [B, T] and lips [B, S, Tv, C] of the toy size."""
    generator = torch.Generator().manual_seed(1)
    mix = torch.randn(num_batch, num_samples, generator=generator)
    visual = torch.randn(num_batch, faces, frames, 7, generator=generator)
    return mix, visual


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_uses_the_lips_and_trains(variant):
    net = build(**VARIANTS[variant]).train()
    mix, visual = toy_input()
    estimate = net(mix, visual)
    assert estimate.shape == (2, 600, 2)
    estimate.square().mean().backward()
    for name, weight in net.named_parameters():
        # Exactly the weights that train get a gradient: distributed training
        # waits for each of them.
        assert (weight.grad is not None) == weight.requires_grad, name
    net.eval()
    with torch.no_grad():
        moved = net(mix, visual) - net(mix, visual + 1.0 + visual.flip(2))
    assert moved.abs().max() > 1e-6


@pytest.mark.parametrize("variant", AUDIO_ONLY)
def test_audio_only(variant):
    net = build(audio_only=True, num_sources=2, **AUDIO_ONLY[variant])
    mix, visual = toy_input()
    estimate = net(mix)
    assert estimate.shape == (2, 600, 2)
    assert torch.equal(estimate, net(mix, visual))
    assert not torch.allclose(estimate[..., 0], estimate[..., 1])
    estimate.square().mean().backward()
    assert all(weight.grad is not None for weight in net.parameters())


@pytest.mark.parametrize("codec", [(16, 4), (64, 32), (6, 3), (8, 8), (2, 1)])
@pytest.mark.parametrize("num_samples", [1, 2, 15, 16, 17, 63, 641])
def test_any_length(codec, num_samples):
    net = build(kernel_size=codec[0], stride=codec[1])
    mix, visual = toy_input(1, num_samples, 1, 1)
    with torch.no_grad():
        estimate = net(mix, visual)
    assert estimate.shape == (1, num_samples, 1)
    assert estimate.isfinite().all()


@pytest.mark.parametrize("codec", [(16, 4), (64, 32), (6, 3), (8, 8)])
def test_decoder_undoes_the_encoder_in_place(codec):
    """A filter that copies its window gives the signal back, unshifted."""
    size, stride = codec
    net = build(kernel_size=size, stride=stride, num_filters=size)
    with torch.no_grad():
        net.codec.encoder.weight.copy_(torch.eye(size)[:, None])
        net.codec.decoder.weight.copy_(torch.eye(size)[:, None])
    mix = torch.randn(1, 203)
    copies = size / stride
    wave = net.codec.decode(net.codec.encode(mix)[:, None], 203) / copies
    # Away from the ends every sample lies in the same number of windows.
    assert torch.allclose(wave[0, 0], mix[0], atol=1e-6)


def test_silence_gives_silence():
    mix, visual = toy_input()
    for changes in ({}, {"form": "release"}, {"form": "strict"}):
        net = build(**changes)
        estimate = net(mix * 0.0, visual * 0.0)
        assert torch.equal(estimate, torch.zeros_like(estimate))
        estimate.sum().backward()
        grads = [w.grad for w in net.parameters() if w.grad is not None]
        assert all(grad.isfinite().all() for grad in grads)


def test_items_and_faces_do_not_leak():
    net = build()
    mix, visual = toy_input(3)
    together = net(mix, visual)
    for item in range(3):
        alone = net(mix[item : item + 1], visual[item : item + 1])
        assert torch.allclose(together[item], alone[0], atol=1e-6)
    for face in range(2):
        alone = net(mix, visual[:, face : face + 1])
        assert torch.allclose(together[..., face], alone[..., 0], atol=1e-6)


def test_voices_follow_the_faces():
    net = build()
    mix, visual = toy_input()
    swapped = net(mix, visual.flip(1))
    assert torch.allclose(net(mix, visual).flip(-1), swapped, atol=1e-6)


def test_visual_mask_hides_frames():
    net = build()
    mix, visual = toy_input()
    mask = torch.ones(2, 2, 5, dtype=torch.bool)
    assert torch.equal(net(mix, visual, mask), net(mix, visual))
    mask[:, :, 3:] = False
    hidden = visual.clone()
    hidden[:, :, 3:] = 0.0
    # What is hidden may be anything, even not a number.
    visual[:, :, 3:] = float("nan")
    assert torch.equal(net(mix, visual, mask), net(mix, hidden))


def test_two_outputs_per_face():
    net = build(form="release", num_sources=2, official_decoder=True)
    mix, visual = toy_input()
    assert net(mix, visual[:, :1]).shape == (2, 600, 2)
    with pytest.raises(ValueError, match="one face per mixture"):
        net(mix, visual)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"form": "printed"}, "form must be"),
        ({"kernel_size": 15}, "even"),
        ({"stride": 5}, "divide"),
        ({"num_filters": 0}, "num_filters"),
        ({"depth": 1}, "depth"),
        ({"num_sources": 0}, "num_sources"),
        ({"num_av_cycles": 0}, "audio_only"),
        ({"num_av_cycles": 0, "num_audio_cycles": 0}, "sum"),
        ({"num_audio_cycles": -1}, "negative"),
        ({"official_decoder": True}, "official_decoder"),
        ({"control": 3}, "control"),
        ({"control": 2, "form": "release"}, "paper"),
        ({"control": 1, "inter_top": False}, "leave out"),
        ({"control": 1, "phi_prime": True}, "phi_prime"),
        ({"form": "strict", "phi_prime": True}, "phi_prime"),
        ({"form": "release", "inter_bottom": True}, "no InterA-B"),
        ({"audio_only": True, "inter_top": False}, "audio-only"),
        ({"audio_only": True, "control": 1}, "audio-only"),
        ({"fusion": "sa"}, "set control to 2"),
        ({"fusion": "sa", "control": 1}, "set control to 2"),
        ({"audio_only": True, "fusion": "sa"}, "set control to 2"),
        (fusion("sum"), "fusion must be"),
        (fusion("sa", layers=0), "at least 1"),
        (fusion("sa", rate=0), "at least 1"),
        (fusion("ca", heads=2), "multiples of 4"),
        (
            {"inter_top": False, "inter_middle": False, "inter_bottom": False},
            "no lip reaches",
        ),
    ],
)
def test_what_is_no_model_is_refused(changes, said):
    with pytest.raises(ValueError, match=said) as caught:
        build(**changes)
    assert str(caught.value).endswith(".")


def test_wrong_input_is_refused():
    net = build()
    mix, visual = toy_input()
    for bad_mix, bad_visual, bad_mask in (
        (mix, None, None),
        (mix[0], visual, None),
        (mix[:, :0], visual, None),
        (mix, visual[:1], None),
        (mix, visual[:, :0], None),
        (mix, visual[:, :, :0], None),
        (mix, visual[..., :3], None),
        (mix, visual, torch.ones(2, 2, 4)),
    ):
        with pytest.raises(ValueError):
            net(bad_mix, bad_visual, bad_mask)


def test_sizes_of_the_paper():
    """Counts of parameters at full size (Tables 2 and 4, App. E)."""
    for changes, count in (
        ({}, 3_119_550),
        ({"form": "release"}, 3_036_670),
        ({"control": 2}, 2_292_350),
        ({"audio_only": True}, 2_067_518),
        (
            {"audio_only": True, "num_sources": 2, "official_decoder": True},
            2_069_111,
        ),
    ):
        net = IIANet(**changes)
        assert sum(weight.numel() for weight in net.parameters()) == count


def test_norm_equals_group_norm_and_keeps_fp32():
    norm = GlobalLayerNorm(4)
    x = 1e-4 * torch.randn(2, 4, 50)
    expected = F.group_norm(x, 1, norm.weight, norm.bias, 1e-8)
    assert torch.equal(norm(x), expected)
    # In 16 bits the variance of this signal would be lost.
    half = norm(x.bfloat16())
    assert half.dtype == torch.bfloat16
    expected = F.group_norm(x.bfloat16().float(), 1, eps=1e-8)
    assert torch.allclose(half.float(), expected, atol=0.02)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(norm(x.bfloat16()), half)


def test_sixteen_bits_stay_close():
    for variant in ("paper", "strict", "phi_prime"):
        net = build(**VARIANTS[variant])
        mix, visual = toy_input()
        with torch.autocast("cpu", torch.bfloat16):
            half = net(mix, visual).float()
        error = (half - net(mix, visual)).square().mean()
        assert error < 1e-2 * half.square().mean(), variant


def test_norm_with_repeats_equals_norm_of_the_long_signal():
    norm = GlobalLayerNorm(4)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0)
        norm.bias.normal_()
    x = torch.randn(2, 4, 7)
    repeats = torch.tensor([1, 2, 3, 0, 5, 1, 4])
    long = norm(x.repeat_interleave(repeats, -1))
    short = norm(x, repeats).repeat_interleave(repeats, -1)
    assert torch.allclose(long, short, atol=1e-5)


def test_resizing_first_is_what_it_says():
    torch.manual_seed(0)
    attend = IntraAttention(4, 1, resize_first=True)
    fine, coarse = torch.randn(2, 4, 17), torch.randn(2, 4, 5)
    expected = attend(fine, resize(coarse, 17))
    assert torch.allclose(attend(fine, coarse), expected, atol=1e-5)


def test_resize_picks_the_same_frames_in_every_precision():
    """126 -> 2014 differs between 32-bit and exact arithmetic."""
    x = torch.arange(126.0)[None, None]
    single = F.interpolate(x, size=2014, mode="nearest")
    exact = torch.arange(2014) * 126 // 2014
    assert not torch.equal(single[0, 0].long(), exact)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert torch.equal(resize(x.to(dtype), 2014).float(), single)
    assert resize(x, 126) is x


def test_keys_go_there_and_back():
    net = build(form="release")
    state = net.state_dict()
    official = ours_to_official(state)
    assert list(official_to_ours(official)) == list(state)
    args = infer_model_args(official)
    assert {key: args[key] for key in args if key in TOY} == {
        key: TOY[key] for key in args if key in TOY
    }
    old = {
        "audio_model."
        + key.replace("InterA_T", "mlp_avfusion")
        .replace("InterA_B_A", "concat_block")
        .replace("InterA_B_V", "video_concat"): value
        for key, value in official.items()
    }
    old["video_model.trunk.weight"] = torch.zeros(1)
    assert official_to_ours(old).keys() == state.keys()
    assert infer_model_args(old) == args


def test_foreign_keys_are_refused():
    with pytest.raises(CheckpointError, match="unknown"):
        official_to_ours({"masker.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="lacks .*pre_v.weight"):
        infer_model_args({"encoder.weight": torch.zeros(9, 1, 16)})
    with pytest.raises(CheckpointError, match="no name in the official"):
        ours_to_official(build().state_dict())
