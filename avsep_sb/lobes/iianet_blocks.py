"""Building blocks of IIANet: convolutions, scales and intra-attention.

What one modality does alone stands here; where the modalities meet is
:mod:`avsep_sb.lobes.iianet_inter`. Equations are those of Li, Yang, Sun and
Hu, "IIANet", ICML 2024.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes import attend_gradient, cpu_gradients
from avsep_sb.lobes.norms import GlobalLayerNorm
from avsep_sb.lobes.resize import nearest_frames, resize

# Values from which on a filter and a norm are worth loops of their own.
LEAST = 1 << 16


class DepthwiseConv1d(nn.Conv1d):
    """Convolution of each channel by itself; the length stays the same.

    Arguments
    ---------
    channels : int
        Channels in and out.
    kernel_size : int
        Frames seen, odd.
    stride : int
        Step in frames.
    bias : bool
        Whether a constant is added to each channel.

    Example
    -------
    >>> import torch
    >>> DepthwiseConv1d(4, 5, stride=2)(torch.rand(2, 4, 9)).shape
    torch.Size([2, 4, 5])
    """

    def __init__(self, channels, kernel_size, stride=1, bias=True):
        super().__init__(
            channels,
            channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=channels,
            bias=bias,
        )

    def forward(self, x):
        """Filter each channel.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]

        Returns
        -------
        torch.Tensor
            [N, C, ceil(T / stride)]
        """
        if self.kernel_size == (1,) and self.stride == (1,):
            # One tap is a gain per channel: no need for a convolution.
            weight = self.weight[:, :, 0].to(x.dtype)
            if self.bias is None:
                return x * weight
            return torch.addcmul(self.bias[:, None].to(x.dtype), x, weight)
        return super().forward(x)


class SharedPReLU(nn.PReLU):
    """PReLU with one slope for all channels.

    Example
    -------
    >>> import torch
    >>> SharedPReLU()(torch.tensor([[-4.0, 4.0]])).tolist()
    [[-1.0, 4.0]]
    """

    def forward(self, x):
        """Apply it.

        Arguments
        ---------
        x : torch.Tensor
            Any shape.

        Returns
        -------
        torch.Tensor
            As ``x``.
        """
        if cpu_gradients.apply_here(x, self.weight):
            return cpu_gradients.shared_prelu(x, self.weight)
        return super().forward(x)


class ConvNorm(nn.Module):
    """Convolution, global layer norm and, if wanted, a non-linearity.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    kernel_size : int
        Frames seen, odd.
    stride : int
        Step in frames.
    depthwise : bool
        Convolve each channel by itself.
    bias : bool
        Whether the convolution has one.
    act : torch.nn.Module, optional
        What follows the norm.

    Example
    -------
    >>> import torch
    >>> ConvNorm(4, 8, kernel_size=3)(torch.rand(2, 4, 9)).shape
    torch.Size([2, 8, 9])
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=1,
        stride=1,
        depthwise=False,
        bias=False,
        act=None,
    ):
        super().__init__()
        if depthwise:
            self.conv = DepthwiseConv1d(in_channels, kernel_size, stride, bias)
        else:
            self.conv = nn.Conv1d(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding=kernel_size // 2,
                bias=bias,
            )
        self.norm = GlobalLayerNorm(out_channels)
        self.act = nn.Identity() if act is None else act

    def forward(self, x, repeats=None):
        """Filter and normalise.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]
        repeats : torch.Tensor, optional
            See :class:`avsep_sb.lobes.norms.GlobalLayerNorm`.

        Returns
        -------
        torch.Tensor
            [N, C', ceil(T / stride)]
        """
        if repeats is None and x.numel() >= LEAST:
            if attend_gradient.stands_for(self.conv, self.norm, x):
                x = attend_gradient.filter_norm(x, self.conv, self.norm)
                return self.act(x)
        return self.act(self.norm(self.conv(x), repeats))


