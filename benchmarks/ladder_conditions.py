"""What can be wrong with faces, for ``ladder_report.py``.

A condition takes the mouths of a mixture and gives the faces as a video's
pipeline would report them. Only frames without a face and faces turned aside
are marked, for a detector sees those; a mouth behind something, a picture that
stands still and lips out of step are marked by nobody.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import cv2
import numpy as np

from avsep_sb.dataio.visual_augment import cover
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.vision.quality import Quality

#: bounds of a gap, in frames: 0.2 to 1 s
GAP_FRAMES = (5, 25)
#: how late or early lips are, in seconds
DESYNC_S = 0.2
#: width of a mouth turned aside, relative to one from the front
SQUEEZE = 0.5


class Condition(NamedTuple):
    """One thing that can be wrong.

    Arguments
    ---------
    name : str
        As in the report.
    change : callable
        ``change(mouths uint8 [S, Tv, H, W], rng) -> ArrayFaces``; the array
        is its own to change.
    ordered : bool
        Whether what is left of the faces tells whose voice is whose.
    sync : bool
        Whether offsets are sought first, as ``avsep separate`` does.
    """

    name: str
    change: object
    ordered: bool = True
    sync: bool = True


def draw_gaps(rng, frames, share):
    """Frames without a face, in gaps of 0.2 to 1 s.

    Arguments
    ---------
    rng : np.random.Generator
        Source of the draws.
    frames : int
        Length.
    share : float
        Part of the frames that is missing.

    Returns
    -------
    np.ndarray
        bool [frames], True in the gaps: as many as the share says.
    """
    gone = np.zeros(frames, dtype=bool)
    wanted = round(share * frames)
    while gone.sum() < wanted:
        first = int(rng.integers(frames))
        length = int(rng.integers(GAP_FRAMES[0], GAP_FRAMES[1] + 1))
        for frame in range(first, min(first + length, frames)):
            if gone.sum() < wanted:
                gone[frame] = True
    return gone


def _span(rng, frames, share):
    """A span of that part of the frames, anywhere."""
    length = round(share * frames)
    first = int(rng.integers(frames - length + 1))
    return first, first + length


def missing(share):
    """Every face is missing in gaps of its own."""

    def change(mouths, rng):
        codes = np.full(mouths.shape[:2], Quality.FOUND)
        for own, code in zip(mouths, codes, strict=True):
            gone = draw_gaps(rng, len(own), share)
            own[gone], code[gone] = 0, Quality.MISSING
        return ArrayFaces(mouths, codes)

    return change


def one_absent(mouths, rng):
    """One face, drawn, is never to be seen."""
    codes = np.full(mouths.shape[:2], Quality.FOUND)
    face = int(rng.integers(len(mouths)))
    mouths[face], codes[face] = 0, Quality.MISSING
    return ArrayFaces(mouths, codes)


def covered(share):
    """A grey block with a camera's noise hides every mouth for a span."""

    def change(mouths, rng):
        for own in mouths:
            first, stop = _span(rng, len(own), share)
            height, width = rng.uniform(0.5, 0.7), rng.uniform(0.6, 0.9)
            y, x = rng.uniform(0.4, 0.6, 2)
            top, left = max(0, y - height / 2), max(0, x - width / 2)
            mark = np.zeros_like(own[:1])
            cover(mark, top, left, height, width, 1)
            noise = rng.normal(rng.integers(40, 216), 1.5, own.shape)
            hidden = (mark == 1) & np.ones((len(own), 1, 1), bool)
            hidden[:first], hidden[stop:] = False, False
            own[hidden] = np.clip(noise[hidden], 0, 255)
        return ArrayFaces(mouths)

    return change


def profile(share):
    """Every face is turned aside for a span: narrower, and sheared."""

    def change(mouths, rng):
        codes = np.full(mouths.shape[:2], Quality.FOUND)
        for own, code in zip(mouths, codes, strict=True):
            first, stop = _span(rng, len(own), share)
            middle = (own.shape[2] - 1) / 2
            shear = float(rng.choice([-0.2, 0.2]))
            matrix = np.array([[SQUEEZE, shear, 0], [0, 1, 0]])
            matrix[0, 2] = middle * (1 - SQUEEZE - shear)
            for frame in range(first, stop):
                own[frame] = cv2.warpAffine(
                    own[frame],
                    matrix,
                    own.shape[:0:-1],
                    borderMode=cv2.BORDER_REPLICATE,
                )
            code[first:stop] = Quality.PROFILE
        return ArrayFaces(mouths, codes)

    return change


def frozen(share):
    """Every face stands still for a span."""

    def change(mouths, rng):
        for own in mouths:
            first, stop = _span(rng, len(own), share)
            own[first:stop] = own[first]
        return ArrayFaces(mouths)

    return change


def desync(fps):
    """All lips are late, or early, by 200 ms."""

    def change(mouths, rng):
        late = round(DESYNC_S * fps) * int(rng.choice([-1, 1]))
        place = np.arange(mouths.shape[1]) - late
        place = np.clip(place, 0, mouths.shape[1] - 1)
        return ArrayFaces(np.ascontiguousarray(mouths[:, place]))

    return change


def all_conditions(fps=25):
    """The conditions of the report, in its order.

    Arguments
    ---------
    fps : float
        Frames per second.

    Returns
    -------
    list of Condition
    """
    return [
        Condition("clean", lambda mouths, rng: ArrayFaces(mouths)),
        Condition("25 % missing", missing(0.25)),
        Condition("50 % missing", missing(0.5)),
        Condition("100 % missing", missing(1.0), ordered=False),
        Condition("one face absent", one_absent),
        Condition("covered, half", covered(0.5)),
        Condition("covered, whole", covered(1.0), ordered=False),
        Condition("profile, half", profile(0.5)),
        Condition("frozen, half", frozen(0.5)),
        Condition("frozen, whole", frozen(1.0), ordered=False),
        Condition("200 ms off", desync(fps)),
        Condition("200 ms off, not sought", desync(fps), sync=False),
    ]
