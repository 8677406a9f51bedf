"""A light lip net, small enough to train on a CPU beside the separator.

It keeps the outline of the lip reading nets it stands for (a 3-D stem over
space and time, then 2-D stages per frame), with depthwise-separable stages
and a temporal end, at about a hundredth of their work per frame.

Authors
 * avsep_sb contributors
"""

import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.frozen import FreezableFrontEnd
from avsep_sb.lobes.lip_input import LipInput

# Height and width of the last feature map: the whole map is kept, as where
# the lips are (open, closed, rounded) is the very thing to read.
GRID = 3


class SeparableBlock2d(nn.Module):
    """Depthwise then pointwise convolution over a frame, with a skip path.

    The skip path is there only where the shape stays the same.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    stride : int
        Step of the depthwise convolution, in pixels.

    Example
    -------
    >>> import torch
    >>> block = SeparableBlock2d(4, 8, stride=2)
    >>> block(torch.rand(2, 4, 11, 11)).shape
    torch.Size([2, 8, 6, 6])
    """

    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            3,
            stride,
            padding=1,
            groups=in_channels,
            bias=False,
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.act = nn.PReLU(out_channels)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x):
        """Filter one picture at a time.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, h, w]

        Returns
        -------
        torch.Tensor
            [N, C', h', w']
        """
        y = self.norm(self.pointwise(self.depthwise(x)))
        return self.act(x + y if self.skip else y)


class TemporalBlock(nn.Module):
    """Depthwise-separable convolution over time, with a skip path.

    Arguments
    ---------
    channels : int
        Channels in and out.
    kernel_size : int
        Frames seen, odd.

    Example
    -------
    >>> import torch
    >>> TemporalBlock(8)(torch.rand(2, 8, 7)).shape
    torch.Size([2, 8, 7])
    """

    def __init__(self, channels, kernel_size=5):
        super().__init__()
        self.depthwise = nn.Conv1d(
            channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=channels,
            bias=False,
        )
        self.pointwise = nn.Conv1d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x):
        """Mix each frame with its neighbours.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, Tv]

        Returns
        -------
        torch.Tensor
            [N, C, Tv]
        """
        return self.act(x + self.norm(self.pointwise(self.depthwise(x))))


class LightLipNet(FreezableFrontEnd):
    """Lip embedding from mouth ROIs with few weights and little work.

    Arguments
    ---------
    out_channels : int
        Size of the embedding of one frame.
    frozen : bool
        Keep the weights and the running statistics as they are.
    crop : tuple, str or None
        Window of the ROI that the net sees, in pixels; see
        :func:`avsep_sb.lobes.lip_input.parse_crop`.
    channels : list
        Channels of the stem and of the three stages.
    temporal_blocks : int
        Temporal convolutions at the end; each sees 5 frames.

    Example
    -------
    >>> import torch
    >>> net = LightLipNet(out_channels=32)
    >>> roi = torch.zeros(1, 2, 5, 96, 96, dtype=torch.uint8)
    >>> net(roi).shape
    torch.Size([1, 2, 5, 32])
    """

    def __init__(
        self,
        out_channels=128,
        frozen=False,
        crop=(88, 88),
        channels=(16, 48, 96, 128),
        temporal_blocks=2,
    ):
        super().__init__(frozen)
        self.out_channels = out_channels
        self.input = LipInput(crop)
        stem = channels[0]
        self.stem = nn.Conv3d(
            1, stem, 5, stride=(1, 2, 2), padding=2, bias=False
        )
        self.stem_norm = nn.BatchNorm3d(stem)
        self.stem_act = nn.PReLU(stem)
        stages = []
        for before, after in zip(channels[:-1], channels[1:], strict=True):
            stages.append(SeparableBlock2d(before, after, stride=2))
            stages.append(SeparableBlock2d(after, after))
        self.stages = nn.Sequential(*stages)
        self.project = nn.Linear(
            channels[-1] * GRID * GRID, out_channels, bias=False
        )
        self.project_norm = nn.BatchNorm1d(out_channels)
        self.temporal = nn.Sequential(
            *[TemporalBlock(out_channels) for _ in range(temporal_blocks)]
        )
        self.apply_frozen()

    def embed(self, x):
        """Embed normalised pictures.

        Arguments
        ---------
        x : torch.Tensor
            [N, 1, Tv, h, w]

        Returns
        -------
        torch.Tensor
            [N, Tv, out_channels]
        """
        num, _, frames, height, width = x.shape
        # Half the resolution is enough for the shape of a mouth and takes a
        # quarter of the work.
        x = F.avg_pool2d(x.reshape(num * frames, 1, height, width), 2)
        x = x.reshape(num, 1, frames, *x.shape[-2:])
        x = self.stem_act(self.stem_norm(self.stem(x)))
        x = self.stages(x.transpose(1, 2).flatten(0, 1))
        # A crop of another size ends on another grid: bring it to GRID.
        if x.shape[-2:] != (GRID, GRID):
            x = F.adaptive_avg_pool2d(x, GRID)
        x = self.project_norm(self.project(x.flatten(1)))
        x = x.reshape(num, frames, self.out_channels)
        return self.temporal(x.transpose(1, 2)).transpose(1, 2)
