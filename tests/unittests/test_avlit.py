"""AVLiT keeps its contract in both forms, at any length and count of faces."""

import pytest
import torch

from avsep_sb.inference.bin_keys import (
    infer_model_args,
    official_to_ours,
    ours_to_official,
    split_frontend,
)
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.macs import count_macs
from avsep_sb.receptive_field import conv_reach
from tests.utils.toy_bin import toy_input

TOY = {
    "audio_blocks": 3,
    "video_blocks": 2,
    "embedding_dim": 7,
    "bottleneck_channels": 4,
    "audio_channels": 8,
    "video_channels": 6,
    "depth": 3,
    "num_filters": 10,
}


def build(**changes):
    """A small model with fixed weights, in evaluation mode."""
    torch.manual_seed(0)
    return AVLiT(**{**TOY, **changes}).eval()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"residual": False},
        {"fusion_positions": [2]},
        {"fusion_positions": (0, 1, 2)},
        {"audio_blocks": 1, "video_blocks": 1},
        {"codec": "spectral"},
    ],
)
def test_variant_uses_the_faces_and_trains(changes):
    net = build(**changes).train()
    mix, visual = toy_input()
    estimate = net(mix, visual)
    assert estimate.shape == (2, 600, 2)
    estimate.square().mean().backward()
    for name, weight in net.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
    net.eval()
    with torch.no_grad():
        moved = net(mix, visual) - net(mix, visual + 1.0 + visual.flip(2))
    assert moved.abs().max() > 1e-6


def test_every_argument_matters():
    """The same weights, another graph: another output."""
    state = build().state_dict()
    inputs = toy_input()
    base = build()(*inputs)
    for changes in (
        {"residual": False},
        {"fusion_positions": [1]},
        {"fusion_positions": [0, 1]},
        {"audio_blocks": 4},
        {"video_blocks": 1},
    ):
        net = build(**changes)
        net.load_state_dict(state)
        assert (net(*inputs) - base).abs().max() > 1e-6, changes


def test_lips_come_in_at_their_position():
    """Before the first fusion, the sound knows nothing of the faces."""
    net = build(fusion_positions=[2])
    seen = []
    net.audio_branch.block.register_forward_hook(
        lambda module, args, output: seen.append(output)
    )
    mix, visual = toy_input()
    net(mix, visual)
    net(mix, visual + 1.0 + visual.flip(2))
    moved = [(seen[i] - seen[i + 3]).abs().max() for i in range(3)]
    assert moved[0] == moved[1] == 0.0
    assert moved[2] > 1e-6


def test_any_length_and_number_of_faces():
    net = build()
    for num_samples in (1, 159, 4000, 33333, 64000):
        for faces in (1, 2, 3, 4):
            frames = max(1, num_samples // 640)
            mix, visual = toy_input(1, num_samples, faces, frames)
            with torch.inference_mode():
                estimate = net(mix, visual)
            assert estimate.shape == (1, num_samples, faces)
            assert estimate.isfinite().all()
    # More frames of video than of sound.
    mix, visual = toy_input(frames=500)
    assert net(mix, visual).isfinite().all()


def test_items_do_not_leak_and_silence_is_silent():
    net = build()
    mix, visual = toy_input(3, faces=3)
    together = net(mix, visual)
    for item in range(3):
        alone = net(mix[item : item + 1], visual[item : item + 1])
        assert torch.allclose(together[item], alone[0], atol=1e-6)
    assert not net(mix * 0.0, visual).any()


def test_other_precisions_stay_close():
    net = build()
    mix, visual = toy_input()
    single = net(mix, visual)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(mix, visual).float()
    error = (half - single).square().mean()
    assert error < 1e-2 * single.square().mean()
    double = net.double()(mix.double(), visual.double())
    assert torch.allclose(double.float(), single, atol=1e-5)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"audio_blocks": 0}, "audio_blocks"),
        ({"video_blocks": 0}, "video_blocks"),
        ({"fusion_positions": []}, "fusion_positions"),
        ({"fusion_positions": [3]}, "0 to 2"),
        ({"fusion_positions": [-1]}, "0 to 2"),
    ],
)
def test_what_is_no_model_is_refused(changes, said):
    with pytest.raises(ValueError, match=said) as caught:
        build(**changes)
    assert str(caught.value).endswith(".")


def test_wrong_input_is_refused():
    mix, visual = toy_input()
    with pytest.raises(ValueError, match="no audio-only form"):
        build()(mix)
    with pytest.raises(ValueError, match="embedding_dim"):
        build(embedding_dim=14)(mix, visual)


def test_size_and_cost_of_the_reference():
    """AVLiT-8 for 2 s, measured on its code."""
    with torch.device("meta"):
        net = AVLiT()
        inputs = torch.empty(1, 32000), torch.empty(1, 2, 50, 1024)
    assert sum(weight.numel() for weight in net.parameters()) == 5_740_179
    cost = count_macs(net, *inputs).convs
    assert cost / 1e9 == pytest.approx(34.99, abs=0.006)
    assert conv_reach(net) == 2 * 8 * 32 * 20 + 79


def test_keys_go_there_and_back():
    net = build()
    official = ours_to_official(net.state_dict())
    frontend = {"video_encoder.encoder.layers.0.conv.bias": torch.ones(8)}
    separator, inside = split_frontend({**official, **frontend})
    assert list(separator) == list(official)
    assert list(inside) == ["encoder.layers.0.conv.bias"]
    args = infer_model_args(separator, "avlit")
    assert {name: TOY[name] for name in args if name in TOY} == {
        name: args[name] for name in args if name in TOY
    }
    copy = build(**args)
    copy.load_state_dict(official_to_ours(separator))
    inputs = toy_input()
    assert torch.equal(copy(*inputs), net(*inputs))
