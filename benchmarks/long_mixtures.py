"""Long mixtures of a corpus of short utterances.

Utterances of one speaker follow one another, sound and mouth alike, joined
on frame boundaries: each is cut to its whole frames first. Noise that a
manifest lists is left out.

Authors
 * avsep_sb contributors
"""

import numpy as np
import torch

from avsep_sb.dataio.audio import read_audio
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.scaling import active_rms, mix_sources
from avsep_sb.dataio.windows import check_durations
from avsep_sb.errors import DataError


class LongMixtures:
    """Draws mixtures of two speakers, as long as wanted.

    Arguments
    ---------
    rows : list of dict
        Rows of a manifest, paths resolved; their utterances are used.
    num_samples : int
        Length of each mixture, whole frames.
    sample_rate : int
        Hz.
    video_fps : int
        Frames per second.
    gain_db : float
        Each voice is set to a level from -g to g dB.
    seed : int
        Of all draws.
    """

    def __init__(
        self, rows, num_samples, sample_rate, video_fps, gain_db=2.5, seed=0
    ):
        self.num_samples = num_samples
        self.sample_rate, self.video_fps = sample_rate, video_fps
        self.samples_per_frame = sample_rate // video_fps
        self.gain_db = gain_db
        self.seed = seed
        self.utterances = {}
        for row in rows:
            for k in (1, 2):
                said = self.utterances.setdefault(row[f"s{k}_spk"], {})
                said[row[f"s{k}_wav"]] = row[f"s{k}_lips"]

    def draw(self, number):
        """The mixture of a number, always the same.

        Arguments
        ---------
        number : int
            From 0 on.

        Returns
        -------
        (torch.Tensor, torch.Tensor, torch.Tensor)
            Mixture [1, T], sources [1, T, 2] and lips [1, 2, Tv, H, W].
            ``DataError`` if there are not two speakers who say enough.
        """
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(sorted(self.utterances))
        voices = []
        for speaker in order:
            voice = self._voice(speaker, rng)
            if voice is not None:
                voices.append(voice)
            if len(voices) == 2:
                break
        else:
            seconds = self.num_samples / self.sample_rate
            raise DataError(
                "The manifest has not two speakers who speak for "
                f"{seconds:g} s in all: give shorter --lengths, or a "
                "manifest with more utterances of each speaker."
            )
        waves = np.stack([wave for wave, _ in voices], axis=1)
        levels = [active_rms(wave, self.sample_rate // 40) for wave in waves.T]
        gains = rng.uniform(-self.gain_db, self.gain_db, 2)
        mix, sources = mix_sources(waves, levels, gains)
        lips = np.stack([frames for _, frames in voices])
        return tuple(torch.from_numpy(x)[None] for x in (mix, sources, lips))

    def _voice(self, speaker, rng):
        """Sound [T] and mouth [Tv, H, W]; None if the speaker says less."""
        waves, mouths, total = [], [], 0
        said = sorted(self.utterances[speaker])
        for index in rng.permutation(len(said)):
            path = said[index]
            wave = read_audio(path, sample_rate=self.sample_rate)
            frames = read_lips(self.utterances[speaker][path], self.video_fps)
            check_durations(
                len(wave),
                len(frames),
                path,
                samples_per_frame=self.samples_per_frame,
            )
            whole = min(len(frames), len(wave) // self.samples_per_frame)
            waves.append(wave[: whole * self.samples_per_frame])
            mouths.append(frames[:whole])
            total += len(waves[-1])
            if total >= self.num_samples:
                frames = self.num_samples // self.samples_per_frame
                return (
                    np.concatenate(waves)[: self.num_samples],
                    np.concatenate(mouths)[:frames],
                )
        return None
