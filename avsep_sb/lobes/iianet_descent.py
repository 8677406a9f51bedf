"""Loops of IIANet's way back: intra-attention, gates and their filters.

More of the loops of :mod:`avsep_sb.lobes.iianet_kernels`, which says what
they are for; here are those that join the scales.

Authors
 * avsep_sb contributors
"""

import math


def attend_rows(
    x,
    around,
    first,
    last,
    pre,
    frames,
    lips,
    lip_frames,
    gate,
    value,
    offset,
    out,
    start,
    stop,
):
    """Intra-attention of the top to a scale, and of the lips to both.

    y[t] = (z[t] gate[j] + value[j]) lips[lip_frames[t]] with
    z = pre[0] x + pre[1] and j = frames[t] - offset (Eqs. 2 and 4), and zeros
    around.

    Arguments
    ---------
    x : array
        [T, C]
    around : tuple of array
        What x was before row ``first`` and from row ``last`` on, [n, C]
        each: other threads may have written there.
    first, last : int
        Rows of x that still hold it.
    pre : array
        [2, C], the filter of one tap and the norm of x.
    frames : array
        [T], which coarse frame goes with each frame.
    lips : array
        [Tv, C], 1 + sigmoid of the lips' feature; without rows for none.
    lip_frames : array
        [T], which of its frames goes with each frame.
    gate, value : array
        [T', C], some rows of the coarse feature.
    offset : int
        Coarse frame that is the first row of ``gate``.
    out : array
        [at least stop - start, C]
    start, stop : int
        Rows to make; they may lie outside of the signal.
    """
    length, channels = x.shape
    zero = x.dtype.type(0)
    before, after = around
    scale, shift = pre[0], pre[1]
    for t in range(start, stop):
        y = out[t - start]
        if t < 0 or t >= length:
            for c in range(channels):
                y[c] = zero
            continue
        row = x[t]
        if t < first:
            row = before[before.shape[0] - first + t]
        if t >= last:
            row = after[t - last]
        j = frames[t] - offset
        g, v = gate[j], value[j]
        for c in range(channels):
            y[c] = (scale[c] * row[c] + shift[c]) * g[c] + v[c]
        if lips.shape[0]:
            m = lips[lip_frames[t]]
            for c in range(channels):
                y[c] *= m[c]


def sum_filtered(y, taps, sums):
    """Sums of what a depthwise convolution gives, without keeping it.

    Arguments
    ---------
    y : array
        [n + 4, C]
    taps : array
        [5, C]
    sums : array
        [2, C], sums and sums of squares of n rows, added to.
    """
    total, squares = sums[0], sums[1]
    w0, w1, w2, w3, w4 = taps[0], taps[1], taps[2], taps[3], taps[4]
    for t in range(y.shape[0] - 4):
        y0, y1, y2, y3, y4 = y[t], y[t + 1], y[t + 2], y[t + 3], y[t + 4]
        for c in range(y.shape[1]):
            z = (
                (w0[c] * y0[c] + w1[c] * y1[c])
                + (w2[c] * y2[c] + w3[c] * y3[c])
                + w4[c] * y4[c]
            )
            total[c] += z
            squares[c] += z * z


def sum_attended(step, taps, sums, start, stop, rows):
    """:func:`attend_rows`, then :func:`sum_filtered`, a window at a time.

    Arguments
    ---------
    step : tuple
        The arguments of :func:`attend_rows` from ``x`` to ``offset``.
    taps, sums
        As in :func:`sum_filtered`.
    start, stop : int
        Rows that are filtered.
    rows : array
        [n + 4, C], scratch for a window of n rows.
    """
    size = rows.shape[0] - 4
    for begin in range(start, stop, size):
        end = min(begin + size, stop)
        attend_rows(*step, rows, begin - 2, end + 2)
        sum_filtered(rows[: end - begin + 4], taps, sums)


