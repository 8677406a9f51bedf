"""Active speech level of an utterance by ITU-T P.56, method B.

The published two-speaker lists give each source's level in dB relative to
its *active* speech level, so that a pause does not make a speaker louder.

Authors
 * avsep_sb contributors
"""

import numpy as np
from scipy.signal import lfilter, resample_poly

from avsep_sb.errors import DataError

LEVEL_RATE = 8000
"""The published mixtures measure levels on signals of this rate, in Hz."""

TIME_CONSTANT = 0.03
"""Time constant of each of the two smoothing filters, in seconds."""

HANGOVER = 0.2
"""A pause shorter than this, in seconds, counts as speech."""

MARGIN_DB = 15.9
"""The active level lies this far above the threshold of activity."""

# Thresholds halve from full scale downwards. 16-bit equipment needs 15; a
# float file may be quieter, and a few more bits cost next to nothing.
NUM_THRESHOLDS = 24


def active_speech_level(signal, sample_rate, level_rate=LEVEL_RATE):
    """Mean power of a signal while its speaker is speaking.

    The envelope is the rectified signal after two exponential averages. For
    each threshold c, a sample is active when the envelope reached c within
    the last 0.2 s. The active level of that threshold is the whole energy
    over the number of active samples; it falls as c falls. The answer is
    where it lies exactly 15.9 dB above c, found by interpolating both, in
    dB, between two neighbouring thresholds.

    No band-pass filter is applied: ITU-T P.56 leaves it to the user.

    Arguments
    ---------
    signal : np.ndarray
        One channel, shape [T], full scale at 1.0.
    sample_rate : int
        Its rate in Hz.
    level_rate : int or None
        Rate in Hz at which the level is measured; None keeps the signal's
        own. Published mixtures use 8000.

    Returns
    -------
    level : float
        Power (mean square) over active speech; ``x / sqrt(level)`` has unit
        active power. 0.0 for silence.
    activity : float
        Share of the time, 0 to 1, in which the speaker is active.

    Example
    -------
    >>> import numpy as np
    >>> tone = 0.5 * np.sin(np.arange(16000) * 0.3)
    >>> level, activity = active_speech_level(tone, 16000)
    >>> round(float(np.sqrt(level)), 1), round(activity, 1)
    (0.4, 1.0)
    """
    signal = np.asarray(signal, dtype=np.float64)
    if signal.ndim != 1 or not np.isfinite(signal).all():
        raise DataError(
            "the active speech level needs one channel of finite samples, "
            f"got shape {list(signal.shape)}; check the audio file"
        )
    if level_rate is not None and level_rate != sample_rate and signal.size:
        divisor = np.gcd(int(level_rate), int(sample_rate))
        signal = resample_poly(
            signal, level_rate // divisor, sample_rate // divisor
        )
        sample_rate = level_rate
    energy = float(np.sum(signal**2))
    if energy == 0.0:
        return 0.0, 0.0

    counts, thresholds = _activity_counts(signal, sample_rate)
    # From the highest threshold down: level minus threshold grows.
    active = counts > 0
    level_db = 10.0 * np.log10(energy / counts[active])
    threshold_db = 20.0 * np.log10(thresholds[active])
    excess = level_db - threshold_db
    above = np.flatnonzero(excess >= MARGIN_DB)
    if above.size and above[0] == 0:
        # A click: its envelope never comes near its own power.
        answer_db = level_db[0]
    elif above.size:
        high = int(above[0])
        low = high - 1
        share = (MARGIN_DB - excess[low]) / (excess[high] - excess[low])
        answer_db = level_db[low] + share * (level_db[high] - level_db[low])
    else:
        # Quieter than the lowest threshold: take all of it as active.
        answer_db = 10.0 * np.log10(energy / signal.size)
    level = float(10.0 ** (answer_db / 10.0))
    return level, float(min(1.0, energy / signal.size / level))


def _activity_counts(signal, sample_rate):
    """Active samples per threshold, highest threshold first."""
    decay = np.exp(-1.0 / (sample_rate * TIME_CONSTANT))
    envelope = np.abs(signal)
    for _ in range(2):
        envelope = lfilter([1.0 - decay], [1.0, -decay], envelope)
    hangover = int(np.ceil(sample_rate * HANGOVER))
    thresholds = 2.0 ** -np.arange(NUM_THRESHOLDS, dtype=np.float64)
    position = np.arange(signal.size)
    counts = np.zeros(NUM_THRESHOLDS)
    for index, threshold in enumerate(thresholds):
        last = np.where(envelope >= threshold, position, -hangover - 1)
        last = np.maximum.accumulate(last)
        counts[index] = np.count_nonzero(position - last <= hangover)
    return counts, thresholds
