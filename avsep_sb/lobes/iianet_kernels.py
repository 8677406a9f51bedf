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
import types

from avsep_sb.lobes import iianet_descent


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


def gate_rows(x, first, scale, bias, curve, start, stop):
    """Bring the first features back in: the gate before each later cycle.

    x becomes PReLU(scale (x + first) + bias); see :func:`filter_rows` for the
    curve.

    Arguments
    ---------
    x : array
        [T, C], written over.
    first : array
        [T, C]
    scale, bias : array
        [C], a depthwise convolution of one tap.
    curve : array
        [2], of the PReLU.
    start, stop : int
        Rows to change.
    """
    straight, bend = curve[0], curve[1]
    for t in range(start, stop):
        row, other = x[t], first[t]
        for c in range(row.shape[0]):
            z = scale[c] * (row[c] + other[c]) + bias[c]
            row[c] = straight * z + bend * abs(z)


def join_rows(rows, stream, out, start):
    """Add what comes out of a cycle to what went in.

    Arguments
    ---------
    rows : array
        [n, C]
    stream : array
        [T, C]
    out : array
        [T, C], of which rows from ``start`` on are written; may be ``stream``.
    start : int
        Place of the first row.
    """
    for t in range(rows.shape[0]):
        row, other, to = rows[t], stream[start + t], out[start + t]
        for c in range(row.shape[0]):
            to[c] = row[c] + other[c]


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
    x, around, pre, curve, taps, bias, stride, out, start, stop, rows, sums
):
    """Norm, PReLU and depthwise convolution: a step of the bottom-up pass.

    out = conv(y) + bias, with zeros around y, y = curve[0] z + curve[1] |z|
    and z = pre[0] x + pre[1]. So written, a PReLU of slope s, which has the
    curve (1 + s) / 2 and (1 - s) / 2, needs no choice.

    Arguments
    ---------
    x : array
        [T, C]
    around : tuple of array
        None, two of [0, C], or x before and after the rows ``start`` to
        ``stop``, [2, C] at most: then ``out`` may be ``x``.
    pre : array
        [2, C], the norm of x.
    curve : array
        [2]; 1 and 0 for no PReLU.
    taps : array
        [5, C]
    bias : array
        [C]
    stride : int
        Step in frames.
    out : array
        [ceil(T / stride), C]
    start, stop : int
        Rows of ``out`` to make.
    rows : array
        [n, C], scratch for at least ``stride`` + 4 rows.
    sums : array
        [2, C], sums and sums of squares of what is made, added to.
    """
    length, channels = x.shape
    zero = x.dtype.type(0)
    before, after = around
    first, last = 0, length
    if before.shape[0] or after.shape[0]:
        first, last = start, stop
    scale, shift, total, squares = pre[0], pre[1], sums[0], sums[1]
    w0, w1, w2, w3, w4 = taps[0], taps[1], taps[2], taps[3], taps[4]
    straight, bend = curve[0], curve[1]
    step, kept = (rows.shape[0] - 5) // stride + 1, 0
    for begin in range(start, stop, step):
        end = min(begin + step, stop)
        low = begin * stride - 2
        # What the last rows were made of may no longer be there.
        for k in range(kept):
            y, known = rows[k], rows[step * stride + k]
            for c in range(channels):
                y[c] = known[c]
        for t in range(low + kept, (end - 1) * stride + 3):
            y = rows[t - low]
            if t < 0 or t >= length:
                for c in range(channels):
                    y[c] = zero
            else:
                row = x[t]
                if t < first:
                    row = before[before.shape[0] - first + t]
                if t >= last:
                    row = after[t - last]
                for c in range(channels):
                    z = scale[c] * row[c] + shift[c]
                    y[c] = straight * z + bend * abs(z)
        kept = 5 - stride
        for t in range(begin, end):
            k, to = (t - begin) * stride, out[t]
            y0, y1, y2 = rows[k], rows[k + 1], rows[k + 2]
            y3, y4 = rows[k + 3], rows[k + 4]
            for c in range(channels):
                to[c] = (
                    (bias[c] + w0[c] * y0[c] + w1[c] * y1[c])
                    + (w2[c] * y2[c] + w3[c] * y3[c])
                    + w4[c] * y4[c]
                )
            for c in range(channels):
                total[c] += to[c]
                squares[c] += to[c] * to[c]


def pool_rows(scales, pres, out, start, stop):
    """Sum the adaptive average pools of all scales.

    Arguments
    ---------
    scales : tuple of array
        [T_i, C]
    pres : tuple of array
        [2, C], the norm of each.
    out : array
        [T', C]
    start, stop : int
        Rows of ``out`` to make.
    """
    coarse, channels = out.shape
    for t in range(start, stop):
        to = out[t]
        for c in range(channels):
            to[c] = 0.0
        for x, pre in zip(scales, pres):  # noqa: B905 (numba's takes no more)
            length, scale, shift = x.shape[0], pre[0], pre[1]
            first = t * length // coarse
            last = ((t + 1) * length + coarse - 1) // coarse
            share = x.dtype.type(1.0 / (last - first))
            for c in range(channels):
                to[c] += shift[c]
            for source in range(first, last):
                row = x[source]
                for c in range(channels):
                    to[c] += share * scale[c] * row[c]


KERNELS = (
    add_sums,
    gate_rows,
    join_rows,
    weigh_sums,
    fold_norm,
    filter_rows,
    pool_rows,
    iianet_descent.attend_rows,
    iianet_descent.sum_filtered,
    iianet_descent.sum_attended,
    iianet_descent.filter_attend_rows,
    iianet_descent.filter_pair,
    iianet_descent.open_gates,
    iianet_descent.come_down,
    iianet_descent.keep_rows,
)


def compile_loops(functions):
    """Make machine code of loops.

    Arguments
    ---------
    functions : tuple
        Plain functions over arrays. One may call those of its own file that
        stand before it.

    Returns
    -------
    types.SimpleNamespace or None
        One function for each, by its name, compiled when it is first called
        and kept on disk for later programs; None where numba is not
        installed.
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
    made = {}
    for one in functions:
        # The same code, but it calls what is compiled.
        names = {**one.__globals__, **made}
        loop = types.FunctionType(one.__code__, names, one.__name__)
        loop.__module__, loop.__doc__ = one.__module__, one.__doc__
        made[one.__name__] = make(loop)
    return types.SimpleNamespace(**made)


@functools.cache
def compiled():
    """The loops of inference as machine code.

    Returns
    -------
    types.SimpleNamespace or None
        See :func:`compile_loops`.
    """
    return compile_loops(KERNELS)
