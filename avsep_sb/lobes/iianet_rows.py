"""Features of IIANet as rows, time first, and layers over them in blocks.

Authors
 * avsep_sb contributors
"""

import math
import threading

import torch
import torch.nn.functional as F

from avsep_sb.lobes.resize import nearest_frames

# Rows of a block: few enough for a core's cache.
BLOCK = 512


def dense(rows, weight, bias=None):
    """Convolution over all channels, without padding.

    At every call of torch another thread may take the interpreter, and has to
    be waited for: so there is one.

    Arguments
    ---------
    rows : array
        [n + K - 1, C]
    weight : torch.Tensor
        [C', C, 1, K], see :func:`dense_weight`.
    bias : torch.Tensor, optional
        [C']

    Returns
    -------
    array
        [n, C']

    Example
    -------
    >>> dense(torch.ones(5, 2).numpy(), torch.ones(4, 2, 1, 3)).tolist()[0]
    [6.0, 6.0, 6.0, 6.0]
    """
    image = rows.reshape(1, 1, *rows.shape).transpose(0, 3, 1, 2)
    x = torch.from_numpy(image)
    if torch.backends.mkldnn.is_available():
        # torch itself gives kernels of one frame to a matrix product, which
        # takes twice as long on some processors.
        ones = (1, 1)
        y = torch.mkldnn_convolution(x, weight, bias, (0, 0), ones, ones, 1)
    else:
        y = torch.conv2d(x, weight, bias)
    return y.numpy().transpose(0, 2, 3, 1).reshape(-1, len(weight))


def curve_of(act):
    """A PReLU of one slope, for the loops: its parts in x and in abs(x).

    Arguments
    ---------
    act : torch.nn.PReLU
        The layer.

    Returns
    -------
    array
        [2]
    """
    slope = act.weight.detach()
    return torch.cat([1 + slope, 1 - slope]).div(2).numpy()


