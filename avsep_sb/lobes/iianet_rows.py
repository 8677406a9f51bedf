"""Features of IIANet as rows, time first, and layers over them in blocks.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.lobes.resize import nearest_frames

# Rows of a block: few enough for a core's cache.
BLOCK = 512


def dense(rows, weight, bias=None):
    """Convolution over all channels, without padding.

    Arguments
    ---------
    rows : torch.Tensor
        [n + K - 1, C]
    weight : torch.Tensor
        [C', C, 1, K], see :func:`dense_weight`.
    bias : torch.Tensor, optional
        [C']

    Returns
    -------
    torch.Tensor
        [n, C']

    Example
    -------
    >>> dense(torch.ones(5, 2), torch.ones(4, 2, 1, 3)).tolist()[0]
    [6.0, 6.0, 6.0, 6.0]
    """
    x = rows.contiguous()[None, None].permute(0, 3, 1, 2)
    if torch.backends.mkldnn.is_available():
        # torch itself gives kernels of one frame to a matrix product, which
        # takes twice as long on some processors.
        ones = [1, 1]
        y = torch.mkldnn_convolution(x, weight, bias, [0, 0], ones, ones, 1)
    else:
        y = torch.conv2d(x, weight, bias)
    return y.permute(0, 2, 3, 1)[0, 0].contiguous()


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
    """Memory of a cycle, in which what is done with makes room.

    The wide feature before the scales is over when the second scale is
    made. On the way back, what a scale hands down lies where nothing coarser
    or finer is still to be read.

    Arguments
    ---------
    lengths : list of int
        Frames of the scales, finest first, at least two.
    channels : int
        Channels.

    Returns
    -------
    tuple
        The wide feature [T_0, C], the scales [T_i, C], and for i from 1 on
        what goes down from a scale, [2, T_i, C].

    Example
    -------
    >>> wide, scales, coarse = lay_out([9, 5, 3], 4)
    >>> len(wide), [len(scale) for scale in scales]
    (9, [9, 5, 3])
    """
    full, below = lengths[0], lengths[1:]
    end = sum(below)
    # The two finest that go down need places apart from each other.
    last = max(3 * below[0], end + 2 * sum(below[2:]), full)
    rows = torch.empty(full + last + 2 * sum(below[1:2]), channels)
    finest, rest = rows[:full], rows[full:]
    scales = [finest, *rest[:end].split(below)]
    coarse, place = [], end
    for level, size in enumerate(below):
        start = (below[0], last)[level] if level < 2 else place
        place += 2 * size if level >= 2 else 0
        coarse.append(rest[start : start + 2 * size].view(2, size, channels))
    return rest[:full], scales, coarse


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