class BottomUp(nn.Module):
    """From the input to ever coarser scales, and the sum of all of them.

    Arguments
    ---------
    in_channels : int
        Channels of the stream between cycles.
    channels : int
        Channels inside.
    depth : int
        Number of scales, the finest included (D + 1 in the paper).
    kernel_size : int
        Frames seen by each depthwise convolution, odd.
    act : torch.nn.Module
        Non-linearity after the projection.

    Example
    -------
    >>> import torch
    >>> net = BottomUp(4, 8, 3, 5, torch.nn.PReLU())
    >>> scales, pooled = net(torch.rand(2, 4, 20))
    >>> [scale.shape[-1] for scale in scales], pooled.shape
    ([20, 10, 5], torch.Size([2, 8, 5]))
    """

    def __init__(self, in_channels, channels, depth, kernel_size, act):
        super().__init__()
        self.project = ConvNorm(in_channels, channels, bias=True, act=act)
        self.scales = nn.ModuleList(
            ConvNorm(
                channels,
                channels,
                kernel_size,
                stride=1 if level == 0 else 2,
                depthwise=True,
                bias=True,
            )
            for level in range(depth)
        )

    def forward(self, x):
        """Make the scales.

        Arguments
        ---------
        x : torch.Tensor
            [N, in_channels, T]

        Returns
        -------
        tuple
            The scales, a list of [N, channels, ceil(T / 2^i)], and their sum
            after average pooling to the coarsest, f in the paper.
        """
        x = self.project(x)
        scales = []
        for layer in self.scales:
            x = layer(x)
            scales.append(x)
        pooled = x
        for scale in scales[:-1]:
            pooled = pooled + F.adaptive_avg_pool1d(scale, x.shape[-1])
        return scales, pooled


class IntraAttention(nn.Module):
    """A coarse feature gates a fine one and is added to it (Eq. 2).

    Arguments
    ---------
    channels : int
        Channels of both features.
    kernel_size : int
        Frames seen by the depthwise convolutions, odd.
    resize_first : bool
        Bring the coarse feature to the fine length before its convolutions
        and norms, as Eq. 2 is printed and as the released audio network does
        in its global blocks, and not after them.
    filter_local : bool
        Convolve and normalise the fine feature too, which Eq. 2 does not.

    Example
    -------
    >>> import torch
    >>> phi = IntraAttention(4, 5)
    >>> phi(torch.rand(2, 4, 20), torch.rand(2, 4, 3)).shape
    torch.Size([2, 4, 20])
    """

    def __init__(
        self, channels, kernel_size, resize_first=False, filter_local=True
    ):
        super().__init__()
        self.resize_first = resize_first
        self.kernel_size = kernel_size
        make = {"kernel_size": kernel_size, "depthwise": True}
        self.local = (
            ConvNorm(channels, channels, **make) if filter_local else None
        )
        self.gate = ConvNorm(channels, channels, **make)
        self.value = ConvNorm(channels, channels, **make)

    def forward(self, fine, coarse):
        """Attend.

        Arguments
        ---------
        fine : torch.Tensor
            [N, C, T]
        coarse : torch.Tensor
            [N, C, T']

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        length, new_length = coarse.shape[-1], fine.shape[-1]
        repeats = None
        if self.resize_first and length != new_length:
            if self.kernel_size == 1:
                # One tap sees no neighbours, so only the statistics of the
                # norm tell whether the frames were repeated before or after.
                frames = nearest_frames(length, new_length, coarse.device)
                repeats = torch.zeros(length, device=coarse.device)
                repeats.index_add_(0, frames, torch.ones_like(frames).float())
            else:
                coarse = resize(coarse, new_length)
        gate = torch.sigmoid(self.gate(coarse, repeats))
        value = self.value(coarse, repeats)
        if self.local is not None:
            layers = self.local.conv, self.local.norm
            if length <= new_length and attend_gradient.stands_for(
                *layers, fine
            ):
                return attend_gradient.filter_norm(fine, *layers, gate, value)
            fine = self.local(fine)
        return torch.addcmul(
            resize(value, new_length), fine, resize(gate, new_length)
        )


class SimpleIntraAttention(nn.Module):
    """A coarse feature gates a fine one: phi' of App. A, without weights.

    Example
    -------
    >>> import torch
    >>> phi = SimpleIntraAttention()
    >>> phi(torch.ones(1, 1, 4), torch.zeros(1, 1, 2)).tolist()
    [[[0.5, 0.5, 0.5, 0.5]]]
    """

    def forward(self, fine, coarse):
        """Attend.

        Arguments
        ---------
        fine : torch.Tensor
            [N, C, T]
        coarse : torch.Tensor
            [N, C, T']

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        return fine * resize(torch.sigmoid(coarse), fine.shape[-1])


class RecurrentGate(nn.Module):
    """Brings the first features back in before each later cycle.

    Arguments
    ---------
    channels : int
        Channels of the stream.
    act : torch.nn.Module
        PReLU for audio, ReLU for video, as released.

    Example
    -------
    >>> import torch
    >>> gate = RecurrentGate(4, torch.nn.ReLU())
    >>> gate(torch.rand(2, 4, 9), torch.rand(2, 4, 9)).shape
    torch.Size([2, 4, 9])
    """

    def __init__(self, channels, act):
        super().__init__()
        self.scale = DepthwiseConv1d(channels, 1)
        self.act = act

    def forward(self, x, first):
        """Join the stream and the first features.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T], from the previous cycle.
        first : torch.Tensor
            [N, C, T], what entered the first cycle.

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        return self.act(self.scale(x + first))
