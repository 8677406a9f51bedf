"""NTCD-TIMIT mixtures as BIN's release makes them, oddities included.

With n the peak-normalised whole files (``norm16``) and 4 s = 64000 samples,
zeros where a file ends::

    mixture = norm16( n1 + n2 + nx )      targets = [n1, n2]

nx is the noisy recording of the first utterance, cut to its length. So the
first speaker is in the mixture twice and louder, there is no gain, the
signal-to-noise label only chooses the folder, and the targets are not scaled
as in the mixture. (arXiv:2507.07270 and its code.)

Authors
 * avsep_sb contributors
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsep_sb.dataio.ntcd_clips import (
    CLIP_FRAMES,
    CLIP_SAMPLES,
    fit_noise,
    read_mouth,
    read_speech,
    write_mouth,
    write_wave,
)
from avsep_sb.dataio.peak_norm import SAMPLE_RATE, norm16_wave
from avsep_sb.dataio.windows import cut_audio

FOLDER = "published"


class TargetJob(NamedTuple):
    """A recording, the wav of its target, and its mouth."""

    source: Path
    target: Path
    mouth: Path


class FillJob(NamedTuple):
    """A mouth, and where it goes if it has to be filled up to 4 s."""

    source: Path
    target: Path


class MixtureJob(NamedTuple):
    """A noisy recording, the wav of the mixture, and the two utterances."""

    source: Path
    target: Path
    first: Path
    second: Path


def make_target(job):
    """Writes the target of an utterance, 4 s.

    Arguments
    ---------
    job : TargetJob
        What to read and to write.
    """
    write_wave(job.target, cut_audio(_norm16(job.source), CLIP_SAMPLES))


def fill_mouth(job):
    """Writes a mouth of less than 4 s with black frames after its end.

    The release does so too, and its autoencoder sees them.

    Arguments
    ---------
    job : FillJob
        What to read and to write; nothing is written for a mouth of 4 s.
    """
    frames = read_mouth(job.source)
    missing = CLIP_FRAMES - len(frames)
    if missing > 0:
        black = ((0, missing), (0, 0), (0, 0))
        write_mouth(job.target, np.pad(frames, black))


def make_mixture(job):
    """Writes a mixture, 4 s with a peak of 1.

    Arguments
    ---------
    job : MixtureJob
        What to read and to write.

    Returns
    -------
    None
        ``DataError`` is raised for files that cannot be used, and for a
        noisy recording that ends before its utterance.
    """
    waves = [_norm16(path) for path in (job.first, job.second, job.source)]
    write_wave(job.target, published_mixture(*waves, job.source))


def published_mixture(first, second, noisy, name="the noisy recording"):
    """The mixture of three peak-normalised signals.

    Arguments
    ---------
    first, second, noisy : np.ndarray
        [T1], [T2] and [T3] samples at 16 kHz.
    name : str or Path
        The noisy recording, for the message.

    Returns
    -------
    np.ndarray
        [64000] float32, mean 0, peak 1.

    Example
    -------
    >>> wave = np.random.default_rng(0).uniform(-1, 1, 70000)
    >>> published_mixture(wave, wave[:50000], wave).shape
    (64000,)
    """
    length = min(len(first), CLIP_SAMPLES)
    mix = cut_audio(first, CLIP_SAMPLES) + cut_audio(second, CLIP_SAMPLES)
    mix[:length] += fit_noise(noisy, length, name)
    return norm16_wave(mix, SAMPLE_RATE, "the mixture")


def _norm16(path):
    return norm16_wave(*read_speech(path), path)


def target_job(folder, utterance, wav, mouth):
    """The job of an utterance.

    Arguments
    ---------
    folder : Path
        Of the media.
    utterance : Utterance
        Which one.
    wav, mouth : Path
        Its recording, and its mouth as extracted.

    Returns
    -------
    TargetJob
    """
    target = Path(folder, FOLDER, "clean", f"{utterance.name}.wav")
    return TargetJob(wav, target, mouth)


def fill_job(folder, mouth):
    """The job of a mouth; each crop has a folder of its own.

    Arguments
    ---------
    folder : Path
        Of the media.
    mouth : Path
        The mouth as extracted.

    Returns
    -------
    FillJob
    """
    return FillJob(mouth, Path(folder, FOLDER, mouth.parent.name, mouth.name))


def mixture_job(folder, mixture, speech, noisy):
    """The job of a mixture; the noise is part of the name of its file.

    Arguments
    ---------
    folder : Path
        Of the media.
    mixture : NtcdMixture
        Which one.
    speech, noisy : dict
        Path of each utterance and of each noisy recording.

    Returns
    -------
    MixtureJob
    """
    label = f"{mixture.noisy.kind}_{mixture.noisy.snr}"
    return MixtureJob(
        noisy[mixture.noisy],
        Path(folder, FOLDER, "mix", f"{mixture.name}_{label}.wav"),
        speech[mixture.first],
        speech[mixture.second],
    )


def published_row(mixture, job, targets, fills, describe):
    """The row of a manifest.

    Arguments
    ---------
    mixture : NtcdMixture
        Which one.
    job : MixtureJob
        As it was done.
    targets, fills : dict
        ``TargetJob`` and ``FillJob`` of each utterance.
    describe : callable
        Turns a path into what a manifest holds.

    Returns
    -------
    dict
        Columns of :mod:`avsep_sb.dataio.manifest`.
    """
    row = {
        "ID": mixture.name,
        "duration": CLIP_SAMPLES / SAMPLE_RATE,
        "mix_wav": describe(job.target),
    }
    for k, utterance in enumerate(mixture[:2], start=1):
        target = targets[utterance]
        filled = fills[utterance].target
        row[f"s{k}_wav"] = describe(target.target)
        row[f"s{k}_gain"] = 1.0
        row[f"s{k}_lips"] = describe(
            filled if filled.is_file() else target.mouth
        )
        row[f"s{k}_spk"] = utterance.spk
    return row
