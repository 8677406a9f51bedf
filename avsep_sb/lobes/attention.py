"""Transformer layers over time, for the fusion of sound and lips.

Authors
 * avsep_sb contributors
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class DotProductAttention(nn.Module):
    """Softmax attention of several heads, without weights of its own.

    A module, so that its products are counted beside those of the layers.

    Arguments
    ---------
    heads : int
        Heads; divides the channels.

    Example
    -------
    >>> attend = DotProductAttention(2)
    >>> x = torch.rand(3, 5, 8)
    >>> attend(x, torch.rand(3, 7, 8), torch.rand(3, 7, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, heads):
        super().__init__()
        self.heads = heads

    def forward(self, query, key, value):
        """Attend.

        Arguments
        ---------
        query : torch.Tensor
            [N, Tq, C]
        key, value : torch.Tensor
            [N, Tk, C]

        Returns
        -------
        torch.Tensor
            [N, Tq, C]
        """
        query, key, value = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x in (query, key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2).flatten(2)

    def macs(self, query, key):
        """Count the products of one pass.

        Arguments
        ---------
        query, key : torch.Tensor
            What ``forward`` is given.

        Returns
        -------
        tuple
            Multiply-accumulates of both products, and the same with 1 per
            scaled query element and per weight of the softmax, as ptflops
            0.7.0 counts.

        Example
        -------
        >>> query, key = torch.rand(1, 5, 8), torch.rand(1, 7, 8)
        >>> DotProductAttention(2).macs(query, key)
        (560, 670)
        """
        products = 2 * query.numel() * key.shape[1]
        weights = query.shape[0] * query.shape[1] * key.shape[1] * self.heads
        return products, products + query.numel() + weights


class AttentionLayer(nn.Module):
    """Attention and a feed-forward net, each normalised first and added.

    Arguments
    ---------
    channels : int
        Channels in and out.
    heads : int
        Heads of the attention; divides ``channels``.
    hidden : int
        Channels inside the feed-forward net.
    dropout : float
        Rate in both residual branches.
    cross : bool
        Attend to another signal, given with each call, and not to itself.

    Example
    -------
    >>> layer = AttentionLayer(8, heads=2, hidden=16, cross=True)
    >>> layer(torch.rand(3, 5, 8), torch.rand(3, 7, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, channels, heads, hidden, dropout=0.1, cross=False):
        super().__init__()
        self.query_norm = nn.LayerNorm(channels)
        self.other_norm = nn.LayerNorm(channels) if cross else None
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.attend = DotProductAttention(heads)
        self.out = nn.Linear(channels, channels)
        self.net_norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, hidden)
        self.act = nn.ReLU()
        self.narrow = nn.Linear(hidden, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, other=None):
        """Transform.

        Arguments
        ---------
        x : torch.Tensor
            [N, T, C]
        other : torch.Tensor, optional
            [N, T', C], what is attended to; ``x`` itself if the layer is not
            ``cross``.

        Returns
        -------
        torch.Tensor
            [N, T, C]
        """
        query = self.query_norm(x)
        other = query if self.other_norm is None else self.other_norm(other)
        mixed = self.attend(
            self.query(query), self.key(other), self.value(other)
        )
        x = x + self.dropout(self.out(mixed))
        inner = self.dropout(self.act(self.widen(self.net_norm(x))))
        return x + self.dropout(self.narrow(inner))


def positions(length, channels, frames, like):
    """Tell attention where in time each frame is.

    Sines and cosines of the time (Vaswani et al., "Attention Is All You
    Need", NeurIPS 2017), in video frames for every signal: what happens at
    one time has one code, at any rate.

    Arguments
    ---------
    length : int
        Frames of the signal.
    channels : int
        Values of a code, even.
    frames : int
        Video frames in the same time.
    like : torch.Tensor
        Its device and type are taken.

    Returns
    -------
    torch.Tensor
        [length, channels]

    Example
    -------
    >>> positions(4, 6, 2, torch.rand(1)).shape
    torch.Size([4, 6])
    """
    time = torch.arange(length, device=like.device) + 0.5
    time = time * (frames / length)
    step = torch.arange(0, channels, 2, device=like.device)
    angle = time[:, None] * torch.exp(-math.log(1e4) * step / channels)
    return torch.cat([angle.sin(), angle.cos()], -1).to(like.dtype)
