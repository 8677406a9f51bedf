"""Loops that do in one pass what IIANet's layers do in several.

An IIANet spends most of its time on a CPU in reading and writing: a depthwise
convolution, a norm, a gate and a sum each stream the whole feature through
memory. The loops below fuse them (Li, Yang, Sun and Hu, "IIANet", ICML 2024).
A global layer norm is an affine map of each channel as soon as its sums are
known: every pass collects the sums of what it writes, and the next pass reads
through the map.

They are plain Python over arrays [T, C], time first, so that the inner loop
runs over channels: taps, strides, gates of another frame rate and the edges
then cost no shuffling. ``compiled`` hands them to numba (extra ``speed``),
which makes vector code of them on the user's machine; no compiler is needed.
They release the interpreter lock and work on rows ``start <= t < stop``, so
that several threads can share one feature.

Authors
 * avsep_sb contributors
"""

import functools
import math
from types import SimpleNamespace


def add_sums(rows, out, start, sums):
    """Copy rows to their place and add up what they hold.

    Arguments
    ---------
    rows : array
        [n, C]
    out : array
        [T, C], of which rows from ``start`` on are written.
    start : int
        Place of the first row.
    sums : array
        [2, C], sums and sums of squares over time, added to.
    """
    total, squares = sums[0], sums[1]
    for t in range(rows.shape[0]):
        row, to = rows[t], out[start + t]
        for c in range(row.shape[0]):
            value = row[c]
            to[c] = value
            total[c] += value
            squares[c] += value * value


def weigh_sums(rows, counts, sums):
    """Sums of a signal in which each frame occurs several times.

    Arguments
    ---------
    rows : array
        [T, C]
    counts : array
        [T], how often.
    sums : array
        [2, C], sums and sums of squares, added to.
    """
    total, squares = sums[0], sums[1]
    for t in range(rows.shape[0]):
        row, count = rows[t], counts[t]
        for c in range(row.shape[0]):
            value = row[c]
            total[c] += count * value
            squares[c] += count * value * value


def fold_norm(sums, count, pre, gain, weight, bias, eps, out):
    """Write gain, then global layer norm, as one affine map per channel.

    With x the signal that was summed, y = gain * (pre[0] x + pre[1]) is what
    the norm sees, and norm(y) = out[0] x + out[1].

    Arguments
    ---------
    sums : array
        [2, C], float64: sums of x and of its squares over time.
    count : int
        Frames that were summed.
    pre : array
        [2, C], the map that x was to be read through.
    gain : array
        [C], a depthwise convolution of one tap.
    weight, bias : array
        [C], of the norm.
    eps : float
        Of the norm.
    out : array
        [2, C]
    """
    channels = weight.shape[0]
    mean, square = 0.0, 0.0
    for c in range(channels):
        a, b = gain[c] * pre[0, c], gain[c] * pre[1, c]
        mean += a * sums[0, c] + b * count
        square += a * a * sums[1, c] + 2.0 * a * b * sums[0, c] + b * b * count
    mean /= count * channels
    variance = square / (count * channels) - mean * mean
    scale = 1.0 / math.sqrt(max(variance, 0.0) + eps)
    for c in range(channels):
        a, b = gain[c] * pre[0, c], gain[c] * pre[1, c]
        out[0, c] = weight[c] * scale * a
        out[1, c] = weight[c] * scale * (b - mean) + bias[c]


def filter_rows(
    x, pre, slope, taps, bias, stride, out, start, stop, ring, sums
):
    """Norm, PReLU and depthwise convolution: a step of the bottom-up pass.

    out = conv(prelu(pre[0] x + pre[1])) + bias, with zeros around.

    Arguments
    ---------
    x : array
        [T, C]
    pre : array
        [2, C], the norm of x.
    slope : float
        Of the PReLU; 1 for none.
    taps : array
        [K, C]
    bias : array
        [C]
    stride : int
        Step in frames.
    out : array
        [ceil(T / stride), C]
    start, stop : int
        Rows of ``out`` to make.
    ring : array
        [K, C], scratch.
    sums : array
        [2, C], sums and sums of squares of what is made, added to.
    """
    length, channels = x.shape
    size = taps.shape[0]
    half = size // 2
    zero = x.dtype.type(0)
    scale, shift = pre[0], pre[1]
    total, squares = sums[0], sums[1]
    ready = start * stride - half
    for t in range(start, stop):
        first = t * stride - half
        for source in range(ready, first + size):
            slot = ring[(source + size) % size]
            if source < 0 or source >= length:
                for c in range(channels):
                    slot[c] = zero
            else:
                row = x[source]
                for c in range(channels):
                    value = scale[c] * row[c] + shift[c]
                    slot[c] = value if value > zero else slope * value
        ready = first + size
        to = out[t]
        for c in range(channels):
            to[c] = bias[c]
        for k in range(size):
            tap, row = taps[k], ring[(first + k + size) % size]
            for c in range(channels):
                to[c] += tap[c] * row[c]
        for c in range(channels):
            value = to[c]
            total[c] += value
            squares[c] += value * value


