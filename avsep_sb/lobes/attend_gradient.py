"""Norm, intra-attention and filters with gradients written out.

Layer by layer, a norm and a gate write and keep five features of full length
and read them many times over in the backward pass; torch's gradient of a
depthwise convolution costs three times the convolution. Here the forward pass
keeps what came in, and loops (:mod:`avsep_sb.lobes.attend_kernels`) go over
it twice in each direction. Same results; for training on a CPU in 32 bits
where numba is installed.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from avsep_sb.lobes import cpu_gradients
from avsep_sb.lobes.attend_kernels import compiled
from avsep_sb.lobes.resize import nearest_frames
from avsep_sb.lobes.torch_team import torch_team

# Values that a thread works on between two looks at what is left to do.
SHARE = 1 << 19


def apply_here(*tensors):
    """Whether the loops may stand for layers whose gradients are asked for.

    Arguments
    ---------
    tensors : torch.Tensor
        What enters the layers.

    Returns
    -------
    bool

    Example
    -------
    >>> apply_here(torch.ones(2))
    False
    """
    return cpu_gradients.loops_apply(*tensors) and compiled() is not None


def _rows(x):
    """[N, C, T] as an array [N C, T]."""
    return x.detach().contiguous().flatten(0, 1).numpy()


def _by_rows(function, *arrays):
    """Call a loop for all rows, on all threads."""
    team, (rows, length) = torch_team(), arrays[0].shape
    step = max(1, SHARE // max(1, length))
    step = max(1, min(step, -(-rows // team.count)))
    team.share(
        lambda i: function(*arrays, i * step, min((i + 1) * step, rows)),
        -(-rows // step),
    )


class _NormAttend(torch.autograd.Function):
    """out = norm(gain x) up(gate) + up(value), item by item."""

    @staticmethod
    def forward(ctx, x, gain, weight, bias, gate, value, eps):
        num, channels, length = x.shape
        x, gate = x.contiguous(), gate.contiguous()
        sums = torch.empty(2, num * channels)
        _by_rows(compiled().sum_rows, _rows(x), sums.numpy())
        total, squares = sums.double().reshape(2, num, channels)
        scaled, gamma, count = gain.double(), weight.double(), channels * length
        mean = (scaled * total).sum(1, keepdim=True) / count
        square = (scaled.square() * squares).sum(1, keepdim=True) / count
        rate = ((square - mean**2).clamp(min=0.0) + eps).rsqrt()
        maps = torch.stack(
            [gamma * scaled * rate, bias.double() - gamma * mean * rate]
        )
        maps = maps.float().reshape(2, -1)
        frames = nearest_frames(gate.shape[-1], length)
        firsts = torch.searchsorted(frames, torch.arange(gate.shape[-1] + 1))
        out = torch.empty_like(x)
        _by_rows(
            compiled().attend_forward,
            *(_rows(x), maps.numpy(), _rows(gate), _rows(value)),
            *(firsts.numpy(), _rows(out)),
        )
        ctx.save_for_backward(x, gain, weight, gate)
        ctx.known = total, squares, mean, rate, maps, firsts
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, gain, weight, gate = ctx.saved_tensors
        total, squares, mean, rate, maps, firsts = ctx.known
        num, channels, length = x.shape
        opened, for_gate = torch.empty_like(x), torch.empty_like(gate)
        for_value, sums = torch.empty_like(gate), torch.empty_like(maps)
        _by_rows(
            compiled().attend_backward,
            *(_rows(x), _rows(grad), maps.numpy(), _rows(gate)),
            *(firsts.numpy(), _rows(opened), _rows(for_gate)),
            *(_rows(for_value), sums.numpy()),
        )
        outer, inner = sums.double().reshape(2, num, channels)
        scaled, gamma, count = gain.double(), weight.double(), channels * length
        # What reaches the norm, times what it normalised.
        centred = rate * (scaled * inner - mean * outer)
        level = rate * (gamma * outer).sum(1, keepdim=True) / count
        tilt = rate**2 * (gamma * centred).sum(1, keepdim=True) / count
        for_gain = (
            gamma * rate * inner
            - level * total
            - tilt * (scaled * squares - mean * total)
        )
        back = torch.stack(
            [
                (scaled * gamma * rate).expand(num, -1),
                -(scaled**2) * tilt,
                scaled * (tilt * mean - level),
            ]
        )
        back = back.float().reshape(3, -1).numpy()
        _by_rows(compiled().norm_backward, _rows(x), _rows(opened), back)
        return (
            opened,
            for_gain.sum(0).float(),
            centred.sum(0).float(),
            outer.sum(0).float(),
            *(for_gate, for_value, None),
        )


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution of stride 1 that keeps the length."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        size = weight.shape[-1]
        return F.conv1d(x, weight, bias, 1, size // 2, 1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        num, channels, _ = x.shape
        taps = weight.detach().flatten(1).repeat(num, 1)
        for_x, for_taps = torch.empty_like(x), torch.empty_like(taps)
        _by_rows(
            compiled().filter_backward,
            *(_rows(x), _rows(grad), taps.numpy()),
            *(_rows(for_x), for_taps.numpy()),
        )
        for_weight = for_taps.reshape(num, *weight.shape).sum(0)
        for_bias = grad.sum((0, 2)) if ctx.has_bias else None
        return for_x, for_weight, for_bias


def norm_attend(x, gain, norm, gate, value):
    """Normalise a feature and let a coarser one attend to it (Eq. 2).

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    gain : torch.Tensor
        [C], a depthwise convolution of one tap before the norm.
    norm : avsep_sb.lobes.norms.GlobalLayerNorm
        The norm.
    gate, value : torch.Tensor
        [N, C, T'], T' at most T: what the coarse feature multiplies and adds.

    Returns
    -------
    torch.Tensor
        [N, C, T]
    """
    return _NormAttend.apply(
        x, gain, norm.weight, norm.bias, gate, value, norm.eps
    )


def depthwise(x, weight, bias=None):
    """Depthwise convolution of stride 1 that keeps the length.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    weight : torch.Tensor
        [C, 1, K], K odd.
    bias : torch.Tensor, optional
        [C]

    Returns
    -------
    torch.Tensor
        [N, C, T]
    """
    return _Depthwise.apply(x, weight, bias)
