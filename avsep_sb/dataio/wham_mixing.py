"""LRS3+WHAM! mixtures of two kinds: as published with BIN, and corrected.

With n1, n2 the speech, nw the noise, d and q the levels of a list in dB,
both kinds are ``g1 n1 + g2 n2 + gw nw``.

*As published*, all three are divided by the peak of their whole file
(:mod:`avsep_sb.dataio.peak_norm`), g1 is d dB, g2 -d dB, gw q dB with d > 0;
the sum is normalised again, and the targets are n1 and n2 without gains.

*Corrected*, all three are divided by their active level (ITU-T P.56) in the
2 s that are mixed; who comes first and the sign of d are drawn for each
mixture; one factor puts the largest sample at 0.9, and the targets are
g1 n1 and g2 n2, so that they and the noise add up to the mixture.

Authors
 * avsep_sb contributors
"""

from collections import namedtuple
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from avsep_sb.dataio.audio import num_samples, read_audio
from avsep_sb.dataio.draws import item_rng
from avsep_sb.dataio.jobs import replace_file
from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.dataio.mixture_rows import mixture_gains
from avsep_sb.dataio.noise import check_noise_length
from avsep_sb.dataio.peak_norm import norm16, norm16_wave
from avsep_sb.dataio.wham_lists import LENGTH
from avsep_sb.dataio.wham_noise import SAMPLE_RATE
from avsep_sb.errors import DataError

#: samples by which an utterance may fall short of 2 s: one frame at 25 fps
TOLERANCE = SAMPLE_RATE // 25

MixtureJob = namedtuple(
    "MixtureJob", ["name", "mixture", "speech", "noise", "output"]
)
MixtureJob.__doc__ = """A NoisyMixture with its ID and files.

``speech`` is the audio of the two utterances, ``noise`` the noise file,
``output`` the mixture to write (None for a mixture that is summed later).
"""

SpeechJob = namedtuple("SpeechJob", ["utterance", "source", "output"])
SpeechJob.__doc__ = """An utterance, its wav or video, and the wav to write."""


def check_speech_length(count, name):
    """Refuses speech that is shorter than a mixture.

    Arguments
    ---------
    count : int
        Its samples at 16 kHz.
    name : str or Path
        For the message.

    Returns
    -------
    None
        ``DataError`` is raised for less than 2 s, one frame (40 ms) apart.

    Example
    -------
    >>> check_speech_length(31999, "a_00001")
    """
    if count < LENGTH - TOLERANCE:
        raise DataError(
            f"{name} lasts {count / SAMPLE_RATE:.2f} s, but mixtures last "
            f"{LENGTH / SAMPLE_RATE:g} s: leave it out of the list"
        )


def write_published_speech(job):
    """Writes the first 2 s of an utterance, normalised as published.

    Arguments
    ---------
    job : SpeechJob
        ``source`` is a wav of any rate, or the video.

    Returns
    -------
    None
        The output is float32 at 16 kHz and has 32000 samples; peak and mean
        are those of the whole file. ``DataError`` or ``VideoError`` is
        raised for a source that cannot be used.
    """
    if Path(job.source).suffix == ".wav":
        wave = norm16(job.source)
    else:
        from avsep_sb.vision.decode import read_audio as read_track

        track = read_track(str(job.source), SAMPLE_RATE)
        wave = norm16_wave(track, SAMPLE_RATE, job.source)
    check_speech_length(len(wave), job.source)
    wave = wave[:LENGTH]
    write_float(job.output, np.pad(wave, (0, LENGTH - len(wave))))


def published_mixture(speech, noise, level_db, noise_db):
    """The sum as published, before its own normalisation.

    Arguments
    ---------
    speech : (np.ndarray, np.ndarray)
        n1 and n2, [T] each.
    noise : np.ndarray
        nw, [T].
    level_db, noise_db : float
        d and q.

    Returns
    -------
    np.ndarray
        [T] float32: 10^(d/20) n1 + 10^(-d/20) n2 + 10^(q/20) nw.

    Example
    -------
    >>> one = np.ones(2)
    >>> published_mixture((one, one), one, 20.0, 0.0).round().tolist()
    [11.0, 11.0]
    """
    signals = [np.asarray(x, dtype=np.float64) for x in (*speech, noise)]
    gains = [10.0 ** (x / 20.0) for x in (level_db, -level_db, noise_db)]
    total = sum(g * x for g, x in zip(gains, signals, strict=True))
    return total.astype(np.float32)


