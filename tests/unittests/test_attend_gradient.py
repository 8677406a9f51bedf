"""Gradients that are written out equal those of the layers."""

import pytest
import torch
from torch import nn

from avsep_sb.lobes import (
    attend_gradient,
    attend_kernels,
    cpu_gradients,
    iianet_blocks,
)
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.iianet_blocks import DepthwiseConv1d, SharedPReLU
from avsep_sb.lobes.norms import GlobalLayerNorm
from avsep_sb.lobes.resize import nearest_frames, resize
from tests.unittests.test_iianet import TOY


def gradients(net, mix, visual):
    """The output, and the gradient of every weight."""
    net.zero_grad()
    out = net(mix, visual)
    out.square().sum().backward()
    return [out.detach()] + [
        weight.grad for weight in net.parameters() if weight.grad is not None
    ]


@pytest.mark.parametrize(
    "changes", [{}, {"depth": 5}, {"phi_prime": True}, {"form": "strict"}]
)
@pytest.mark.parametrize("samples", [5, 333])
def test_equal_those_of_layers(monkeypatch, changes, samples):
    pytest.importorskip("numba")
    torch.manual_seed(0)
    net = IIANet(**{**TOY, "dropout": 0.0, "drop_path": 0.0, **changes})
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.3)
    example = torch.randn(2, samples), torch.randn(2, 2, 3, 7)
    monkeypatch.setattr(iianet_blocks, "LEAST", 0)
    loops = gradients(net, *example)
    monkeypatch.setattr(attend_gradient, "compiled", lambda: None)
    monkeypatch.setattr(cpu_gradients, "apply_here", lambda *tensors: False)
    layers = gradients(net, *example)
    assert len(loops) == len(layers)
    for ours, theirs in zip(loops, layers, strict=True):
        assert (ours - theirs).norm() <= 1e-3 * theirs.norm() + 1e-6


@pytest.mark.parametrize("lengths", [(4, 8), (4, 7), (1, 5), (3, 16), (5, 5)])
def test_resize_and_its_gradient(lengths):
    length, new_length = lengths
    x = torch.randn(2, 3, length, dtype=torch.float64, requires_grad=True)
    frames = nearest_frames(length, new_length)
    assert torch.equal(resize(x, new_length), x[..., frames])
    assert torch.autograd.gradcheck(lambda x: resize(x, new_length), x)


def test_prelu_and_its_gradient():
    act = SharedPReLU().double()
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.equal(act(x), nn.PReLU().double()(x))
    assert torch.autograd.gradcheck(cpu_gradients.shared_prelu, (x, act.weight))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 7, 8])
def test_rows_of_filters(size, length, stride):
    """Plain Python: what the loops say."""
    x = torch.randn(length, requires_grad=True)
    taps = torch.randn(size, requires_grad=True)
    wanted = nn.functional.conv1d(
        x[None, None], taps[None, None], torch.ones(1), stride, size // 2
    )[0, 0]
    grad = torch.randn_like(wanted)
    back = torch.autograd.grad(wanted, (x, taps), grad)
    halves = len(wanted) if stride == 2 else 0
    room = [torch.empty(halves), torch.empty(length // 2)]
    more = [torch.empty_like(one) for one in room]
    made = torch.empty_like(wanted), torch.empty(length), torch.empty(size)
    row, own = x.detach().numpy(), taps.detach().numpy()
    room, more = ([one.numpy() for one in each] for each in (room, more))
    attend_kernels.filter_row(row, own, 1.0, *room, made[0].numpy())
    total = attend_kernels.filter_row_backward(
        *(row, grad.numpy(), own, *room, *more),
        *(made[1].numpy(), made[2].numpy()),
    )
    assert float(total) == pytest.approx(float(grad.sum()), abs=1e-5)
    for ours, theirs in zip(made, (wanted.detach(), *back), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("rows", [(1, 6), (3, 1000)])
@pytest.mark.parametrize(
    ("kernel", "stride", "bias", "coarse"),
    [
        (5, 1, True, None),
        (5, 2, True, None),
        (1, 1, False, 17),
        (3, 1, False, 67),
        (5, 1, True, 133),
    ],
)
def test_filters_norms_and_gates(kernel, stride, bias, coarse, rows):
    """One layer of ours against three; many rows go to several threads."""
    pytest.importorskip("numba")
    torch.manual_seed(0)
    num, channels = rows
    conv = DepthwiseConv1d(channels, kernel, stride, bias)
    norm = GlobalLayerNorm(channels)
    for weight in (norm.weight, norm.bias):
        nn.init.normal_(weight)
    x = (1 + torch.randn(num, channels, 133)).requires_grad_()
    given, gates = [x, *conv.parameters(), *norm.parameters()], ()
    wanted = norm(conv(x))
    if coarse is not None:
        gates = torch.rand(2, num, channels, coarse).requires_grad_().unbind()
        gate, value = (resize(one, 133) for one in gates)
        wanted = wanted * gate + value
    found = attend_gradient.filter_norm(x, conv, norm, *gates)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    grad = torch.randn_like(wanted)
    given += gates
    for ours, theirs in zip(
        torch.autograd.grad(found, given, grad, retain_graph=True),
        torch.autograd.grad(wanted, given, grad, retain_graph=True),
        strict=True,
    ):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm() + 1e-5


def test_not_where_layers_are_wanted():
    weight = torch.ones(3, requires_grad=True)
    assert cpu_gradients.apply_here(weight)
    for rule in (cpu_gradients.apply_here, attend_gradient.apply_here):
        with torch.no_grad():
            assert not rule(weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert not rule(weight)
        assert not rule(weight.detach())
        assert not rule(weight.half())


def test_checkpointed_cycles_have_the_same_gradients():
    torch.manual_seed(0)
    net = IIANet(**TOY, checkpoint_cycles=True)
    example = torch.randn(1, 200), torch.randn(1, 2, 3, 7)
    found = []
    for net.checkpoint_cycles in (True, False):
        # Dropout must draw the same when a cycle is computed again.
        torch.manual_seed(1)
        found.append([one.clone() for one in gradients(net, *example)])
    for less, more in zip(*found, strict=True):
        assert (less - more).norm() <= 1e-4 * more.norm() + 1e-6
