"""The parts of a causal IIANet, made of :mod:`avsep_sb.lobes.causal_blocks`.

Each has the weights, by name and shape, and computes the equations of the
class of the same purpose in ``iianet_blocks``, ``iianet_topdown``,
``iianet_ffn`` and ``iianet_inter``. Coarse frames are used once they are
complete, and held until the next one.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

from avsep_sb.lobes.causal_blocks import (
    CausalConv1d,
    CausalConvNorm,
    past_mean,
)
from avsep_sb.lobes.causal_memory import hold
from avsep_sb.lobes.causal_norm import normalise
from avsep_sb.lobes.iianet_topdown import LOCAL_KERNEL


class CausalBottomUp(nn.Module):
    """From the stream to ever coarser scales, and the sum of all of them.

    Arguments
    ---------
    in_channels, channels : int
        Channels of the stream, and inside.
    decays : list of float
        Decay of the statistics at each scale, finest first.
    kernel_size : int
        Frames seen by each depthwise convolution.
    act : torch.nn.Module
        Non-linearity after the projection.
    unit : int
        Period of the finest scale.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory, Span
    >>> net = CausalBottomUp(4, 8, [0.9, 0.8], 5, nn.PReLU())
    >>> scales, pooled = net(torch.rand(2, 4, 9), Memory(), Span(0, 9))
    >>> [scale.shape[-1] for scale in scales], pooled.shape
    ([9, 5], torch.Size([2, 8, 5]))
    """

    def __init__(self, in_channels, channels, decays, kernel_size, act, unit=1):
        super().__init__()
        self.unit = unit
        self.project = CausalConvNorm(
            in_channels, channels, 1, decays[0], bias=True, act=act
        )
        self.scales = nn.ModuleList(
            CausalConvNorm(
                channels,
                channels,
                kernel_size,
                decay,
                stride=1 if level == 0 else 2,
                depthwise=True,
                bias=True,
            )
            for level, decay in enumerate(decays)
        )

    def forward(self, x, memory, span):
        """Make the scales of a piece.

        Arguments
        ---------
        x : torch.Tensor
            [N, in_channels, T]
        memory : Memory
            The past.
        span : Span
            The piece.

        Returns
        -------
        tuple
            The scales, a list of [N, channels, T_i], and the sum of their
            means over the past of each frame of the coarsest.
        """
        x = self.project(x, memory)
        scales, period = [], self.unit
        for level, layer in enumerate(self.scales):
            x = layer(x, memory, span, period)
            if level:
                period *= 2
            scales.append(x)
        pooled = x
        for level, scale in enumerate(scales[:-1]):
            fine = self.unit << level
            pooled = pooled + past_mean(
                scale, memory, (self, level), span, fine, period
            )
        return scales, pooled


class CausalIntraAttention(nn.Module):
    """A coarse feature gates a fine one and is added to it (Eq. 2).

    Arguments
    ---------
    channels : int
        Channels of both.
    kernel_size : int
        Frames seen by the depthwise convolutions.
    fine_decay, coarse_decay : float
        Decay of the statistics of either.
    fine, coarse : int
        Their periods.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory, Span
    >>> phi = CausalIntraAttention(4, 5, 0.9, 0.8, 1, 4)
    >>> sound, top = torch.rand(2, 4, 20), torch.rand(2, 4, 5)
    >>> phi(sound, top, Memory(), Span(0, 20)).shape
    torch.Size([2, 4, 20])
    """

    def __init__(
        self, channels, kernel_size, fine_decay, coarse_decay, fine, coarse
    ):
        super().__init__()
        self.fine, self.coarse = fine, coarse
        make = {"kernel_size": kernel_size, "depthwise": True}
        self.local = CausalConvNorm(
            channels, channels, decay=fine_decay, **make
        )
        self.gate = CausalConvNorm(
            channels, channels, decay=coarse_decay, **make
        )
        self.value = CausalConvNorm(
            channels, channels, decay=coarse_decay, **make
        )

    def forward(self, fine, coarse, memory, span):
        """Attend.

        Arguments
        ---------
        fine : torch.Tensor
            [N, C, T]
        coarse : torch.Tensor
            [N, C, T']
        memory : Memory
            The past.
        span : Span
            The piece.

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        if coarse.shape[-1]:
            gate = self.gate.conv(coarse, memory)
            value = self.value.conv(coarse, memory)
            norms = [self.gate.norm, self.value.norm]
            both = normalise(torch.cat([gate, value], 1), memory, norms)
            gate, value = both.chunk(2, 1)
            both = torch.cat([torch.sigmoid(gate), value], 1)
        else:
            both = torch.cat([coarse, coarse], 1)
        both = hold(both, memory, self, span, self.coarse, self.fine)
        gate, value = both.chunk(2, 1)
        return torch.addcmul(value, self.local(fine, memory), gate)


class CausalTopDown(nn.Module):
    """From the top to the finest scale, with intra-attention (IntraA).

    Arguments
    ---------
    channels, out_channels : int
        Channels of the scales, and of the stream.
    decays : list of float
        Decay of the statistics at each scale, finest first.
    unit : int
        Period of the finest scale.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory, Span
    >>> net = CausalTopDown(8, 4, [0.9, 0.8])
    >>> memory, span = Memory(), Span(0, 9)
    >>> scales = [torch.rand(1, 8, 9), torch.rand(1, 8, 5)]
    >>> scales = net.spread(scales, torch.rand(1, 8, 5), memory, span)
    >>> net.merge(scales, memory, span).shape
    torch.Size([1, 4, 9])
    """

    def __init__(self, channels, out_channels, decays, unit=1):
        super().__init__()
        top = unit << (len(decays) - 1)
        self.from_top = nn.ModuleList(
            CausalIntraAttention(
                channels, 1, decay, decays[-1], unit << level, top
            )
            for level, decay in enumerate(decays)
        )
        self.between = nn.ModuleList(
            CausalIntraAttention(
                channels,
                LOCAL_KERNEL,
                decays[level],
                decays[level + 1],
                unit << level,
                unit << (level + 1),
            )
            for level in range(len(decays) - 1)
        )
        self.project = CausalConv1d(channels, out_channels, 1)

    def spread(self, scales, top, memory, span):
        """Let the top feature attend to every scale: a list like ``scales``."""
        return [
            attend(scale, top, memory, span)
            for attend, scale in zip(self.from_top, scales, strict=True)
        ]

    def merge(self, scales, memory, span):
        """Join the scales from the coarsest to the finest, [N, C, T]."""
        x = scales[-1]
        for level in range(len(scales) - 2, -1, -1):
            x = self.between[level](scales[level], x, memory, span)
        return self.project(x, memory)


class CausalFeedForward(nn.Module):
    """The feed-forward net at the top: three convolutions, a wide middle.

    Arguments
    ---------
    channels : int
        Channels in and out.
    decay : float
        Decay of the statistics.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory
    >>> CausalFeedForward(8, 0.9)(torch.rand(2, 8, 5), Memory()).shape
    torch.Size([2, 8, 5])
    """

    def __init__(self, channels, decay):
        super().__init__()
        wide = 2 * channels
        self.widen = CausalConvNorm(channels, wide, 1, decay)
        self.filter = CausalConv1d(wide, wide, 5, groups=wide)
        self.act = nn.ReLU()
        self.narrow = CausalConvNorm(wide, channels, 1, decay)

    def forward(self, x, memory):
        """Transform [N, C, T]."""
        x = self.act(self.filter(self.widen(x, memory), memory))
        return self.narrow(x, memory)


class CausalResidual(nn.Module):
    """Two residual branches: a convolution of 3 frames, and another net.

    Arguments
    ---------
    channels : int
        Channels in and out.
    second : torch.nn.Module
        The other net.
    decay : float
        Decay of the statistics.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory
    >>> net = CausalResidual(8, CausalFeedForward(8, 0.9), 0.9)
    >>> net(torch.rand(2, 8, 5), Memory()).shape
    torch.Size([2, 8, 5])
    """

    def __init__(self, channels, second, decay):
        super().__init__()
        self.first = CausalConvNorm(channels, channels, 3, decay)
        self.second = second

    def forward(self, x, memory):
        """Transform [N, C, T]."""
        x = x + self.first(x, memory)
        return x + self.second(x, memory)
