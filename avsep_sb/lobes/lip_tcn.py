"""What the lip readers MS-TCN and DC-TCN have in common.

Both put a temporal convolutional network (TCN) on the trunk of CTCNet-Lip
(3-D convolution and ResNet-18), made of blocks whose convolutions see several
spans of time at once (Martinez et al., "Lipreading using Temporal
Convolutional Networks", ICASSP 2020, Sec. 3.2).

Authors
 * avsep_sb contributors
"""

import math

import torch
from torch import nn

from avsep_sb.lobes.lip_resnet import LipResNet, make_activation

EMBEDDINGS = ("trunk", "tcn")


class ScaleConv(nn.Module):
    """One branch: convolution over time, batch norm, activation.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    kernel_size : int
        Frames seen, odd.
    dilation : int
        Distance of the frames seen.
    relu_type : str
        See :func:`avsep_sb.lobes.lip_resnet.make_activation`.

    Example
    -------
    >>> ScaleConv(4, 2, 5, dilation=2)(torch.rand(1, 4, 7)).shape
    torch.Size([1, 2, 7])
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, dilation, relu_type="relu"
    ):
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(
                f"A kernel of {kernel_size} frames has no middle: give odd "
                "kernel_sizes."
            )
        self.conv = nn.Conv1d(
            in_channels,
            out_channels,
            kernel_size,
            padding=(kernel_size - 1) * dilation // 2,
            dilation=dilation,
        )
        self.norm = nn.BatchNorm1d(out_channels)
        self.act = make_activation(relu_type, out_channels)

    def forward(self, x):
        """Filter over time.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, Tv]

        Returns
        -------
        torch.Tensor
            [N, C', Tv]
        """
        return self.act(self.norm(self.conv(x)))


class SqueezeExcitation(nn.Module):
    """Weighs the channels by what the whole clip holds (Hu et al., 2018).

    Arguments
    ---------
    channels : int
        Channels in and out.
    reduction : int
        Channels for each unit of the bottleneck.

    Example
    -------
    >>> SqueezeExcitation(32)(torch.rand(1, 32, 7)).shape
    torch.Size([1, 32, 7])
    """

    def __init__(self, channels, reduction=16):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.reduce = nn.Linear(channels, hidden, bias=False)
        self.expand = nn.Linear(hidden, channels, bias=False)

    def forward(self, x):
        """Scale each channel.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, Tv]

        Returns
        -------
        torch.Tensor
            [N, C, Tv]
        """
        gate = nn.functional.silu(self.reduce(x.mean(-1)))
        return x * torch.sigmoid(self.expand(gate)).unsqueeze(-1)


class MultiScaleConv(nn.Module):
    """Branches of several kernel sizes, their channels side by side.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out, shared equally by the branches.
    kernel_sizes : list
        Frames seen by each branch, odd.
    dilation : int
        Distance of the frames seen.
    relu_type : str
        Activation.
    squeeze_excitation : bool
        Whether each branch weighs its input channels first.

    Example
    -------
    >>> MultiScaleConv(4, 6, (3, 5, 7), 2)(torch.rand(1, 4, 9)).shape
    torch.Size([1, 6, 9])
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_sizes,
        dilation,
        relu_type="relu",
        squeeze_excitation=False,
    ):
        super().__init__()
        share, rest = divmod(out_channels, len(kernel_sizes))
        if rest:
            raise ValueError(
                f"{out_channels} channels cannot be shared equally by "
                f"{len(kernel_sizes)} kernel_sizes: give a multiple."
            )
        self.scales = nn.ModuleList(
            ScaleConv(in_channels, share, size, dilation, relu_type)
            for size in kernel_sizes
        )
        self.gates = nn.ModuleList(
            SqueezeExcitation(in_channels)
            if squeeze_excitation
            else nn.Identity()
            for _ in kernel_sizes
        )

    def forward(self, x):
        """Filter over time.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, Tv]

        Returns
        -------
        torch.Tensor
            [N, C', Tv]
        """
        pairs = zip(self.gates, self.scales, strict=True)
        return torch.cat([scale(gate(x)) for gate, scale in pairs], dim=1)


class MultiScaleBlock(nn.Module):
    """Two multi-scale convolutions and a shortcut.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    kernel_sizes : list
        Frames seen by each branch, odd.
    dilation : int
        Distance of the frames seen.
    dropout : float
        Share of values dropped after each of the two convolutions.
    relu_type : str
        Activation.
    squeeze_excitation : bool
        Whether the branches of the first convolution weigh their input.
    project : bool
        Whether the shortcut is a 1 x 1 convolution even where the channels
        agree, as in the published MS-TCN.

    Example
    -------
    >>> MultiScaleBlock(4, 6, (3, 5, 7), 2)(torch.rand(1, 4, 9)).shape
    torch.Size([1, 6, 9])
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_sizes,
        dilation,
        dropout=0.2,
        relu_type="relu",
        squeeze_excitation=False,
        project=False,
    ):
        super().__init__()
        self.first = MultiScaleConv(
            in_channels,
            out_channels,
            kernel_sizes,
            dilation,
            relu_type,
            squeeze_excitation,
        )
        self.second = MultiScaleConv(
            out_channels, out_channels, kernel_sizes, dilation, relu_type
        )
        self.dropout = nn.Dropout(dropout)
        self.shortcut = None
        if project or in_channels != out_channels:
            self.shortcut = nn.Conv1d(in_channels, out_channels, 1)
        self.act = make_activation(relu_type, out_channels)

    def forward(self, x):
        """Filter over time.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, Tv]

        Returns
        -------
        torch.Tensor
            [N, C', Tv]
        """
        y = self.dropout(self.first(x))
        y = self.dropout(self.second(y))
        return self.act(y + (x if self.shortcut is None else self.shortcut(x)))


class LipTCN(LipResNet):
    """The trunk of CTCNet-Lip, with or without a temporal network on it.

    Arguments
    ---------
    make_tcn : callable
        Takes the channels of the trunk; makes a module that maps [N, C, Tv]
        to [N, C', Tv] and has ``out_channels``.
    embedding : str
        Where the lip embedding is taken: ``"trunk"``, before the temporal
        network, which then is not there at all, or ``"tcn"``, after it.
    relu_type, crop, frozen
        See :class:`avsep_sb.lobes.lip_resnet.LipResNet`.

    Example
    -------
    >>> net = LipTCN(lambda channels: None, relu_type="swish")
    >>> net.tcn is None, net.out_channels
    (True, 512)
    """

    def __init__(
        self,
        make_tcn,
        embedding="trunk",
        relu_type="prelu",
        crop=(88, 88),
        frozen=True,
    ):
        if embedding not in EMBEDDINGS:
            raise ValueError(
                f"embedding is {embedding!r}: choose 'trunk' or 'tcn'."
            )
        super().__init__(relu_type, crop, frozen)
        self.tcn = None
        if embedding == "tcn":
            self.tcn = make_tcn(self.out_channels)
            self.out_channels = self.tcn.out_channels
            for module in self.tcn.modules():
                if isinstance(module, nn.Conv1d):
                    fan_out = module.kernel_size[0] * module.out_channels
                    nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
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
        x = super().embed(x)
        if self.tcn is None:
            return x
        return self.tcn(x.transpose(1, 2)).transpose(1, 2)
