"""Turns a voice that is hardly there into silence.

A separator leaves some of the others in the voice of a face that does not
speak. Where a voice is far below the mixture for some time it is faded out;
what it held stays in the residual.

Authors
 * avsep_sb contributors
"""

import numpy as np

_FRAME_S = 0.01
#: dB between opening and closing, so that the gate does not flutter
HYSTERESIS_DB = 6.0


def silence_gains(
    voice, mixture, sample_rate, close_db=-20.0, smooth_s=0.1, hold_s=0.1
):
    """Gain of a voice, 0 where it is silent.

    The levels of voice and mixture are means of power over ``smooth_s``. The
    gate opens where the voice is less than ``-close_db - 6`` dB below the
    mixture, closes where it is more than ``-close_db`` below (a Schmitt
    trigger), and is open ``hold_s`` earlier and later than that, so that
    soft beginnings and ends of words are kept. Where nothing is heard it is
    closed.

    Arguments
    ---------
    voice, mixture : np.ndarray
        [t] each.
    sample_rate : int
        Hz.
    close_db : float
        Level of the voice relative to the mixture, below 0.
    smooth_s : float
        Length of the means, in seconds.
    hold_s : float
        In seconds; half of it is the fade.

    Returns
    -------
    np.ndarray
        float32 [t], from 0 to 1.

    Example
    -------
    >>> mixture = np.ones(16000)
    >>> voice = np.where(np.arange(16000) < 8000, 0.5, 0.001)
    >>> gains = silence_gains(voice, mixture, 16000)
    >>> float(gains[:8000].min()), float(gains[11400:].max())
    (1.0, 0.0)
    """
    size = max(1, round(_FRAME_S * sample_rate))
    width = max(1, round(smooth_s / _FRAME_S))
    level = _level(voice, size, width)
    heard = _level(mixture, size, width)
    ratio = level / np.maximum(heard, 1e-20)
    ratio[heard <= 1e-20] = 0.0
    opens = ratio > 10 ** ((close_db + HYSTERESIS_DB) / 10)
    closes = ratio < 10 ** (close_db / 10)
    is_open = _widened(_schmitt(opens, closes), round(hold_s / _FRAME_S))
    # Fades lie within what was held.
    width = max(1, round(hold_s / 2 / _FRAME_S))
    gains = np.convolve(
        np.pad(is_open.astype(float), width, mode="edge"),
        np.ones(2 * width + 1) / (2 * width + 1),
        "valid",
    )
    middles = (np.arange(len(gains)) + 0.5) * size
    smooth = np.interp(np.arange(len(voice)), middles, gains)
    return np.where(smooth < 1e-6, 0.0, smooth).round(6).astype(np.float32)


def _level(signal, size, width):
    """Power per frame, averaged over frames."""
    power = np.square(signal, dtype=np.float64)
    power = np.pad(power, (0, -len(power) % size)).reshape(-1, size).mean(1)
    total = np.cumsum(np.r_[0.0, power])
    place = np.arange(len(power))
    low = np.maximum(place - width // 2, 0)
    high = np.minimum(place + width // 2 + 1, len(power))
    return (total[high] - total[low]) / (high - low)


def _schmitt(opens, closes):
    """Between the thresholds it stays as it was; closed at first."""
    turn = np.where(opens | closes, np.arange(len(opens)), -1)
    last = np.maximum.accumulate(turn)
    return (last >= 0) & opens[np.maximum(last, 0)]


def _widened(is_open, by):
    """Open for some frames before and after as well."""
    kernel = np.ones(2 * by + 1)
    return np.convolve(np.pad(is_open, by), kernel, "valid") > 0.5
