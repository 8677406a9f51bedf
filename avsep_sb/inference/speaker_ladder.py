"""Voices of a recording without faces, window by window.

An audio-only model gives its voices in any order; what two windows share
tells which goes on as which.

Authors
 * avsep_sb contributors
"""

from avsep_sb.errors import ConfigError
from avsep_sb.inference.assign import assign, decided, likeness
from avsep_sb.inference.levels import LevelMatch
from avsep_sb.inference.rungs import (
    Rung,
    WindowNote,
    as_batch,
    check_rates,
    to_array,
    unchanged,
)


class SpeakerLadder:
    """Separates windows without faces; each voice goes on over windows.

    Arguments
    ---------
    audio_model : AVSeparation
        An audio-only model.
    speakers : int or None
        Voices wanted; None for as many as the model has outputs.
    match_level : bool
        As in :class:`FaceLadder`.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> import torch
    >>> class Model:
    ...     hparams = SimpleNamespace(
    ...         num_spks=2, sample_rate=16000, video_fps=25
    ...     )
    ...     def separate_batch(self, mix):
    ...         return torch.stack([mix, -mix], 2)
    >>> SpeakerLadder(Model())(0, np.ones(640, np.float32)).shape
    (640, 2)
    """

    def __init__(self, audio_model, speakers=None, match_level=True):
        self.num_voices = int(audio_model.hparams.num_spks)
        if speakers not in (None, self.num_voices):
            raise ConfigError(
                f"The audio-only model separates {self.num_voices} voices, "
                f"not {speakers}; ask for {self.num_voices}, or give a model "
                f"of {speakers}."
            )
        self.audio_model = audio_model
        _, _, self.samples_per_frame = check_rates(audio_model)
        self._level = LevelMatch() if match_level else unchanged
        self.notes = []
        #: how clearly the voices of the last window went on, from 0 to 1
        self.goes_on = 0.0
        self._previous = None

    def __call__(self, first, mix):
        """Separates a window.

        Arguments
        ---------
        first : int
            Its first sample.
        mix : np.ndarray
            The mixture, [t].

        Returns
        -------
        np.ndarray
            float32 [t, N].
        """
        sources = self.audio_model.separate_batch(as_batch(mix))
        voices = self._level(to_array(sources), mix)
        begin, before = self._previous or (first, voices[:0])
        before = before[first - begin :]
        scores = [likeness(voice, voices[: len(before)]) for voice in before.T]
        voices = voices[:, assign(scores)]
        self.goes_on = decided(scores) / max(1, self.num_voices - 1)
        self._previous = (first, voices)
        rungs = (Rung.AUDIO,) * self.num_voices
        self.notes.append(WindowNote(first, len(mix), rungs))
        return voices
