"""Who is to be seen when: the result of looking at a whole video.

Everything is counted in frames of one clock, the video's own, from its first
frame. Only what was seen takes memory: about 65 bytes for each face and
frame, and the mouths lie on disk.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass, field

import numpy as np

from avsep_sb.vision.mouth import ROI_SIZE
from avsep_sb.vision.quality import Quality
from avsep_sb.vision.roi_store import RoiStore

#: frames in which a face may be lost within a span
SPAN_GAP = 25
#: a person is one whose face scores so much on average; a fold of clothes
#: that looks like a face now and then scores 0.7 to 0.91, a real face 0.99
LEAST_SCORE = 0.92
#: where it is found in nearly every frame for a while this is enough: dark
#: skin in little light scores 0.8 to 0.95
LEAST_STEADY_SCORE = 0.8
#: part of the frames from the first to the last
STEADY = 0.95
STEADY_FRAMES = 100


@dataclass
class Span:
    """One stay of a person in the picture: frames start to stop - 1.

    Arguments
    ---------
    start, stop : int
        The frames.
    boxes : np.ndarray
        float32 [N, 4], N = stop - start: left, top, right, bottom in pixels
        of the upright frame.
    points : np.ndarray
        float32 [N, 5, 2]: left eye, right eye, nose, left and right mouth
        corner as seen in the picture.
    quality : np.ndarray
        uint8 [N], of :class:`avsep_sb.vision.quality.Quality`; where it is
        ``MISSING``, boxes and points are interpolated.
    slots : np.ndarray
        int64 [N]: where the mouths are stored, -1 where there is none.
    """

    start: int
    stop: int
    boxes: np.ndarray
    points: np.ndarray
    quality: np.ndarray
    slots: np.ndarray


@dataclass
class Person:
    """One person, in all spans of the video that show him or her.

    Arguments
    ---------
    spans : list of Span
        In the order of time; no two overlap.
    """

    spans: list = field(default_factory=list)

    @property
    def frames(self):
        """Number of frames of all spans."""
        return sum(span.stop - span.start for span in self.spans)

    @property
    def seen(self):
        """Number of frames with a mouth, of whatever quality."""
        return sum(
            int((span.quality != Quality.MISSING).sum()) for span in self.spans
        )

    @property
    def start(self):
        """First frame of the first span."""
        return self.spans[0].start

    @property
    def size(self):
        """Median side of the box in pixels."""
        boxes = np.concatenate([span.boxes for span in self.spans])
        return float(np.median(np.ptp(boxes.reshape(-1, 2, 2), axis=1)))

    @property
    def mean_x(self):
        """Mean horizontal centre in pixels."""
        boxes = np.concatenate([span.boxes for span in self.spans])
        return float(boxes[:, [0, 2]].mean())


@dataclass
class FaceTimeline:
    """The people of a video.

    Close it, or use it in a ``with`` block, to delete the stored mouths.

    Arguments
    ---------
    fps : float
        Frames per second of the clock.
    frames : int
        Number of frames of the video, on that clock.
    size : tuple
        Width and height of the upright frame in pixels.
    cuts : list of int
        First frame of each shot; the first is 0.
    people : list of Person
        By the second in which they come, then from left to right; empty if
        there is no face.
    store : RoiStore
        The mouths.

    Example
    -------
    >>> boxes, points = np.zeros((2, 4)), np.zeros((2, 5, 2))
    >>> with RoiStore() as store:
    ...     first = store.append(np.full((2, 96, 96), 7, np.uint8))
    ...     slots = np.array([first, first + 1])
    ...     span = Span(3, 5, boxes, points, np.array([1, 4], np.uint8), slots)
    ...     people = [Person([span])]
    ...     timeline = FaceTimeline(25, 9, (64, 48), [0], people, store)
    ...     print(timeline.quality(0).tolist(), timeline.present(0, 5))
    ...     timeline.rois(0, 2, 5)[:, 0, 0].tolist()
    [0, 0, 0, 1, 4, 0, 0, 0, 0] [0]
    [0, 7, 7]
    """

    fps: float
    frames: int
    size: tuple
    cuts: list
    people: list
    store: RoiStore

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Deletes the stored mouths."""
        self.store.close()

    def quality(self, person, start=0, stop=None):
        """Quality of a person's mouth in each frame of a window.

        Arguments
        ---------
        person : int
            Number in ``people``.
        start, stop : int
            The frames; None ends with the video. A window may reach beyond
            the video: nobody is there.

        Returns
        -------
        np.ndarray
            uint8 [stop - start]; ``MISSING`` (0) outside of the spans.
        """
        return self._fill(person, start, stop, "quality", 0, np.uint8)

    def rois(self, person, start=0, stop=None):
        """Mouths of a person in each frame of a window.

        Arguments
        ---------
        person : int
            Number in ``people``.
        start, stop : int
            The frames; None ends with the video (then all of them are read
            into memory: 9.2 kB for each frame).

        Returns
        -------
        np.ndarray
            uint8 [stop - start, 96, 96], black where quality is ``MISSING``.
        """
        slots = self._fill(person, start, stop, "slots", -1, np.int64)
        return self.store.read(slots).reshape(-1, ROI_SIZE, ROI_SIZE)

    def boxes(self, person, start=0, stop=None):
        """Boxes of a person in each frame of a window.

        Arguments
        ---------
        person : int
            Number in ``people``.
        start, stop : int
            The frames; None ends with the video.

        Returns
        -------
        np.ndarray
            float32 [stop - start, 4]; NaN outside of the spans.
        """
        return self._fill(person, start, stop, "boxes", np.nan, np.float32)

    def present(self, start=0, stop=None):
        """Who has a span in a window.

        Arguments
        ---------
        start, stop : int
            The frames; None ends with the video.

        Returns
        -------
        list of int
            Numbers in ``people``, rising.
        """
        stop = self.frames if stop is None else stop
        return [
            number
            for number, person in enumerate(self.people)
            if any(s.start < stop and start < s.stop for s in person.spans)
        ]

    def _fill(self, person, start, stop, name, empty, dtype):
        stop = self.frames if stop is None else stop
        spans = self.people[person].spans
        shape = getattr(spans[0], name).shape[1:]
        result = np.full((max(0, stop - start), *shape), empty, dtype)
        for span in spans:
            low, high = max(start, span.start), min(stop, span.stop)
            if low < high:
                values = getattr(span, name)
                result[low - start : high - start] = values[
                    low - span.start : high - span.start
                ]
        return result


