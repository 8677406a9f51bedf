"""A voice for each face in one window, by the best means that there is.

The ladder, face by face and window by window:

1. *lips*: they can be read in half of the frames or more. The audio-visual
   model separates; frames without a face are marked, short gaps held. With
   one face this is enhancement.
2. *audio*: the face is there but its lips are not: missing, frozen or covered
   (:mod:`avsep_sb.inference.trust`), turned away, or not in agreement with the
   sound. A model without faces separates, and the output that continues the
   voice is taken.
3. *held*: the same without such a model, or more faces than it has outputs.
   The audio-visual model separates by what little was seen.
4. *absent*: the person is not to be seen. The voice is exactly zero.

Where as many faces are there as the model without faces has voices, both
models separate, and lips and ear take turns from frame to frame
(:mod:`avsep_sb.inference.second_opinion`). Lips that nobody can agree with are
tried earlier and later, once all of them together: picture and sound of a
recording are off by one time.

Authors
 * avsep_sb contributors
"""

import numpy as np
import torch

from avsep_sb.errors import ConfigError, DataError
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
from avsep_sb.inference.second_opinion import (
    doubtful,
    fade,
    trusted_samples,
)
from avsep_sb.inference.silence_gate import silence_gains
from avsep_sb.inference.speaker_ladder import SpeakerLadder
from avsep_sb.inference.stays import (
    bridged,
    look,
    stay_gains,
    stay_mask,
)

__all__ = [
    "FaceLadder",
    "Rung",
    "SpeakerLadder",
    "WindowNote",
    "as_batch",
    "check_rates",
    "to_array",
]

