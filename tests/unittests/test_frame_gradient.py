"""Written-out gradients of frames' layers equal torch's."""

import pytest
import torch
from torch import nn

from avsep_sb.lobes import frame_gradient
from avsep_sb.lobes.channels_last import (
    FrameConv1d,
    FrameConvNorm,
    FramePReLU,
    channels_last,
)


def gradients(layer, x, weight):
    """The output, and the gradients of the input and of every weight."""
    layer.zero_grad()
    x = channels_last(x).clone().requires_grad_()
    out = layer(x)
    (out * weight).sum().backward()
    return [out.detach(), x.grad, *(one.grad for one in layer.parameters())]


@pytest.fixture
def any_size(monkeypatch):
    """The loops at sizes at which they would be slower."""
    pytest.importorskip("numba")
    monkeypatch.setattr(frame_gradient, "LEAST", 0)


@pytest.mark.parametrize("act", [None, FramePReLU])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("length", [1, 3, 20, 1300])
def test_equal_torchs(monkeypatch, any_size, length, stride, act):
    torch.manual_seed(0)
    layer = FrameConvNorm(
        FrameConv1d(6, 6, 5, stride, depthwise=True), act and act()
    )
    for one in layer.parameters():
        nn.init.normal_(one)
    x = torch.randn(3, 6, length) + 0.5
    weight = torch.randn(3, 6, -(-length // stride))
    loops = gradients(layer, x, weight)
    monkeypatch.setattr(frame_gradient, "compiled", lambda: None)
    layers = gradients(layer, x.detach(), weight)
    for ours, theirs in zip(loops, layers, strict=True):
        # Gradients of what a norm takes away are rounding errors alone.
        scale = theirs.abs().max() + 1e-2 * length**0.5
        assert (ours - theirs).abs().max() <= 1e-5 * scale


def test_they_are_used_where_they_gain(monkeypatch, any_size):
    layer = FrameConvNorm(FrameConv1d(4, 4, 5, depthwise=True), FramePReLU())
    x = torch.randn(1, 4, 9, requires_grad=True)
    assert "_NormPReLU" in layer(x).grad_fn.name()
    monkeypatch.setattr(frame_gradient, "LEAST", 100)
    assert "_NormPReLU" not in layer(x).grad_fn.name()
    monkeypatch.setattr(frame_gradient, "LEAST", 0)
    assert "_NormPReLU" not in layer.double()(x.double()).grad_fn.name()


def test_frozen_weights_get_no_gradient(any_size):
    layer = FrameConvNorm(FrameConv1d(4, 4, 5, depthwise=True), FramePReLU())
    layer.requires_grad_(False)
    x = torch.randn(1, 4, 9, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert all(one.grad is None for one in layer.parameters())
