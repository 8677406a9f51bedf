"""Loops of A-FRCNN's training on a CPU, forward and backward.

Arrays are [T, C], channels side by side (:mod:`avsep_sb.lobes.channels_last`).
As in :mod:`avsep_sb.lobes.iianet_kernels`, they are plain Python for numba to
compile, release the interpreter lock and take rows ``start <= t < stop``.

Authors
 * avsep_sb contributors
"""

import functools

from avsep_sb.lobes.iianet_kernels import compile_loops
from avsep_sb.lobes.norm_kernels import norm_maps, norm_slopes


def sum_frames(x, sums, start, stop):
    """Sums and sums of squares over time.

    Arguments
    ---------
    x : array
        [T, C]
    sums : array
        [2, C], added to.
    start, stop : int
        Rows to take.
    """
    total, squares = sums[0], sums[1]
    for t in range(start, stop):
        row = x[t]
        for c in range(row.shape[0]):
            total[c] += row[c]
            squares[c] += row[c] * row[c]


def bend_frames(x, maps, curve, out, start, stop):
    """out = curve[0] z + curve[1] |z| with z = maps[0] x + maps[1].

    Arguments
    ---------
    x : array
        [T, C]
    maps : array
        [2, C]
    curve : array
        [2]: (1 + s) / 2 and (1 - s) / 2 for a PReLU of slope s, 1 and 0 for
        none.
    out : array
        [T, C], written.
    start, stop : int
        Rows to make.
    """
    scale, shift = maps[0], maps[1]
    straight, bend = curve[0], curve[1]
    for t in range(start, stop):
        row, to = x[t], out[t]
        for c in range(row.shape[0]):
            z = scale[c] * row[c] + shift[c]
            to[c] = straight * z + bend * abs(z)


def sum_gradients(x, grad, maps, slope, sums, start, stop):
    """What the gradients of norm and PReLU need the sums of.

    Arguments
    ---------
    x, grad : array
        [T, C], the latter of the output of :func:`bend_frames`.
    maps : array
        [2, C]
    slope : array
        [1], of the PReLU; 1 for none.
    sums : array
        [3, C], added to: the gradient behind the PReLU, that times x, and
        what reaches the slope.
    start, stop : int
        Rows to take.
    """
    scale, shift, low = maps[0], maps[1], slope[0]
    outer, inner, bent = sums[0], sums[1], sums[2]
    zero = x.dtype.type(0)
    for t in range(start, stop):
        row, come = x[t], grad[t]
        for c in range(row.shape[0]):
            z = scale[c] * row[c] + shift[c]
            g = come[c] if z > zero else low * come[c]
            outer[c] += g
            inner[c] += g * row[c]
            bent[c] += come[c] * min(z, zero)


def spread_gradients(x, grad, maps, slope, back, out, start, stop):
    """out = back[0] g + back[1] x + back[2], g the gradient behind the PReLU.

    Arguments
    ---------
    x, grad : array
        [T, C]
    maps : array
        [2, C]
    slope : array
        [1]
    back : array
        [3, C]
    out : array
        [T, C], written.
    start, stop : int
        Rows to make.
    """
    scale, shift, low = maps[0], maps[1], slope[0]
    a, b, d = back[0], back[1], back[2]
    zero = x.dtype.type(0)
    for t in range(start, stop):
        row, come, to = x[t], grad[t], out[t]
        for c in range(row.shape[0]):
            z = scale[c] * row[c] + shift[c]
            g = come[c] if z > zero else low * come[c]
            to[c] = a[c] * g + b[c] * row[c] + d[c]


def filter_gradients(x, grad, taps, stride, for_x, for_taps, start, stop):
    """Gradients of a depthwise convolution with zeros around.

    Arguments
    ---------
    x : array
        [T, C]
    grad : array
        [ceil(T / stride), C], of the output.
    taps : array
        [K, C], K odd.
    stride : int
        Step in frames.
    for_x : array
        [T, C], written.
    for_taps : array
        [K, C], added to.
    start, stop : int
        Rows of x to take.
    """
    size, channels = taps.shape
    zero = x.dtype.type(0)
    for t in range(start, stop):
        row, to = x[t], for_x[t]
        for c in range(channels):
            to[c] = zero
        for k in range(size):
            # Tap k meets frame t of x at this frame of the output.
            u = t + size // 2 - k
            if u % stride != 0 or u < 0 or u // stride >= grad.shape[0]:
                continue
            come, tap, own = grad[u // stride], taps[k], for_taps[k]
            for c in range(channels):
                to[c] += tap[c] * come[c]
                own[c] += row[c] * come[c]


LOOPS = (
    sum_frames,
    bend_frames,
    sum_gradients,
    spread_gradients,
    filter_gradients,
    norm_maps,
    norm_slopes,
)


@functools.cache
def compiled():
    """The loops as machine code.

    Returns
    -------
    types.SimpleNamespace or None
        See :func:`avsep_sb.lobes.iianet_kernels.compile_loops`.
    """
    return compile_loops(LOOPS)
