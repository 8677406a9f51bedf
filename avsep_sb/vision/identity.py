"""Says which stretches of a video show the same person.

Descriptions are compared by log odds: above zero means rather one person than
two. Stretches are joined from the most alike pair down, by the average over
all their pairs, and never when they were seen at the same moment.

Authors
 * avsep_sb contributors
"""

from collections import namedtuple

import numpy as np

Stretch = namedtuple("Stretch", ["start", "stop", "look", "first", "last"])
Stretch.__doc__ = """A face that was followed without interruption.

Frames start..stop-1, its :class:`avsep_sb.vision.face_look.Look`, and its
first and last box, [4] each.
"""

# Log odds of the measured description, fitted on every second person of GRID
# and SynthAV under changes of size, light, tint and coding; checked on the
# other persons.
_EDGES, _SKIN, _HAIR, _OFFSET = 22.0, 0.2, 0.08, -15.5
#: cosine of SFace above which two faces are rather one person (its paper and
#: the OpenCV Zoo give 0.363 for pairs of photographs), and log odds per unit
SFACE_COSINE, _SFACE_STEEPNESS = 0.4, 12.0
#: two persons seen together are never so alike, unless they are drawn
SFACE_CONFUSED = 0.6
#: part of the measured description where SFace decides
_BESIDE_SFACE, _LIMIT = 0.3, 4.0
#: log odds for a face that comes back where it was lost within so many frames
RETURNS = ((5, 5.0), (25, 2.0))


def link_stretches(stretches, cuts=()):
    """Numbers the persons.

    Arguments
    ---------
    stretches : list of Stretch
        In any order.
    cuts : iterable of int
        First frames of the shots; across a cut, place says nothing.

    Returns
    -------
    np.ndarray
        int [N]: the person of each stretch, numbered from 0.

    Example
    -------
    >>> from avsep_sb.vision.face_look import Look
    >>> look = Look(None, np.ones(4) / 2, np.zeros((2, 2)))
    >>> box = np.array([0, 0, 50, 60])
    >>> spans = ((0, 10), (20, 30), (5, 12))
    >>> link_stretches([Stretch(*span, look, box, box) for span in spans])
    array([0, 0, 1])
    """
    if not stretches:
        return np.zeros(0, int)
    start = np.array([s.start for s in stretches])
    stop = np.array([s.stop for s in stretches])
    apart = (start[:, None] < stop[None]) & (start[None] < stop[:, None])
    np.fill_diagonal(apart, False)
    odds = log_odds([s.look for s in stretches], apart)
    odds += _returns(stretches, start, stop, cuts)
    return _join(odds, apart)


def log_odds(looks, apart):
    """Log odds that two descriptions are of one person.

    Arguments
    ---------
    looks : list of Look
        N descriptions.
    apart : np.ndarray
        bool [N, N]; True where the two were seen at the same moment, and so
        are two persons.

    Returns
    -------
    np.ndarray
        float32 [N, N].
    """
    measured = _measured_odds(looks)
    if any(look.sface is None for look in looks):
        return measured
    vectors = np.stack([look.sface for look in looks]).astype(np.float32)
    cosine = vectors @ vectors.T
    # Drawn faces all look the same to SFace; then it must not decide.
    if apart.any() and np.median(cosine[apart]) > SFACE_CONFUSED:
        return measured
    beside = np.clip(measured, -_LIMIT, _LIMIT) * _BESIDE_SFACE
    return _SFACE_STEEPNESS * (cosine - SFACE_COSINE) + beside


def _measured_odds(looks):
    edges = np.stack([look.edges for look in looks]).astype(np.float32)
    colours = np.stack([look.colours for look in looks]).astype(np.float32)
    skin, hair = colours[:, 0], colours[:, 1]
    return (
        _EDGES * (edges @ edges.T)
        - _SKIN * _distance(skin)
        - _HAIR * _distance(hair)
        + _OFFSET
    )


def _distance(vectors):
    """Root mean square difference of each pair."""
    squares = (vectors**2).sum(1)
    total = squares[:, None] + squares[None] - 2 * vectors @ vectors.T
    return np.sqrt(np.maximum(total, 0) / vectors.shape[1])


def _returns(stretches, start, stop, cuts):
    """A bonus for a face found where one was lost a moment before."""
    bonus = np.zeros((len(stretches),) * 2, np.float32)
    shot = np.searchsorted(np.sort(np.asarray(list(cuts), int)), start, "right")
    order = np.argsort(start)
    for later in order:
        gap = start[later] - stop
        near = (gap >= 0) & (gap <= RETURNS[-1][0]) & (shot == shot[later])
        for earlier in np.flatnonzero(near):
            lost, found = stretches[earlier].last, stretches[later].first
            middle = np.abs(lost[:2] + lost[2:] - found[:2] - found[2:]) / 2
            if middle.max() < 0.5 * min(lost[2] - lost[0], found[2] - found[0]):
                value = next(b for most, b in RETURNS if gap[earlier] <= most)
                bonus[earlier, later] = bonus[later, earlier] = value
    return bonus


def _join(odds, apart):
    """Average linkage down to odds of zero; returns int [N]."""
    count = len(odds)
    total = odds.astype(np.float64)
    size = np.ones(count)
    label = np.arange(count)
    apart = apart.copy()
    alive = np.ones(count, bool)

    def means(row):
        mean = total[row] / (size[row] * size)
        mean[apart[row] | ~alive] = -np.inf
        mean[row] = -np.inf
        return mean

    best = np.full(count, -1)
    value = np.full(count, -np.inf)

    def renew(row):
        mean = means(row)
        best[row] = mean.argmax()
        value[row] = mean[best[row]]

    for row in range(count):
        renew(row)
    while count > 1:
        one = int(value.argmax())
        if not value[one] > 0:
            break
        two = int(best[one])
        total[one] += total[two]
        total[:, one] += total[:, two]
        apart[one] |= apart[two]
        apart[:, one] |= apart[:, two]
        size[one] += size[two]
        alive[two], value[two] = False, -np.inf
        label[label == two] = one
        for row in np.flatnonzero(alive):
            if row == one or best[row] in (one, two):
                renew(row)
            elif not apart[row, one]:
                mean = total[row, one] / (size[row] * size[one])
                if mean > value[row]:
                    best[row], value[row] = one, mean
    return np.unique(label, return_inverse=True)[1]
