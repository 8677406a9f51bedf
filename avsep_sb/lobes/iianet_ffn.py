"""The feed-forward nets at the top of IIANet.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

from avsep_sb.lobes.iianet_blocks import ConvNorm, DepthwiseConv1d


class DropPath(nn.Module):
    """Leaves out a residual branch of whole items while training.

    Arguments
    ---------
    rate : float
        Chance of an item to lose the branch; the others are scaled up.

    Example
    -------
    >>> import torch
    >>> DropPath(0.1).eval()(torch.ones(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        """Drop or scale each item.

        Arguments
        ---------
        x : torch.Tensor
            [N, ...]

        Returns
        -------
        torch.Tensor
            [N, ...]
        """
        if not self.training or self.rate == 0.0:
            return x
        keep = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device)
        return x * ((keep >= self.rate).to(x.dtype) / (1.0 - self.rate))


class FeedForward(nn.Module):
    """Three convolutions with a wide middle: the FFN of Sec. 3.2.

    Arguments
    ---------
    channels : int
        Channels in and out; twice as many inside.
    dropout : float
        Rate of dropout after the second and the third convolution.

    Example
    -------
    >>> import torch
    >>> FeedForward(8)(torch.rand(2, 8, 5)).shape
    torch.Size([2, 8, 5])
    """

    def __init__(self, channels, dropout=0.1):
        super().__init__()
        self.widen = ConvNorm(channels, 2 * channels)
        self.filter = DepthwiseConv1d(2 * channels, 5)
        self.act = nn.ReLU()
        self.narrow = ConvNorm(2 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        """Transform.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        x = self.dropout(self.act(self.filter(self.widen(x))))
        return self.dropout(self.narrow(x))


class ResidualFFN(nn.Module):
    """What the release has in place of the FFN: two residual branches.

    The first is a convolution of 3 frames with a norm. The second is the FFN
    for audio, and one more such convolution for video.

    Arguments
    ---------
    channels : int
        Channels in and out.
    second : torch.nn.Module
        The second branch.
    drop_path : float
        Chance of an item to lose a branch.

    Example
    -------
    >>> import torch
    >>> ResidualFFN(8, FeedForward(8))(torch.rand(2, 8, 5)).shape
    torch.Size([2, 8, 5])
    """

    def __init__(self, channels, second, drop_path=0.1):
        super().__init__()
        self.first = ConvNorm(channels, channels, 3)
        self.second = second
        self.drop_path = DropPath(drop_path)

    def forward(self, x):
        """Transform.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        x = x + self.drop_path(self.first(x))
        return x + self.drop_path(self.second(x))
