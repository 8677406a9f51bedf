"""Normalise a whole utterance at once, the norm that IIANet uses throughout.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn

# Below the resolution of 16-bit floats: the norm is therefore always
# computed with 32 bits or more.
EPS = 1e-8


class GlobalLayerNorm(nn.Module):
    """Mean 0 and variance 1 over channels and time of each item.

    Equals a group norm with one group, with one gain and one bias per channel
    (Luo and Mesgarani, Conv-TasNet, 2019). Inputs of 16 bits are normalised in
    32 bits, also under autocast, and returned with 16.

    Arguments
    ---------
    channels : int
        Channels of the input.
    eps : float
        Added to the variance.

    Example
    -------
    >>> import torch
    >>> norm = GlobalLayerNorm(4)
    >>> x = 3 + 5 * torch.randn(2, 4, 100)
    >>> bool(norm(x).mean(dim=(1, 2)).abs().max() < 1e-5)
    True
    """

    def __init__(self, channels, eps=EPS):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x, repeats=None):
        """Normalise each item of the batch.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]
        repeats : torch.Tensor, optional
            [T], how often each frame counts: the result is then that of a
            signal in which frame t occurs ``repeats[t]`` times, at the cost
            of the short one.

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        if x.dtype in (torch.float16, torch.bfloat16):
            with torch.autocast(x.device.type, enabled=False):
                return self.normalise(x.float(), repeats).to(x.dtype)
        return self.normalise(x, repeats)

    def normalise(self, x, repeats):
        """As :meth:`forward`, in the precision of ``x``."""
        if repeats is None:
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return F.group_norm(x, 1, weight, bias, self.eps)
        share = (repeats / (repeats.sum() * x.shape[1])).to(x.dtype)
        mean = (x * share).sum(dim=(1, 2), keepdim=True)
        centred = x - mean
        variance = (centred.square() * share).sum(dim=(1, 2), keepdim=True)
        scale = self.weight[:, None] * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias[:, None].to(x.dtype), centred, scale)
