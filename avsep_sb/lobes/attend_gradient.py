"""Filter, norm and intra-attention as one layer, with gradients written out.

Layer by layer, a depthwise convolution, a norm and a gate write and keep six
features of full length and read them many times over in the backward pass.
Here the forward pass keeps what came in alone, and loops
(:mod:`avsep_sb.lobes.attend_kernels`) go over it twice in each direction. Same
results; for training on a CPU in 32 bits where numba is installed.

Authors
 * avsep_sb contributors
"""

import torch
from torch.autograd.function import once_differentiable

from avsep_sb.lobes import cpu_gradients
from avsep_sb.lobes.attend_kernels import compiled
from avsep_sb.lobes.norms import GlobalLayerNorm
from avsep_sb.lobes.resize import nearest_frames
from avsep_sb.lobes.torch_team import torch_team

# With fewer values than this a second thread takes longer to start.
ALONE = 1 << 16


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


def stands_for(conv, norm, x):
    """Whether the loops may stand for a filter and a norm.

    Arguments
    ---------
    conv : torch.nn.Module
        The one layer.
    norm : torch.nn.Module
        The other.
    x : torch.Tensor
        [N, C, T], what enters them.

    Returns
    -------
    bool

    Example
    -------
    >>> conv, x = torch.nn.Conv1d(4, 4, 1), torch.ones(1, 4, 2)
    >>> stands_for(conv, GlobalLayerNorm(4), x)
    False
    """
    return (
        isinstance(conv, torch.nn.Conv1d)
        and type(norm) is GlobalLayerNorm
        and conv.groups == conv.in_channels == conv.out_channels
        and conv.kernel_size[0] % 2 == 1
        and conv.padding == (conv.kernel_size[0] // 2,)
        and conv.stride in ((1,), (2,))
        and conv.dilation == (1,)
        and apply_here(x, conv.weight, norm.weight)
    )


def _rows(x):
    """[N, C, T] as an array [N C, T]."""
    return x.detach().contiguous().flatten(0, 1).numpy()


def _by_rows(function, *arrays):
    """Call a loop for all rows, on all threads."""
    rows, length = arrays[0].shape
    if rows * length <= ALONE:
        function(*arrays, 0, rows)
        return
    team = torch_team()
    # One part for each thread: to begin another takes as long as small ones do.
    step = -(-rows // team.count)
    team.share(
        lambda i: function(*arrays, i * step, min((i + 1) * step, rows)),
        -(-rows // step),
    )


class _FilterNorm(torch.autograd.Function):
    """out = norm(filter(x)), or norm(filter(x)) up(gate) + up(value)."""

    @staticmethod
    def forward(ctx, x, taps, bias, weight, shift, gate, value, stride, eps):
        x = x.contiguous()
        num, channels, length = x.shape
        made = -(-length // stride)
        own_bias = taps.new_zeros(channels) if bias is None else bias
        ctx.filter = (
            taps.detach().flatten(1).contiguous().numpy(),
            own_bias.detach().numpy(),
            made if stride == 2 else 0,
        )
        sums = torch.empty(2, num * channels).numpy()
        given = _rows(x), *ctx.filter
        do = compiled()
        _by_rows(do.sum_rows, *given, made, sums)
        maps = torch.empty(2, num * channels).numpy()
        ctx.known = torch.empty(2, num, dtype=torch.float64).numpy()
        do.norm_maps(
            sums.reshape(2, num, channels),
            *(weight.detach().numpy(), shift.detach().numpy(), eps, made),
            maps.reshape(2, num, channels),
            ctx.known,
        )
        out = x.new_empty(num, channels, made)
        ctx.has_bias = bias is not None
        ctx.gated, firsts = gate is not None, torch.zeros(1, dtype=torch.int64)
        if gate is None:
            gate = value = x.new_empty(num, channels, 0)
        else:
            gate = gate.contiguous()
            frames = nearest_frames(gate.shape[-1], made)
            coarse = torch.arange(gate.shape[-1] + 1)
            firsts = torch.searchsorted(frames, coarse)
        ctx.maps, ctx.firsts = maps, firsts.numpy()
        _by_rows(
            do.attend_forward,
            *(*given, maps, _rows(gate), _rows(value), ctx.firsts, _rows(out)),
        )
        ctx.save_for_backward(x, weight, gate)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight, gate = ctx.saved_tensors
        do, given, come = compiled(), (_rows(x), *ctx.filter), _rows(grad)
        num, channels, made = grad.shape
        gating = _rows(gate), ctx.firsts
        for_gates = gate.new_empty(2, *gate.shape)
        sums = torch.empty(2, num * channels).numpy()
        _by_rows(
            do.attend_sums,
            *(*given, come, ctx.maps, *gating),
            *(for_gates.flatten(1, 2).numpy(), sums),
        )
        back = torch.empty(3, num * channels).numpy()
        found = torch.zeros(2, channels, dtype=torch.float64)
        do.norm_slopes(
            sums.reshape(2, num, channels),
            *(ctx.known, weight.detach().numpy(), made),
            *(back.reshape(3, num, channels), found.numpy()),
        )
        for_x, taps = torch.empty_like(x), ctx.filter[0]
        for_taps = x.new_empty(num * channels, taps.shape[1])
        for_bias = x.new_empty(num * channels)
        _by_rows(
            do.attend_backward,
            *(*given, come, back, *gating),
            *(_rows(for_x), for_taps.numpy(), for_bias.numpy()),
        )
        for_taps = for_taps.reshape(num, channels, 1, -1).sum(0)
        for_bias = for_bias.reshape(num, channels).sum(0)
        return (
            *(for_x, for_taps, for_bias if ctx.has_bias else None),
            *found.float().unbind(),
            *(for_gates.unbind() if ctx.gated else (None, None)),
            *(None, None),
        )


def filter_norm(x, conv, norm, gate=None, value=None):
    """Filter and normalise a feature, and let a coarser one attend (Eq. 2).

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    conv : avsep_sb.lobes.iianet_blocks.DepthwiseConv1d
        Of stride 1 or 2.
    norm : avsep_sb.lobes.norms.GlobalLayerNorm
        The norm.
    gate, value : torch.Tensor, optional
        [N, C, F], F at most T / stride: what the coarse feature multiplies and
        adds.

    Returns
    -------
    torch.Tensor
        [N, C, T / stride]
    """
    return _FilterNorm.apply(
        *(x, conv.weight, conv.bias, norm.weight, norm.bias),
        *(gate, value, conv.stride[0], norm.eps),
    )
