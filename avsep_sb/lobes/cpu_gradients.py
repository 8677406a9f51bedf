"""Operators whose gradients torch takes the long way to on a CPU.

Same results, forward and backward; only the backward pass is written out.
They take the place of torch's while a model trains on a CPU in 32 bits or
more, and nowhere else.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable


def apply_here(*tensors):
    """Whether gradients will be asked for, and of a plain CPU computation.

    Arguments
    ---------
    tensors : torch.Tensor
        What enters the operator.

    Returns
    -------
    bool

    Example
    -------
    >>> apply_here(torch.ones(2))
    False
    >>> apply_here(torch.ones(2, requires_grad=True))
    True
    """
    return (
        torch.is_grad_enabled()
        and any(one.requires_grad for one in tensors)
        and all(
            one.device.type == "cpu"
            and one.dtype in (torch.float32, torch.float64)
            for one in tensors
        )
        and not torch.is_autocast_enabled("cpu")
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
        and torch._C._functorch.peek_interpreter_stack() is None
    )


def loops_apply(*tensors):
    """As :func:`apply_here`, for loops over arrays: in 32 bits alone.

    Arguments
    ---------
    tensors : torch.Tensor
        What enters the operator.

    Returns
    -------
    bool

    Example
    -------
    >>> loops_apply(torch.ones(2, requires_grad=True))
    True
    >>> loops_apply(torch.ones(2, requires_grad=True).double())
    False
    """
    return (
        apply_here(*tensors)
        and all(one.dtype == torch.float32 for one in tensors)
        and torch._C._len_torch_dispatch_stack() == 0
    )


class _SharedPReLU(torch.autograd.Function):
    """PReLU with one slope."""

    @staticmethod
    def forward(ctx, x, slope):
        ctx.save_for_backward(x, slope)
        return F.prelu(x, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, slope = ctx.saved_tensors
        for_x = for_slope = None
        if ctx.needs_input_grad[0]:
            for_x = torch.ops.aten.leaky_relu_backward(
                grad, x, slope.item(), False
            )
        if ctx.needs_input_grad[1]:
            for_slope = x.clamp(max=0.0).mul_(grad).sum().reshape(1)
        return for_x, for_slope


class _Repeat(torch.autograd.Function):
    """Nearest-neighbour resize."""

    @staticmethod
    def forward(ctx, x, frames):
        ctx.save_for_backward(frames)
        ctx.length = x.shape[-1]
        if x.dtype == torch.float32:
            return F.interpolate(x, size=len(frames), mode="nearest")
        return x.index_select(-1, frames)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (frames,) = ctx.saved_tensors
        twice = repeats_twice(frames, ctx.length)
        return sum_repeated(grad, frames, ctx.length, twice), None


def repeats_twice(frames, length):
    """Whether each frame is repeated twice, but perhaps for the last.

    Arguments
    ---------
    frames : torch.Tensor
        [T'], of :func:`avsep_sb.lobes.resize.nearest_frames`.
    length : int
        Frames before.

    Returns
    -------
    bool

    Example
    -------
    >>> repeats_twice(torch.tensor([0, 0, 1, 1, 2]), 3)
    True
    """
    if len(frames) not in (2 * length, 2 * length - 1):
        return False
    return bool((frames == torch.arange(len(frames)) // 2).all())


def sum_repeated(x, frames, length, twice):
    """Sum what was repeated: the gradient of a resize.

    Arguments
    ---------
    x : torch.Tensor
        [..., T']
    frames : torch.Tensor
        [T'], which frame each one repeats.
    length : int
        Frames before.
    twice : bool
        See :func:`repeats_twice`.

    Returns
    -------
    torch.Tensor
        [..., T]

    Example
    -------
    >>> frames = torch.tensor([0, 0, 1])
    >>> sum_repeated(torch.ones(1, 3), frames, 2, False).tolist()
    [[2.0, 1.0]]
    """
    if len(frames) == length:
        return x
    if not twice:
        made = x.new_zeros(*x.shape[:-1], length)
        return made.index_add_(-1, frames, x)
    made = x[..., 0::2].clone()
    made[..., : len(frames) // 2].add_(x[..., 1::2])
    return made


def shared_prelu(x, slope):
    """PReLU with one slope for all channels.

    Arguments
    ---------
    x : torch.Tensor
        Any shape.
    slope : torch.Tensor
        [1]

    Returns
    -------
    torch.Tensor
        As ``x``.

    Example
    -------
    >>> shared_prelu(torch.tensor([-2.0, 2.0]), torch.tensor([0.5])).tolist()
    [-1.0, 2.0]
    """
    return _SharedPReLU.apply(x, slope)


def repeat_frames(x, frames):
    """Repeat frames as told by their numbers.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    frames : torch.Tensor
        [T'], of :func:`avsep_sb.lobes.resize.nearest_frames`.

    Returns
    -------
    torch.Tensor
        [N, C, T']

    Example
    -------
    >>> x = torch.tensor([[[1.0, 2.0]]])
    >>> repeat_frames(x, torch.tensor([0, 0, 1])).tolist()
    [[[1.0, 1.0, 2.0]]]
    """
    return _Repeat.apply(x, frames)
