"""Intra-attention of IIANet's top feature to one scale, block by block.

Gates and values of a whole feature are as large as the top for each scale, so
:class:`Step` keeps the maps that make them of the top, and makes them for the
frames that are wanted.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.lobes.iianet_descent import SIGMOID
from avsep_sb.lobes.iianet_rows import Norm, taps_of

NUMBERS = torch.tensor(SIGMOID).numpy()

# Frames of the top up to which its gates and values are kept whole: that is
# faster, as two passes read them.
SHORT = 2500


class Attend:
    """Weights of one intra-attention, laid out for the loops.

    Arguments
    ---------
    phi : avsep_sb.lobes.iianet_blocks.IntraAttention
        The layer.
    """

    def __init__(self, phi):
        single = phi.kernel_size == 1

        def norm(branch):
            return Norm(branch.norm, branch.conv.weight if single else None)

        self.local, self.gate = norm(phi.local), norm(phi.gate)
        self.value = norm(phi.value)
        if not single:
            self.fine_taps = taps_of(phi.local.conv)
            self.coarse_taps = taps_of(phi.gate.conv, phi.value.conv)


class Step:
    """What the way back has to know of one scale.

    Arguments
    ---------
    do : types.SimpleNamespace
        Of :func:`avsep_sb.lobes.iianet_kernels.compiled`.
    phi : Attend or None
        The intra-attention; None for a gate alone (phi').
    top : torch.Tensor
        [T_D, C]
    scale : torch.Tensor
        [T, C]
    sums : torch.Tensor
        [2, C], float64: sums of the scale and of its squares.
    pre : array
        [2, C], the norm of the scale.
    frames : array
        [T], which frame of the top goes with each frame.
    guide : array
        [Tv, C], by which the lips gate the scale; without rows for none.
    guide_frames : array
        [T], which of its frames goes with each frame.
    pair : array
        [2, T_D, C], to work in; with no frames where the top is not short.
    """

    def __init__(
        self, do, phi, top, scale, sums, pre, frames, guide, guide_frames, pair
    ):
        self.do, self.top, self.frames = do, top.numpy(), frames
        length, channels = scale.shape
        if phi is None:
            self.maps = torch.zeros(2, 2, channels).numpy()
            self.maps[0, 0] = 1
        else:
            pre = phi.local.fold(do, sums, length, pre)
            # The norms see the top feature at the rate of this scale.
            counts = torch.bincount(
                torch.from_numpy(frames), minlength=len(self.top)
            )
            sums = torch.zeros(2, channels, dtype=torch.float64)
            do.weigh_sums(self.top, counts.numpy(), sums.numpy())
            self.maps = (
                phi.gate.fold(do, sums, length),
                phi.value.fold(do, sums, length),
            )
        self.scale = scale.numpy()
        self.none = torch.empty(0, channels).numpy()
        self.given = (pre, frames, guide, guide_frames)
        self.pair = None
        if pair.shape[1]:
            self.pair = self._make(0, len(self.top), pair)

    def open(self, start, stop, first=0, last=None, around=None):
        """Make gates and values for some frames.

        Arguments
        ---------
        start, stop : int
            The frames; they may lie outside of the signal.
        first, last : int, optional
            Frames of the scale that still hold it: all if left out.
        around : tuple of array, optional
            The scale before and after these.

        Returns
        -------
        tuple
            The arguments of ``attend_rows`` from ``x`` to ``offset``.
        """
        length = len(self.frames)
        left, pair = 0, self.pair
        if pair is None:
            left = int(self.frames[max(start, 0)])
            right = int(self.frames[min(stop, length) - 1]) + 1
            pair = torch.empty(2, right - left, self.top.shape[1]).numpy()
            pair = self._make(left, right, pair)
        if around is None:
            around, last = (self.none, self.none), length
        there = (self.scale, around, first, last)
        return (*there, *self.given, *pair, left)

    def _make(self, left, right, pair):
        """Gate and value for rows of the top."""
        self.do.open_gates(
            *(self.top, self.top, left, right, *self.maps, NUMBERS, *pair)
        )
        return tuple(pair)
