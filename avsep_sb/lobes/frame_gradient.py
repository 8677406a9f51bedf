"""Norms, PReLUs and filters of frames, with gradients written out.

torch's gradients of a group norm, a PReLU and a depthwise convolution take
three to five times their forward passes. Here the forward pass keeps what
came in alone, and loops (:mod:`avsep_sb.lobes.frame_kernels`) go over it twice
in each direction. Same results; for training on a CPU in 32 bits where numba
is installed, on sequences whose channels lie side by side.

Authors
 * avsep_sb contributors
"""

import torch
from torch.autograd.function import once_differentiable

from avsep_sb.lobes import cpu_gradients
from avsep_sb.lobes.frame_kernels import compiled
from avsep_sb.lobes.iianet_rows import in_blocks
from avsep_sb.lobes.torch_team import torch_team

# Values of an item from which on the loops are faster: with 512 channels and
# 1601 frames 3.6 times, with 201 no more.
LEAST = 1 << 17


def apply_here(x, *weights):
    """Whether the loops may stand for layers whose gradients are asked for.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T], what enters the layers.
    *weights : torch.Tensor
        Theirs.

    Returns
    -------
    bool

    Example
    -------
    >>> apply_here(torch.ones(1, 2, 3))
    False
    """
    return (
        x[0].numel() >= LEAST
        and cpu_gradients.loops_apply(x, *weights)
        and compiled() is not None
    )


def _rows(x):
    """[N, C, T] as [N, T, C], without a copy where it lies so."""
    return x.detach().transpose(1, 2).contiguous()


def _sums(loop, length, shape, *given):
    """Sums that a loop makes over the frames of one item, float64."""

    def make(start, stop, sums):
        loop(*given, sums, start, stop)

    return in_blocks(torch_team(), length, make, *shape, block=length)


class _NormPReLU(torch.autograd.Function):
    """Global layer norm and PReLU, item by item."""

    @staticmethod
    def forward(ctx, x, weight, bias, slope, eps):
        do, rows = compiled(), _rows(x)
        length, channels = rows.shape[1:]
        out, ctx.seen = torch.empty_like(rows), []
        layer = weight.detach().numpy(), bias.detach().numpy()
        low = torch.ones(1) if slope is None else slope.detach()
        curve = torch.cat([1 + low, 1 - low]).div(2).numpy()
        for item, made in zip(rows, out, strict=True):
            array, to = item.numpy(), made.numpy()
            sums = _sums(do.sum_frames, length, (2, channels), array)
            maps = torch.empty(2, 1, channels).numpy()
            known = torch.empty(2, 1, dtype=torch.float64).numpy()
            sums = sums.numpy()[:, None]
            do.norm_maps(sums, *layer, eps, length, maps, known)
            maps = maps[:, 0]

            def bend(start, stop, array=array, maps=maps, to=to):
                do.bend_frames(array, maps, curve, to, start, stop)

            in_blocks(torch_team(), length, bend, block=length)
            ctx.seen.append((known, maps))
        ctx.save_for_backward(x, weight, low)
        ctx.has_slope = slope is not None
        return out.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight, low = ctx.saved_tensors
        do, rows, come = compiled(), _rows(x), _rows(grad)
        length, channels = rows.shape[1:]
        out, for_slope = torch.empty_like(rows), 0.0
        found = torch.zeros(2, channels, dtype=torch.float64)
        gamma = weight.detach().numpy()
        for number, (known, maps) in enumerate(ctx.seen):
            given = (
                *(rows[number].numpy(), come[number].numpy()),
                *(maps, low.detach().numpy()),
            )
            sums = _sums(do.sum_gradients, length, (3, channels), *given)
            for_slope = for_slope + sums[2].sum()
            back = torch.empty(3, 1, channels).numpy()
            do.norm_slopes(
                sums.numpy()[:2, None],
                *(known, gamma, length, back, found.numpy()),
            )
            back, to = back[:, 0], out[number].numpy()

            def spread(start, stop, given=given, back=back, to=to):
                do.spread_gradients(*given, back, to, start, stop)

            in_blocks(torch_team(), length, spread, block=length)
        return (
            *(out.transpose(1, 2), *found.float().unbind()),
            for_slope.float().reshape(1) if ctx.has_slope else None,
            None,
        )


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution whose forward pass is torch's."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride):
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.has_bias = stride, bias is not None
        size = weight.shape[-1]
        return torch.conv2d(
            x.unsqueeze(2),
            weight.unsqueeze(2),
            bias,
            (1, stride),
            (0, size // 2),
            1,
            len(weight),
        ).squeeze(2)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        do, rows, come = compiled(), _rows(x), _rows(grad)
        taps = weight.detach()[:, 0].t().contiguous()
        for_x, for_taps = torch.empty_like(rows), 0.0
        for number, made in enumerate(for_x):
            given = (
                *(rows[number].numpy(), come[number].numpy()),
                *(taps.numpy(), ctx.stride, made.numpy()),
            )
            sums = _sums(do.filter_gradients, len(made), taps.shape, *given)
            for_taps = for_taps + sums
        for_weight = for_taps.float().t().unsqueeze(1)
        for_bias = come.sum((0, 1)) if ctx.has_bias else None
        return for_x.transpose(1, 2), for_weight, for_bias, None


def norm_prelu(x, norm, act=None):
    """Normalise a sequence and, if wanted, bend it.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    norm : avsep_sb.lobes.norms.GlobalLayerNorm
        The norm.
    act : torch.nn.PReLU, optional
        With one slope.

    Returns
    -------
    torch.Tensor
        [N, C, T], channels side by side in memory.
    """
    slope = None if act is None else act.weight
    return _NormPReLU.apply(x, norm.weight, norm.bias, slope, norm.eps)


def depthwise(x, weight, bias=None, stride=1):
    """Depthwise convolution that keeps the length but for its stride.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    weight : torch.Tensor
        [C, 1, K], K odd.
    bias : torch.Tensor, optional
        [C]
    stride : int
        Step in frames.

    Returns
    -------
    torch.Tensor
        [N, C, ceil(T / stride)]
    """
    return _Depthwise.apply(x, weight, bias, stride)
