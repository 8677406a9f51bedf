"""Faces of a video that still comes in: found, followed, and their mouths cut.

Nothing is known of the frames to come, so mouths are placed by the frames
before: a head that turns quickly is followed a little late. A face that was
seen keeps its number; it is known again by its place alone.

Authors
 * avsep_sb contributors
"""

from collections import deque

import numpy as np
from scipy.optimize import linear_sum_assignment

from avsep_sb.vision.faces import FaceFinder
from avsep_sb.vision.mouth import CONTEXT, cut_roi, mouth_transforms
from avsep_sb.vision.scenes import CutDetector
from avsep_sb.vision.tracklets import (
    LEAST_FOUND,
    LEAST_OVERLAP,
    LEAST_SCORE,
)
from avsep_sb.vision.tracks import overlap

#: frames after which what may be no face is forgotten
FORGET = 5


class _Track:
    """One face: where it was, and how sure that is."""

    def __init__(self):
        self.number = None  # its row, once it is sure
        self.box = self.roi = None
        self.points = deque(maxlen=CONTEXT + 1)
        self.found, self.score, self.last = 0, 0.0, 0

    def add(self, index, face):
        """Take the face in a frame."""
        if index - self.last > FORGET:
            self.points.clear()
        self.box = face.box
        self.points.append(face.points)
        self.found += 1
        self.score += face.score
        self.last = index

    def mouth(self, frame):
        """Cut the mouth, uint8 [96, 96]."""
        return cut_roi(frame, mouth_transforms(np.stack(self.points))[-1])


class LiveFaces:
    """The mouths of all faces, frame by frame.

    Arguments
    ---------
    detector : FaceDetector or None
        None makes one with its defaults.
    every : int
        A full face detection each so many frames.
    most : int
        Faces that are followed; further ones are left out.

    Example
    -------
    >>> faces = LiveFaces()
    >>> faces.step(np.zeros((90, 120, 3), np.uint8))
    ([], [])
    """

    def __init__(self, detector=None, every=8, most=4):
        self.finder, self.cutter = FaceFinder(detector, every), CutDetector()
        self.most = most
        self.index = 0
        self.tracks, self.sure = [], []

    def step(self, frame):
        """Look at the next frame.

        Arguments
        ---------
        frame : np.ndarray
            uint8 [H, W, 3], RGB.

        Returns
        -------
        tuple
            For each face so far, in the order of their coming, its mouth,
            uint8 [96, 96], the last one if it is not seen, and whether it is
            seen.
        """
        found = self.finder.step(frame, self.cutter.feed(frame))
        for track, face in self._match(found):
            if track is None:
                track = _Track()
                self.tracks.append(track)
            track.add(self.index, face)
        seen = []
        # Faces that come together are numbered from left to right.
        for track in sorted(self.tracks, key=lambda track: track.box[0]):
            fresh = track.last == self.index
            if track.number is None and fresh:
                self._promote(track)
        for track in self.sure:
            fresh = track.last == self.index
            if fresh:
                track.roi = track.mouth(frame)
            seen.append(fresh)
        self.index += 1
        self.tracks = [
            track
            for track in self.tracks
            if track.number is not None or self.index - track.last <= FORGET
        ]
        return [track.roi for track in self.sure], seen

    def _promote(self, track):
        """Give a face its number, if it is one and there is room."""
        is_face = (
            track.found >= LEAST_FOUND
            and track.score >= LEAST_SCORE * track.found
        )
        if is_face and len(self.sure) < self.most:
            track.number = len(self.sure)
            self.sure.append(track)

    def _match(self, found):
        """Pairs (track or None, face)."""
        fresh, pairs = set(range(len(found))), []
        if self.tracks and found:
            boxes = np.stack([track.box for track in self.tracks])
            match = overlap(boxes, np.stack([face.box for face in found]))
            for row, column in np.transpose(linear_sum_assignment(-match)):
                if match[row, column] >= LEAST_OVERLAP:
                    pairs.append((self.tracks[row], found[column]))
                    fresh.discard(column)
        return pairs + [(None, found[column]) for column in sorted(fresh)]
