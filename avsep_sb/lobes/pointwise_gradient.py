"""Convolutions of one tap, with the gradient of the weights by the BLAS.

What oneDNN does forward and for the input is at the speed of a matrix product;
for the weights it takes up to four times as long (with 1601 frames, 4.5 against
2.5 ms for 512 x 512 channels, 7.4 against 2.0 ms for 512 x 384), and leaves
them in an order that has to be changed. Where the BLAS is MKL on a processor of
Intel it does better; elsewhere MKL has half of oneDNN's speed (50 against 105
GMAC/s on an AMD EPYC), and torch's way stays.

Authors
 * avsep_sb contributors
"""

import functools
import platform
from pathlib import Path

import torch
from torch.autograd.function import once_differentiable

from avsep_sb.lobes import cpu_gradients

PROCESSORS = Path("/proc/cpuinfo")


@functools.cache
def blas_is_fast():
    """Whether torch multiplies matrices by MKL, on a processor of Intel.

    Returns
    -------
    bool

    Example
    -------
    >>> blas_is_fast() in (True, False)
    True
    """
    if not torch.backends.mkl.is_available():
        return False
    if PROCESSORS.is_file():
        return "GenuineIntel" in PROCESSORS.read_text(errors="replace")
    return "GenuineIntel" in platform.processor()


def apply_here(x, weight):
    """Whether it stands for a layer whose gradients are asked for.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T], what enters the layer.
    weight : torch.Tensor
        [C', C, 1]

    Returns
    -------
    bool

    Example
    -------
    >>> apply_here(torch.ones(1, 2, 3), torch.ones(4, 2, 1))
    False
    """
    return (
        weight.requires_grad
        and cpu_gradients.loops_apply(x, weight)
        and blas_is_fast()
    )


class _Pointwise(torch.autograd.Function):
    """Convolution of one tap over frames whose channels lie side by side."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        image = torch.conv2d(x.unsqueeze(2), weight.unsqueeze(2), bias)
        return image.squeeze(2)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        for_x = for_weight = for_bias = None
        come = grad.transpose(1, 2).flatten(0, 1)
        if ctx.needs_input_grad[0]:
            image = torch.ops.aten.convolution_backward(
                *(grad.unsqueeze(2), x.unsqueeze(2), weight.unsqueeze(2), None),
                *((1, 1), (0, 0), (1, 1), False, (0, 0), 1),
                (True, False, False),
            )[0]
            for_x = image.squeeze(2)
        if ctx.needs_input_grad[1]:
            rows = x.transpose(1, 2).flatten(0, 1)
            for_weight = (come.t() @ rows).unsqueeze(-1)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            for_bias = come.sum(0)
        return for_x, for_weight, for_bias


def pointwise(x, weight, bias=None):
    """Convolution of one tap.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T], channels side by side in memory.
    weight : torch.Tensor
        [C', C, 1]
    bias : torch.Tensor, optional
        [C']

    Returns
    -------
    torch.Tensor
        [N, C', T]

    Example
    -------
    >>> pointwise(torch.ones(2, 3, 4), torch.ones(5, 3, 1))[0, 0]
    tensor([3., 3., 3., 3.])
    """
    return _Pointwise.apply(x, weight, bias)
