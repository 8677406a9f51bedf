"""Loops of IIANet's training on a CPU, forward and backward.

They go over a depthwise convolution, a global layer norm and, where there is
one, a gate as over one layer: memory is what is short, so what the
convolution makes is made again for each row and never stored. Rows are
channels of items, time last, as the layers have them; for a stride of 2 they
are split into even and odd frames, so that all loops go over neighbours. As in
:mod:`avsep_sb.lobes.iianet_kernels`, they are plain Python for numba to
compile, release the interpreter lock and take rows ``start <= r < stop``.

Authors
 * avsep_sb contributors
"""

import functools

from avsep_sb.lobes.iianet_kernels import compile_loops
from avsep_sb.lobes.norm_kernels import norm_maps, norm_slopes


def reach(length, made, shift):
    """Frames of an output for which tap and input meet.

    Arguments
    ---------
    length : int
        Frames of the (split) input.
    made : int
        Frames of the output.
    shift : int
        Input frame less output frame.

    Returns
    -------
    (int, int)
        The first one, and how many.

    Example
    -------
    >>> reach(4, 4, -1), reach(4, 4, 2), reach(1, 1, 2)
    ((1, 3), (0, 2), (0, 0))
    """
    first, last = max(0, -shift), min(made, length - shift)
    return first, max(0, last - first)


def split_row(row, even, odd):
    """Tell even and odd frames apart.

    Arguments
    ---------
    row : array
        [T]
    even, odd : array
        [ceil(T / 2)] and [floor(T / 2)], written.
    """
    half = odd.shape[0]
    for t in range(half):
        even[t] = row[2 * t]
        odd[t] = row[2 * t + 1]
    if even.shape[0] > half:
        even[half] = row[2 * half]


def filter_row(row, taps, bias, even, odd, made):
    """Depthwise convolution of odd size that keeps T / stride frames.

    Arguments
    ---------
    row : array
        [T]
    taps : array
        [K], K odd.
    bias : float
        Added.
    even, odd : array
        Room for the split row if the stride is 2; empty if it is 1.
    made : array
        [ceil(T / stride)], written.
    """
    twice = even.shape[0] > 0
    if twice:
        split_row(row, even, odd)
    for t in range(made.shape[0]):
        made[t] = bias
    for k in range(taps.shape[0]):
        shift, tap, part = k - taps.shape[0] // 2, taps[k], row
        if twice:
            part = odd if shift % 2 else even
            shift = shift // 2
        first, count = reach(part.shape[0], made.shape[0], shift)
        seen = part[first + shift : first + shift + count]
        heard = made[first : first + count]
        for t in range(count):
            heard[t] += tap * seen[t]


def filter_row_backward(
    row, come, taps, even, odd, to_even, to_odd, for_row, for_taps
):
    """Gradients of :func:`filter_row`; gives that of the bias.

    Arguments
    ---------
    row : array
        [T]
    come : array
        [ceil(T / stride)], the gradient of what was made.
    taps : array
        [K]
    even, odd : array
        The split row as :func:`filter_row` left it.
    to_even, to_odd : array
        Room for as much.
    for_row : array
        [T], written.
    for_taps : array
        [K], written.

    Returns
    -------
    float
    """
    twice = even.shape[0] > 0
    if twice:
        for t in range(to_even.shape[0]):
            to_even[t] = 0
        for t in range(to_odd.shape[0]):
            to_odd[t] = 0
    else:
        for t in range(for_row.shape[0]):
            for_row[t] = 0
    for k in range(taps.shape[0]):
        # Tap k meets frame t + shift of the row at frame t of what is made.
        shift, tap, part, to = k - taps.shape[0] // 2, taps[k], row, for_row
        if twice:
            if shift % 2:
                part, to = odd, to_odd
            else:
                part, to = even, to_even
            shift = shift // 2
        first, count = reach(part.shape[0], come.shape[0], shift)
        seen = part[first + shift : first + shift + count]
        back = to[first + shift : first + shift + count]
        heard = come[first : first + count]
        total = row.dtype.type(0)
        for t in range(count):
            total += seen[t] * heard[t]
            back[t] += tap * heard[t]
        for_taps[k] = total
    if twice:
        half = to_odd.shape[0]
        for t in range(half):
            for_row[2 * t] = to_even[t]
            for_row[2 * t + 1] = to_odd[t]
        if to_even.shape[0] > half:
            for_row[2 * half] = to_even[half]
    total = row.dtype.type(0)
    for t in range(come.shape[0]):
        total += come[t]
    return total


def pairs_of(length, coarse):
    """How many coarse frames are repeated just twice, and from the first on.

    Arguments
    ---------
    length, coarse : int
        Frames after and before they are repeated.

    Returns
    -------
    int

    Example
    -------
    >>> pairs_of(5, 3), pairs_of(5, 2), pairs_of(5, 0)
    (2, 0, 0)
    """
    if length == 2 * coarse or length == 2 * coarse - 1:
        return length // 2
    return 0


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


