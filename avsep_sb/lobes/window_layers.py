"""Encoder and decoder of waveforms as products of all windows at once.

What comes out, and goes in, has the channels of a frame side by side in
memory; see :mod:`avsep_sb.lobes.channels_last`.

Authors
 * avsep_sb contributors
"""

import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.channels_last import on_cpu


class WindowConv1d(nn.Conv1d):
    """Filters of a waveform, as one product of its windows and them.

    Example
    -------
    >>> import torch
    >>> WindowConv1d(1, 9, 40, 20, 20, bias=False)(torch.rand(2, 1, 80)).shape
    torch.Size([2, 9, 5])
    """

    def forward(self, x):
        """Filter.

        Arguments
        ---------
        x : torch.Tensor
            [N, 1, T]

        Returns
        -------
        torch.Tensor
            [N, out_channels, L], channels side by side in memory.
        """
        if not on_cpu(x):
            return super().forward(x)
        x = F.pad(x[:, 0], (self.padding[0], self.padding[0]))
        windows = x.unfold(-1, self.kernel_size[0], self.stride[0])
        return F.linear(windows, self.weight[:, 0], self.bias).transpose(1, 2)


class OverlapAdd(nn.ConvTranspose1d):
    """The way back: one product makes all windows, which are then added.

    Its stride divides its kernel size.

    Example
    -------
    >>> import torch
    >>> OverlapAdd(9, 1, 40, 20, 20, bias=False)(torch.rand(2, 9, 5)).shape
    torch.Size([2, 1, 80])
    """

    def forward(self, x):
        """Make waveforms.

        Arguments
        ---------
        x : torch.Tensor
            [N, in_channels, L]

        Returns
        -------
        torch.Tensor
            [N, 1, (L - 1) * stride + kernel size - 2 * padding]
        """
        if not on_cpu(x):
            return super().forward(x)
        stride, padding = self.stride[0], self.padding[0]
        parts = self.kernel_size[0] // stride
        windows = x.transpose(1, 2) @ self.weight[:, 0]
        # [N, L, parts, stride]: part i of a window begins i strides later.
        windows = windows.unflatten(-1, (parts, stride))
        total = 0.0
        for i in range(parts):
            after = parts - 1 - i
            total = total + F.pad(windows[:, :, i], (0, 0, i, after))
        wave = total.flatten(1)
        length = wave.shape[-1] - 2 * padding
        return wave.narrow(-1, padding, length).unsqueeze(1)