def filter_attend_rows(y, taps, pre, gate, value, frames, offset, out, start):
    """Depthwise convolution, norm and the intra-attention of a coarser scale.

    out[t] = z[t] gate[j] + value[j] with z = pre[0] conv(y) + pre[1] and
    j = frames[start + t] - offset (Eq. 2), zeros outside of the signal.

    Arguments
    ---------
    y : array
        [n + 4, C]
    taps : array
        [5, C]
    pre : array
        [2, C], the norm of the convolution.
    gate, value : array
        [T', C], some rows of the coarse feature.
    frames : array
        [T], which coarse frame goes with each frame.
    offset : int
        Coarse frame that is the first row of ``gate``.
    out : array
        [n, C]
    start : int
        Frame that is the first row of ``out``.
    """
    length, channels = len(frames), y.shape[1]
    zero = y.dtype.type(0)
    scale, shift = pre[0], pre[1]
    w0, w1, w2, w3, w4 = taps[0], taps[1], taps[2], taps[3], taps[4]
    for t in range(y.shape[0] - 4):
        to = out[t]
        if start + t < 0 or start + t >= length:
            for c in range(channels):
                to[c] = zero
            continue
        j = frames[start + t] - offset
        g, v = gate[j], value[j]
        y0, y1, y2, y3, y4 = y[t], y[t + 1], y[t + 2], y[t + 3], y[t + 4]
        for c in range(channels):
            to[c] = (
                (w0[c] * y0[c] + w1[c] * y1[c])
                + (w2[c] * y2[c] + w3[c] * y3[c])
                + w4[c] * y4[c]
            )
        for c in range(channels):
            to[c] = (scale[c] * to[c] + shift[c]) * g[c] + v[c]


# exp(-u) on 0 <= u <= 1.25 as a polynomial (Chebyshev fit, relative error
# 1e-8), then the limit of |z| in open_gates, 1/16 and 1/2.
SIGMOID = (
    *(0.999999997, -0.999999739, 0.499995555, -0.166637747),
    *(0.0415736531, -0.0081689664, 0.0012241929, -0.00010750614),
    *(20.0, 0.0625, 0.5),
)


def filter_pair(coarse, taps, start, stop, gate, value):
    """Two depthwise convolutions of one feature: gate and value.

    Arguments
    ---------
    coarse : array
        [T + 4, C], with two rows of zeros at each end.
    taps : array
        [2, 5, C]
    start, stop : int
        Frames to make.
    gate, value : array
        [stop - start, C], written.
    """
    for n in range(2):
        w0, w1, w2 = taps[n, 0], taps[n, 1], taps[n, 2]
        w3, w4 = taps[n, 3], taps[n, 4]
        for t in range(start, stop):
            to = gate[t - start] if n == 0 else value[t - start]
            y0, y1, y2 = coarse[t], coarse[t + 1], coarse[t + 2]
            y3, y4 = coarse[t + 3], coarse[t + 4]
            for c in range(to.shape[0]):
                to[c] = (
                    (w0[c] * y0[c] + w1[c] * y1[c])
                    + (w2[c] * y2[c] + w3[c] * y3[c])
                    + w4[c] * y4[c]
                )