def padded_rows(rows, start, stop):
    """Some rows with one more at each end, zeros around the signal.

    Arguments
    ---------
    rows : torch.Tensor
        [T, C]
    start, stop : int
        The rows.

    Returns
    -------
    torch.Tensor
        [stop - start + 2, C]

    Example
    -------
    >>> padded_rows(torch.ones(5, 1), 3, 5).flatten().tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    found = rows[max(0, start - 1) : stop + 1]
    ends = int(start == 0), int(stop == len(rows))
    return F.pad(found, (0, 0, *ends)) if any(ends) else found


def dense_weight(layer):
    """Lay out the weights of a convolution for :func:`dense`.

    Arguments
    ---------
    layer : torch.nn.Conv1d
        The convolution.

    Returns
    -------
    tuple
        Weight [C', C, 1, K], and bias [C'] or None.
    """
    weight = layer.weight.detach().unsqueeze(2)
    weight = weight.contiguous(memory_format=torch.channels_last)
    return weight, None if layer.bias is None else layer.bias.detach()


class Norm:
    """A global layer norm, to be folded into the map of each channel.

    Arguments
    ---------
    norm : avsep_sb.lobes.norms.GlobalLayerNorm
        The layer.
    gain : torch.Tensor, optional
        [C], a depthwise convolution of one tap before it.
    """

    def __init__(self, norm, gain=None):
        self.weight = norm.weight.detach().numpy()
        self.bias = norm.bias.detach().numpy()
        self.eps = norm.eps
        if gain is None:
            gain = torch.ones_like(norm.weight)
        self.gain = gain.detach().flatten().numpy()
        # The map that changes nothing.
        self.identity = torch.ones(2, len(self.weight))
        self.identity[1] = 0.0
        self.identity = self.identity.numpy()

    def fold(self, kernels, sums, count, pre=None):
        """The map that the norm comes down to.

        Arguments
        ---------
        kernels : types.SimpleNamespace
            Of :func:`avsep_sb.lobes.iianet_kernels.compiled`.
        sums : torch.Tensor
            [2, C], float64: sums and sums of squares.
        count : int
            Frames summed.
        pre : array, optional
            [2, C], the map through which the summed signal is to be read.

        Returns
        -------
        array
            [2, C]
        """
        out = torch.empty(2, len(self.weight)).numpy()
        kernels.fold_norm(
            sums.numpy(),
            count,
            self.identity if pre is None else pre,
            self.gain,
            self.weight,
            self.bias,
            self.eps,
            out,
        )
        return out

    def map(self, kernels, sums, count, pre=None):
        """As :meth:`fold`, as two tensors [C]: gain and constant."""
        return torch.from_numpy(self.fold(kernels, sums, count, pre)).unbind()


class Frames:
    """Which coarse frame goes with each fine one, for all pairs of lengths.

    Example
    -------
    >>> Frames().between(2, 5).tolist()
    [0, 0, 0, 1, 1]
    """

    def __init__(self):
        self.known = {}

    def between(self, length, new_length):
        """As :func:`avsep_sb.lobes.resize.nearest_frames`.

        Arguments
        ---------
        length, new_length : int
            Frames before and after.

        Returns
        -------
        array
            [new_length]
        """
        key = (length, new_length)
        if key not in self.known:
            self.known[key] = nearest_frames(*key).numpy()
        return self.known[key]


class Scratch(threading.local):
    """Memory to work in, one of each kind for each thread.

    What is allocated and freed for every block is handed back to the system
    at times, and its pages are made anew.

    Example
    -------
    >>> scratch = Scratch()
    >>> scratch.rows("window", 3, 4).shape
    (3, 4)
    """

    def __init__(self):
        self.kept = {}

    def rows(self, kind, *shape):
        """Memory that holds anything, until the thread asks for this kind.

        Arguments
        ---------
        kind : str
            What it is for.
        *shape : int
            Its shape.

        Returns
        -------
        array
            Of this shape, of 32-bit floats.
        """
        size, kept = math.prod(shape), self.kept.get(kind)
        if kept is None or len(kept) < size:
            kept = self.kept[kind] = torch.empty(size).numpy()
        return kept[:size].reshape(shape)


def taps_of(*layers):
    """Taps of depthwise convolutions, frame by frame.

    Arguments
    ---------
    layers : avsep_sb.lobes.iianet_blocks.DepthwiseConv1d
        n layers of one size.

    Returns
    -------
    array
        [n, K, C]
    """
    weights = [layer.weight.detach()[:, 0].t() for layer in layers]
    return torch.stack(weights).contiguous().numpy()


def lay_out(lengths, channels):
    """Memory of a cycle.

    What goes down from a scale lies in its place, in which two rows more at
    each end are zeros: padding for the filters that read it.

    Arguments
    ---------
    lengths : list of int
        Frames of the scales, finest first.
    channels : int
        Channels.

    Returns
    -------
    tuple
        All of it [n], the scales [T_i, C], and for i from 1 on what goes down
        from a scale, [T_i + 4, C].

    Example
    -------
    >>> memory, scales, coarse = lay_out([9, 5, 3], 4)
    >>> len(memory), [len(scale) for scale in scales]
    (100, [9, 5, 3])
    """
    sizes = [lengths[0], *(length + 4 for length in lengths[1:])]
    rows = torch.empty(sum(sizes), channels)
    finest, *coarse = rows.split(sizes)
    for place in coarse:
        place[:2] = place[-2:] = 0
    return rows.flatten(), [finest, *(each[2:-2] for each in coarse)], coarse


def blocks_of(length, count, block=BLOCK):
    """Cut a feature into blocks of about one size.

    Arguments
    ---------
    length : int
        Rows.
    count : int
        Blocks at least, where there are rows for them.
    block : int
        Rows of a block at most.

    Returns
    -------
    list of tuple
        Start and stop of each.

    Example
    -------
    >>> blocks_of(10, 4)
    [(0, 3), (3, 6), (6, 9), (9, 10)]
    """
    count = max(min(count, length), -(-length // block))
    size = -(-length // count)
    starts = range(0, length, size)
    return [(start, min(start + size, length)) for start in starts]


def edges_of(rows, spans, reach):
    """Keep what lies around blocks that are to be written in place.

    Arguments
    ---------
    rows : array
        [T, C]
    spans : list of tuple
        Start and stop of each block.
    reach : int
        Rows before and after a block that it is made of.

    Returns
    -------
    dict
        By the start of a block the rows before and after, arrays of [reach,
        C] or, at the ends, less.

    Example
    -------
    >>> rows = torch.arange(6.0)[:, None].numpy()
    >>> edges = edges_of(rows, [(0, 3), (3, 6)], 2)
    >>> edges[0][1].tolist(), edges[3][0].tolist()
    ([[3.0], [4.0]], [[1.0], [2.0]])
    """
    return {
        start: (
            rows[max(0, start - reach) : start].copy(),
            rows[stop : stop + reach].copy(),
        )
        for start, stop in spans
    }


def in_blocks(team, length, make, *sums, block=BLOCK):
    """Make the rows of a feature in blocks, by all threads.

    Arguments
    ---------
    team : avsep_sb.lobes.workers.Workers
        The threads.
    length : int
        Rows.
    make : callable
        Takes start and stop and, if sums are wanted, an array of zeros for
        the sums of what it makes.
    sums : int
        Shape of that array; none if left out.
    block : int
        Rows of a block at most.

    Returns
    -------
    torch.Tensor or None
        The sums of all blocks, float64.

    Example
    -------
    >>> from avsep_sb.lobes.workers import Workers
    >>> def make(start, stop, sums):
    ...     sums += stop - start
    >>> in_blocks(Workers(1), 1000, make, 1).tolist()
    [1000.0]
    """
    spans = blocks_of(length, team.count, block)
    if not sums:
        team.share(lambda i: make(*spans[i]), len(spans))
        return None
    found = torch.zeros(len(spans), *sums)
    arrays = found.numpy()
    team.share(lambda i: make(*spans[i], arrays[i]), len(spans))
    return found.double().sum(0)
