"""Timelines as pictures: spans of any number and length, none lost.

Each column of pixels of a lane stands for some time. Where it holds more than
one state, it is filled from the bottom by the part of the time that each
takes, so a second is seen as such, and in hours the share of each state is.

Authors
 * avsep_sb contributors
"""

import numpy as np


def merged(spans):
    """Spans in the order of time, joined where they touch or overlap.

    Arguments
    ---------
    spans : list of (float, float)
        Start and stop of each.

    Returns
    -------
    list of (float, float)

    Example
    -------
    >>> merged([(3, 4), (0, 1), (0.5, 2), (5, 5)])
    [(0, 2), (3, 4)]
    """
    result = []
    for start, stop in sorted((a, b) for a, b in spans if b > a):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result


def time_share(spans, edges):
    """How much of each column spans take.

    Arguments
    ---------
    spans : list of (float, float)
        In seconds; they may overlap.
    edges : np.ndarray
        Borders of the columns in seconds, [columns + 1].

    Returns
    -------
    np.ndarray
        [columns], from 0 to 1.

    Example
    -------
    >>> time_share([(0.5, 2.0)], np.arange(5.0)).tolist()
    [0.5, 1.0, 0.0, 0.0]
    """
    spans = merged(spans)
    if not spans:
        return np.zeros(len(edges) - 1)
    starts, stops = np.array(spans, np.float64).T
    # Time within spans up to each of their ends; linear in between.
    ends = np.stack([starts, stops], axis=1).ravel()
    inside = np.cumsum(stops - starts)
    before = np.stack([np.r_[0.0, inside[:-1]], inside], axis=1).ravel()
    return np.diff(np.interp(edges, ends, before)) / np.diff(edges)


def lane(states, edges, height=24):
    """A lane as a picture.

    Arguments
    ---------
    states : list of (str, list of (float, float))
        Colour, as ``#rrggbb``, and spans of each state, from the bottom up.
        Where spans of two states overlap, both shrink.
    edges : np.ndarray
        Borders of the columns in seconds, [columns + 1].
    height : int
        Rows of pixels. A state that takes a part of a column takes at least
        one.

    Returns
    -------
    np.ndarray
        float [height, columns, 4], RGBA from 0 to 1, the top row first;
        transparent where there is no state.

    Example
    -------
    >>> picture = lane([("#ff0000", [(0, 1.5)])], np.arange(4.0), height=2)
    >>> picture[..., 3].tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    shares = np.array([time_share(spans, edges) for _, spans in states])
    shares /= np.maximum(shares.sum(axis=0), 1.0)
    shares[shares < 1e-6] = 0.0
    # What is seldom counts at least one row, at the cost of the largest.
    rows = np.where(shares > 0, np.maximum(shares * height, 1.0), 0.0)
    columns = np.arange(rows.shape[1])
    excess = np.maximum(rows.sum(axis=0) - height, 0.0)
    rows[rows.argmax(axis=0), columns] -= excess
    tops = np.cumsum(rows, axis=0).round()
    level = height - np.arange(height)[:, None]
    picture = np.zeros((height, len(columns), 4))
    for (colour, _), top, own in zip(
        reversed(states), tops[::-1], rows[::-1], strict=True
    ):
        rgb = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        picture[(level <= top) & (own > 0)] = [*rgb, 1.0]
    return picture
