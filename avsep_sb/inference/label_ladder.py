"""Voices of a separator without faces, over time and by face.

In each window the separator gives its voices, which go on from those before
as far as the two windows share their sound. What lips say of them adds up
while they do, so that a window in which lips say little is labelled by what
they said before.

Authors
 * avsep_sb contributors
"""

import numpy as np

from avsep_sb.errors import ConfigError
from avsep_sb.inference.face_labels import label_faces, lip_evidence
from avsep_sb.inference.fallback import FaceLadder
from avsep_sb.inference.rungs import Rung, WindowNote
from avsep_sb.inference.speaker_ladder import SpeakerLadder

#: part of the evidence that is kept from one window to the next: a voice may
#: go on as that of somebody else who speaks next
MEMORY = 0.7


class LabelLadder(FaceLadder):
    """Separates windows in the order of time, and deals voices to faces.

    Arguments
    ---------
    model : AudioOnlySeparation
        Has the separator (``voices``) and the judge of lips (``sync``).
    faces : FaceTimeline or ArrayFaces
        Who is to be seen when, at the frame rate of the model.
    audio_model : SoundSeparator or None
        Of no use here: the model is one itself.
    **options
        Of :class:`FaceLadder`. ``all_in_view`` cannot be asked for.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> import torch
    >>> from avsep_sb.inference.stays import ArrayFaces
    >>> class Voices:  # the second half of the sound is another voice
    ...     hparams = SimpleNamespace(
    ...         sample_rate=16000, video_fps=25, num_spks=2
    ...     )
    ...     def separate_batch(self, mix):
    ...         half = torch.arange(mix.shape[1]) < mix.shape[1] // 2
    ...         return torch.stack([mix * half, mix * ~half], 2)
    >>> class Sync:  # a bright mouth speaks
    ...     def by_frame(self, sounds, lips):
    ...         loud = sounds.unflatten(1, (-1, 640)).square().mean(2)
    ...         bright = lips.float().mean((2, 3)) / 255
    ...         return loud[:, None] * bright - loud[:, None] * (1 - bright)
    >>> model = SimpleNamespace(
    ...     voices=Voices(), sync=Sync(), hparams=Voices.hparams
    ... )
    >>> lips = np.random.default_rng(0).integers(0, 50, (2, 20, 96, 96))
    >>> lips[0, 10:] = lips[1, :10] = 250 - lips[0, 10:]
    >>> ladder = LabelLadder(model, ArrayFaces(lips.astype(np.uint8)))
    >>> voices = ladder(0, np.ones(20 * 640, np.float32))
    >>> voices[:6400].mean(0).tolist(), voices[6400:].mean(0).tolist()
    ([0.0, 1.0], [1.0, 0.0])
    """

    def __init__(self, model, faces, audio_model=None, **options):
        super().__init__(model, faces, None, **options)
        if self.all_in_view:
            raise ConfigError(
                "Voices that are labelled by lips are not made to add up; "
                "leave --all-in-view (all_in_view=True) out."
            )
        # Frozen pictures and covered mouths say nothing of a voice.
        self.checks_lips = True
        match_level = options.get("match_level", True)
        self._ear = SpeakerLadder(model.voices, match_level=match_level)
        self._evidence = np.zeros((self.num_voices, self._ear.num_voices))

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
            float32 [t, P], zero where a person is not to be seen, or where
            no voice is left for one.
        """
        start = first // self.samples_per_frame
        stop = start - (-len(mix) // self.samples_per_frame)
        found = self._ear(first, mix)
        self._evidence *= MEMORY * self._ear.goes_on
        seen = self._look(start, stop, 0)
        for person in range(self.num_voices):
            if person not in seen:
                self._evidence[person] = 0.0
        self._listen(found, seen, len(mix))
        voices = np.zeros((len(mix), self.num_voices), np.float32)
        rungs = [Rung.ABSENT] * self.num_voices
        confidences = [float("nan")] * self.num_voices
        labels = label_faces(self._evidence[list(seen)])
        dealt = zip(seen, labels.voices, labels.confidences, strict=True)
        for person, voice, confidence in dealt:
            confidences[person] = confidence
            rungs[person] = Rung.NO_VOICE if voice is None else Rung.AUDIO
            if voice is not None:
                voices[:, person] = found[:, voice]
        self.notes.append(
            WindowNote(first, len(mix), tuple(rungs), tuple(confidences))
        )
        return voices * self._gains(first, voices, mix)

    def _listen(self, found, seen, length):
        """Adds what the lips of this window say."""
        people = [p for p, face in seen.items() if face.mask.any()]
        if not people or length < self.samples_per_frame:
            return
        lips = np.stack([seen[p].rois for p in people])
        mask = np.stack([seen[p].mask for p in people])
        self._evidence[people] += lip_evidence(
            found, lips, self.model.sync, mask
        )
