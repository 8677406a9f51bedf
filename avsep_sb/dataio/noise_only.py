"""The noise of a noisy recording, given the clean speech that is in it.

Some corpora publish noisy speech and clean speech, but not the noise. Where
the noisy recording is a delayed, scaled copy of the clean one plus noise, the
noise is what a least-squares fit of the clean one leaves over.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import numpy as np
from scipy.signal import correlate

from avsep_sb.errors import DataError

MAX_LAG = 0.5
"""Delays up to this many seconds, either way, are looked for."""

TAPS = 8
"""Taps on each side of the delay: fractions of a sample, filters of codecs."""

MAX_LEFT = 0.05
"""Speech may leave this share of the noise's energy: it is 13 dB below."""

MAX_OFF_DB = 10.0
"""A label may be off by so much: pauses count in it or not, levels differ."""

WINDOW = 0.5
"""Seconds in which speech that is left is looked for."""


class NoiseOnly(NamedTuple):
    """Noise [T] float32, delay in samples, gain, speech-to-noise ratio in dB,
    and the share of the noise's energy that still follows the speech."""

    noise: np.ndarray
    lag: int
    gain: float
    ratio_db: float
    left: float


def noise_only(
    noisy, clean, sample_rate=16000, label_db=None, name="the noisy recording"
):
    """Takes the clean speech out of a noisy recording.

    The delay is the largest peak of the cross-correlation of the differenced
    signals (low rumble would hide it otherwise). Around it, 17 taps are
    fitted by least squares over the whole recording. Then the residual is
    searched for speech: in windows of 0.5 s, the share of its energy that
    three taps of the speech explain. A gain that changes, a clock that
    drifts leaves such a share; independent noise does not.

    Arguments
    ---------
    noisy : np.ndarray
        [T] samples.
    clean : np.ndarray
        [T'] samples at the same rate; nothing is taken to be said before
        and after them.
    sample_rate : int
        In Hz.
    label_db : float, optional
        The signal-to-noise ratio that the recording is said to have. Far
        below it, the clean speech is that of another utterance.
    name : str or Path
        The noisy recording, for the message.

    Returns
    -------
    NoiseOnly
        ``DataError`` is raised if one of the two is silent, if nothing is
        left, if what is left still follows the speech, or if the ratio is
        more than 10 dB off the label.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> clean, noise = rng.standard_normal((2, 32000))
    >>> clean = clean * (1 + np.sin(np.arange(32000) / 2000))
    >>> delayed = np.concatenate([np.zeros(40), clean[:-40]])
    >>> found = noise_only(0.3 * delayed + 0.1 * noise, clean)
    >>> found.lag, round(found.gain, 2)
    (40, 0.3)
    >>> bool(np.abs(found.noise - 0.1 * noise).max() < 0.03)
    True
    """
    noisy = np.asarray(noisy, dtype=np.float64)
    clean = np.asarray(clean, dtype=np.float64)
    for wave, what in ((clean, "clean speech of "), (noisy, "")):
        if not wave.any():
            raise DataError(
                f"the {what}{name} is silent, so its noise cannot be found: "
                "replace the file."
            )
    lag = find_lag(noisy, clean, round(MAX_LAG * sample_rate))
    copies = _copies(clean, lag, TAPS, len(noisy))
    speech = copies.T @ _solve(copies @ copies.T, copies @ noisy)
    noise = noisy - speech
    energy = float(noise @ noise)
    if energy <= 1e-7 * float(noisy @ noisy):
        raise DataError(
            f"{name} holds nothing but the clean speech: take the noisy file "
            "of that name."
        )
    left = _left_over(noise, speech, round(WINDOW * sample_rate))
    if left > MAX_LEFT:
        raise DataError(
            f"{name} is not its clean speech with a delay and a gain plus "
            f"noise ({100 * left:.0f} % of the rest still follows the "
            "speech): check that both files are of one utterance, or leave "
            "it out."
        )
    ratio = float(10 * np.log10(max(float(speech @ speech), 1e-20) / energy))
    if label_db is not None and abs(ratio - label_db) > MAX_OFF_DB:
        raise DataError(
            f"{name} holds its clean speech {ratio:.0f} dB above the rest but "
            f"is labelled {label_db:g} dB: check that both files are of one "
            "utterance, or leave it out."
        )
    copy = copies[TAPS]
    gain = float(speech @ copy / (copy @ copy))
    return NoiseOnly(noise.astype(np.float32), lag, gain, ratio, left)


def find_lag(noisy, clean, max_lag):
    """The delay of the clean signal within the noisy one.

    Arguments
    ---------
    noisy, clean : np.ndarray
        [T] and [T'] samples.
    max_lag : int
        Largest delay either way, in samples.

    Returns
    -------
    int
        Samples; positive if the noisy signal is late.

    Example
    -------
    >>> wave = np.random.default_rng(0).standard_normal(1000)
    >>> find_lag(wave[30:], wave, 100), find_lag(wave, wave[30:], 100)
    (-30, 30)
    """
    # Zeros in front keep the onset as a step of both.
    noisy, clean = np.diff(noisy, prepend=0.0), np.diff(clean, prepend=0.0)
    products = np.abs(correlate(noisy, clean, mode="full", method="fft"))
    lags = np.arange(len(products)) - (len(clean) - 1)
    near = np.abs(lags) <= max_lag
    return int(lags[near][products[near].argmax()])


def _copies(wave, lag, taps, length):
    """[2 taps + 1, length]: the signal at all delays around ``lag``."""
    copies = np.zeros((2 * taps + 1, length))
    for row, shift in zip(
        copies, range(lag - taps, lag + taps + 1), strict=True
    ):
        begin, stop = max(shift, 0), min(shift + len(wave), length)
        if stop > begin:
            row[begin:stop] = wave[begin - shift : stop - shift]
    return copies


def _solve(matrix, vector):
    """Least squares, steadied where the speech has no energy to fit."""
    size = len(matrix)
    steady = 1e-9 * max(np.trace(matrix) / size, 1e-20)
    return np.linalg.solve(matrix + steady * np.eye(size), vector)


def _left_over(noise, speech, window):
    """Share of the energy of the noise that windows of the speech explain."""
    copies = _copies(speech, 0, 1, len(speech))
    explained = total = 0.0
    for start in range(0, len(noise), window):
        part = slice(start, start + window)
        rest, some = noise[part], copies[:, part]
        total += float(rest @ rest)
        along = some @ rest
        explained += float(along @ _solve(some @ some.T, along))
    return explained / total
