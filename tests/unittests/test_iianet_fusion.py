"""Fusion by attention: right pictures of time, right counts, no leaks.

That every strategy trains and refuses what it must is in test_iianet.py; here
is what attention could get wrong unseen.
"""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avsep_sb.lobes.attention import (
    AttentionLayer,
    DotProductAttention,
    positions,
)
from avsep_sb.lobes.iianet_fusion import STRATEGIES, AttentionFusion
from avsep_sb.macs import count_macs


def build(strategy, **changes):
    """A small fusion with fixed weights, in evaluation mode."""
    torch.manual_seed(0)
    make = {"layers": 2, "heads": 2, "hidden": 16, **changes}
    return AttentionFusion(8, 4, strategy, **make).eval()


def streams(num=2, length=90, frames=5):
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(num, 8, length, generator=generator),
        torch.randn(num, 4, frames, generator=generator),
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("length, frames", [(90, 5), (7, 5), (3, 8), (1, 1)])
@pytest.mark.parametrize("rate", [4, None])
def test_any_rate_and_length(strategy, length, frames, rate):
    audio, video = streams(2, length, frames)
    with torch.no_grad():
        new = build(strategy, rate=rate)(audio, video)
    for before, after in zip((audio, video), new, strict=True):
        assert after.shape == before.shape and after.isfinite().all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_stream_depends_on_the_other_and_on_no_other_item(strategy):
    fuse, (audio, video) = build(strategy), streams()
    with torch.no_grad():
        heard, seen = fuse(audio, video)
        other_heard, _ = fuse(audio, video.flip(2))
        _, other_seen = fuse(audio.flip(2), video)
        alone = fuse(audio[1:], video[1:])
        only, nothing = fuse(audio, video, need_video=False)
    assert (heard - other_heard).abs().max() > 1e-4
    assert (seen - other_seen).abs().max() > 1e-4
    assert torch.allclose(alone[0], heard[1:], atol=1e-5)
    assert torch.allclose(alone[1], seen[1:], atol=1e-5)
    assert torch.equal(only, heard) and nothing is None


def test_what_is_only_for_the_video_has_no_part_in_the_sound():
    for strategy in STRATEGIES:
        fuse, (audio, video) = build(strategy), streams()
        fuse(audio, video, need_video=False)[0].sum().backward()
        video_only = {
            weight for part in fuse.for_video() for weight in part.parameters()
        }
        for weight in fuse.parameters():
            assert (weight.grad is None) == (weight in video_only)


def test_attention_equals_that_of_torch():
    torch.manual_seed(0)
    layer = AttentionLayer(8, 2, 16, cross=True).eval()
    theirs = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    ours = (layer.query, layer.key, layer.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([x.weight for x in ours]))
        theirs.in_proj_bias.copy_(torch.cat([x.bias for x in ours]))
        theirs.out_proj.load_state_dict(layer.out.state_dict())
        x, other = torch.randn(3, 5, 8), torch.randn(3, 7, 8)
        query, key = layer.query_norm(x), layer.other_norm(other)
        y = x + theirs(query, key, key)[0]
        y = y + layer.narrow(layer.widen(layer.net_norm(y)).relu())
        assert torch.allclose(layer(x, other), y, atol=1e-6)


def test_positions_are_times():
    """The same time has nearly the same code at both rates."""
    slow = positions(25, 64, 25, torch.rand(1))
    fast = positions(250, 64, 25, torch.rand(1))
    near = torch.cdist(fast, slow).argmin(1)
    assert torch.equal(near, torch.arange(250) // 10)


def test_layers_and_products_are_counted():
    layer = AttentionLayer(8, 2, 16)
    macs = count_macs(layer, torch.rand(1, 5, 8))
    products = 2 * 5 * 5 * 8
    weights = 4 * 8 * 8 + 2 * 8 * 16
    assert macs.convs == 5 * weights + products
    biases, norms, relu = 5 * (4 * 8 + 16 + 8), 2 * 2 * 5 * 8, 5 * 16
    softmax, scaled = 5 * 5 * 2, 5 * 8
    assert macs.ptflops == (
        macs.convs + biases + norms + relu + softmax + scaled
    )


def test_count_of_products_equals_that_of_torch():
    query, key = torch.rand(2, 6, 8), torch.rand(2, 9, 8)
    with FlopCounterMode(display=False) as counter:
        (query @ key.transpose(1, 2)).softmax(-1) @ key
    products, _ = DotProductAttention(1).macs(query, key)
    assert 2 * products == counter.get_total_flops()
