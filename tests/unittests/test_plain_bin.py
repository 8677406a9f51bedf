"""Proves that BIN and AVLiT equal their plain forms in every setting."""

import importlib
from pathlib import Path

import pytest
import torch

from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN, POLICIES

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
