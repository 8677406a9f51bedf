"""Audio files, read in windows and checked before a network sees them.

Authors
 * avsep_sb contributors
"""

import os

import numpy as np
import soundfile

from avsep_sb.errors import DataError


def _open(path):
    """An open ``SoundFile``, or a sentence that says what is wrong."""
    if not os.path.isfile(path):
        raise DataError(
            f"the audio file {path} is missing: check data_folder or run the "
            "preparation again."
        )
    try:
        sound = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as err:
        raise DataError(
            f"the audio file {path} cannot be read ({err.error_string}): "
            "replace it, or leave it out of the manifest."
        ) from err
    if sound.frames == 0:
        sound.close()
        raise DataError(
            f"the audio file {path} holds no samples: replace it, or leave "
            "it out of the manifest."
        )
    return sound


def _check_rate(path, found, wanted):
    if found != wanted:
        raise DataError(
            f"the audio file {path} has {found} Hz but {wanted} Hz are "
            "needed: run the preparation, which resamples."
        )


def num_samples(path, sample_rate=None, with_rate=False):
    """The length of an audio file, from its header.

    Arguments
    ---------
    path : str or Path
        Any format of libsndfile (wav, flac, ogg).
    sample_rate : int, optional
        The rate in Hz that the file must have.
    with_rate : bool
        Whether to return the rate of the file too.

    Returns
    -------
    int, or (int, int)
        Samples per channel; with ``with_rate`` also Hz. ``DataError`` is
        raised for a missing, unreadable or empty file, or another rate.

    Example
    -------
    >>> path = str(getfixture("tmpdir") / "a.wav")
    >>> soundfile.write(path, np.zeros(800), 16000)
    >>> num_samples(path, 16000)
    800
    """
    with _open(path) as sound:
        if sample_rate is not None:
            _check_rate(path, sound.samplerate, sample_rate)
        if with_rate:
            return sound.frames, sound.samplerate
        return sound.frames


def read_audio(path, start=0, stop=None, sample_rate=16000):
    """Reads a window of an audio file as one channel.

    Arguments
    ---------
    path : str or Path
        Any format of libsndfile (wav, flac, ogg).
    start, stop : int
        First sample and the sample after the last; ``None`` reads to the
        end. A window past the end is cut there: padding is the caller's.
    sample_rate : int
        The rate in Hz that the file must have; nothing is resampled here,
        since resampling a window differs from a window of the resampled.

    Returns
    -------
    np.ndarray
        [T] float32, the mean of the channels. ``DataError`` is raised for a
        missing, unreadable or empty file, another rate, and for samples that
        are NaN or infinite.

    Example
    -------
    >>> path = str(getfixture("tmpdir") / "a.wav")
    >>> soundfile.write(path, np.full((800, 2), 0.25), 16000)
    >>> read_audio(path, 600, 1000).shape
    (200,)
    """
    with _open(path) as sound:
        _check_rate(path, sound.samplerate, sample_rate)
        try:
            sound.seek(min(start, sound.frames))
            count = -1 if stop is None else max(0, stop - start)
            wave = sound.read(count, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as err:
            raise DataError(
                f"the audio file {path} breaks off ({err.error_string}): "
                "replace it, or leave it out of the manifest."
            ) from err
    wave = wave[:, 0] if wave.shape[1] == 1 else wave.mean(axis=1)
    # a NaN or an infinity anywhere makes the sum of magnitudes not finite
    if not np.isfinite(np.abs(wave).sum(dtype=np.float64)):
        raise DataError(
            f"the audio file {path} holds NaN or infinite samples: replace "
            "it, or leave it out of the manifest."
        )
    return np.ascontiguousarray(wave, dtype=np.float32)
