"""Gradients that are written out equal those of the layers."""

import pytest
import torch
from torch import nn

from avsep_sb.lobes import attend_gradient, attend_kernels, cpu_gradients
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.iianet_blocks import SharedPReLU
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


@pytest.mark.parametrize("size", [1, 3, 5])
def test_filter_backward(size):
    # Plain Python: what the loop says.
    x = torch.randn(2, 4, requires_grad=True)
    taps = torch.randn(2, size, requires_grad=True)
    grad = torch.randn(2, 4)
    out = nn.functional.conv1d(
        x[None], taps[:, None], padding=size // 2, groups=2
    )
    wanted = torch.autograd.grad(out, (x, taps), grad[None])
    made = torch.empty(2, 4), torch.empty(2, size)
    arrays = [one.detach().numpy() for one in (x, grad, taps, *made)]
    attend_kernels.filter_backward(*arrays, 0, 2)
    for ours, theirs in zip(made, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


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