#: a face with less of its frames to be seen in a window is not separated by
LEAST_SEEN = 0.1
#: where faces have more of it to be seen, and explain nothing of the mixture
#: throughout, the ear is not believed either
WELL_SEEN = 0.9
#: by how many frames lips are tried later or earlier, and the least part of
#: a window that must be without doubt then
OFFSETS = (3, -3, 5, -5, 7, -7)
LEAST_AGREED = 0.5
#: windows in which that may be in vain, before it is given up
MOST_TRIES = 3


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
        mixture, see :class:`avsep_sb.inference.levels.LevelMatch`. Without it
        the two models take turns by whole windows only, and no second opinion
        is heard.
    second_opinion : bool
        Whether lips are doubted: frozen and covered ones count as missing,
        and the audio-only model is heard where lips are seen in part.
    doubt_seen : bool
        Whether lips that are seen throughout are doubted too, and tried
        earlier and later. For recordings of the faces alone: noise, or speech
        of nobody in sight, would be taken for lips that lie.
    all_in_view : bool
        Whether all there is to be heard is said by the faces in sight: their
        voices then add up to the mixture, and nothing is left over.

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
        second_opinion=True,
        doubt_seen=False,
        all_in_view=False,
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
        self._lips_level = LevelMatch() if match_level else unchanged
        self._sound_level = LevelMatch() if match_level else unchanged
        self.second_opinion = (
            second_opinion and match_level and audio_model is not None
        )
        self.checks_lips = self.second_opinion
        self.doubt_seen = doubt_seen
        self.all_in_view = all_in_view
        #: frames by which all lips were found to be late
        self.late = 0
        self._tries = 0
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
        seen = self._look(start, stop, self.late)
        rungs = [Rung.ABSENT] * self.num_voices
        for person, face in seen.items():
            if face.usable >= self.least_usable:
                rungs[person] = Rung.LIPS
            else:
                rungs[person] = Rung.AUDIO if self.audio_model else Rung.HELD
        voices = np.zeros((len(mix), self.num_voices), np.float32)
        doubted = self.doubt_seen or any(
            face.usable < WELL_SEEN for face in seen.values()
        )
        if (
            doubted
            and self._all_heard(seen)
            and all(map(_to_be_seen, seen.values()))
        ):
            self._by_both(voices, first, mix, seen, rungs)
        else:
            self._by_lips(voices, mix, seen, rungs)
            if Rung.AUDIO in rungs and self._by_sound(
                voices, first, mix, rungs, self._all_heard(seen)
            ):
                self._by_lips(voices, mix, seen, rungs)
        self._previous = (first, voices)
        self.notes.append(WindowNote(first, len(mix), tuple(rungs)))
        return voices * self._gains(first, voices, mix)

    def _gains(self, first, voices, mix):
        """Gains of all voices, [t, P]."""
        gains = [
            self._gain(stays, first, voice, mix)
            for stays, voice in zip(self.stays, voices.T, strict=True)
        ]
        return np.stack(gains, axis=1)

    def _gain(self, stays, first, voice, mix):
        """0 where the person is not to be seen, or hardly to be heard."""
        gain = stay_gains(
            stays, first, len(mix), self.samples_per_frame, self.fade_frames
        )
        if self.silence_db is None or not gain.any():
            return gain
        rate = self.model.hparams.sample_rate
        return gain * silence_gains(voice, mix, rate, -self.silence_db)

    def _look(self, start, stop, late):
        """The faces that are there in a window, lips taken as late."""
        return {
            person: look(
                self.faces,
                person,
                stays,
                start + late,
                stop + late,
                self.held_frames,
                check=self.checks_lips,
            )
            for person, stays in enumerate(self.stays)
            if stay_mask(stays, start, stop).any()
        }

    def _all_heard(self, seen):
        """Whether the audio-only model has a voice for each, and no other."""
        return (
            self.second_opinion
            and len(seen) == int(self.audio_model.hparams.num_spks) > 1
        )

    def _by_both(self, voices, first, mix, seen, rungs):
        """Writes the voices of all: of lips, of the ear where lips lie."""
        size, people = self.samples_per_frame, list(seen)
        opinions = self._opinions(mix)

        def by_lips(seen):
            found = self._lips_voices(mix, seen, people)
            return found, doubtful(found, opinions, mix, size)

        found, doubt = by_lips(seen)
        usable = min(face.usable for face in seen.values())
        if doubt.all() and usable >= WELL_SEEN:
            found, doubt = self._earlier_or_later(
                first, opinions, by_lips, (found, doubt)
            )
            # Else noise, or speech of nobody in sight, is the likely reason,
            # and of that the ear knows less than lips.
            doubt = doubt & ~doubt.all()
        trusted = trusted_samples(doubt, size, len(mix))
        scores = []
        for person, voice in zip(people, found.T, strict=True):
            agreed = likeness(voice[trusted], opinions[trusted])
            goes_on = self._continues(person, first, opinions)
            # Of lips that lie throughout, what was heard before tells more.
            scores.append((0.1 if doubt.all() else 1.0) * agreed + goes_on)
        opinions = opinions[:, assign(scores)]
        if not doubt.all():
            found = self._lips_level(found, mix)
        weight = fade(doubt, size, len(mix))[:, None]
        voices[:, people] = (1 - weight) * found + weight * opinions
        for person in people:
            rungs[person] = Rung.AUDIO if doubt.mean() > 0.5 else Rung.LIPS

    def _earlier_or_later(self, first, opinions, by_lips, best):
        """Voices and doubt of the best offset, kept for what follows.

        Where none agrees with the ear, the voices that tell best which of the
        ear's voices is whose.
        """
        if self._tries >= MOST_TRIES:
            return best
        start = first // self.samples_per_frame
        stop = start - (-len(opinions) // self.samples_per_frame)
        tried = [best]
        for offset in OFFSETS:
            late = self.late + offset
            tried.append(by_lips(self._look(start, stop, late)))
            if tried[-1][1].mean() <= 1 - LEAST_AGREED:
                self.late = late
                return tried[-1]
        self._tries += 1
        return max(
            tried,
            key=lambda found: decided(
                [likeness(voice, opinions) for voice in found[0].T]
            ),
        )

    def _opinions(self, mix):
        """The voices of the audio-only model, [t, N]."""
        sources = self.audio_model.separate_batch(as_batch(mix))
        return self._sound_level(to_array(sources), mix)

    def _by_lips(self, voices, mix, seen, rungs):
        """Writes the voices of faces whose lips are used, all at once."""
        people = [p for p in seen if rungs[p] in (Rung.LIPS, Rung.HELD)]
        if people:
            found = self._lips_voices(mix, seen, people)
            voices[:, people] = self._lips_level(found, mix)

    def _lips_voices(self, mix, seen, people):
        """The voices of faces by their lips, [t, people]."""
        sizes = {seen[p].rois.shape for p in people}
        if len(sizes) > 1:
            raise DataError(f"The mouth ROIs differ in size: {sorted(sizes)}.")
        lips = np.stack([seen[p].rois for p in people])[None]
        mask = np.stack([seen[p].mask for p in people])[None]
        options = {}
        if not mask.all():
            options["lips_mask"] = torch.from_numpy(mask)
        if self.all_in_view and len(people) == len(seen):
            options["consistent"] = True
        elif "mixture_consistency" in getattr(self.model, "mods", ()):
            # What no face says is for the residual.
            options["consistent"] = False
        sources = self.model.separate_batch(
            as_batch(mix), torch.from_numpy(lips), **options
        )
        return to_array(sources)

    def _by_sound(self, voices, first, mix, rungs, all_heard):
        """Writes the voices of faces without lips; True if some are left."""
        outputs = self._opinions(mix)
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
        if all_heard and rungs.count(Rung.AUDIO) == 1:
            # All others are known by their lips: their rest is a second
            # estimate of the one voice that is left.
            person = rungs.index(Rung.AUDIO)
            others = voices.sum(axis=1) - voices[:, person]
            voices[:, person] = (voices[:, person] + mix - others) / 2
        return Rung.HELD in rungs

    def _continues(self, person, first, outputs):
        """Likeness of outputs to what a voice was in the window before."""
        begin, before = self._previous or (first, np.zeros((0, 1)))
        before = before[first - begin :]
        if not len(before):
            return np.zeros(outputs.shape[1])
        return likeness(before[:, person], outputs[: len(before)])


def _to_be_seen(face):
    return face.mask.mean() >= LEAST_SEEN
