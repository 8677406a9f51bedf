"""Loops of IIANet's training on a CPU, forward and backward.

They go over a depthwise convolution, a global layer norm and, where there is
one, a gate as over one layer: memory is what is short, so what the
convolution makes is made again for each row and never stored. Rows are
channels of items, time last, as the layers have them. As in
:mod:`avsep_sb.lobes.iianet_kernels`, they are plain Python for numba to
compile, release the interpreter lock and take rows ``start <= r < stop``.

Authors
 * avsep_sb contributors
"""

import functools

from avsep_sb.lobes import filter_kernels
from avsep_sb.lobes.filter_kernels import filter_row, filter_row_backward
from avsep_sb.lobes.iianet_kernels import compile_loops
from avsep_sb.lobes.norm_kernels import norm_maps, norm_slopes


def sum_rows(x, taps, bias, halves, made, sums, start, stop):
    """Sums and sums of squares of filtered rows.

    Arguments
    ---------
    x : array
        [R, T]
    taps : array
        [C, K], of each channel; the rows of an item are side by side.
    bias : array
        [C]
    halves : int
        ceil(T / 2) for a stride of 2, else 0.
    made : int
        Frames that the filter makes, T'.
    sums : array
        [2, R], written.
    start, stop : int
        Rows to take.
    """
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    own = x[0, :made].copy()
    for r in range(start, stop):
        c = r % taps.shape[0]
        filter_row(x[r], taps[c], bias[c], even, odd, own)
        total = x.dtype.type(0)
        squares = x.dtype.type(0)
        for t in range(made):
            total += own[t]
            squares += own[t] * own[t]
        sums[0, r], sums[1, r] = total, squares


def norm_forward(x, taps, bias, halves, maps, out, start, stop):
    """out = maps[0] filtered + maps[1].

    Arguments
    ---------
    x, taps, bias, halves
        As for :func:`sum_rows`.
    maps : array
        [2, R]
    out : array
        [R, T'], written.
    start, stop : int
        Rows to make.
    """
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    for r in range(start, stop):
        c, to = r % taps.shape[0], out[r]
        filter_row(x[r], taps[c], bias[c], even, odd, to)
        a, b = maps[0, r], maps[1, r]
        for t in range(to.shape[0]):
            to[t] = a * to[t] + b


def attend_forward(
    x, taps, bias, halves, maps, gate, value, firsts, out, start, stop
):
    """out = (maps[0] filtered + maps[1]) up(gate) + up(value).

    Arguments
    ---------
    x, taps, bias, halves, maps
        As for :func:`norm_forward`.
    gate, value : array
        [R, F]
    firsts : array
        [F + 1], first frame that repeats each coarse one, and T'.
    out : array
        [R, T'], written.
    start, stop : int
        Rows to make.
    """
    length, coarse = out.shape[1], gate.shape[1]
    pairs = 0
    if length == 2 * coarse or length == 2 * coarse - 1:
        pairs = length // 2
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    for r in range(start, stop):
        c, to, g, v = r % taps.shape[0], out[r], gate[r], value[r]
        filter_row(x[r], taps[c], bias[c], even, odd, to)
        a, b = maps[0, r], maps[1, r]
        for j in range(pairs):
            to[2 * j] = (a * to[2 * j] + b) * g[j] + v[j]
            to[2 * j + 1] = (a * to[2 * j + 1] + b) * g[j] + v[j]
        for j in range(pairs, coarse):
            slope, shift = a * g[j], b * g[j] + v[j]
            for t in range(firsts[j], firsts[j + 1]):
                to[t] = slope * to[t] + shift


def norm_sums(x, taps, bias, halves, grad, sums, start, stop):
    """Sums of the gradient of a norm, and of it times what was filtered.

    Arguments
    ---------
    x, taps, bias, halves
        As for :func:`sum_rows`.
    grad : array
        [R, T']
    sums : array
        [2, R], written.
    start, stop : int
        Rows to take.
    """
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    own = grad[0].copy()
    for r in range(start, stop):
        c, come = r % taps.shape[0], grad[r]
        filter_row(x[r], taps[c], bias[c], even, odd, own)
        total = x.dtype.type(0)
        product = x.dtype.type(0)
        for t in range(own.shape[0]):
            total += come[t]
            product += come[t] * own[t]
        sums[0, r], sums[1, r] = total, product


