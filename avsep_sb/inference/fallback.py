"""A voice for each face in one window, by the best means that there is.

The ladder, face by face and window by window:

1. *lips*: they can be read in half of the frames or more. The audio-visual
   model separates; frames without a face are marked, short gaps held. With
   one face this is enhancement.
2. *audio*: the face is there but its lips are not. A model without faces
   separates, and the output that continues the voice is taken.
3. *held*: the same without such a model, or more faces than it has outputs.
   The audio-visual model separates by what little was seen.
4. *absent*: the person is not to be seen. The voice is exactly zero.

Authors
 * avsep_sb contributors
"""

from enum import Enum
from typing import NamedTuple

import numpy as np
import torch

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference.assign import assign, likeness
from avsep_sb.inference.levels import LevelMatch
from avsep_sb.inference.silence_gate import silence_gains
from avsep_sb.inference.stays import bridged, look, stay_gains, stay_mask


class Rung(str, Enum):
    """How a voice was separated in a window; see the module."""

    LIPS = "lips"
    AUDIO = "audio"
    HELD = "held"
    ABSENT = "absent"


class WindowNote(NamedTuple):
    """What was done in a window.

    Arguments
    ---------
    first, count : int
        Its samples.
    rungs : tuple of Rung
        For each voice.
    """

    first: int
    count: int
    rungs: tuple


def check_rates(*models):
    """The rates that all models have.

    Arguments
    ---------
    *models
        With ``hparams``; None is left out.

    Returns
    -------
    (int, int, int)
        Samples per second, frames per second and samples per frame.
        ``ConfigError`` is raised if models differ, or if a frame is no whole
        number of samples.
    """
    rates = {
        (int(model.hparams.sample_rate), float(model.hparams.video_fps))
        for model in models
        if model is not None
    }
    if len(rates) != 1:
        raise ConfigError(
            "The audio-visual model and the audio-only one work at different "
            f"rates, {sorted(rates)}; give two of one sample rate and frame "
            "rate."
        )
    rate, fps = rates.pop()
    if fps != int(fps) or rate % int(fps):
        raise ConfigError(
            f"A frame at {fps:g} per second is no whole number of samples at "
            f"{rate} Hz; use a model with other rates."
        )
    return rate, int(fps), rate // int(fps)


