"""Lip embedding by the lip reading front end CTCNet-Lip.

A 3-D convolution over space and time, then a ResNet-18 over each frame, as
in the front end that CTCNet and IIANet take their lip embedding from (IIANet
paper, App. I). The names of the parameters are those of the public weights,
so that a file of them loads as it is.

Authors
 * avsep_sb contributors
"""

import math

import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.frozen import FreezableFrontEnd
from avsep_sb.lobes.lip_input import LipInput

STAGE_CHANNELS = (64, 128, 256, 512)


def make_activation(relu_type, channels):
    """Make one activation of the net.

    Arguments
    ---------
    relu_type : str
        ``"prelu"`` (CTCNet-Lip, MS-TCN weights), ``"relu"`` or ``"swish"``
        (DC-TCN weights).
    channels : int
        Channels of its input; a PReLU has one slope for each.

    Returns
    -------
    torch.nn.Module
        The activation. A ValueError is raised for an unknown type.

    Example
    -------
    >>> make_activation("swish", 64)
    SiLU()
    """
    if relu_type == "prelu":
        return nn.PReLU(channels)
    if relu_type == "relu":
        return nn.ReLU()
    if relu_type == "swish":
        return nn.SiLU()
    raise ValueError(
        f"relu_type is {relu_type!r}: choose 'prelu', 'relu' or 'swish'."
    )


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    stride : int
        Step of the first convolution, in pixels.
    relu_type : str
        See :func:`make_activation`.

    Example
    -------
    >>> import torch
    >>> block = BasicBlock(4, 8, stride=2)
    >>> block(torch.rand(2, 4, 11, 11)).shape
    torch.Size([2, 8, 6, 6])
    """

    def __init__(self, in_channels, out_channels, stride=1, relu_type="prelu"):
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(out_channels)
        # Two activations rather than one used twice: with PReLU each learns
        # its own slopes.
        self.relu1 = make_activation(relu_type, out_channels)
        self.relu2 = make_activation(relu_type, out_channels)
        self.conv2 = nn.Conv2d(
            out_channels, out_channels, 3, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

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
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu2(y + shortcut)


class Trunk(nn.Module):
    """ResNet-18 without its stem and its classifier, [N, 64, h, w] in.

    Arguments
    ---------
    relu_type : str
        See :func:`make_activation`.

    Example
    -------
    >>> import torch
    >>> Trunk()(torch.rand(2, 64, 8, 8)).shape
    torch.Size([2, 512])
    """

    def __init__(self, relu_type="prelu"):
        super().__init__()
        before = STAGE_CHANNELS[0]
        for i, channels in enumerate(STAGE_CHANNELS, start=1):
            stride = 1 if i == 1 else 2
            stage = nn.Sequential(
                BasicBlock(before, channels, stride, relu_type),
                BasicBlock(channels, channels, 1, relu_type),
            )
            self.add_module(f"layer{i}", stage)
            before = channels

    def forward(self, x):
        """Describe each picture by one vector.

        Arguments
        ---------
        x : torch.Tensor
            [N, 64, h, w]

        Returns
        -------
        torch.Tensor
            [N, 512], the mean over the picture.
        """
        x = self.layer2(self.layer1(x))
        x = self.layer4(self.layer3(x))
        return x.mean((-2, -1))


class LipResNet(FreezableFrontEnd):
    """Lip embedding of 512 values per frame from mouth ROIs (CTCNet-Lip).

    Arguments
    ---------
    relu_type : str
        ``"prelu"``, ``"relu"`` or ``"swish"``: that of the weights loaded.
    crop : tuple, str or None
        ``(88, 88)``, the window of the paper, or ``"release"``: 50 x 88, the
        top rows of it, on which the release trains and tests by slicing the
        wrong axis; its published scores need that window.
    frozen : bool
        Keep the weights and the running statistics as they are (the lip
        reading weights are not trained with the separator).

    Example
    -------
    >>> import torch
    >>> net = LipResNet()
    >>> roi = torch.zeros(1, 2, 3, 96, 96, dtype=torch.uint8)
    >>> net(roi).shape
    torch.Size([1, 2, 3, 512])
    """

    def __init__(self, relu_type="prelu", crop=(88, 88), frozen=True):
        super().__init__(frozen)
        self.out_channels = STAGE_CHANNELS[-1]
        self.input = LipInput(crop)
        self.trunk = Trunk(relu_type)
        stem = STAGE_CHANNELS[0]
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, stem, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(stem),
            make_activation(relu_type, stem),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                fan_out = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
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
            [N, Tv, 512]
        """
        # The pool sees one picture at a time: in two dimensions it costs a
        # tenth of what the layer, which is three-dimensional, does on a CPU.
        x = self.frontend3D[:3](x)
        x = F.max_pool2d(x.flatten(0, 1), 3, 2, 1).unflatten(0, x.shape[:2])
        x = x.transpose(1, 2)
        return self.trunk(x.flatten(0, 1)).unflatten(0, x.shape[:2])
