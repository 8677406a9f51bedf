"""Cuts the speech of a voice into utterances for a recogniser.

An utterance ends where its speaker pauses, and lasts no longer than a
recogniser can take: a longer one is cut at its widest pause, and where there
is none, where it is softest.

Authors
 * avsep_sb contributors
"""

import numpy as np
from scipy.ndimage import uniform_filter1d

from avsep_sb.errors import ConfigError
from avsep_sb.inference.activity import FRAME_S

#: seconds: a shorter pause is part of an utterance
PAUSE_S = 0.6
#: seconds that recognisers are trained on, and no more
LONGEST_S = 20.0
#: seconds before and after an utterance that a recogniser hears as well
MARGIN_S = 0.15
#: seconds over which the level is averaged where there is no pause
SOFT_S = 0.15


def cut_utterances(spans, energy=None, longest=LONGEST_S, pause=PAUSE_S):
    """Joins spans of speech to utterances, none longer than it may be.

    Arguments
    ---------
    spans : list of (float, float)
        When one voice speaks, seconds, in the order of time.
    energy : np.ndarray or None
        Energy of the voice per frame of 10 ms, to find where it is soft; None
        cuts what is too long into equal parts.
    longest : float
        Seconds that an utterance may last.
    pause : float
        Spans less than so many seconds apart are one utterance.

    Returns
    -------
    list of (float, float)
        In the order of time, apart from each other or touching.
        ``ConfigError`` is raised for a length of less than a second.

    Example
    -------
    >>> cut_utterances([(0.0, 2.0), (2.3, 4.0), (6.0, 7.0)])
    [(0.0, 4.0), (6.0, 7.0)]
    >>> cut_utterances([(0.0, 2.0), (2.3, 4.0), (4.1, 7.0)], longest=6.0)
    [(0.0, 2.0), (2.3, 7.0)]
    """
    if not longest >= 1.0:
        raise ConfigError(
            f"An utterance must be allowed to last a second, not {longest:g}."
        )
    groups = []
    for span in spans:
        if groups and span[0] - groups[-1][-1][1] < pause:
            groups[-1].append(span)
        else:
            groups.append([span])
    found = []
    for group in groups:
        for part in _parts(group, longest):
            start, stop = part[0][0], part[-1][1]
            found += _pieces(start, stop, energy, longest)
    return found


def _parts(group, longest):
    """Divides spans at the widest pause until each part is short enough."""
    if group[-1][1] - group[0][0] <= longest or len(group) < 2:
        return [group]
    pauses = [b[0] - a[1] for a, b in zip(group[:-1], group[1:], strict=True)]
    cut = int(np.argmax(pauses)) + 1
    return _parts(group[:cut], longest) + _parts(group[cut:], longest)


def _pieces(start, stop, energy, longest):
    """Cuts one span without a pause where it is softest."""
    pieces = []
    while stop - start > longest:
        if energy is None:
            count = np.ceil((stop - start) / longest)
            cut = start + (stop - start) / count
        else:
            cut = _softest(energy, start + longest / 2, start + longest)
        pieces.append((start, round(cut, 3)))
        start = pieces[-1][1]
    return [*pieces, (start, stop)]


def _softest(energy, low, high):
    """The time from low to high at which the level is least, in seconds."""
    width = 2 * round(SOFT_S / FRAME_S / 2) + 1
    level = uniform_filter1d(np.asarray(energy, np.float64), width)
    first, last = int(np.ceil(low / FRAME_S)), int(high / FRAME_S)
    return (first + int(np.argmin(level[first:last]))) * FRAME_S


def widened(utterances, seconds, margin=MARGIN_S):
    """What a recogniser hears of each utterance: its edges as well.

    Arguments
    ---------
    utterances : list of (float, float)
        Those of one voice, in the order of time.
    seconds : float
        Length of the recording.
    margin : float
        Seconds to be added on either side, of the time that neither another
        utterance of this voice takes nor its margin.

    Returns
    -------
    list of (float, float)
        One for each utterance.

    Example
    -------
    >>> widened([(0.1, 1.0), (1.2, 2.0)], 5.0)
    [(0.0, 1.1), (1.1, 2.15)]
    """
    found = []
    for k, (start, stop) in enumerate(utterances):
        low, high = 0.0, seconds
        if k:
            low = (utterances[k - 1][1] + start) / 2
        if k + 1 < len(utterances):
            high = (stop + utterances[k + 1][0]) / 2
        low, high = max(low, start - margin), min(high, stop + margin)
        found.append((round(low, 4), round(high, 4)))
    return found