class FaceLadder:
    """Separates windows in the order of time, one voice per person.

    Arguments
    ---------
    model : AVSeparation
        The audio-visual model.
    faces : FaceTimeline or ArrayFaces
        Who is to be seen when, at the frame rate of the model.
    audio_model : AVSeparation or None
        An audio-only model for faces without lips.
    bridge_seconds : float
        A person who is away for no longer is taken to speak on.
    fade_frames : int
        Frames before and after each stay in which the voice fades.
    held_frames : int
        Longest gap of the lips that counts as seen.
    least_usable : float
        Part of the frames of a stay within a window in which lips must be
        readable, for them to be used.
    silence_db : float or None
        A voice more than so many dB below the mixture is silenced, see
        :func:`avsep_sb.inference.silence_gate.silence_gains`; such as 20.
        None leaves it as it is.
    match_level : bool
        Whether the voices of each model are brought to the level of the
        mixture, see :class:`avsep_sb.inference.levels.LevelMatch`.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> from avsep_sb.inference.stays import ArrayFaces
    >>> class Model:
    ...     hparams = SimpleNamespace(sample_rate=16000, video_fps=25)
    ...     def separate_batch(self, mix, lips, lips_mask=None):
    ...         return torch.stack([mix] * lips.shape[1], 2)
    >>> faces = ArrayFaces(
    ...     np.zeros((2, 50, 96, 96), np.uint8),
    ...     stays=[[(0, 50)], [(40, 50)]],
    ... )
    >>> ladder = FaceLadder(Model(), faces)
    >>> voices = ladder(0, np.ones(20 * 640, np.float32))
    >>> voices.mean(0).tolist(), [r.value for r in ladder.notes[0].rungs]
    ([1.0, 0.0], ['lips', 'absent'])
    """

    def __init__(
        self,
        model,
        faces,
        audio_model=None,
        bridge_seconds=2.0,
        fade_frames=5,
        held_frames=3,
        least_usable=0.5,
        silence_db=None,
        match_level=True,
    ):
        _, fps, self.samples_per_frame = check_rates(model, audio_model)
        if faces.fps != fps:
            raise ConfigError(
                f"The faces are at {faces.fps:g} frames per second, but the "
                f"model works at {fps}; look at the video again with "
                f"fps={fps}."
            )
        self.model, self.audio_model, self.faces = model, audio_model, faces
        self.stays = [
            bridged(person.spans, round(bridge_seconds * fps))
            for person in faces.people
        ]
        self.fade_frames, self.held_frames = fade_frames, held_frames
        self.least_usable, self.silence_db = least_usable, silence_db
        self.num_voices = len(self.stays)
        self._lips_level = LevelMatch() if match_level else _unchanged
        self._sound_level = LevelMatch() if match_level else _unchanged
        self.notes = []
        self._previous = None

    def __call__(self, first, mix):
        """Separates a window.

        Arguments
        ---------
        first : int
            Its first sample, on a frame.
        mix : np.ndarray
            The mixture, [t].

        Returns
        -------
        np.ndarray
            float32 [t, P], zero where a person is not to be seen.
        """
        start = first // self.samples_per_frame
        stop = start - (-len(mix) // self.samples_per_frame)
        seen = {
            person: look(
                self.faces, person, stays, start, stop, self.held_frames
            )
            for person, stays in enumerate(self.stays)
            if stay_mask(stays, start, stop).any()
        }
        rungs = [Rung.ABSENT] * self.num_voices
        for person, face in seen.items():
            if face.usable >= self.least_usable:
                rungs[person] = Rung.LIPS
            else:
                rungs[person] = Rung.AUDIO if self.audio_model else Rung.HELD
        voices = np.zeros((len(mix), self.num_voices), np.float32)
        self._by_lips(voices, mix, seen, rungs)
        if Rung.AUDIO in rungs and self._by_sound(voices, first, mix, rungs):
            self._by_lips(voices, mix, seen, rungs)
        self._previous = (first, voices)
        self.notes.append(WindowNote(first, len(mix), tuple(rungs)))
        gains = [
            self._gain(stays, first, voice, mix)
            for stays, voice in zip(self.stays, voices.T, strict=True)
        ]
        return voices * np.stack(gains, axis=1)

    def _gain(self, stays, first, voice, mix):
        """0 where the person is not to be seen, or hardly to be heard."""
        gain = stay_gains(
            stays, first, len(mix), self.samples_per_frame, self.fade_frames
        )
        if self.silence_db is None or not gain.any():
            return gain
        rate = self.model.hparams.sample_rate
        return gain * silence_gains(voice, mix, rate, -self.silence_db)

    def _by_lips(self, voices, mix, seen, rungs):
        """Writes the voices of faces whose lips are used, all at once."""
        people = [p for p in seen if rungs[p] in (Rung.LIPS, Rung.HELD)]
        if not people:
            return
        sizes = {seen[p].rois.shape for p in people}
        if len(sizes) > 1:
            raise DataError(f"The mouth ROIs differ in size: {sorted(sizes)}.")
        lips = np.stack([seen[p].rois for p in people])[None]
        mask = np.stack([seen[p].mask for p in people])[None]
        options = {}
        if not mask.all():
            options["lips_mask"] = torch.from_numpy(mask)
        sources = self.model.separate_batch(
            as_batch(mix), torch.from_numpy(lips), **options
        )
        voices[:, people] = self._lips_level(to_array(sources), mix)

    def _by_sound(self, voices, first, mix, rungs):
        """Writes the voices of faces without lips; True if some are left."""
        sources = self.audio_model.separate_batch(as_batch(mix))
        outputs = self._sound_level(to_array(sources), mix)
        people = [p for p, rung in enumerate(rungs) if rung is not Rung.ABSENT]
        scores = []
        for person in people:
            if rungs[person] is Rung.AUDIO:
                scores.append(self._continues(person, first, outputs))
            else:
                # Outputs that are the voices of others are taken.
                scores.append(likeness(voices[:, person], outputs))
        for person, output in zip(people, assign(scores), strict=True):
            if rungs[person] is Rung.AUDIO:
                if output is None:
                    rungs[person] = Rung.HELD
                else:
                    voices[:, person] = outputs[:, output]
        return Rung.HELD in rungs

    def _continues(self, person, first, outputs):
        """Likeness of outputs to what a voice was in the window before."""
        begin, before = self._previous or (first, np.zeros((0, 1)))
        before = before[first - begin :]
        if not len(before):
            return np.zeros(outputs.shape[1])
        return likeness(before[:, person], outputs[: len(before)])


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
        self._level = LevelMatch() if match_level else _unchanged
        self.notes = []
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
        self._previous = (first, voices)
        rungs = (Rung.AUDIO,) * self.num_voices
        self.notes.append(WindowNote(first, len(mix), rungs))
        return voices


def _unchanged(voices, mixture):
    return voices


def as_batch(mix):
    """A mixture [t] as a batch [1, t] of float32.

    Arguments
    ---------
    mix : np.ndarray
        [t]

    Returns
    -------
    torch.Tensor
    """
    return torch.from_numpy(np.ascontiguousarray(mix, np.float32))[None]


def to_array(sources):
    """The voices of a batch of one, as an array.

    Arguments
    ---------
    sources : torch.Tensor
        [1, t, S]

    Returns
    -------
    np.ndarray
        float32 [t, S]
    """
    return sources[0].detach().float().cpu().numpy()
