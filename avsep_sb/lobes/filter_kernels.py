"""Loops for the rows of depthwise convolutions, forward and backward.

A row is one channel of one item. Strides are 1 and 2; for 2 a row is split
into its even and its odd frames, so that all loops go over neighbours. As in
:mod:`avsep_sb.lobes.iianet_kernels`, they are plain Python for numba to
compile; :mod:`avsep_sb.lobes.attend_kernels` calls them.

Authors
 * avsep_sb contributors
"""


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
    """Gradients of :func:`filter_row`, but for that of the bias.

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


LOOPS = (reach, split_row, filter_row, filter_row_backward)
