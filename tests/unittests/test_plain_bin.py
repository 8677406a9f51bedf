"""Proves that BIN and AVLiT equal their plain forms in every setting."""

import importlib
from pathlib import Path

import pytest
import torch

from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN, POLICIES
from avsep_sb.lobes.channels_last import FrameNorm, channels_last
from avsep_sb.lobes.window_layers import OverlapAdd, WindowConv1d

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "embedding_dim": 12,
    "bottleneck_channels": 4,
    "audio_channels": 8,
    "video_channels": 6,
    "num_filters": 10,
    "depth": 3,
}


@pytest.fixture
def plain(monkeypatch):
    """Imports a plain form as the scripts do."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return lambda name: importlib.import_module(f"plain.{name}")


def equal(net, plain_net, faces, samples=2001, batch=2):
    """Both forms give one output, and not nothing."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    plain_net = plain_net(net.eval())
    mix = torch.randn(batch, samples)
    visual = torch.randn(batch, faces, 5, 12)
    with torch.no_grad():
        theirs = plain_net(mix, visual)
        ours = net(mix, visual)
    with torch.inference_mode():
        quick = net(mix, visual)
    # The path with gradients, which training takes.
    slow = net(mix, visual).detach()
    assert theirs.abs().max() > 1e-3
    for form in (ours, quick, slow):
        assert torch.allclose(form, theirs, atol=2e-5)


@pytest.mark.parametrize("policy", POLICIES)
def test_bin(plain, policy):
    net = BIN(
        2, fusion_channels=3, token_policy=policy, token_length=7, **SMALL
    )
    equal(net, plain("bin").PlainBIN, faces=2)


@pytest.mark.parametrize("faces", [1, 3])
def test_any_number_of_faces(plain, faces):
    net = BIN(2, fusion_channels=3, token_length=7, **SMALL)
    equal(net, plain("bin").PlainBIN, faces)


@pytest.mark.parametrize("residual", [True, False])
def test_avlit(plain, residual):
    net = AVLiT(3, 2, (0, 2), residual=residual, **SMALL)
    equal(net, plain("avlit").PlainAVLiT, faces=2)


def test_shortest_mixture(plain):
    net = BIN(2, fusion_channels=3, token_length=7, **SMALL)
    equal(net, plain("bin").PlainBIN, faces=2, samples=1, batch=1)


@pytest.mark.parametrize("mean", [0.0, 1.0, 30.0])
def test_norm_of_signals_far_from_zero(mean):
    """Where the fast kernel loses digits, another one is taken."""
    torch.manual_seed(2)
    x = channels_last(mean + torch.randn(2, 64, 1200))
    norm = FrameNorm(64)
    theirs = norm.double()(x.double())
    assert torch.allclose(norm.float()(x).double(), theirs, atol=2e-5)


@pytest.mark.parametrize("stride", [20, 10, 40])
def test_windows_are_convolutions(stride):
    torch.manual_seed(3)
    size = (40, stride, 20)
    encode = WindowConv1d(1, 6, *size, bias=False)
    decode = OverlapAdd(6, 1, *size, bias=False)
    wave = torch.randn(2, 1, 400)
    frames = torch.nn.functional.conv1d(
        wave, encode.weight, None, stride, padding=20
    )
    assert torch.allclose(encode(wave), frames, atol=1e-5)
    waves = torch.nn.functional.conv_transpose1d(
        frames, decode.weight, None, stride, padding=20
    )
    assert torch.allclose(decode(frames), waves, atol=1e-5)


def test_traced_graphs_give_the_same():
    """While torch records, the layers call what it has for sequences."""
    net = BIN(2, fusion_channels=3, token_length=7, **SMALL).eval()
    given = torch.randn(1, 2001), torch.randn(1, 2, 5, 12)
    with torch.no_grad():
        traced = torch.jit.trace(net, given, check_trace=False)
        assert "native_group_norm" not in str(traced.inlined_graph)
        assert torch.allclose(traced(*given), net(*given), atol=1e-5)
