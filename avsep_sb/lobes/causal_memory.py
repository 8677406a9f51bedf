"""What causal layers remember, so that a stream may come in pieces.

A causal layer looks back only. Its past is kept in a :class:`Memory`: a whole
sequence is one piece with an empty memory, and a stream is many pieces with
the same one, so that both run the same code. Frames of all rates lie on one
clock: a :class:`Span` says which frames of the finest rate a piece covers.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import torch


class Memory(dict):
    """The past of the layers that share it, by layer.

    One pass over a network needs one memory; layers that run several times in
    a pass (the cycles of IIANet share weights) need one for each time. Values
    are tensors whose first dimension is the row (face), or tuples that begin
    with such tensors.

    Example
    -------
    >>> memory = Memory()
    >>> memory.extend("me", torch.tensor([[1.0, 2.0, 3.0]]), 2).tolist()
    [[0.0, 0.0, 1.0, 2.0, 3.0]]
    >>> memory.extend("me", torch.tensor([[4.0]]), 2).tolist()
    [[2.0, 3.0, 4.0]]
    """

    def extend(self, owner, x, length, dim=-1):
        """Put the frames before a piece in front of it; remember the last.

        Arguments
        ---------
        owner : hashable
            Whose past it is: a layer, or a layer with a name.
        x : torch.Tensor
            The piece, any number of frames, none included.
        length : int
            Frames wanted before it; zeros before the beginning.
        dim : int
            Where time is.

        Returns
        -------
        torch.Tensor
            ``x`` with ``length`` frames more.
        """
        before = self.get(owner)
        if before is None:
            shape = list(x.shape)
            shape[dim] = length
            before = x.new_zeros(shape)
        joined = torch.cat([before, x], dim)
        self[owner] = joined.narrow(dim, joined.shape[dim] - length, length)
        return joined

    def select(self, rows):
        """Keep some rows, in this order; a row may come twice.

        Arguments
        ---------
        rows : torch.Tensor
            int64, indices of rows.
        """
        for owner, kept in self.items():
            if isinstance(kept, tuple):
                kept = (kept[0].index_select(0, rows), *kept[1:])
            else:
                kept = kept.index_select(0, rows)
            self[owner] = kept

    @property
    def num_values(self):
        """int: numbers that are held; it does not grow with time."""
        kept = (k[0] if isinstance(k, tuple) else k for k in self.values())
        return sum(tensor.numel() for tensor in kept)


class Span(NamedTuple):
    """The frames of the finest rate that a piece covers, from and to.

    A coarser signal has a frame at each multiple of its period, made of what
    was heard up to then.

    Arguments
    ---------
    start : int
        First frame.
    stop : int
        One more than the last frame.

    Example
    -------
    >>> Span(5, 10).grid(4)
    (2, 3)
    """

    start: int
    stop: int

    def grid(self, period):
        """Tell which frames of a coarser signal fall into the piece.

        Arguments
        ---------
        period : int
            Its period, in frames of the finest rate.

        Returns
        -------
        tuple
            The first, and one more than the last.
        """
        return -(-self.start // period), -(-self.stop // period)

    def offset(self, fine, coarse):
        """Tell where in a piece of period ``fine`` the first coarse frame is.

        Arguments
        ---------
        fine, coarse : int
            Periods; ``fine`` divides ``coarse``.

        Returns
        -------
        int
        """
        return self.grid(coarse)[0] * (coarse // fine) - self.grid(fine)[0]


def hold(x, memory, owner, span, coarse, fine):
    """Bring a signal to a finer rate: each frame holds until the next one.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T'], its frames in this piece, of period ``coarse``.
    memory : Memory
        Remembers the frame before.
    owner : hashable
        Whose signal it is.
    span : Span
        The piece.
    coarse, fine : int
        Periods; ``fine`` divides ``coarse``.

    Returns
    -------
    torch.Tensor
        [N, C, T], frames of period ``fine``.

    Example
    -------
    >>> memory, x = Memory(), torch.tensor([[[1.0, 2.0]]])
    >>> hold(x, memory, "x", Span(0, 3), 2, 1).tolist()
    [[[1.0, 1.0, 2.0]]]
    >>> hold(x[..., :0], memory, "x", Span(3, 4), 2, 1).tolist()
    [[[2.0]]]
    """
    times = coarse // fine
    if times == 1:
        return x
    x = memory.extend(owner, x, 1)
    first, last = span.grid(fine)
    skipped = first - (span.grid(coarse)[0] - 1) * times
    x = x.unsqueeze(-1).expand(*x.shape, times).flatten(-2)
    return x.narrow(-1, skipped, last - first)


def thin(x, span, fine, coarse):
    """Bring a signal to a coarser rate: of each group the first frame.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T], frames of period ``fine``.
    span : Span
        The piece.
    fine, coarse : int
        Periods; ``fine`` divides ``coarse``.

    Returns
    -------
    torch.Tensor
        [N, C, T'], frames of period ``coarse``.

    Example
    -------
    >>> thin(torch.arange(4.0)[None, None], Span(3, 7), 1, 2).tolist()
    [[[1.0, 3.0]]]
    """
    return x[..., span.offset(fine, coarse) :: coarse // fine]
