"""Overlap-add of a stream: windows out of blocks, one signal out of windows.

No model is known here. Memory holds about two windows and one block of the
input, whatever the length of the stream.

Authors
 * avsep_sb contributors
"""

import numpy as np


def overlap_add(fn, blocks, window, hop, unit=1):
    """Applies a function to overlapping windows of a stream of samples.

    Windows start at multiples of ``unit`` and, but for a stream that is
    shorter, are all at least ``window`` long: the last one ends with the
    stream and may overlap more than the others. A stream that fits into one
    window gives exactly what the function gives.

    Arguments
    ---------
    fn : callable
        ``fn(first, samples [t]) -> [t, C]``, called in the order of time;
        ``first`` is the position of the window in the stream. C may not
        change.
    blocks : iterable of np.ndarray
        The stream, [t] each, of any lengths.
    window : int
        Length of a window in samples, a multiple of ``unit``. The last one
        may have up to ``unit - 1`` more.
    hop : int
        From one window to the next, a multiple of ``unit``; at most the
        window. What they share is cross-faded linearly.
    unit : int
        Samples of one video frame.

    Yields
    ------
    (int, np.ndarray)
        Position of the first sample, and float32 [t, C]; each block continues
        the one before, and together they are as long as the stream.
        ``ValueError`` is raised for impossible windows.

    Example
    -------
    >>> stream = [np.ones(3), np.arange(4.0), np.ones(3)]
    >>> def fn(first, samples):
    ...     return np.stack([samples, 2 * samples], axis=1)
    >>> parts = list(overlap_add(fn, stream, window=4, hop=2))
    >>> [(first, len(part)) for first, part in parts]
    [(0, 2), (2, 2), (4, 2), (6, 4)]
    >>> np.concatenate([part for _, part in parts])[:, 1].tolist()
    [2.0, 2.0, 2.0, 0.0, 2.0, 4.0, 6.0, 2.0, 2.0, 2.0]
    """
    if not 0 < hop <= window:
        raise ValueError(
            f"windows of {window} samples every {hop} leave gaps: the hop "
            "must be from 1 to the window."
        )
    if window % unit or hop % unit:
        raise ValueError(
            f"windows of {window} samples every {hop} do not start on frames "
            f"of {unit} samples: give multiples."
        )
    result = weights = None
    done = 0
    for first, samples, last in cut_windows(blocks, window, hop, unit):
        part = np.asarray(fn(first, samples))
        assert part.ndim == 2 and len(part) == len(samples), (
            f"a window of {len(samples)} samples came back as {part.shape}"
        )
        if result is None:
            result, weights = np.zeros((0, part.shape[1])), np.zeros(0)
        assert part.shape[1] == result.shape[1], "the channels changed"
        # What lies before this window will not change any more.
        if first > done:
            yield done, _finish(result[: first - done], weights[: first - done])
        result, weights = result[first - done :], weights[first - done :]
        done = first
        fresh = len(samples) - len(result)
        result = np.pad(result, ((0, fresh), (0, 0)))
        weights = np.pad(weights, (0, fresh))
        weight = fade_weights(len(samples), window - hop, first > 0, not last)
        result += part * weight[:, None]
        weights += weight
    if result is not None:
        yield done, _finish(result, weights)


def _finish(result, weights):
    assert (weights > 0).all(), "a sample is in no window"
    return (result / weights[:, None]).astype(np.float32)


def cut_windows(blocks, window, hop, unit=1):
    """Cuts a stream into windows, of which the last one ends with it.

    Arguments
    ---------
    blocks : iterable of np.ndarray
        [t] each.
    window, hop, unit : int
        As in :func:`overlap_add`.

    Yields
    ------
    (int, np.ndarray, bool)
        Position, samples, and whether it is the last window.

    Example
    -------
    >>> windows = cut_windows([np.arange(11)], window=4, hop=3)
    >>> [(first, len(part), last) for first, part, last in windows]
    [(0, 4, False), (3, 4, False), (6, 4, False), (7, 4, True)]
    """
    held, begin, first = np.zeros(0), 0, 0
    for block in blocks:
        held = np.concatenate([held, block]) if len(held) else block
        # Whether a window is the last one shows when a frame follows it.
        while begin + len(held) >= first + window + unit:
            low = first - begin
            yield first, held[low : low + window], False
            # The last window starts behind this one, nobody knows where.
            held, begin, first = held[low:], first, first + hop
    total = begin + len(held)
    if total:
        first = max(0, min(first, (total - window) // unit * unit))
        yield first, held[first - begin :], True


def fade_weights(length, overlap, fade_in, fade_out):
    """Weights of a window; never zero, so that they can be divided by.

    Arguments
    ---------
    length : int
        Samples of the window.
    overlap : int
        Samples of a fade.
    fade_in, fade_out : bool
        Whether another window comes before, and after.

    Returns
    -------
    np.ndarray
        float64 [length].

    Example
    -------
    >>> fade_weights(5, 2, fade_in=False, fade_out=True).round(2).tolist()
    [1.0, 1.0, 1.0, 0.67, 0.33]
    """
    weight = np.ones(length)
    overlap = min(overlap, length)
    ramp = np.arange(1, overlap + 1) / (overlap + 1)
    if fade_in and overlap:
        weight[:overlap] = np.minimum(weight[:overlap], ramp)
    if fade_out and overlap:
        weight[-overlap:] = np.minimum(weight[-overlap:], ramp[::-1])
    return weight
