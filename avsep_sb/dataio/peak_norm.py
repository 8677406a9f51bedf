"""Peak-normalised audio, as BIN's published data sets prepare every file.

Every signal of their mixtures, and then each mixture again, goes through
this one function. Whole-file peaks are no measure of loudness, and the way
over 22.05 kHz cuts what lies above 11 kHz only to return to 16 kHz: both are
kept for the *as published* protocols and used nowhere else.

Authors
 * avsep_sb contributors
"""

import os

import numpy as np
import soundfile

from avsep_sb.errors import DataError

SAMPLE_RATE = 16000
LOADING_RATE = 22050
"""The rate that librosa loads at by default, in Hz."""


def norm16(path):
    """Reads a file at 16 kHz without its mean and with a peak of 1.

    The channels are averaged, the signal is resampled to 22.05 kHz, then to
    16 kHz (soxr, high quality: what librosa does), its mean over the whole
    file is subtracted and it is divided by its largest magnitude.

    Arguments
    ---------
    path : str or Path
        Any format of libsndfile (wav, flac, ogg), at any rate.

    Returns
    -------
    np.ndarray
        [T] float32 at 16 kHz, mean 0, peak 1. ``DataError`` is raised for a
        missing, unreadable or empty file, for samples that are NaN or
        infinite, and for silence, which has no peak to divide by.

    Example
    -------
    >>> path = str(getfixture("tmpdir") / "a.wav")
    >>> tone = 0.25 + 0.1 * np.sin(np.arange(48000) * 0.1)
    >>> soundfile.write(path, tone, 48000)
    >>> wave = norm16(path)
    >>> wave.shape, float(np.abs(wave).max()), bool(abs(wave.mean()) < 1e-3)
    ((16000,), 1.0, True)
    """
    return norm16_wave(*read_any_rate(path), path)


def norm16_wave(wave, rate=SAMPLE_RATE, name="the signal"):
    """What :func:`norm16` does to a file, for a signal in memory.

    Arguments
    ---------
    wave : np.ndarray
        [T] samples.
    rate : int
        Their rate in Hz.
    name : str or Path
        What it is, for the message.

    Returns
    -------
    np.ndarray
        [T'] float32 at 16 kHz, mean 0, peak 1; ``DataError`` is raised for
        silence.

    Example
    -------
    >>> norm16_wave(np.sin(np.arange(8000) * 0.1), 8000).shape
    (16000,)
    """
    wave = resample(resample(wave, rate, LOADING_RATE), LOADING_RATE)
    return peak_normalise(wave, name)


def peak_normalise(wave, name="the signal"):
    """Subtracts the mean and divides by the largest magnitude.

    Arguments
    ---------
    wave : np.ndarray
        [T] samples.
    name : str or Path
        What it is, for the message.

    Returns
    -------
    np.ndarray
        [T] float32, mean 0, peak 1; ``DataError`` is raised for silence.

    Example
    -------
    >>> peak_normalise(np.array([0.0, 2.0, 4.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    wave = np.asarray(wave, dtype=np.float32)
    wave = wave - wave.mean()
    peak = np.abs(wave).max()
    if peak == 0:
        raise DataError(
            f"{name} is silent throughout and has no peak to normalise by: "
            "replace the file, or leave it out."
        )
    return (wave / (peak + np.spacing(1.0))).astype(np.float32)


def read_any_rate(path):
    """Reads a whole file at the rate that it has.

    Arguments
    ---------
    path : str or Path
        Any format of libsndfile.

    Returns
    -------
    (np.ndarray, int)
        [T] float32, the mean of the channels, and the rate in Hz.
        ``DataError`` is raised as by :func:`norm16`, but not for silence.

    Example
    -------
    >>> path = str(getfixture("tmpdir") / "a.wav")
    >>> soundfile.write(path, np.full((800, 2), 0.25), 8000)
    >>> wave, rate = read_any_rate(path)
    >>> wave.shape, rate
    ((800,), 8000)
    """
    if not os.path.isfile(path):
        raise DataError(
            f"the audio file {path} is missing: check that the corpus is "
            "complete and unpacked where its folder is given."
        )
    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as err:
        raise DataError(
            f"the audio file {path} cannot be read ({err}): replace it."
        ) from err
    if not len(wave):
        raise DataError(f"the audio file {path} holds no samples: replace it.")
    if not np.isfinite(wave).all():
        raise DataError(
            f"the audio file {path} holds NaN or infinite samples: replace it."
        )
    return wave.mean(axis=1), rate


def resample(wave, rate, new_rate=SAMPLE_RATE):
    """Resamples with soxr's high quality, to a length that is rounded up.

    Arguments
    ---------
    wave : np.ndarray
        [T] samples.
    rate, new_rate : int
        Its rate and the rate wanted, in Hz; equal rates change nothing.

    Returns
    -------
    np.ndarray
        [ceil(T * new_rate / rate)] float32.

    Example
    -------
    >>> resample(np.zeros(44101, np.float32), 44100).shape
    (16001,)
    """
    import soxr  # only the corpora of BIN need it

    wave = np.asarray(wave, dtype=np.float32)
    if rate == new_rate:
        return wave
    count = -(-len(wave) * new_rate // rate)
    wave = soxr.resample(wave, rate, new_rate, quality="HQ")[:count]
    return np.pad(wave, (0, count - len(wave)))
