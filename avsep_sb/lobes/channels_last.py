"""Layers on sequences whose channels lie side by side in memory.

A sequence stays [N, C, T] for all that see it; only its strides are those of
[N, T, C]. oneDNN's convolutions, torch's group norm and its resizing have
kernels for images stored so that are several times faster than those for
[N, C, T] as it usually lies: a depthwise convolution of 512 channels and 1601
frames takes 0.1 ms in place of 3 ms on two cores. So each layer here looks at
its input as an image of one row. Values, weights and their names do not
change; gradients, other types and devices work as ever.

Authors
 * avsep_sb contributors
"""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes import frame_gradient, pointwise_gradient
from avsep_sb.lobes.norms import GlobalLayerNorm
from avsep_sb.lobes.resize import resize

# Mean over standard deviation, above which the fast norm is not exact enough:
# at 2 it errs by 2e-5.
FAR_FROM_ZERO = 2.0

# Just below what glibc allows its threshold to become.
LARGEST = 31 * 2**20


def on_cpu(x):
    """Tell whether these layers have their own way for an input.

    Elsewhere, and in graphs that are traced, exported or compiled, they call
    what torch has for sequences.

    Arguments
    ---------
    x : torch.Tensor
        What a layer is given.

    Returns
    -------
    bool

    Example
    -------
    >>> on_cpu(torch.rand(2, 4, 9))
    True
    """
    return (
        x.device.type == "cpu"
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
    )


@functools.cache
def keep_freed_memory():
    """Have the process keep up to 62 MB of what is freed, once.

    Else every tensor of some MB is handed back and its pages are made anew
    for the next one, which takes up to a sixth of the time of a pass. glibc
    keeps as much as twice the largest block that was freed, if that was below
    32 MB; so one such block, which is never written to, is freed here.
    Elsewhere this does nothing.

    Example
    -------
    >>> keep_freed_memory()
    """
    torch.empty(LARGEST, dtype=torch.uint8, device="cpu")


def channels_last(x):
    """Bring the channels of each frame together in memory.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]

    Returns
    -------
    torch.Tensor
        [N, C, T], the same values; ``x`` itself where they lie so already, or
        where it would gain nothing.

    Example
    -------
    >>> import torch
    >>> channels_last(torch.rand(2, 4, 9)).stride()
    (36, 1, 4)
    """
    if not on_cpu(x):
        return x
    image = x.unsqueeze(2)
    return image.contiguous(memory_format=torch.channels_last).squeeze(2)


def join_channels(*signals):
    """Concatenate the channels of sequences.

    Arguments
    ---------
    *signals : torch.Tensor
        [N, C, T] with any C.

    Returns
    -------
    torch.Tensor
        [N, sum of all C, T], channels side by side in memory.

    Example
    -------
    >>> import torch
    >>> join_channels(torch.rand(2, 4, 9), torch.rand(2, 1, 9)).stride()
    (45, 1, 5)
    """
    rows = torch.cat([signal.transpose(1, 2) for signal in signals], 2)
    return rows.transpose(1, 2)


