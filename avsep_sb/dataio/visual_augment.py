"""Faces as videos have them: missing, frozen, covered, out of step.

A frame without a face is *missing*: the item's mask is False there, and a
separator counts its embedding as 0. All else that can be wrong with a face is
seen by nobody (the mask stays True), so a model must learn not to trust it.

What training does to a face, inference must do too:

- *missing*: mask False; under the mask lie the pixels that
  :func:`avsep_sb.dataio.lips.hold_missing` puts there, since a lip-reading net
  looks at neighbouring frames. Both sides call it on the window that the net
  is given.
- *held*: the last frame is repeated and the mask stays True, as a short gap
  that a tracker bridges. This is what frozen spans train for.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import numpy as np

from avsep_sb.dataio.lips import hold_missing
from avsep_sb.errors import ConfigError


class FaceDraw(NamedTuple):
    """What happens to one face: lead in frames, and spans of frames."""

    #: frames by which the lips are early
    lead: int
    #: (first, after the last) frames without a face
    missing: list
    #: frames that repeat the first of their span
    frozen: list
    #: frames behind a block
    covered: list
    #: top, left, height, width (shares of the picture) and grey level
    block: tuple


class VisualAugment:
    """Draws what is wrong with the faces of a mixture, and does it.

    Each kind has draws of its own: another probability of one leaves the
    others as they were. All probabilities are 0 unless given.

    Arguments
    ---------
    missing_prob : float
        Probability that a face is missing in spans.
    missing_frames : (int, int)
        Bounds of the uniform length of such a span, in frames.
    missing_spans : int
        Most spans of one face; their number is uniform from 1.
    absent_prob : float
        Probability that one face of the mixture is missing throughout. Where
        each face is separated by itself (IIANet), several voices leave only a
        guess then, so keep it small; models that see all faces together (BIN)
        can tell whose voice remains.
    frozen_prob : float
        Probability that a face stands still for a span.
    frozen_frames : (int, int)
        As ``missing_frames``.
    covered_prob : float
        Probability that a grey block hides the mouth for a span.
    covered_frames : (int, int)
        As ``missing_frames``.
    desync_prob : float
        Probability that the lips of one face of the mixture are out of step.
    desync_ms : float
        Bound of the uniform offset either way, in milliseconds; it is rounded
        to whole frames.

    Example
    -------
    >>> augment = VisualAugment(missing_prob=1.0, missing_frames=[2, 2])
    >>> rng = np.random.default_rng(0)
    >>> face = augment.draw(rng, num_faces=1, num_frames=8)[0]
    >>> frames = np.arange(8, dtype=np.uint8).reshape(8, 1, 1)
    >>> frames, seen = augment.apply(frames, face)
    >>> seen.tolist()
    [True, True, True, True, True, False, False, False]
    >>> frames[:, 0, 0].tolist()
    [0, 1, 2, 3, 4, 4, 4, 4]
    """

    def __init__(
        self,
        missing_prob=0.0,
        missing_frames=(3, 25),
        missing_spans=2,
        absent_prob=0.0,
        frozen_prob=0.0,
        frozen_frames=(3, 12),
        covered_prob=0.0,
        covered_frames=(5, 25),
        desync_prob=0.0,
        desync_ms=200.0,
    ):
        self.missing_prob = check_share("missing_prob", missing_prob)
        self.missing_frames = _check_frames("missing_frames", missing_frames)
        self.absent_prob = check_share("absent_prob", absent_prob)
        self.frozen_prob = check_share("frozen_prob", frozen_prob)
        self.frozen_frames = _check_frames("frozen_frames", frozen_frames)
        self.covered_prob = check_share("covered_prob", covered_prob)
        self.covered_frames = _check_frames("covered_frames", covered_frames)
        self.desync_prob = check_share("desync_prob", desync_prob)
        if not isinstance(missing_spans, int) or missing_spans < 1:
            raise ConfigError(
                f"missing_spans is {missing_spans!r} but must be a whole "
                "number > 0."
            )
        self.missing_spans = missing_spans
        number = isinstance(desync_ms, (int, float))
        if not number or not 0 <= desync_ms < float("inf"):
            raise ConfigError(
                f"desync_ms is {desync_ms!r} but must be milliseconds >= 0."
            )
        self.desync_ms = float(desync_ms)

    def draw(self, rng, num_faces, num_frames, fps=25.0, silent=None):
        """Draws what happens to the faces of one mixture.

        Arguments
        ---------
        rng : np.random.Generator
            Source of the draws; used for nothing else.
        num_faces, num_frames : int
            Size of the item.
        fps : float
            Frame rate in Hz.
        silent : int, optional
            A face that does not speak. It is never absent: nothing would tell
            it from an absent one that does.

        Returns
        -------
        list of FaceDraw
            [S]
        """
        absent, desync, missing, frozen, covered = rng.spawn(5)
        gone = _one_of(absent, self.absent_prob, num_faces)
        early = _one_of(desync, self.desync_prob, num_faces)
        seconds = desync.uniform(-self.desync_ms, self.desync_ms) / 1000
        faces = []
        for k in range(num_faces):
            number = 1 + int(missing.integers(self.missing_spans))
            gaps = _spans(
                missing,
                self.missing_prob,
                self.missing_frames,
                num_frames,
                number,
            )
            if k == gone and k != silent:
                gaps = [(0, num_frames)]
            faces.append(
                FaceDraw(
                    round(seconds * fps) if k == early else 0,
                    gaps,
                    _spans(
                        frozen, self.frozen_prob, self.frozen_frames, num_frames
                    ),
                    _spans(
                        covered,
                        self.covered_prob,
                        self.covered_frames,
                        num_frames,
                    ),
                    _block(covered),
                )
            )
        return faces

    @staticmethod
    def apply(frames, face):
        """Does what was drawn, but for the lead.

        Arguments
        ---------
        frames : np.ndarray
            [Tv, H, W] uint8, the window of one face, cut with its lead.
        face : FaceDraw
            What happens to it.

        Returns
        -------
        (np.ndarray, np.ndarray)
            New frames [Tv, H, W] uint8, and the mask [Tv] bool, False where
            the face is missing.
        """
        frames = frames.copy()
        for first, stop in face.frozen:
            frames[first:stop] = frames[first]
        for first, stop in face.covered:
            cover(frames[first:stop], *face.block)
        seen = np.ones(len(frames), dtype=bool)
        for first, stop in face.missing:
            seen[first:stop] = False
        return hold_missing(frames, seen), seen


def cover(frames, top, left, height, width, grey):
    """Hides a part of the picture behind a block, in place.

    Arguments
    ---------
    frames : np.ndarray
        [Tv, H, W] uint8.
    top, left, height, width : float
        Place and size, as shares of the picture.
    grey : int
        Level of the block, 0 to 255.

    Example
    -------
    >>> frames = np.zeros((1, 4, 4), np.uint8)
    >>> cover(frames, 0.5, 0.25, 0.5, 0.5, 9)
    >>> frames[0].tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0], [0, 9, 9, 0], [0, 9, 9, 0]]
    """
    rows, columns = frames.shape[1:]
    y, x = round(top * rows), round(left * columns)
    frames[
        :,
        y : y + max(1, round(height * rows)),
        x : x + max(1, round(width * columns)),
    ] = grey


def check_share(key, value):
    """A probability that a user gave.

    Arguments
    ---------
    key : str
        What the user calls it.
    value : float or None
        From 0 to 1; None for 0.

    Returns
    -------
    float
        ``ConfigError`` is raised for anything else.

    Example
    -------
    >>> check_share("absent_prob", 1)
    1.0
    """
    value = 0.0 if value is None else value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise ConfigError(f"{key} is {value!r} but must be between 0 and 1.")
    return float(value)


def _check_frames(key, frames):
    """The bounds of a length, two whole numbers in order."""
    try:
        low, high = frames
        whole = low == int(low) and high == int(high)
    except (TypeError, ValueError):
        whole = False
    if not whole or not 1 <= low <= high:
        raise ConfigError(
            f"{key} is {frames!r} but must be [least, most] frames, from 1 on."
        )
    return int(low), int(high)


def _one_of(rng, probability, count):
    """The index of one of several, or None."""
    share, index = rng.random(), int(rng.integers(count))
    return index if share < probability else None


def _spans(rng, probability, bounds, num_frames, number=1):
    """Spans anywhere in the item; the draws do not depend on the share."""
    share, spans = rng.random(), []
    for _ in range(number):
        length = min(int(rng.integers(bounds[0], bounds[1] + 1)), num_frames)
        first = int(rng.integers(num_frames - length + 1))
        spans.append((first, first + length))
    return spans if share < probability else []


def _block(rng):
    """A block over the middle of the picture, where the mouth is."""
    height, width = rng.uniform(0.4, 0.7), rng.uniform(0.5, 0.9)
    # the middle of the block lies within a tenth of that of the picture
    y, x = rng.uniform(0.4, 0.6, size=2)
    top, left = max(0.0, y - height / 2), max(0.0, x - width / 2)
    return top, left, height, width, int(rng.integers(40, 216))