def open_gates(x, y, start, stop, gate_map, value_map, numbers, gate, value):
    """Norms of what makes gate and value, and the sigmoid of the gate.

    The sigmoid is 1/2 + sign(z) (1 - e) / (1 + e) / 2 with e = exp(-|z|), the
    sixteenth power of exp(-|z| / 16): sums and products alone, which make
    vector code. It is exact to 3e-7.

    Arguments
    ---------
    x, y : array
        [T, C], of which the gate and the value are made.
    start, stop : int
        Rows to take.
    gate_map, value_map : array
        [2, C], the norms.
    numbers : array
        ``SIGMOID``, in the precision of the features.
    gate, value : array
        [stop - start, C], written.
    """
    c0, c1, c2, c3 = numbers[0], numbers[1], numbers[2], numbers[3]
    c4, c5, c6, c7 = numbers[4], numbers[5], numbers[6], numbers[7]
    limit, part, half = numbers[8], numbers[9], numbers[10]
    one = half + half
    a, b, d, f = gate_map[0], gate_map[1], value_map[0], value_map[1]
    for t in range(start, stop):
        row, to = x[t], gate[t - start]
        for c in range(row.shape[0]):
            z = a[c] * row[c] + b[c]
            u = min(abs(z), limit) * part
            e = c4 + u * (c5 + u * (c6 + u * c7))
            e = c0 + u * (c1 + u * (c2 + u * (c3 + u * e)))
            e *= e
            e *= e
            e *= e
            e *= e
            to[c] = half + half * math.copysign((one - e) / (one + e), z)
        row, to = y[t], value[t - start]
        for c in range(row.shape[0]):
            to[c] = d[c] * row[c] + f[c]


def keep_rows(y, taps, out, start, sums):
    """Keep a feature, and the sums of its two filtered forms: gate and value.

    What is filtered takes twice the memory of what goes in, and is made again
    where it is read.

    Arguments
    ---------
    y : array
        [n + 4, C]
    taps : array
        [2, 5, C]
    out : array
        [T + 4, C], of which n rows from ``start + 2`` on are written.
    start : int
        First frame to keep.
    sums : array
        [2, 2, C], sums and sums of squares of both forms, added to.
    """
    for t in range(y.shape[0] - 4):
        row, to = y[t + 2], out[start + t + 2]
        for c in range(y.shape[1]):
            to[c] = row[c]
    for n in range(2):
        total, squares = sums[n, 0], sums[n, 1]
        w0, w1, w2 = taps[n, 0], taps[n, 1], taps[n, 2]
        w3, w4 = taps[n, 3], taps[n, 4]
        for t in range(y.shape[0] - 4):
            y0, y1, y2, y3, y4 = y[t], y[t + 1], y[t + 2], y[t + 3], y[t + 4]
            for c in range(y.shape[1]):
                z = (
                    (w0[c] * y0[c] + w1[c] * y1[c])
                    + (w2[c] * y2[c] + w3[c] * y3[c])
                    + w4[c] * y4[c]
                )
                total[c] += z
                squares[c] += z * z


def come_down(
    step,
    taps,
    pre,
    coarse,
    coarse_taps,
    maps,
    numbers,
    frames,
    out,
    start,
    made,
    rows,
):
    """What the way back gives at one scale: all of the above, by windows.

    Arguments
    ---------
    step : tuple
        The arguments of :func:`attend_rows` from ``x`` to ``offset``.
    taps, pre
        As in :func:`filter_attend_rows`.
    coarse : array
        [T' + 4, C], what came down at the scale above, between zeros.
    coarse_taps : array
        [2, 5, C]
    maps : tuple of array
        The norms of gate and value.
    numbers : array
        As in :func:`open_gates`.
    frames : array
        [T], which frame of ``coarse`` goes with each frame.
    out : array
        [n, C]
    start : int
        Frame that is the first row of ``out``.
    made : array
        [4, n / 2 + 2, C] at least, scratch.
    rows : array
        [n + 4, C], scratch for a window of n rows.
    """
    size, stop = rows.shape[0] - 4, start + out.shape[0]
    first = frames[max(start, 0)]
    last = frames[min(stop, frames.shape[0]) - 1] + 1
    # In place the loop would not become vector code.
    x, y, gate, value = made[0], made[1], made[2], made[3]
    filter_pair(coarse, coarse_taps, first, last, x, y)
    open_gates(x, y, 0, last - first, maps[0], maps[1], numbers, gate, value)
    above = (gate, value, frames, first)
    for begin in range(start, stop, size):
        end = min(begin + size, stop)
        attend_rows(*step, rows, begin - 2, end + 2)
        window, to = rows[: end - begin + 4], out[begin - start : end - start]
        filter_attend_rows(window, taps, pre, *above, to, begin)