def resize_frames(x, new_length):
    """Bring a sequence to another length by repeating or leaving out frames.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    new_length : int
        Frames wanted.

    Returns
    -------
    torch.Tensor
        [N, C, new_length], as :func:`avsep_sb.lobes.resize.resize` gives it.

    Example
    -------
    >>> import torch
    >>> resize_frames(torch.tensor([[[1.0, 2.0]]]), 4).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    same = x.shape[-1] == new_length
    if same or x.dtype != torch.float32 or not on_cpu(x):
        return resize(x, new_length)
    size = (1, new_length)
    return F.interpolate(x.unsqueeze(2), size=size, mode="nearest").squeeze(2)


def filter_frames(x, weight, bias=None, stride=1, groups=1):
    """Convolve a sequence; the length stays the same but for the stride.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    weight : torch.Tensor
        [C', C / groups, K] with an odd K.
    bias : torch.Tensor, optional
        [C']
    stride : int
        Step in frames.
    groups : int
        Groups of channels that do not see one another.

    Returns
    -------
    torch.Tensor
        [N, C', ceil(T / stride)]

    Example
    -------
    >>> import torch
    >>> filter_frames(torch.rand(2, 4, 9), torch.rand(6, 4, 1)).shape
    torch.Size([2, 6, 9])
    """
    padding = weight.shape[-1] // 2
    if not on_cpu(x):
        return F.conv1d(x, weight, bias, stride, padding, 1, groups)
    if groups == len(weight) > 1 and frame_gradient.apply_here(x, weight):
        return frame_gradient.depthwise(x, weight, bias, stride)
    is_point = groups == stride == weight.shape[-1] == 1
    if is_point and pointwise_gradient.apply_here(x, weight):
        return pointwise_gradient.pointwise(x, weight, bias)
    image, weight = x.unsqueeze(2), weight.unsqueeze(2)
    steps, padding = (1, stride), (0, padding)
    if groups == 1 and weight.shape[-1] == 1 and _on_one_thread(x, weight):
        # torch itself leaves these to a matrix product, at half the speed.
        image = torch.mkldnn_convolution(
            image, weight, bias, padding, steps, (1, 1), groups
        )
    else:
        image = F.conv2d(image, weight, bias, steps, padding, 1, groups)
    return image.squeeze(2)


def _on_one_thread(x, weight):
    """Whether oneDNN has to be asked by name, and can be."""
    return (
        torch.get_num_threads() == 1
        and not torch.is_grad_enabled()
        and x.dtype == weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
    )


class FrameConv1d(nn.Conv1d):
    """Convolution that keeps the length but for its stride.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    kernel_size : int
        Frames seen, odd.
    stride : int
        Step in frames.
    depthwise : bool
        Convolve each channel by itself.

    Example
    -------
    >>> import torch
    >>> conv = FrameConv1d(4, 4, 5, stride=2, depthwise=True)
    >>> conv(torch.rand(2, 4, 9)).shape
    torch.Size([2, 4, 5])
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=1,
        stride=1,
        depthwise=False,
    ):
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=in_channels if depthwise else 1,
        )

    def forward(self, x):
        """Filter.

        Arguments
        ---------
        x : torch.Tensor
            [N, in_channels, T]

        Returns
        -------
        torch.Tensor
            [N, out_channels, ceil(T / stride)]
        """
        return filter_frames(
            x, self.weight, self.bias, self.stride[0], self.groups
        )


class FrameNorm(GlobalLayerNorm):
    """Global layer norm; see :class:`avsep_sb.lobes.norms.GlobalLayerNorm`.

    Example
    -------
    >>> import torch
    >>> with torch.no_grad():
    ...     FrameNorm(4)(channels_last(torch.randn(2, 4, 9))).stride()
    (36, 1, 4)
    """

    def normalise(self, x, repeats):
        """As in the base class, in the precision of ``x``."""
        # Where x needs no gradient, torch's backward pass of images writes one
        # all the same, to nowhere.
        crashes = torch.is_grad_enabled() and not x.requires_grad
        if repeats is not None or crashes or not on_cpu(x):
            return super().normalise(x, repeats)
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        image = channels_last(x).unsqueeze(2)
        size = (*x.shape, 1)
        y, mean, rstd = torch.native_group_norm(
            image, weight, bias, *size, self.eps
        )
        if (mean.abs() * rstd).max() > FAR_FROM_ZERO:
            # The fast kernel takes the mean's square from the mean square,
            # which then leaves few digits.
            return super().normalise(x.contiguous(), None)
        return y.squeeze(2)


class FramePReLU(nn.PReLU):
    """PReLU with one slope that overwrites its input where it may.

    Example
    -------
    >>> import torch
    >>> FramePReLU()(torch.tensor([[[-4.0, 2.0]]])).tolist()
    [[[-1.0, 2.0]]]
    """

    def forward(self, x):
        """Apply.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]; without gradients it is not to be used again.

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        if torch.is_grad_enabled() or not on_cpu(x):
            return super().forward(x)
        return F.leaky_relu_(x, self.weight.item())


class FrameConvNorm(nn.Module):
    """Convolution, global layer norm and, if wanted, a non-linearity.

    Arguments
    ---------
    conv : torch.nn.Module
        The convolution, with ``out_channels``.
    act : torch.nn.Module, optional
        What follows the norm.

    Example
    -------
    >>> import torch
    >>> FrameConvNorm(FrameConv1d(4, 8, 3))(torch.rand(2, 4, 9)).shape
    torch.Size([2, 8, 9])
    """

    def __init__(self, conv, act=None):
        super().__init__()
        self.conv = conv
        self.norm = FrameNorm(conv.out_channels)
        self.act = nn.Identity() if act is None else act

    def forward(self, *signals):
        """Filter what the convolution takes, and normalise.

        Arguments
        ---------
        *signals : torch.Tensor
            [N, C, T], as many as the convolution takes.

        Returns
        -------
        torch.Tensor
            [N, C', T']
        """
        x = self.conv(*signals)
        if self._is_known() and x.requires_grad:
            act = self.act if isinstance(self.act, FramePReLU) else None
            weights = [*self.norm.parameters(), *self.act.parameters()]
            if frame_gradient.apply_here(x, *weights):
                return frame_gradient.norm_prelu(x, self.norm, act)
        return self.act(self.norm(x))

    def _is_known(self):
        """Whether norm and non-linearity may be joined."""
        return type(self.norm) is FrameNorm and type(self.act) in (
            nn.Identity,
            FramePReLU,
        )