def gather_people(tracklets, labels, cuts, fps, max_people=None):
    """Makes people of tracklets.

    Arguments
    ---------
    tracklets : list of avsep_sb.vision.tracklets.Tracklet
        Complete ones.
    labels : np.ndarray
        int [N]: the person of each (see
        :func:`avsep_sb.vision.identity.link_stretches`).
    cuts : list of int
        First frame of each shot.
    fps : float
        Frames per second.
    max_people : int or None
        Keep at most so many: those with the most pixels over time.

    Returns
    -------
    list of Person
        Those beyond doubt, in the order of :class:`FaceTimeline`.
    """
    people = []
    for label in np.unique(labels):
        own = [t for t, k in zip(tracklets, labels, strict=True) if k == label]
        found = sum(tracklet.found for tracklet in own)
        frames = sum(tracklet.stop - tracklet.start for tracklet in own)
        steady = found >= max(STEADY_FRAMES, STEADY * frames)
        least = LEAST_STEADY_SCORE if steady else LEAST_SCORE
        if sum(tracklet.score for tracklet in own) < least * found:
            continue
        own.sort(key=lambda tracklet: tracklet.start)
        groups = []
        for tracklet in own:
            if groups and _continues(groups[-1][-1], tracklet, cuts):
                groups[-1].append(tracklet)
            else:
                groups.append([tracklet])
        people.append(Person([_span(group) for group in groups]))
    people.sort(key=lambda person: person.size * person.seen, reverse=True)
    return sorted(
        people[:max_people], key=lambda p: (int(p.start / fps), p.mean_x)
    )


def _continues(earlier, later, cuts):
    """Whether two stretches of a person are one span."""
    gap = later.start - earlier.stop
    if gap == 0:
        return True
    between = np.searchsorted(cuts, [earlier.stop - 1, later.start], "right")
    return gap <= SPAN_GAP and between[0] == between[1]


def _span(tracklets):
    """One span of stretches; what lies between them is missing."""
    start, stop = tracklets[0].start, tracklets[-1].stop
    length = stop - start
    rows = np.full((length, 14), np.nan, np.float32)
    quality = np.zeros(length, np.uint8)
    slots = np.full(length, -1, np.int64)
    for tracklet in tracklets:
        here = slice(tracklet.start - start, tracklet.stop - start)
        rows[here] = np.array(tracklet.values, np.float32).reshape(-1, 14)
        quality[here] = np.frombuffer(tracklet.quality, np.uint8)
        slots[here] = tracklet.slots
    known = slots >= 0
    if not known.all():
        times = np.arange(length)
        for column in range(14):
            rows[~known, column] = np.interp(
                times[~known], times[known], rows[known, column]
            )
    return Span(
        start, stop, rows[:, :4], rows[:, 4:].reshape(-1, 5, 2), quality, slots
    )