def attend_forward(
    x, taps, bias, halves, maps, gate, value, firsts, out, start, stop
):
    """out = (maps[0] filtered + maps[1]) up(gate) + up(value).

    Arguments
    ---------
    x, taps, bias, halves
        As for :func:`sum_rows`.
    maps : array
        [2, R]
    gate, value : array
        [R, F]; [R, 0] where nothing is gated and nothing added.
    firsts : array
        [F + 1], first frame that repeats each coarse one, and T'.
    out : array
        [R, T'], written.
    start, stop : int
        Rows to make.
    """
    length, coarse = out.shape[1], gate.shape[1]
    pairs = pairs_of(length, coarse)
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    for r in range(start, stop):
        c, to, g, v = r % taps.shape[0], out[r], gate[r], value[r]
        filter_row(x[r], taps[c], bias[c], even, odd, to)
        a, b = maps[0, r], maps[1, r]
        if coarse == 0:
            for t in range(length):
                to[t] = a * to[t] + b
        for j in range(pairs):
            to[2 * j] = (a * to[2 * j] + b) * g[j] + v[j]
            to[2 * j + 1] = (a * to[2 * j + 1] + b) * g[j] + v[j]
        for j in range(pairs, coarse):
            slope, shift = a * g[j], b * g[j] + v[j]
            for t in range(firsts[j], firsts[j + 1]):
                to[t] = slope * to[t] + shift


def attend_sums(
    x, taps, bias, halves, grad, maps, gate, firsts, gates, sums, start, stop
):
    """Gradients of gate and value, and sums for that of the norm.

    Arguments
    ---------
    x, taps, bias, halves, maps, gate, firsts
        As for :func:`attend_forward`.
    grad : array
        [R, T'], the gradient of ``out``.
    gates : array
        [2, R, F], written: the gradients of gate and of value.
    sums : array
        [2, R], written: of the gradient behind the gate, and of it times what
        was filtered.
    start, stop : int
        Rows to take.
    """
    length, coarse = grad.shape[1], gate.shape[1]
    pairs = pairs_of(length, coarse)
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    own = grad[0].copy()
    for r in range(start, stop):
        c, come, g = r % taps.shape[0], grad[r], gate[r]
        filter_row(x[r], taps[c], bias[c], even, odd, own)
        own_gate, own_value = gates[0, r], gates[1, r]
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
        if coarse == 0:
            for t in range(length):
                total += come[t]
                product += come[t] * own[t]
        for j in range(coarse):
            total += own_value[j] * g[j]
            product += own_gate[j] * g[j]
            own_gate[j] = a * own_gate[j] + b * own_value[j]
        sums[0, r], sums[1, r] = total, product


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
    """The filter's gradients.

    That of what it made is maps[0] up(gate) grad + maps[1] filtered + maps[2].

    Arguments
    ---------
    x, taps, bias, halves, gate, firsts
        As for :func:`attend_forward`.
    grad : array
        [R, T'], the gradient of ``out``.
    maps : array
        [3, R]
    for_x : array
        [R, T], written.
    for_taps, for_bias : array
        [R, K] and [R], written.
    start, stop : int
        Rows to make.
    """
    length, coarse = grad.shape[1], gate.shape[1]
    pairs = pairs_of(length, coarse)
    even, odd = x[0, :halves].copy(), x[0, : x.shape[1] // 2].copy()
    to_even, to_odd = even.copy(), odd.copy()
    own = grad[0].copy()
    for r in range(start, stop):
        k, come, g = r % taps.shape[0], grad[r], gate[r]
        filter_row(x[r], taps[k], bias[k], even, odd, own)
        a, b, c = maps[0, r], maps[1, r], maps[2, r]
        if coarse == 0:
            for t in range(length):
                own[t] = a * come[t] + b * own[t] + c
        for j in range(pairs):
            slope = a * g[j]
            own[2 * j] = slope * come[2 * j] + b * own[2 * j] + c
            own[2 * j + 1] = slope * come[2 * j + 1] + b * own[2 * j + 1] + c
        for j in range(pairs, coarse):
            slope = a * g[j]
            for t in range(firsts[j], firsts[j + 1]):
                own[t] = slope * come[t] + b * own[t] + c
        for_bias[r] = filter_row_backward(
            *(x[r], own, taps[k], even, odd, to_even, to_odd),
            *(for_x[r], for_taps[r]),
        )


LOOPS = (
    reach,
    split_row,
    filter_row,
    filter_row_backward,
    pairs_of,
    sum_rows,
    attend_forward,
    attend_sums,
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
