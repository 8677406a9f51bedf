"""Smooths what is measured in each frame, without delay.

The windows are centred; at the ends of what there is they shrink.

Authors
 * avsep_sb contributors
"""

import itertools
from functools import lru_cache

import numpy as np


def smooth(values, window):
    """Moving average over time, of what there is at the ends.

    Arguments
    ---------
    values : np.ndarray
        [Tv, ...].
    window : int
        Frames to average over, centred; odd.

    Returns
    -------
    np.ndarray
        float64 [Tv, ...].

    Example
    -------
    >>> smooth(np.array([0.0, 3.0, 6.0]), 3)
    array([1.5, 3. , 4.5])
    """
    length, half = len(values), window // 2
    total = np.concatenate([np.zeros_like(values[:1]), values]).cumsum(0)
    index = np.arange(length)
    # The window shrinks on both sides at the ends, and stays centred on
    # what it covers inside the video.
    low = np.maximum(index - half, 0)
    high = np.minimum(index + half + 1, length)
    count = (high - low).reshape((-1,) + (1,) * (values.ndim - 1))
    return (total[high] - total[low]) / count


def follow(values, window):
    """Fits a parabola over time around each value, or a line at the ends.

    Other than a mean it does not flatten movement that slows down and turns
    (Savitzky and Golay, 1964).

    Arguments
    ---------
    values : np.ndarray
        [Tv, ...].
    window : int
        Frames to fit to, centred; odd.

    Returns
    -------
    np.ndarray
        float64 [Tv, ...].

    Example
    -------
    >>> time = np.arange(9.0)
    >>> bool(abs(follow(time**2, 5) - time**2)[2:-2].max() < 1e-9)
    True
    """
    length, half = len(values), window // 2
    flat = np.asarray(values, np.float64).reshape(length, -1)
    result = np.empty_like(flat)
    inner = max(0, length - 2 * half)
    if inner:
        windows = np.lib.stride_tricks.sliding_window_view(flat, window, 0)
        result[half : half + inner] = windows @ _fit(half, half, 3)
    edges = range(min(half, length)), range(max(half, length - half), length)
    for index in itertools.chain(*edges):
        low, high = max(0, index - half), min(length, index + half + 1)
        weights = _fit(index - low, high - 1 - index, min(2, high - low))
        result[index] = weights @ flat[low:high]
    return result.reshape(np.shape(values))


@lru_cache(maxsize=256)
def _fit(before, after, terms):
    """Weights of the values around one for a polynomial's value at it."""
    times = np.arange(-before, after + 1)
    return np.linalg.pinv(np.vander(times, terms, increasing=True))[0]
