"""Lip embedding by the lip reader MS-TCN.

The trunk of CTCNet-Lip and a multi-scale temporal convolutional network
(Martinez et al., "Lipreading using Temporal Convolutional Networks", ICASSP
2020): four blocks of kernels 3, 5 and 7 whose dilation doubles. It is one of
the video encoders of IIANet's App. I (LRW accuracy of the paper's weights:
85.3 %).

The published nets keep a 1 x 1 convolution in every shortcut, also where the
channels agree; with it, the word classifier has the 36.4 M parameters that
are stated of it. They take the batch statistics of training over some frames
of zero padding too, here only the clip counts; evaluation is the same.

Authors
 * avsep_sb contributors
"""

from functools import partial

from torch import nn

from avsep_sb.lobes.lip_tcn import LipTCN, MultiScaleBlock


class MultiScaleTCN(nn.Module):
    """Blocks of several kernel sizes, each with twice the dilation.

    Arguments
    ---------
    in_channels : int
        Channels in.
    channels : int
        Channels of each block, a multiple of the number of kernels.
    num_layers : int
        Number of blocks.
    kernel_sizes : list
        Frames seen by each branch, odd.
    dropout : float
        Share of values dropped in training.
    relu_type : str
        Activation.

    Example
    -------
    >>> import torch
    >>> net = MultiScaleTCN(4, channels=6, num_layers=2)
    >>> net(torch.rand(1, 4, 9)).shape
    torch.Size([1, 6, 9])
    """

    def __init__(
        self,
        in_channels,
        channels=768,
        num_layers=4,
        kernel_sizes=(3, 5, 7),
        dropout=0.2,
        relu_type="prelu",
    ):
        super().__init__()
        self.out_channels = channels
        self.blocks = nn.Sequential(
            *[
                MultiScaleBlock(
                    channels if i else in_channels,
                    channels,
                    kernel_sizes,
                    dilation=2**i,
                    dropout=dropout,
                    relu_type=relu_type,
                    project=True,
                )
                for i in range(num_layers)
            ]
        )

    def forward(self, x):
        """Describe each frame by those around it.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, Tv]

        Returns
        -------
        torch.Tensor
            [N, channels, Tv]
        """
        return self.blocks(x)


class LipMSTCN(LipTCN):
    """Lip embedding per frame from mouth ROIs (MS-TCN).

    Arguments
    ---------
    embedding : str
        Where it is taken: ``"trunk"`` gives 512 values per frame and leaves
        the temporal network away, as IIANet's release does with the weights
        of lip readers; ``"tcn"`` gives ``channels`` values, for word
        classification and for separators that are to have them.
    channels : int
        Channels of the temporal network.
    num_layers : int
        Its blocks.
    kernel_sizes : list
        Frames seen by its branches, odd.
    dropout : float
        Share of values dropped in training.
    relu_type : str
        ``"prelu"`` (weights of 2020), ``"swish"`` (those of 2022) or
        ``"relu"``.
    crop, frozen
        See :class:`avsep_sb.lobes.lip_resnet.LipResNet`.

    Example
    -------
    >>> import torch
    >>> net = LipMSTCN(embedding="tcn", channels=12, num_layers=2)
    >>> roi = torch.zeros(1, 2, 3, 96, 96, dtype=torch.uint8)
    >>> net(roi).shape
    torch.Size([1, 2, 3, 12])
    """

    def __init__(
        self,
        embedding="trunk",
        channels=768,
        num_layers=4,
        kernel_sizes=(3, 5, 7),
        dropout=0.2,
        relu_type="prelu",
        crop=(88, 88),
        frozen=True,
    ):
        make_tcn = partial(
            MultiScaleTCN,
            channels=channels,
            num_layers=num_layers,
            kernel_sizes=kernel_sizes,
            dropout=dropout,
            relu_type=relu_type,
        )
        super().__init__(make_tcn, embedding, relu_type, crop, frozen)
