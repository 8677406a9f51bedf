"""NTCD-TIMIT mixtures without what a model could cheat with.

The utterances, partners, noise types and splits of the published lists, but

- the noise is the noisy recording minus the speech that is in it;
- which of the two speakers comes first is drawn, and so are their levels:
  +g and -g dB of active speech level, g uniform in (-5, 5);
- the noise lies SNR dB below 0 dB, the middle of the two levels, where SNR
  is the label or drawn;
- a mixture ends with its shorter utterance, and its largest sample or that
  of its parts is 0.9.

All draws follow from (seed, ID of the mixture).

Authors
 * avsep_sb contributors
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsep_sb.dataio.audio import read_audio
from avsep_sb.dataio.draws import item_rng
from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.dataio.mixture_lists import MAX_GAIN_DB
from avsep_sb.dataio.mixture_rows import mixture_gains
from avsep_sb.dataio.noise_only import noise_only
from avsep_sb.dataio.ntcd import Utterance
from avsep_sb.dataio.ntcd_clips import (
    CAMERA_FPS,
    CLIP_SAMPLES,
    fit_noise,
    read_mouth,
    read_speech,
    write_wave,
)
from avsep_sb.dataio.peak_norm import SAMPLE_RATE, resample
from avsep_sb.errors import DataError

FOLDER = "corrected"


class SpeechJob(NamedTuple):
    """A recording, the wav of its clip, and its mouth."""

    source: Path
    target: Path
    mouth: Path


class NoiseJob(NamedTuple):
    """A noisy recording, the wav of its noise, the clean one, the label."""

    source: Path
    target: Path
    clean: Path
    label_db: float


class Draw(NamedTuple):
    """The speakers in their order, level of the first in dB, ratio in dB."""

    speakers: tuple[Utterance, Utterance]
    gain_db: float
    snr_db: float


def make_clip(job):
    """Writes the speech of an utterance, at most 4 s and as its video lasts.

    Arguments
    ---------
    job : SpeechJob
        What to read and to write.

    Returns
    -------
    None
        ``DataError`` is raised for silence.
    """
    wave = resample(*read_speech(job.source))
    frames = len(read_mouth(job.mouth))
    wave = wave[: min(CLIP_SAMPLES, int(frames * SAMPLE_RATE / CAMERA_FPS))]
    if not wave.any():
        raise DataError(
            f"the first 4 s of {job.source} are silent: replace the file."
        )
    write_wave(job.target, wave)


def make_noise(job):
    """Writes the noise of a noisy recording, as long as its utterance.

    Arguments
    ---------
    job : NoiseJob
        What to read and to write.

    Returns
    -------
    None
        ``DataError`` is raised for a recording that ends before its
        utterance, and by :func:`avsep_sb.dataio.noise_only.noise_only`.
    """
    noisy = resample(*read_speech(job.source))
    clean = resample(*read_speech(job.clean))
    needed = min(len(clean), CLIP_SAMPLES)
    fit_noise(noisy, needed, job.source)  # the cheap check comes first
    found = noise_only(noisy, clean, SAMPLE_RATE, job.label_db, job.source)
    write_wave(job.target, fit_noise(found.noise, needed, job.source))


def speech_job(folder, utterance, wav, mouth):
    """The job of an utterance; arguments as in ``ntcd_published``.

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
    SpeechJob
    """
    target = Path(folder, FOLDER, "clean", f"{utterance.name}.wav")
    return SpeechJob(wav, target, mouth)


def noise_job(folder, mixture, speech, noisy):
    """The job of the noise of a mixture.

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
    NoiseJob
    """
    recording = mixture.noisy
    return NoiseJob(
        noisy[recording],
        Path(folder, FOLDER, "noise", f"{recording.name}.wav"),
        speech[mixture.first],
        float(recording.snr),
    )


def draw(mixture, seed=0, snr_db=None):
    """Order, levels and noise of a mixture.

    Arguments
    ---------
    mixture : NtcdMixture
        Which one.
    seed : int
        Of the mixtures, not of the training.
    snr_db : (float, float), optional
        Range to draw the signal-to-noise ratio from; None takes the label.
        Order and levels are the same in both cases.

    Returns
    -------
    Draw

    Example
    -------
    >>> from avsep_sb.dataio.ntcd import NoisyRecording, NtcdMixture
    >>> one, two = Utterance("01M", "sa1"), Utterance("02F", "sx9")
    >>> mixture = NtcdMixture(one, two, NoisyRecording("Car", "-5", one))
    >>> drawn = draw(mixture)
    >>> drawn.snr_db, abs(drawn.gain_db) < 5, drawn == draw(mixture)
    (-5.0, True, True)
    """
    rng = item_rng(seed, 0, mixture.name)
    speakers = (mixture.first, mixture.second)
    if rng.random() < 0.5:
        speakers = speakers[::-1]
    gain = float(rng.uniform(-MAX_GAIN_DB, MAX_GAIN_DB))
    label = float(mixture.noisy.snr)
    return Draw(
        speakers, gain, float(rng.uniform(*snr_db)) if snr_db else label
    )


class CorrectedRows:
    """Makes the rows of manifests; levels of utterances are measured once.

    Arguments
    ---------
    clips : dict
        ``SpeechJob`` of each utterance, done.
    describe : callable
        Turns a path into what a manifest holds.

    Example
    -------
    >>> rows = CorrectedRows({}, str)
    """

    def __init__(self, clips, describe):
        self.clips = clips
        self.describe = describe
        self._levels = {}

    def __call__(self, mixture, job, seed=0, snr_db=None):
        """The row of a mixture.

        Arguments
        ---------
        mixture : NtcdMixture
            Which one.
        job : NoiseJob
            As it was done.
        seed : int
            See :func:`draw`.
        snr_db : (float, float), optional
            See :func:`draw`.

        Returns
        -------
        dict
            Columns of :mod:`avsep_sb.dataio.manifest`. The ID is that of
            the list, whatever the order of the speakers.
        """
        drawn = draw(mixture, seed, snr_db)
        clips = [self.clips[one] for one in drawn.speakers]
        waves = [read_audio(clip.target) for clip in clips]
        length = min(map(len, waves))
        noise = read_audio(job.target, 0, length)
        gains = mixture_gains(
            [*waves, noise],
            [drawn.gain_db, -drawn.gain_db, -drawn.snr_db],
            [
                *map(self._level, drawn.speakers, waves),
                float(np.mean(noise.astype(np.float64) ** 2)),
            ],
        )
        row = {
            "ID": mixture.name,
            "duration": length / SAMPLE_RATE,
            "noise_wav": self.describe(job.target),
            "noise_start": 0.0,
            "noise_gain": gains[2],
        }
        for k, one in enumerate(drawn.speakers):
            row[f"s{k + 1}_wav"] = self.describe(clips[k].target)
            row[f"s{k + 1}_gain"] = gains[k]
            row[f"s{k + 1}_lips"] = self.describe(clips[k].mouth)
            row[f"s{k + 1}_spk"] = one.spk
        return row

    def _level(self, utterance, wave):
        """Active speech level (power) of the whole clip."""
        if utterance not in self._levels:
            level = active_speech_level(wave, SAMPLE_RATE)[0]
            self._levels[utterance] = level
        return self._levels[utterance]
