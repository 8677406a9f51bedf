"""Separates recordings of any length in the memory of a few windows.

Sound comes in as blocks and voices go out as blocks, on the clock of the
input and as long as it. Which means each voice is separated by in each window
is decided by :mod:`avsep_sb.inference.fallback`; the windows are joined by
:mod:`avsep_sb.inference.overlap`.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import numpy as np

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference.fallback import FaceLadder, SpeakerLadder
from avsep_sb.inference.overlap import overlap_add

#: near the length that models are trained on
WINDOW_SECONDS = 4.0
#: part of a window that the next one repeats
OVERLAP = 0.25
#: samples of the blocks that a whole signal is cut into
BLOCK = 16000


class VoiceBlock(NamedTuple):
    """A piece of the result; each continues the one before.

    Arguments
    ---------
    first : int
        Its first sample.
    voices : np.ndarray
        float32 [t, P], in the order of the people.
    mixture : np.ndarray
        float32 [t], what was heard then.

    Example
    -------
    >>> voices = np.array([[0.5, 0.25]], np.float32)
    >>> VoiceBlock(0, voices, np.ones(1, np.float32)).residual.tolist()
    [0.25]
    """

    first: int
    voices: np.ndarray
    mixture: np.ndarray

    @property
    def residual(self):
        """What no voice holds, float32 [t]: the mixture less their sum."""
        return residual_of(self.mixture, self.voices)


def residual_of(mixture, voices):
    """The mixture less all voices, so that together they are the mixture.

    Arguments
    ---------
    mixture : np.ndarray
        [t]
    voices : np.ndarray
        [t, P]

    Returns
    -------
    np.ndarray
        float32 [t], right to the rounding of float32.

    Example
    -------
    >>> residual_of(np.ones(2), np.array([[0.5, 0.5], [2.0, 0.0]])).tolist()
    [0.0, -1.0]
    """
    voices = np.asarray(voices, np.float64)
    rest = np.asarray(mixture, np.float64) - voices.sum(axis=1)
    return rest.astype(np.float32)


class OverTime:
    """Separation of a recording, window by window.

    Arguments
    ---------
    model : AVSeparation or AudioOnlySeparation
        An audio-visual model, one whose voices are dealt to faces, or an
        audio-only one, which leaves the faces out of account.
    faces : FaceTimeline, ArrayFaces or None
        Who is to be seen when.
    audio_model : AVSeparation or None
        An audio-only model for faces without lips and for recordings without
        faces.
    speakers : int or None
        Voices of a recording without faces; None for as many as the
        audio-only model has outputs.
    window_seconds : float
        Length of a window.
    overlap : float
        Part of it that the next one repeats, from 0 to less than 1.
    match_level : bool
        Whether the voices are brought to the level that they have in the
        mixture. Without it one window gives bit by bit what the model gives,
        but after training with SI-SNR the residual means nothing.
    **ladder
        Options of :class:`avsep_sb.inference.fallback.FaceLadder`.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> from avsep_sb.inference.stays import ArrayFaces
    >>> import torch
    >>> class Model:
    ...     sees = True
    ...     hparams = SimpleNamespace(sample_rate=16000, video_fps=25)
    ...     def separate_batch(self, mix, lips, lips_mask=None):
    ...         return torch.stack([mix / 2] * lips.shape[1], 2)
    >>> faces = ArrayFaces(np.zeros((2, 250, 96, 96), np.uint8))
    >>> over_time = OverTime(Model(), faces)
    >>> blocks = list(over_time.separate(np.ones(160000, np.float32)))
    >>> [(block.first, block.voices.shape) for block in blocks]
    [(0, (48000, 2)), (48000, (48000, 2)), (96000, (64000, 2))]
    >>> float(max(abs(block.residual).max() for block in blocks))
    0.0
    >>> [note.rungs[0].value for note in over_time.notes]
    ['lips', 'lips', 'lips']
    """

    def __init__(
        self,
        model,
        faces=None,
        audio_model=None,
        speakers=None,
        window_seconds=WINDOW_SECONDS,
        overlap=OVERLAP,
        match_level=True,
        **ladder,
    ):
        if audio_model is not None and audio_model.sees:
            raise ConfigError(
                "The model for faces without lips needs faces itself; give "
                "one of an audio-only form."
            )
        #: whether each voice belongs to a face
        self.by_face = bool(model.sees and faces is not None and faces.people)
        if self.by_face:
            kind = getattr(model, "ladder_class", FaceLadder)
            self.ladder = kind(
                model, faces, audio_model, match_level=match_level, **ladder
            )
        elif audio_model is not None or not model.sees:
            self.ladder = SpeakerLadder(
                audio_model or model, speakers, match_level
            )
        else:
            raise DataError(
                "There is no face in the recording, and the model needs "
                "faces; give an audio-only model as well."
            )
        frame = self.ladder.samples_per_frame
        rate = (audio_model or model).hparams.sample_rate
        self.unit = frame
        self.window = max(1, round(window_seconds * rate / frame)) * frame
        if not 0 <= overlap < 1:
            raise ConfigError(
                f"overlap is {overlap} but must be from 0 to less than 1."
            )
        hop = max(1, round(self.window / frame * (1 - overlap)))
        self.hop = hop * frame
        self.least = 0 if faces is None else faces.frames * frame

    @property
    def num_voices(self):
        """Voices in each block."""
        return self.ladder.num_voices

    @property
    def notes(self):
        """What was done in each window so far, list of ``WindowNote``."""
        return self.ladder.notes

    def separate(self, sound):
        """Separates a recording, once.

        Arguments
        ---------
        sound : np.ndarray or iterable of np.ndarray
            The mixture at the model's rate, [T], or its blocks, [t] each.
            Its first sample belongs to the first video frame. All of it is
            kept; if it is shorter than the video, silence follows.

        Yields
        ------
        VoiceBlock
            In the order of time, without a gap, from sample 0 to the end of
            the sound or of the video. ``DataError`` tells of no sound, and
            of NaN.
        """
        if self.notes:
            raise ConfigError(
                "This separation is under way or done; make another one."
            )
        mixture = _Remembered(_checked(_blocks(sound), self.least))
        voices = overlap_add(
            self.ladder, mixture, self.window, self.hop, self.unit
        )
        for first, block in voices:
            yield VoiceBlock(first, block, mixture.take(len(block)))


class _Remembered:
    """A stream whose samples can be had again, once and in order."""

    def __init__(self, blocks):
        self.blocks = blocks
        self.held = np.zeros(0, np.float32)

    def __iter__(self):
        for block in self.blocks:
            self.held = np.concatenate([self.held, block])
            yield block

    def take(self, count):
        """The next samples, which are forgotten then."""
        assert count <= len(self.held), "more came out than went in"
        taken, self.held = self.held[:count], self.held[count:].copy()
        return taken.copy()


def _blocks(sound):
    """A whole signal in blocks; blocks as they are."""
    if not hasattr(sound, "shape"):
        yield from sound
        return
    for first in range(0, len(sound), BLOCK):
        yield sound[first : first + BLOCK]


def _checked(blocks, least):
    """Blocks as float32, and silence up to the end of the video."""
    done = 0
    for block in blocks:
        block = np.asarray(block, np.float32)
        if block.ndim != 1:
            raise DataError(
                f"A block of sound is [t], not {list(block.shape)}; average "
                "the channels."
            )
        if not np.isfinite(block).all():
            raise DataError(
                "The sound holds NaN or infinite samples; repair the audio."
            )
        done += len(block)
        yield block
    if not done:
        raise DataError("The recording holds no sound.")
    for first in range(done, least, BLOCK):
        yield np.zeros(min(BLOCK, least - first), np.float32)
