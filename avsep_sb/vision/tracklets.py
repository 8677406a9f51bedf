"""Follows faces through a shot, and cuts their mouths a few frames later.

A tracklet is one face without interruption: found in each frame, but for gaps
of a few frames that are interpolated. Its mouth is cut as soon as the frames
around are known that its smoothing wants, so that only two seconds of grey
frames are held, whatever the length of the video.

Authors
 * avsep_sb contributors
"""

from array import array
from collections import deque

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from avsep_sb.vision.face_look import mean_look
from avsep_sb.vision.mouth import CONTEXT, cut_roi, mouth_transforms
from avsep_sb.vision.quality import PROFILE_TURN, Quality, judge, turn
from avsep_sb.vision.tracks import overlap

#: frames without the face that are bridged
MAX_GAP = 5
#: least intersection over union that continues a tracklet
LEAST_OVERLAP = 0.3
#: least likeness of a face to itself one frame before (correlation)
LEAST_LIKENESS = 0.35
#: detections are doubted: a face is one that was found this often, with this
#: score on average
LEAST_FOUND, LEAST_SCORE = 3, 0.8
#: frames between descriptions: soon at first, then every other second
_DESCRIBED_AT, _DESCRIBED_EVERY, _MOST_LOOKS = (0, 4, 10, 20, 35), 50, 24
_CUT, _WRITTEN = 4, 32  # ROIs cut, and written, at once


class Tracklet:
    """One face without interruption.

    Arguments
    ---------
    index : int
        The frame where it begins.
    face : Face
        The face there.
    """

    def __init__(self, index, face):
        self.start = index
        self.values = array("f")  # box and points of each frame
        self.quality = bytearray()
        self.slots = array("q")
        self.found, self.score, self.looks = 0, 0.0, []
        self.rois, self.cut = [], 0
        self.add(index, face)

    @property
    def stop(self):
        """One more than the last frame in which it was found."""
        return self.start + len(self.quality)

    def add(self, index, face):
        """Continues it in a frame; frames between are interpolated.

        Arguments
        ---------
        index : int
            The frame.
        face : Face
            The face there.
        """
        now = np.concatenate([face.box, face.points.ravel()])
        now = now.astype(np.float32)
        gap = index - self.stop + 1
        before = np.array(self.values[-14:], np.float32) if self.values else now
        for step in range(1, gap):
            between = before + (now - before) * np.float32(step / gap)
            self.values.extend(between.tolist())
            self.quality.append(Quality.INTERPOLATED)
        self.values.extend(now.tolist())
        self.quality.append(Quality.FOUND)
        self.found += 1
        self.score += face.score

    def rows(self, begin=0, end=None):
        """Boxes and points of some frames, counted from the first.

        Arguments
        ---------
        begin, end : int
            The frames; None ends with the last.

        Returns
        -------
        boxes : np.ndarray
            float32 [N, 4].
        points : np.ndarray
            float32 [N, 5, 2].
        """
        end = len(self.quality) if end is None else end
        rows = np.array(self.values[14 * begin : 14 * end], np.float32)
        rows = rows.reshape(-1, 14)
        return rows[:, :4], rows[:, 4:].reshape(-1, 5, 2)

    @property
    def look(self):
        """Mean description, of frontal faces if there are any."""
        least = min(turned for turned, _ in self.looks)
        return mean_look(
            [
                look
                for turned, look in self.looks
                if turned <= max(PROFILE_TURN, least)
            ]
        )

    @property
    def is_face(self):
        """Whether there is enough evidence."""
        return (
            self.found >= LEAST_FOUND and self.score >= LEAST_SCORE * self.found
        )