def attend_sums(
    x,
    taps,
    bias,
    halves,
    grad,
    maps,
    gate,
    firsts,
    for_gate,
    for_value,
    sums,
    start,
    stop,
):
    """As :func:`norm_sums` behind a gate, and the gradients of the gate.

    Arguments
    ---------
    x, taps, bias, halves, grad
        As for :func:`norm_sums`.
    maps, gate, firsts
        As for :func:`attend_forward`.
    for_gate, for_value : array
        [R, F], written.
    sums : array
        [2, R], written.
    start, stop : int
        Rows to take.
    """
    length, coarse = grad.shape[1], gate.shape[1]
    pairs = 0
    if length == 2 * coarse or length == 2 * coarse - 1:
        pairs = length // 2
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    own = grad[0].copy()
    for r in range(start, stop):
        c, come, g = r % taps.shape[0], grad[r], gate[r]
        filter_row(x[r], taps[c], bias[c], even, odd, own)
        own_gate, own_value = for_gate[r], for_value[r]
        a, b = maps[0, r], maps[1, r]
        for j in range(pairs):
            own_value[j] = come[2 * j] + come[2 * j + 1]
            own_gate[j] = (
                come[2 * j] * own[2 * j] + come[2 * j + 1] * own[2 * j + 1]
            )
        for j in range(pairs, coarse):
            total = x.dtype.type(0)
            product = x.dtype.type(0)
            for t in range(firsts[j], firsts[j + 1]):
                total += come[t]
                product += come[t] * own[t]
            own_value[j], own_gate[j] = total, product
        total = x.dtype.type(0)
        product = x.dtype.type(0)
        for j in range(coarse):
            total += own_value[j] * g[j]
            product += own_gate[j] * g[j]
            own_gate[j] = a * own_gate[j] + b * own_value[j]
        sums[0, r], sums[1, r] = total, product


def norm_backward(
    x, taps, bias, halves, grad, maps, for_x, for_taps, for_bias, start, stop
):
    """The filter's gradients, from maps[0] grad + maps[1] filtered + maps[2].

    Arguments
    ---------
    x, taps, bias, halves, grad
        As for :func:`norm_sums`.
    maps : array
        [3, R]
    for_x : array
        [R, T], written.
    for_taps, for_bias : array
        [R, K] and [R], written.
    start, stop : int
        Rows to make.
    """
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    to_even, to_odd = even.copy(), odd.copy()
    own = grad[0].copy()
    for r in range(start, stop):
        k, come = r % taps.shape[0], grad[r]
        filter_row(x[r], taps[k], bias[k], even, odd, own)
        a, b, c = maps[0, r], maps[1, r], maps[2, r]
        total = x.dtype.type(0)
        for t in range(own.shape[0]):
            own[t] = a * come[t] + b * own[t] + c
            total += own[t]
        for_bias[r] = total
        filter_row_backward(
            x[r],
            own,
            taps[k],
            even,
            odd,
            to_even,
            to_odd,
            for_x[r],
            for_taps[r],
        )


def attend_backward(
    x,
    taps,
    bias,
    halves,
    grad,
    maps,
    gate,
    firsts,
    for_x,
    for_taps,
    for_bias,
    start,
    stop,
):
    """As :func:`norm_backward`, of grad times the repeated gate.

    Arguments
    ---------
    x, taps, bias, halves, grad, maps, for_x, for_taps, for_bias
        As for :func:`norm_backward`.
    gate, firsts
        As for :func:`attend_forward`.
    start, stop : int
        Rows to make.
    """
    length, coarse = grad.shape[1], gate.shape[1]
    pairs = 0
    if length == 2 * coarse or length == 2 * coarse - 1:
        pairs = length // 2
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    to_even, to_odd = even.copy(), odd.copy()
    own = grad[0].copy()
    for r in range(start, stop):
        k, come, g = r % taps.shape[0], grad[r], gate[r]
        filter_row(x[r], taps[k], bias[k], even, odd, own)
        a, b, c = maps[0, r], maps[1, r], maps[2, r]
        for j in range(pairs):
            slope = a * g[j]
            own[2 * j] = slope * come[2 * j] + b * own[2 * j] + c
            own[2 * j + 1] = slope * come[2 * j + 1] + b * own[2 * j + 1] + c
        for j in range(pairs, coarse):
            slope = a * g[j]
            for t in range(firsts[j], firsts[j + 1]):
                own[t] = slope * come[t] + b * own[t] + c
        total = x.dtype.type(0)
        for t in range(length):
            total += own[t]
        for_bias[r] = total
        filter_row_backward(
            x[r],
            own,
            taps[k],
            even,
            odd,
            to_even,
            to_odd,
            for_x[r],
            for_taps[r],
        )


LOOPS = (
    *filter_kernels.LOOPS,
    sum_rows,
    norm_forward,
    attend_forward,
    norm_sums,
    attend_sums,
    norm_backward,
    attend_backward,
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
