"""What the separator of a window needs of the faces: who is there, and what
their lips show.

A face is asked for by numbers of frames, of which only those of the window
are read. Any object will do that has the attributes ``fps``, ``frames`` and
``people`` (with ``spans`` of ``start`` and ``stop``) and the methods
``quality(person, start, stop)`` and ``rois(person, start, stop)`` of
:class:`avsep_sb.vision.timeline.FaceTimeline`; :class:`ArrayFaces` is the one
for faces in memory.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass

import numpy as np

from avsep_sb.dataio.lips import hold_missing
from avsep_sb.errors import DataError
from avsep_sb.inference.trust import unreadable
from avsep_sb.vision.quality import Quality

#: what lips can be read in; the rest is seen, but says little
USABLE = (Quality.FOUND, Quality.INTERPOLATED)


@dataclass
class Stay:
    """Frames start to stop - 1, in which a person is to be seen."""

    start: int
    stop: int


@dataclass
class ArrayPerson:
    """One face in memory: its stays, in the order of time."""

    spans: list


class ArrayFaces:
    """Faces whose mouths are in memory, as a timeline.

    Arguments
    ---------
    rois : np.ndarray
        Mouths, uint8 [S, Tv, H, W].
    quality : np.ndarray or None
        [S, Tv] of :class:`avsep_sb.vision.quality.Quality`; None where all
        frames are found.
    fps : float
        Frames per second.
    stays : list of list of (int, int) or None
        The first frame and the one after the last of each stay, for each
        face; None if all are there from first to last.

    Example
    -------
    >>> faces = ArrayFaces(np.full((2, 5, 96, 96), 7, np.uint8))
    >>> faces.quality(1, 3, 7).tolist()
    [1, 1, 0, 0]
    """

    def __init__(self, rois, quality=None, fps=25, stays=None):
        self.mouths = np.asarray(rois)
        if self.mouths.ndim != 4 or self.mouths.dtype != np.uint8:
            raise DataError(
                "Mouth ROIs are uint8 [S, Tv, H, W], not "
                f"{self.mouths.dtype} {list(self.mouths.shape)}."
            )
        self.fps, self.frames = fps, self.mouths.shape[1]
        shape = self.mouths.shape[:2]
        if quality is None:
            quality = np.full(shape, Quality.FOUND)
        self.codes = np.array(quality, np.uint8)
        if self.codes.shape != shape:
            raise DataError(
                f"The quality of {list(shape)} frames is an array "
                f"{list(self.codes.shape)}: give one code for each."
            )
        stays = stays or [[(0, self.frames)]] * len(self.mouths)
        self.people = [ArrayPerson([Stay(*s) for s in own]) for own in stays]
        for person, codes in zip(self.people, self.codes, strict=True):
            there = stay_mask(person.spans, 0, self.frames)
            codes[~there] = Quality.MISSING

    def quality(self, person, start, stop):
        """Codes of a window, uint8 [stop - start]."""
        return self._window(self.codes[person], start, stop)

    def rois(self, person, start, stop):
        """Mouths of a window, uint8 [stop - start, H, W]."""
        return self._window(self.mouths[person], start, stop)

    def _window(self, values, start, stop):
        result = np.zeros((stop - start, *values.shape[1:]), np.uint8)
        low, high = max(0, start), min(stop, len(values))
        if low < high:
            result[low - start : high - start] = values[low:high]
        return result


def bridged(spans, most):
    """Stays, with short absences counted as presence without lips.

    Arguments
    ---------
    spans : list
        With ``start`` and ``stop``, in the order of time.
    most : int
        Longest absence in frames that is bridged.

    Returns
    -------
    list of Stay
        In the order of time.

    Example
    -------
    >>> bridged([Stay(0, 5), Stay(8, 9), Stay(20, 30)], most=3)
    [Stay(start=0, stop=9), Stay(start=20, stop=30)]
    """
    stays = []
    for span in spans:
        if stays and span.start - stays[-1].stop <= most:
            stays[-1] = Stay(stays[-1].start, span.stop)
        else:
            stays.append(Stay(span.start, span.stop))
    return stays


def stay_mask(stays, start, stop):
    """In which frames of a window a person is there.

    Arguments
    ---------
    stays : list
        With ``start`` and ``stop``.
    start, stop : int
        The window.

    Returns
    -------
    np.ndarray
        bool [stop - start].
    """
    there = np.zeros(stop - start, dtype=bool)
    for stay in stays:
        low, high = max(start, stay.start), min(stop, stay.stop)
        if low < high:
            there[low - start : high - start] = True
    return there


def stay_gains(stays, first, count, samples_per_frame, fade_frames):
    """Gain of a voice, sample by sample: 1 in the stays of its face.

    Arguments
    ---------
    stays : list
        With ``start`` and ``stop`` in frames.
    first, count : int
        The samples.
    samples_per_frame : int
        Samples in the time of one frame.
    fade_frames : int
        Frames outside of each stay in which the gain rises and falls
        linearly; beyond them it is exactly 0.

    Returns
    -------
    np.ndarray
        float32 [count].

    Example
    -------
    >>> stay_gains([Stay(2, 3)], 0, 10, 2, fade_frames=1).tolist()
    [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0]
    """
    place = np.arange(first, first + count)
    fade = fade_frames * samples_per_frame
    gains = np.zeros(count, np.float32)
    for stay in stays:
        before = stay.start * samples_per_frame - place
        after = place - (stay.stop * samples_per_frame - 1)
        away = np.maximum(np.maximum(before, after), 0)
        if fade:
            gains = np.maximum(gains, 1 - away / fade)
        else:
            gains = np.maximum(gains, away == 0)
    return gains.astype(np.float32)


@dataclass
class FaceWindow:
    """One face in one window.

    Arguments
    ---------
    rois : np.ndarray
        uint8 [Tv, H, W], missing frames filled as in training.
    mask : np.ndarray
        bool [Tv], False where a frame counts as missing.
    usable : float
        Part of the frames of the stay in which lips can be read.
    """

    rois: np.ndarray
    mask: np.ndarray
    usable: float


def look(faces, person, stays, start, stop, held_frames, check=False):
    """Reads a face for one window.

    Gaps of up to ``held_frames`` are held and count as seen, as short ones
    do in training; longer ones are marked. How long a gap is does not depend
    on where the window cuts it.

    Arguments
    ---------
    faces : FaceTimeline or ArrayFaces
        The faces.
    person : int
        Which one.
    stays : list of Stay
        When the person is there, of :func:`bridged`.
    start, stop : int
        The window in frames.
    held_frames : int
        Longest gap that is held.
    check : bool
        Whether frozen pictures and covered mouths count as missing, see
        :func:`avsep_sb.inference.trust.unreadable`.

    Returns
    -------
    FaceWindow
    """
    low = start - held_frames - 1
    codes = faces.quality(person, low, stop + held_frames + 1)
    codes = np.asarray(codes)
    seen = codes != Quality.MISSING
    inside = slice(start - low, stop - low)
    mask = seen | _short_gaps(seen, held_frames)
    mask, seen = mask[inside], seen[inside]
    there = stay_mask(stays, start, stop)
    rois = np.asarray(faces.rois(person, start, stop))
    usable = np.isin(codes[inside], USABLE) & there
    if check:
        shown = ~unreadable(rois)
        shown |= _short_gaps(shown, held_frames)
        mask, seen, usable = mask & shown, seen & shown, usable & shown
    rois = hold_missing(rois, seen)
    # With no frame at all in the window nothing can be held.
    mask = mask & seen.any()
    return FaceWindow(rois, mask, float(usable.sum() / max(1, there.sum())))


def _short_gaps(seen, most):
    """Frames of gaps of at most so many frames, seen on both sides."""
    gaps = np.zeros_like(seen)
    edges = np.flatnonzero(np.diff(np.r_[True, seen, True].astype(np.int8)))
    for first, after in edges.reshape(-1, 2):
        inner = first > 0 and after < len(seen)
        if inner and after - first <= most:
            gaps[first:after] = True
    return gaps
