"""Lip embedding by the lip reader DC-TCN.

The trunk of CTCNet-Lip and a densely connected temporal convolutional network
(Ma et al., "Lip-reading with Densely Connected Temporal Convolutional
Networks", WACV 2021): in each of four dense blocks a layer sees the outputs
of all layers before it, at dilations 1, 2 and 5, its channels weighed by
squeeze and excitation. It is one of the video encoders of IIANet's App. I
(LRW accuracy of the paper's weights: 88.0 %). With its 500-word classifier it
has the 52.5 M parameters that are stated of it.

Authors
 * avsep_sb contributors
"""

from functools import partial

import torch
from torch import nn

from avsep_sb.lobes.lip_resnet import make_activation
from avsep_sb.lobes.lip_tcn import LipTCN, MultiScaleBlock


class Transition(nn.Sequential):
    """Brings features to a number of channels: 1 x 1 convolution, norm.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    relu_type : str
        Activation.

    Example
    -------
    >>> Transition(4, 6, "swish")(torch.rand(1, 4, 9)).shape
    torch.Size([1, 6, 9])
    """

    def __init__(self, in_channels, out_channels, relu_type):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm1d(out_channels)
        self.act = make_activation(relu_type, out_channels)


class DenseTCN(nn.Module):
    """Dense blocks of multi-scale layers, transitions before each.

    Arguments
    ---------
    in_channels : int
        Channels in.
    num_layers : list
        Layers of each dense block.
    growth : int
        Channels that a layer adds, a multiple of the number of kernels.
    reduced_channels : int
        Channels into each dense block.
    kernel_sizes : list
        Frames seen by each branch, odd.
    dilations : list
        Dilation of the layers of a block, in turn.
    dropout : float
        Share of values dropped in training.
    relu_type : str
        Activation. The first transition has PReLU whatever it says, as the
        published weights have.
    squeeze_excitation : bool
        Whether layers weigh their input channels.

    Example
    -------
    >>> net = DenseTCN(4, num_layers=(2, 1), growth=3, reduced_channels=5)
    >>> net(torch.rand(1, 4, 9)).shape
    torch.Size([1, 8, 9])
    """

    def __init__(
        self,
        in_channels,
        num_layers=(3, 3, 3, 3),
        growth=384,
        reduced_channels=512,
        kernel_sizes=(3, 5, 7),
        dilations=(1, 2, 5),
        dropout=0.2,
        relu_type="swish",
        squeeze_excitation=True,
    ):
        super().__init__()
        self.transitions = nn.ModuleList()
        self.blocks = nn.ModuleList()
        width = in_channels
        for i, count in enumerate(num_layers):
            self.transitions.append(
                Transition(width, reduced_channels, relu_type if i else "prelu")
            )
            self.blocks.append(
                nn.ModuleList(
                    MultiScaleBlock(
                        reduced_channels + j * growth,
                        growth,
                        kernel_sizes,
                        dilations[j % len(dilations)],
                        dropout,
                        relu_type,
                        squeeze_excitation,
                    )
                    for j in range(count)
                )
            )
            width = reduced_channels + count * growth
        self.norm = nn.BatchNorm1d(width)
        self.out_channels = width

    def forward(self, x):
        """Describe each frame by those around it.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, Tv]

        Returns
        -------
        torch.Tensor
            [N, reduced_channels + growth * layers of the last block, Tv]
        """
        for transition, block in zip(
            self.transitions, self.blocks, strict=True
        ):
            x = transition(x)
            for layer in block:
                x = torch.cat([x, layer(x)], dim=1)
        return self.norm(x)


class LipDCTCN(LipTCN):
    """Lip embedding per frame from mouth ROIs (DC-TCN).

    Arguments
    ---------
    embedding : str
        Where it is taken: ``"trunk"`` gives 512 values per frame and leaves
        the temporal network away, as IIANet's release does with the weights
        of lip readers; ``"tcn"`` gives those of the temporal network (1664),
        for word classification and for separators that are to have them.
        Squeeze and excitation then lets every frame of the window play a
        part in each embedding.
    num_layers : list
        Layers of each dense block.
    growth : int
        Channels that a layer adds.
    reduced_channels : int
        Channels into each dense block.
    kernel_sizes : list
        Frames seen by the branches, odd.
    dilations : list
        Dilation of the layers of a block, in turn.
    dropout : float
        Share of values dropped in training.
    squeeze_excitation : bool
        Whether layers weigh their input channels.
    relu_type : str
        ``"swish"`` (the published weights), ``"prelu"`` or ``"relu"``.
    crop, frozen
        See :class:`avsep_sb.lobes.lip_resnet.LipResNet`.

    Example
    -------
    >>> net = LipDCTCN("tcn", (2, 1), growth=3, reduced_channels=5)
    >>> roi = torch.zeros(1, 2, 3, 96, 96, dtype=torch.uint8)
    >>> net(roi).shape
    torch.Size([1, 2, 3, 8])
    """

    def __init__(
        self,
        embedding="trunk",
        num_layers=(3, 3, 3, 3),
        growth=384,
        reduced_channels=512,
        kernel_sizes=(3, 5, 7),
        dilations=(1, 2, 5),
        dropout=0.2,
        squeeze_excitation=True,
        relu_type="swish",
        crop=(88, 88),
        frozen=True,
    ):
        make_tcn = partial(
            DenseTCN,
            num_layers=num_layers,
            growth=growth,
            reduced_channels=reduced_channels,
            kernel_sizes=kernel_sizes,
            dilations=dilations,
            dropout=dropout,
            relu_type=relu_type,
            squeeze_excitation=squeeze_excitation,
        )
        super().__init__(make_tcn, embedding, relu_type, crop, frozen)
