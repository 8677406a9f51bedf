"""Loops of IIANet's training on a CPU, forward and backward.

Rows are channels of items, time last, as the layers have them. As in
:mod:`avsep_sb.lobes.iianet_kernels`, they are plain Python for numba to
compile, release the interpreter lock and take rows ``start <= r < stop``.

Authors
 * avsep_sb contributors
"""

import functools

from avsep_sb.lobes.iianet_kernels import compile_loops


def sum_rows(x, sums, start, stop):
    """Sums and sums of squares of rows.

    Arguments
    ---------
    x : array
        [R, T]
    sums : array
        [2, R], written.
    start, stop : int
        Rows to take.
    """
    for r in range(start, stop):
        row = x[r]
        total = x.dtype.type(0)
        squares = x.dtype.type(0)
        for t in range(row.shape[0]):
            total += row[t]
            squares += row[t] * row[t]
        sums[0, r], sums[1, r] = total, squares


def attend_forward(x, maps, gate, value, firsts, out, start, stop):
    """out = (maps[0] x + maps[1]) up(gate) + up(value).

    Arguments
    ---------
    x : array
        [R, T]
    maps : array
        [2, R]
    gate, value : array
        [R, T']
    firsts : array
        [T' + 1], first frame that repeats each coarse one, and T.
    out : array
        [R, T], written.
    start, stop : int
        Rows to make.
    """
    length, coarse = x.shape[1], gate.shape[1]
    pairs = 0
    if length == 2 * coarse or length == 2 * coarse - 1:
        pairs = length // 2
    for r in range(start, stop):
        row, to, g, v = x[r], out[r], gate[r], value[r]
        a, b = maps[0, r], maps[1, r]
        for j in range(pairs):
            to[2 * j] = (a * row[2 * j] + b) * g[j] + v[j]
            to[2 * j + 1] = (a * row[2 * j + 1] + b) * g[j] + v[j]
        for j in range(pairs, coarse):
            slope, shift = a * g[j], b * g[j] + v[j]
            for t in range(firsts[j], firsts[j + 1]):
                to[t] = slope * row[t] + shift


def attend_backward(
    x, grad, maps, gate, firsts, opened, for_gate, for_value, sums, start, stop
):
    """Gradients of :func:`attend_forward`, and sums for the norm's.

    Arguments
    ---------
    x, grad : array
        [R, T], the latter of the output.
    maps : array
        [2, R]
    gate : array
        [R, T']
    firsts : array
        [T' + 1]
    opened : array
        [R, T], written: the gradient behind the gate.
    for_gate, for_value : array
        [R, T'], written.
    sums : array
        [2, R], written: sums of ``opened`` and of ``opened`` times x.
    start, stop : int
        Rows to make.
    """
    length, coarse = x.shape[1], gate.shape[1]
    pairs = 0
    if length == 2 * coarse or length == 2 * coarse - 1:
        pairs = length // 2
    for r in range(start, stop):
        row, come, to, g = x[r], grad[r], opened[r], gate[r]
        own_gate, own_value = for_gate[r], for_value[r]
        a, b = maps[0, r], maps[1, r]
        for j in range(pairs):
            own_value[j] = come[2 * j] + come[2 * j + 1]
            own_gate[j] = (
                come[2 * j] * row[2 * j] + come[2 * j + 1] * row[2 * j + 1]
            )
            to[2 * j] = come[2 * j] * g[j]
            to[2 * j + 1] = come[2 * j + 1] * g[j]
        for j in range(pairs, coarse):
            total = x.dtype.type(0)
            product = x.dtype.type(0)
            for t in range(firsts[j], firsts[j + 1]):
                total += come[t]
                product += come[t] * row[t]
                to[t] = come[t] * g[j]
            own_value[j], own_gate[j] = total, product
        total = x.dtype.type(0)
        product = x.dtype.type(0)
        for j in range(coarse):
            total += own_value[j] * g[j]
            product += own_gate[j] * g[j]
            own_gate[j] = a * own_gate[j] + b * own_value[j]
        sums[0, r], sums[1, r] = total, product


def norm_backward(x, opened, maps, start, stop):
    """opened = maps[0] opened + maps[1] x + maps[2], in place.

    Arguments
    ---------
    x, opened : array
        [R, T]
    maps : array
        [3, R]
    start, stop : int
        Rows to make.
    """
    for r in range(start, stop):
        row, to = x[r], opened[r]
        a, b, c = maps[0, r], maps[1, r], maps[2, r]
        for t in range(row.shape[0]):
            to[t] = a * to[t] + b * row[t] + c


def filter_backward(x, grad, taps, for_x, for_taps, start, stop):
    """Gradients of a depthwise convolution of stride 1.

    Arguments
    ---------
    x, grad : array
        [R, T], the latter of the output.
    taps : array
        [R, K], K odd.
    for_x : array
        [R, T], written.
    for_taps : array
        [R, K], written.
    start, stop : int
        Rows to make.
    """
    length, size = x.shape[1], taps.shape[1]
    for r in range(start, stop):
        row, come, to = x[r], grad[r], for_x[r]
        for t in range(length):
            to[t] = 0
        for k in range(size):
            # Tap k meets frame t + shift of x at frame t of the output.
            shift, tap = k - size // 2, taps[r, k]
            first, last = max(0, -shift), min(length, length - shift)
            count = max(0, last - first)
            seen = row[first + shift : first + shift + count]
            heard = come[first : first + count]
            back = to[first + shift : first + shift + count]
            total = x.dtype.type(0)
            for t in range(count):
                total += seen[t] * heard[t]
                back[t] += tap * heard[t]
            for_taps[r, k] = total


LOOPS = (
    sum_rows,
    attend_forward,
    attend_backward,
    norm_backward,
    filter_backward,
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
