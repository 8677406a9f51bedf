"""The way back of one modality of IIANet: from the top to the finest scale.

Authors
 * avsep_sb contributors
"""

from torch import nn

from avsep_sb.lobes.iianet_blocks import IntraAttention, SimpleIntraAttention
from avsep_sb.lobes.resize import resize

LOCAL_KERNEL = 5


class TopDown(nn.Module):
    """Top-down pass with intra-attention (IntraA, Sec. 3.2).

    It runs in two steps, as the modalities meet between them: ``spread`` lets
    the top feature attend to every scale, ``merge`` joins the scales.

    Arguments
    ---------
    channels : int
        Channels of the scales.
    out_channels : int
        Channels of the stream between cycles.
    depth : int
        Number of scales.
    resize_top_first : bool
        Order in the global blocks, see
        :class:`avsep_sb.lobes.iianet_blocks.IntraAttention`.
    strict : bool
        Eq. 2 as printed, in the local blocks too.
    phi_prime : bool
        Use phi' of App. A in the global blocks.

    Example
    -------
    >>> import torch
    >>> net = TopDown(8, 4, depth=2)
    >>> scales = [torch.rand(1, 8, 10), torch.rand(1, 8, 5)]
    >>> net.merge(net.spread(scales, torch.rand(1, 8, 5))).shape
    torch.Size([1, 4, 10])
    """

    def __init__(
        self,
        channels,
        out_channels,
        depth,
        resize_top_first=False,
        strict=False,
        phi_prime=False,
    ):
        super().__init__()
        self.from_top = nn.ModuleList(
            SimpleIntraAttention()
            if phi_prime
            else IntraAttention(
                channels, 1, resize_top_first or strict, not strict
            )
            for _ in range(depth)
        )
        self.between = nn.ModuleList(
            IntraAttention(channels, LOCAL_KERNEL, strict, not strict)
            for _ in range(depth - 1)
        )
        self.project = nn.Conv1d(channels, out_channels, 1)

    def spread(self, scales, top):
        """Let the top feature attend to every scale.

        Arguments
        ---------
        scales : list
            Of [N, C, T_i], finest first.
        top : torch.Tensor
            [N, C, T_D]

        Returns
        -------
        list
            Of [N, C, T_i].
        """
        return [
            attend(scale, top)
            for attend, scale in zip(self.from_top, scales, strict=True)
        ]

    def merge(self, scales):
        """Join the scales from the coarsest to the finest.

        Arguments
        ---------
        scales : list
            Of [N, C, T_i], finest first.

        Returns
        -------
        torch.Tensor
            [N, out_channels, T_0]
        """
        x = scales[-1]
        for level in range(len(scales) - 2, -1, -1):
            x = self.between[level](scales[level], x)
        return self.project(x)


class PlainTopDown(nn.Module):
    """Top-down pass of a U-Net: sums only (Control 1 of App. G).

    Arguments
    ---------
    channels : int
        Channels of the scales.
    out_channels : int
        Channels of the stream between cycles.

    Example
    -------
    >>> import torch
    >>> net = PlainTopDown(8, 4)
    >>> scales = [torch.rand(1, 8, 10), torch.rand(1, 8, 5)]
    >>> net.merge(net.spread(scales, torch.rand(1, 8, 5))).shape
    torch.Size([1, 4, 10])
    """

    def __init__(self, channels, out_channels):
        super().__init__()
        self.project = nn.Conv1d(channels, out_channels, 1)

    def spread(self, scales, top):
        """Add the top feature to the coarsest scale.

        Arguments
        ---------
        scales : list
            Of [N, C, T_i], finest first.
        top : torch.Tensor
            [N, C, T_D]

        Returns
        -------
        list
            Of [N, C, T_i].
        """
        return [*scales[:-1], scales[-1] + top]

    def merge(self, scales):
        """Join the scales from the coarsest to the finest.

        Arguments
        ---------
        scales : list
            Of [N, C, T_i], finest first.

        Returns
        -------
        torch.Tensor
            [N, out_channels, T_0]
        """
        x = scales[-1]
        for scale in reversed(scales[:-1]):
            x = scale + resize(x, scale.shape[-1])
        return self.project(x)