def write_published_mixture(job):
    """Writes the mixture that a model is trained on, as published.

    The published scripts write the sum as a float wav and apply ``norm16``
    to that file; here the sum stays in memory between the two.

    Arguments
    ---------
    job : MixtureJob
        ``speech`` are two files of :func:`write_published_speech`.

    Returns
    -------
    None
        The output is float32 at 16 kHz, with a peak of 1. ``DataError`` is
        raised for noise that ends before the mixture.
    """
    mixture = job.mixture
    noise = norm16(job.noise)
    check_noise_length(job.noise, len(noise), mixture.start, LENGTH)
    total = published_mixture(
        [read_audio(path) for path in job.speech],
        noise[mixture.start : mixture.start + LENGTH],
        mixture.level_db,
        mixture.noise_db,
    )
    write_float(job.output, norm16_wave(total, SAMPLE_RATE, job.name))


def corrected_order(mixture, name, seed):
    """Which utterance comes first in a corrected mixture, and how loud it is.

    Arguments
    ---------
    mixture : NoisyMixture
        Its row in the list.
    name : str
        Its ID; with the seed it decides.
    seed : int
        From 0 on.

    Returns
    -------
    order : (int, int)
        Places of the first and the second source in the list's row.
    level_db : float
        d or -d: the level of the first source; the second has its negative.

    Example
    -------
    >>> from avsep_sb.dataio.wham_lists import NoisyMixture
    >>> mixture = NoisyMixture(("a_1", "b_2"), 1.5, "n.wav", 0, 0.0)
    >>> corrected_order(mixture, "a_1_b_2", seed=0)
    ((1, 0), 1.5)
    """
    swapped, negated = item_rng(seed, 0, name).random(2) < 0.5
    level = -mixture.level_db if negated else mixture.level_db
    return ((1, 0) if swapped else (0, 1)), float(level)


def corrected_gains(job, seed):
    """Order and linear gains of a corrected mixture.

    Arguments
    ---------
    job : MixtureJob
        ``speech`` are the extracted audio files of the two utterances.
    seed : int
        Of :func:`corrected_order`.

    Returns
    -------
    order : (int, int)
        See :func:`corrected_order`.
    gains : list of float
        Factors of the first source, the second one and the noise.
    length : int
        Samples of the mixture, at most 32000. ``DataError`` is raised for
        noise that is too short, silent, or of another rate than 16 kHz.
    """
    mixture = job.mixture
    order, level_db = corrected_order(mixture, job.name, seed)
    speech = [job.speech[k] for k in order]
    length = min(LENGTH, *(num_samples(path, SAMPLE_RATE) for path in speech))
    count = num_samples(job.noise, SAMPLE_RATE)
    check_noise_length(job.noise, count, mixture.start, length)
    noise = read_audio(job.noise, mixture.start, mixture.start + length)
    levels = [_speech_level(path, length) for path in speech]
    levels.append(active_speech_level(noise, SAMPLE_RATE)[0])
    for path, level in zip((*speech, job.noise), levels, strict=True):
        if level == 0:
            raise DataError(f"{path} is silent in the part that is mixed")
    gains = mixture_gains(
        [*(read_audio(path, 0, length) for path in speech), noise],
        [level_db, -level_db, mixture.noise_db],
        levels,
    )
    return order, gains.tolist(), length


@lru_cache(maxsize=4096)
def _speech_level(path, length):
    wave = read_audio(path, 0, length)
    return active_speech_level(wave, SAMPLE_RATE)[0]


def write_float(path, wave):
    """Writes a float32 wav at 16 kHz, whole or not at all.

    Arguments
    ---------
    path : str or Path
        The file; its folder is made.
    wave : np.ndarray
        [T]; samples beyond 1 are kept, since nothing is rounded.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "a.wav"
    >>> write_float(path, np.full(3, 1.5, np.float32))
    >>> read_audio(path).tolist()
    [1.5, 1.5, 1.5]
    """
    replace_file(
        path,
        lambda file: soundfile.write(
            file, wave, SAMPLE_RATE, subtype="FLOAT", format="WAV"
        ),
    )
