"""Word error rates, and how sure they are.

A rate is errors over words of all utterances together, as is usual; that of
short sentences taken one by one and averaged would weigh words unevenly. Its
interval is a bootstrap over mixtures, since the voices of one mixture fail
together (Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR
performance evaluation", ICASSP 2004).

Authors
 * avsep_sb contributors
"""

import numpy as np
from speechbrain.utils.edit_distance import accumulatable_wer_stats

from avsep_sb.inference.text import normalise_text

#: resamplings of a bootstrap
DRAWS = 2000


def word_errors(reference, hypothesis):
    """Counts the words that a recogniser got wrong.

    Arguments
    ---------
    reference : str
        What is said.
    hypothesis : str
        What was heard; both are compared as
        :func:`avsep_sb.inference.text.normalise_text` leaves them.

    Returns
    -------
    (int, int)
        Insertions, deletions and substitutions together, and the words of
        the reference.

    Example
    -------
    >>> word_errors("Lay blue at X, four now.", "lay blew at x for four now")
    (2, 6)
    >>> word_errors("", "hm")
    (1, 0)
    """
    said, heard = (normalise_text(t).split() for t in (reference, hypothesis))
    if not said:
        return len(heard), 0
    counts = accumulatable_wer_stats([said], [heard])
    kinds = ("insertions", "deletions", "substitutions")
    return sum(counts[kind] for kind in kinds), len(said)


def rate95(errors, words, seed=0):
    """A word error rate and its 95 % interval.

    Arguments
    ---------
    errors, words : sequence of float
        Of each mixture.
    seed : int
        Of the bootstrap.

    Returns
    -------
    (float, float, float)
        Rate, lower and upper end; all NaN where there are no words. Where
        nothing is wrong the upper end is that of the share of mixtures with
        an error (Clopper and Pearson), as the bootstrap has no width there.

    Example
    -------
    >>> rate, low, high = rate95([1, 0, 2, 1], [6, 6, 6, 6])
    >>> round(rate, 3), low < rate < high
    (0.167, True)
    >>> [round(x, 2) for x in rate95([0] * 50, [6] * 50)]
    [0.0, 0.0, 0.07]
    """
    errors = list(errors)
    rate, low, high = ratio95(errors, words, seed)
    if rate == 0:
        high = float(1 - 0.025 ** (1 / len(errors)))
    return rate, low, high


def ratio95(above, below, seed=0):
    """A ratio of two sums over the same mixtures, and its 95 % interval.

    Arguments
    ---------
    above, below : sequence of float
        Such as errors of separated and of clean voices, for each mixture.
    seed : int
        Of the bootstrap.

    Returns
    -------
    (float, float, float)
        Ratio, lower and upper end; all NaN where the sum below is 0.
        Infinite where resampling leaves nothing below.

    Example
    -------
    >>> ratio95([2, 4, 6], [1, 2, 3])
    (2.0, 2.0, 2.0)
    """
    above, below = (np.asarray(list(x), np.float64) for x in (above, below))
    total = below.sum()
    if total == 0:
        return (float("nan"),) * 3
    count = len(above)
    ratio = float(above.sum() / total)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), DRAWS)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (draws @ above) / (draws @ below)
    ratios = ratios[~np.isnan(ratios)]
    # The nearest of the draws: between a number and infinity lies nothing.
    low, high = np.quantile(ratios, (0.025, 0.975), method="nearest")
    return ratio, float(min(low, ratio)), float(max(high, ratio))