def attend_filter_rows(
    x,
    pre,
    gate,
    value,
    frames,
    lips,
    lip_frames,
    taps,
    out,
    start,
    stop,
    ring,
    sums,
):
    """Intra-attention and depthwise convolutions: a step of the way back.

    y[t] = ((pre[0] x[t] + pre[1]) gate[frames[t]] + value[frames[t]])
    lips[lip_frames[t]] (Eqs. 2 and 4), and out[n] = conv_n(y), with zeros
    around.

    Arguments
    ---------
    x : array
        [T, C]
    pre : array
        [2, C], the depthwise convolution of one tap, if any, and the norm of
        x.
    gate, value : array
        [T', C], of the coarse feature.
    frames : array
        [T], which coarse frame goes with each frame.
    lips : array
        [Tv, C], 1 + sigmoid of the lips' feature; without rows for none.
    lip_frames : array
        [T], which of its frames goes with each frame.
    taps : array
        [n, K, C]
    out : array
        [n, T, C]
    start, stop : int
        Rows of ``out`` to make.
    ring : array
        [K, C], scratch.
    sums : array
        [n, 2, C], sums and sums of squares of what is made, added to.
    """
    length, channels = x.shape
    count, size = taps.shape[0], taps.shape[1]
    half = size // 2
    zero = x.dtype.type(0)
    scale, shift = pre[0], pre[1]
    ready = start - half
    for t in range(start, stop):
        first = t - half
        for source in range(ready, first + size):
            slot = ring[(source + size) % size]
            if source < 0 or source >= length:
                for c in range(channels):
                    slot[c] = zero
                continue
            row, g = x[source], gate[frames[source]]
            v = value[frames[source]]
            for c in range(channels):
                slot[c] = (scale[c] * row[c] + shift[c]) * g[c] + v[c]
            if lips.shape[0]:
                m = lips[lip_frames[source]]
                for c in range(channels):
                    slot[c] *= m[c]
        ready = first + size
        for n in range(count):
            to, total, squares = out[n, t], sums[n, 0], sums[n, 1]
            for c in range(channels):
                to[c] = zero
            for k in range(size):
                tap, row = taps[n, k], ring[(first + k + size) % size]
                for c in range(channels):
                    to[c] += tap[c] * row[c]
            for c in range(channels):
                made = to[c]
                total[c] += made
                squares[c] += made * made


def attend_rows(x, pre, gate, value, frames, out, start, stop):
    """Intra-attention alone, for the last step of the way back.

    Arguments
    ---------
    x, pre, gate, value, frames : array
        As for :func:`attend_filter_rows`.
    out : array
        [stop - start, C]
    start, stop : int
        Rows of ``x`` to take.
    """
    scale, shift = pre[0], pre[1]
    for t in range(start, stop):
        row, to = x[t], out[t - start]
        g, v = gate[frames[t]], value[frames[t]]
        for c in range(row.shape[0]):
            to[c] = (scale[c] * row[c] + shift[c]) * g[c] + v[c]


def pool_rows(x, pre, out, start, stop):
    """Add the adaptive average pool of a scale to the sum of all.

    Arguments
    ---------
    x : array
        [T, C]
    pre : array
        [2, C], the norm of x.
    out : array
        [T', C], added to.
    start, stop : int
        Rows of ``out`` to make.
    """
    length, channels = x.shape
    coarse = out.shape[0]
    scale, shift = pre[0], pre[1]
    for t in range(start, stop):
        first = t * length // coarse
        last = ((t + 1) * length + coarse - 1) // coarse
        share = x.dtype.type(1.0 / (last - first))
        to = out[t]
        for c in range(channels):
            to[c] += shift[c]
        for source in range(first, last):
            row = x[source]
            for c in range(channels):
                to[c] += share * scale[c] * row[c]


KERNELS = (
    add_sums,
    weigh_sums,
    fold_norm,
    filter_rows,
    attend_filter_rows,
    attend_rows,
    pool_rows,
)


@functools.cache
def compiled():
    """The loops as machine code.

    Returns
    -------
    types.SimpleNamespace or None
        One function for each of ``KERNELS``, by its name, compiled when it is
        first called and kept on disk for later programs; None where numba is
        not installed.
    """
    try:
        import numba
    except ImportError:
        return None
    # Sums may be taken in any order, but what is not a number stays so.
    make = numba.njit(
        nogil=True,
        cache=True,
        error_model="numpy",
        fastmath={"contract", "reassoc", "nsz", "arcp"},
    )
    return SimpleNamespace(**{one.__name__: make(one) for one in KERNELS})
