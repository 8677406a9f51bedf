"""Building blocks of a causal IIANet: convolutions and norms that look back.

Each has the weights, by name and shape, of its counterpart in
:mod:`avsep_sb.lobes.iianet_blocks`, and a memory as further argument
(:mod:`avsep_sb.lobes.causal_memory`). Other than there:

- the window of a convolution ends at its frame instead of being centred;
- the norms know the past only (:mod:`avsep_sb.lobes.causal_norm`).

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.causal_norm import SHORT, CumulativeNorm


class CausalConv1d(nn.Conv1d):
    """Convolution over the frames up to each one.

    With a stride, the frames that come out are those of the coarser signal,
    at multiples of its period.

    Arguments
    ---------
    in_channels, out_channels : int
        Channels.
    kernel_size : int
        Frames seen.
    stride : int
        Step in frames.
    **options
        ``groups`` and ``bias`` of :class:`torch.nn.Conv1d`.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory
    >>> CausalConv1d(4, 8, 5)(torch.rand(2, 4, 9), Memory()).shape
    torch.Size([2, 8, 9])
    """

    def forward(self, x, memory, span=None, period=1):
        """Filter the next frames.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]
        memory : Memory
            The frames before.
        span : Span, optional
            The piece; needed with a stride.
        period : int
            Period of the frames of ``x``.

        Returns
        -------
        torch.Tensor
            [N, C', T'], any number of frames, none included.
        """
        size, stride = self.kernel_size[0], self.stride[0]
        if x.shape[-1] == 0:
            return x.new_empty(x.shape[0], self.out_channels, 0)
        if size == 1:
            weight = self.weight[:, :, 0]
            if self.groups == 1:
                # Short pieces: a product costs less than a convolution.
                x = weight @ x
                return x if self.bias is None else x + self.bias[:, None]
            if self.bias is None:
                return x * weight
            return torch.addcmul(self.bias[:, None], x, weight)
        x = memory.extend(self, x, size - 1)
        if stride > 1:
            x = x[..., span.offset(period, stride * period) :]
        if x.shape[-1] < size:
            return x.new_empty(x.shape[0], self.out_channels, 0)
        if self.groups > 1 and x.shape[-1] <= SHORT:
            # For a few frames a convolution takes ten times its sums.
            x = (x.unfold(-1, size, stride) * self.weight).sum(-1)
            return x if self.bias is None else x + self.bias[:, None]
        return super().forward(x)


class CausalConvNorm(nn.Module):
    """Causal convolution, cumulative norm and, if wanted, a non-linearity.

    Arguments
    ---------
    in_channels, out_channels : int
        Channels.
    kernel_size : int
        Frames seen.
    decay : float
        See :class:`CumulativeNorm`.
    stride : int
        Step in frames.
    depthwise : bool
        Convolve each channel by itself.
    bias : bool
        Whether the convolution has one.
    act : torch.nn.Module, optional
        What follows the norm.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory
    >>> CausalConvNorm(4, 8, 3)(torch.rand(2, 4, 9), Memory()).shape
    torch.Size([2, 8, 9])
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=1,
        decay=1.0,
        stride=1,
        depthwise=False,
        bias=False,
        act=None,
    ):
        super().__init__()
        self.conv = CausalConv1d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            groups=in_channels if depthwise else 1,
            bias=bias,
        )
        self.norm = CumulativeNorm(out_channels, decay)
        self.act = nn.Identity() if act is None else act

    def forward(self, x, memory, span=None, period=1):
        """Filter and normalise the next frames.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]
        memory : Memory
            The past.
        span : Span, optional
            The piece; needed with a stride.
        period : int
            Period of the frames of ``x``.

        Returns
        -------
        torch.Tensor
            [N, C', T']
        """
        x = self.conv(x, memory, span, period)
        return self.act(self.norm(x, memory))


def past_mean(x, memory, owner, span, fine, coarse):
    """Mean of the frames since the last coarse one, for each coarse frame.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T], frames of period ``fine``.
    memory : Memory
        The frames before.
    owner : hashable
        Whose signal it is.
    span : Span
        The piece.
    fine, coarse : int
        Periods.

    Returns
    -------
    torch.Tensor
        [N, C, T'], frames of period ``coarse``.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory, Span
    >>> x = torch.tensor([[[1.0, 2.0, 4.0]]])
    >>> past_mean(x, Memory(), "x", Span(0, 3), 1, 2).tolist()
    [[[0.5, 3.0]]]
    """
    times = coarse // fine
    x = memory.extend(owner, x, times - 1)[..., span.offset(fine, coarse) :]
    if x.shape[-1] < times:
        return x[..., :0]
    return F.avg_pool1d(x, times)


def look_back(state):
    """Turn the weights of centred convolutions into those of causal ones.

    What a centred window sees of the future is left out: a start for causal
    training, to be trained on from.

    Arguments
    ---------
    state : dict
        Names to tensors. Those of three dimensions count as kernels over
        time, [C', C, K].

    Returns
    -------
    dict
        The same names and shapes.

    Example
    -------
    >>> kernel = torch.tensor([[[1.0, 2.0, 3.0]]])
    >>> look_back({"conv.weight": kernel})["conv.weight"].tolist()
    [[[0.0, 1.0, 2.0]]]
    """
    result = {}
    for name, value in state.items():
        half = value.shape[-1] // 2 if value.dim() == 3 else 0
        if half:
            value = F.pad(value[..., : half + 1], (half, 0))
        result[name] = value
    return result
