"""A-FRCNN: the block that BIN and AVLiT run again and again.

Hu et al., "Speech Separation Using an Asynchronous Fully Recurrent
Convolutional Neural Network", NeurIPS 2021, in the form that AVLiT and BIN
use: scales from fine to coarse, each then joined with its neighbours, and all
of them with the finest.

Joining means a 1x1 convolution of a concatenation in which coarse signals are
repeated to the fine rate. A 1x1 convolution commutes with repeating frames,
so here each signal is filtered at its own rate by its part of the weights,
then repeated and added: the same numbers from fewer products. Inside the block
the channels of a frame lie side by side in memory, which is what most of its
speed comes from (:mod:`avsep_sb.lobes.channels_last`).

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

from avsep_sb.lobes.channels_last import (
    FrameConv1d,
    FrameConvNorm,
    FramePReLU,
    channels_last,
    filter_frames,
    resize_frames,
)

KERNEL_SIZE = 5


class JoinConv1d(nn.Conv1d):
    """1x1 convolution of signals of different frame rates, side by side.

    Equals ``Conv1d`` on the concatenation of all signals, each brought to the
    rate of the first one, and has its weights, but filters before it repeats.

    Arguments
    ---------
    channels : int
        Channels of each signal, and of the result.
    num_signals : int
        How many signals are joined.

    Example
    -------
    >>> import torch
    >>> fine, coarse = torch.rand(2, 4, 9), torch.rand(2, 4, 3)
    >>> join = JoinConv1d(4, 2)
    >>> join.weight.shape, join(fine, coarse).shape
    (torch.Size([4, 8, 1]), torch.Size([2, 4, 9]))
    """

    def __init__(self, channels, num_signals):
        super().__init__(num_signals * channels, channels, 1)

    def forward(self, *signals):
        """Join.

        Arguments
        ---------
        *signals : torch.Tensor
            [N, channels, T] first, then [N, channels, T'] for any T'.

        Returns
        -------
        torch.Tensor
            [N, channels, T]
        """
        weights = self.weight.chunk(len(signals), 1)
        total = filter_frames(signals[0], weights[0], self.bias)
        for signal, weight in zip(signals[1:], weights[1:], strict=True):
            part = filter_frames(signal, weight)
            part = resize_frames(part, total.shape[-1])
            if torch.is_grad_enabled():
                # In place would copy the gradient, as the sum is a view.
                total = total + part
            else:
                total += part
        return total


def join(channels, num_signals):
    """Make a layer that joins signals, then global layer norm and PReLU.

    Arguments
    ---------
    channels : int
        Channels of each signal, and of the result.
    num_signals : int
        How many signals are joined.

    Returns
    -------
    torch.nn.Module
        From signals as :class:`JoinConv1d` takes them.

    Example
    -------
    >>> import torch
    >>> join(4, 2)(torch.rand(2, 4, 9), torch.rand(2, 4, 3)).shape
    torch.Size([2, 4, 9])
    """
    return FrameConvNorm(JoinConv1d(channels, num_signals), FramePReLU())


class AFRCNN(nn.Module):
    """Looks at a signal at several rates, and lets these inform each other.

    Arguments
    ---------
    in_channels : int
        Channels of the signal, in and out.
    channels : int
        Channels inside.
    depth : int
        Number of scales, at least 2; each has half the rate of the last one.
    residual : bool
        Add the input to the result, as AVLiT was published. BIN, and AVLiT
        as the baseline of the BIN paper, do not.

    Example
    -------
    >>> import torch
    >>> AFRCNN(4, 8, depth=3)(torch.rand(2, 4, 21)).shape
    torch.Size([2, 4, 21])
    """

    def __init__(self, in_channels, channels, depth=5, residual=False):
        super().__init__()
        if depth < 2:
            raise ValueError(f"depth must be at least 2 scales, not {depth}.")
        self.residual = residual
        self.project = FrameConvNorm(
            FrameConv1d(in_channels, channels), FramePReLU()
        )

        def filter_each(stride):
            size = (channels, channels, KERNEL_SIZE, stride)
            return FrameConvNorm(FrameConv1d(*size, depthwise=True))

        self.scales = nn.ModuleList(
            filter_each(1 if level == 0 else 2) for level in range(depth)
        )
        self.from_finer = nn.ModuleList(
            filter_each(2) for _ in range(depth - 1)
        )
        # The finest and the coarsest scale have one neighbour, others two.
        self.neighbours = nn.ModuleList(
            join(channels, 2 if level in (0, depth - 1) else 3)
            for level in range(depth)
        )
        self.merge = join(channels, depth)
        self.output = FrameConv1d(channels, in_channels)

    def forward(self, x):
        """Run the block.

        Arguments
        ---------
        x : torch.Tensor
            [N, in_channels, T]

        Returns
        -------
        torch.Tensor
            [N, in_channels, T], channels side by side in memory.
        """
        x = channels_last(x)
        scale = self.project(x)
        scales = []
        for layer in self.scales:
            scale = layer(scale)
            scales.append(scale)
        joined = []
        for level, layer in enumerate(self.neighbours):
            signals = [scales[level], *scales[level + 1 : level + 2]]
            if level > 0:
                finer = self.from_finer[level - 1](scales[level - 1])
                signals.insert(0, finer)
            joined.append(layer(*signals))
        result = self.output(self.merge(*joined))
        return result + x if self.residual else result
