"""The mouths of one item: windows, rest, what is wrong with them, crops.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import numpy as np

from avsep_sb.dataio.lips import crop_flip
from avsep_sb.dataio.silence import resting_frames
from avsep_sb.dataio.windows import cut_frames
from avsep_sb.errors import DataError


class Rest(NamedTuple):
    """A silent face: its index, (first, after the last) frame of its pause,
    or None if its mouth moves, the phase from 0 to 1, and which frames of the
    item are silent (first, after the last), None for all."""

    face: int
    passage: tuple | None = None
    phase: float = 0.0
    span: tuple | None = None


class Mouths:
    """Turns whole mouth ROIs into those of an item.

    Arguments
    ---------
    video_fps : float
        Frame rate in Hz.
    crop_size : (int, int), optional
        Height and width of the lips returned; None for frames as stored.
    random_crop, horizontal_flip : bool
        See :func:`avsep_sb.dataio.lips.crop_flip`.
    augment : VisualAugment, optional
        What is wrong with the faces; then there is a mask.

    Example
    -------
    >>> lips = [np.zeros((50, 96, 96), np.uint8)] * 2
    >>> mouths = Mouths(crop_size=(88, 88))
    >>> lips, mask = mouths("a", lips, [(0, 30), (9, 39)])
    >>> lips.shape, mask
    ((30, 2, 88, 88), None)
    """

    def __init__(
        self,
        video_fps=25.0,
        crop_size=None,
        random_crop=False,
        horizontal_flip=False,
        augment=None,
    ):
        self.video_fps = video_fps
        self.crop_size = crop_size
        self.random_crop = random_crop
        self.horizontal_flip = horizontal_flip
        self.augment = augment

    def __call__(
        self, utt_id, lips, windows, rng=None, rest=None, visual_rng=None
    ):
        """Makes the lips of one item.

        Arguments
        ---------
        utt_id : str
            Its ID, for the message.
        lips : list of np.ndarray
            [S] times [Tv, H, W] uint8, whole recordings.
        windows : list of (int, int)
            [S] first frame and frame after the last, all of one length.
        rng : np.random.Generator, optional
            Source of the crops; without it they are central.
        rest : Rest, optional
            The face that does not speak.
        visual_rng : np.random.Generator, optional
            Source of what is wrong; needed with ``augment``.

        Returns
        -------
        (np.ndarray, np.ndarray or None)
            Lips [Tv, S, H, W] uint8, and with ``augment`` their mask [Tv, S]
            bool. ``DataError`` is raised for mouths of different sizes.
        """
        faces = None
        if self.augment is not None:
            faces = self.augment.draw(
                visual_rng,
                len(lips),
                windows[0][1] - windows[0][0],
                self.video_fps,
                None if rest is None else rest.face,
            )
        cut = []
        for k, (frames, window) in enumerate(zip(lips, windows, strict=True)):
            whole = frames
            frames = _window(frames, *window, faces[k].lead if faces else 0)
            if rest is not None and rest.face == k and rest.passage is not None:
                first, stop = rest.span or (0, len(frames))
                still = resting_frames(
                    whole, rest.passage, stop - first, rest.phase
                )
                frames = np.concatenate([frames[:first], still, frames[stop:]])
            frames = crop_flip(
                frames,
                self.crop_size,
                rng,
                self.random_crop,
                self.horizontal_flip,
            )
            cut.append(frames)
        shapes = sorted({frames.shape[1:] for frames in cut})
        if len(shapes) > 1:
            raise DataError(
                f"the mouth ROIs of {utt_id} have different sizes {shapes}: "
                "set crop_size or extract them again."
            )
        if faces is None:
            return np.stack(cut, axis=1), None
        pairs = list(map(self.augment.apply, cut, faces))
        return (
            np.stack([frames for frames, _ in pairs], axis=1),
            np.stack([seen for _, seen in pairs], axis=1),
        )


def _window(frames, first, stop, lead):
    """Frames ``lead`` later than the sound; what is not there stands still."""
    if not lead:
        return cut_frames(frames, first, stop)
    index = np.arange(first, stop) + lead
    return frames[np.clip(index, 0, len(frames) - 1)]
