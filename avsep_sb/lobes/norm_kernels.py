"""What a global layer norm does to rows, from the sums of them.

As in :mod:`avsep_sb.lobes.iianet_kernels`, these are plain Python for numba to
compile: a dozen of torch's operators on a few hundred numbers take longer than
the rows themselves.

Authors
 * avsep_sb contributors
"""

import math


def norm_maps(sums, weight, bias, eps, length, maps, known):
    """What a norm multiplies each row by, and adds.

    Arguments
    ---------
    sums : array
        [2, N, C], sums and sums of squares of rows.
    weight, bias : array
        [C]
    eps : float
        Added to the variance.
    length : int
        Frames of a row.
    maps : array
        [2, N, C], written.
    known : array
        [2, N], written: mean, and 1 over the standard deviation.
    """
    _, num, channels = sums.shape
    for n in range(num):
        total, square = 0.0, 0.0
        for c in range(channels):
            total += sums[0, n, c]
            square += sums[1, n, c]
        mean = total / (channels * length)
        variance = max(square / (channels * length) - mean * mean, 0.0)
        rate = 1.0 / math.sqrt(variance + eps)
        known[0, n], known[1, n] = mean, rate
        for c in range(channels):
            maps[0, n, c] = weight[c] * rate
            maps[1, n, c] = bias[c] - weight[c] * rate * mean


def norm_slopes(sums, known, weight, length, back, found):
    """What gradient, input and 1 count in the gradient of a norm's input.

    Arguments
    ---------
    sums : array
        [2, N, C], sums of the gradient of each row, and of it times the row.
    known : array
        [2, N], as :func:`norm_maps` wrote it.
    weight : array
        [C]
    length : int
        Frames of a row.
    back : array
        [3, N, C], written.
    found : array
        [2, C] of zeros; the gradients of weight and bias are added.
    """
    _, num, channels = sums.shape
    for n in range(num):
        mean, rate = known[0, n], known[1, n]
        level, tilt = 0.0, 0.0
        for c in range(channels):
            # What reaches the norm, times what it normalised.
            outer = float(sums[0, n, c])
            centred = rate * (sums[1, n, c] - mean * outer)
            level += weight[c] * outer
            tilt += weight[c] * centred
            found[0, c] += centred
            found[1, c] += outer
        level *= rate / (channels * length)
        tilt *= rate * rate / (channels * length)
        for c in range(channels):
            back[0, n, c] = weight[c] * rate
            back[1, n, c] = -tilt
            back[2, n, c] = tilt * mean - level