class Follower:
    """Builds tracklets from the faces of one frame after the other.

    Arguments
    ---------
    store : avsep_sb.vision.roi_store.RoiStore
        Takes the mouths.
    describer : avsep_sb.vision.face_look.FaceDescriber
        Describes faces now and then.

    Example
    -------
    >>> from avsep_sb.vision.roi_store import RoiStore
    >>> with RoiStore() as store:
    ...     follower = Follower(store, None)
    ...     follower.step(0, np.zeros((90, 120, 3), np.uint8), [], cut=True)
    ...     follower.finish()
    []
    """

    def __init__(self, store, describer):
        self.store, self.describer = store, describer
        self.open, self.done = [], []
        # What a tracklet that is given up may still have to be cut from.
        self.frames = deque(maxlen=MAX_GAP + CONTEXT + _CUT + 1)
        self.first = 0  # number of the oldest frame held

    def step(self, index, frame, faces, cut=False):
        """Takes the next frame.

        Arguments
        ---------
        index : int
            Its number, one more than that of the frame before.
        frame : np.ndarray
            uint8 [H, W, 3], RGB.
        faces : list of Face
            The faces found in it.
        cut : bool
            Whether a shot begins here.
        """
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        self.frames.append(grey)
        self.first = index + 1 - len(self.frames)
        if cut:
            self._close(self.open)
        for tracklet, face in self._match(index, faces):
            if tracklet is None:
                tracklet = Tracklet(index, face)
                self.open.append(tracklet)
            else:
                tracklet.add(index, face)
            self._describe(tracklet, frame, face)
        self._close([t for t in self.open if index + 1 - t.stop > MAX_GAP])
        for tracklet in self.open:
            ready = len(tracklet.quality) - CONTEXT
            if ready >= tracklet.cut + _CUT:
                self._cut(tracklet, ready)

    def finish(self):
        """Ends all tracklets.

        Returns
        -------
        list of Tracklet
            Those that are faces, by their first frame.
        """
        self._close(self.open)
        self.frames.clear()
        return sorted(self.done, key=lambda t: t.start)

    def _match(self, index, faces):
        """Pairs (tracklet or None, face)."""
        fresh, pairs = set(range(len(faces))), []
        if self.open and faces:
            last = np.stack([np.array(t.values[-14:-10]) for t in self.open])
            match = overlap(last, np.stack([face.box for face in faces]))
            for row, column in np.transpose(linear_sum_assignment(-match)):
                tracklet, face = self.open[row], faces[column]
                if match[row, column] >= LEAST_OVERLAP and self._is_same(
                    index, tracklet, face
                ):
                    pairs.append((tracklet, face))
                    fresh.discard(column)
        # One that is not continued here though its place is taken has been
        # replaced by another face: a cut that the whole picture hid.
        taken = [faces[column].box for column in fresh]
        kept = {id(tracklet) for tracklet, _ in pairs}
        if taken:
            self._close(
                [
                    t
                    for t in self.open
                    if id(t) not in kept
                    and overlap(
                        np.array(t.values[-14:-10])[None], np.stack(taken)
                    ).max()
                    >= LEAST_OVERLAP
                ]
            )
        return pairs + [(None, faces[column]) for column in sorted(fresh)]

    def _is_same(self, index, tracklet, face):
        """Whether the picture in the box is the one of the frame before."""
        if tracklet.stop != index or len(self.frames) < 2:
            return True
        before = _patch(self.frames[-2], np.array(tracklet.values[-14:-10]))
        now = _patch(self.frames[-1], face.box)
        return float((before * now).mean()) >= LEAST_LIKENESS

    def _describe(self, tracklet, frame, face):
        age = len(tracklet.quality) - 1
        due = age in _DESCRIBED_AT or age % _DESCRIBED_EVERY == 0
        if self.describer is None or not due:
            return
        if len(tracklet.looks) < _MOST_LOOKS:
            look = self.describer.describe(frame, face.points)
            tracklet.looks.append((turn(face.points), look))

    def _close(self, tracklets):
        for tracklet in list(tracklets):
            self.open.remove(tracklet)
            if tracklet.is_face:
                self._cut(tracklet, len(tracklet.quality))
                self._write(tracklet)
                # Their mean is all that is still asked for.
                tracklet.looks = [(0.0, tracklet.look)] * bool(tracklet.looks)
                self.done.append(tracklet)

    def _cut(self, tracklet, end):
        """Cuts the mouths up to frame ``end`` of the tracklet."""
        begin = tracklet.cut
        if end <= begin:
            return
        low = max(0, begin - CONTEXT)
        boxes, points = tracklet.rows(low)
        transforms = mouth_transforms(points)
        for at in range(begin, end):
            frame = self.frames[tracklet.start + at - self.first]
            roi = cut_roi(frame, transforms[at - low])
            tracklet.rois.append(roi)
            if tracklet.quality[at] == Quality.FOUND:
                tracklet.quality[at] = judge(points[at - low], roi)
        tracklet.cut = end
        if len(tracklet.rois) >= _WRITTEN:
            self._write(tracklet)

    def _write(self, tracklet):
        if not tracklet.rois:  # all of them are written
            return
        first = self.store.append(np.stack(tracklet.rois))
        tracklet.slots.extend(range(first, first + len(tracklet.rois)))
        tracklet.rois = []


def _patch(grey, box):
    """The inside of a box, 16 x 16, of mean 0 and variance 1."""
    size = np.array(grey.shape[::-1])
    low = np.clip(np.floor(box[:2]), 0, size - 2).astype(int)
    high = np.clip(np.ceil(box[2:]), low + 2, size).astype(int)
    patch = cv2.resize(
        grey[low[1] : high[1], low[0] : high[0]],
        (16, 16),
        interpolation=cv2.INTER_AREA,
    ).astype(np.float32)
    return (patch - patch.mean()) / max(float(patch.std()), 1.0)
