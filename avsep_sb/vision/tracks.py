"""Joins the faces of single frames into one track per person.

A detector reports faces in no steady order, misses some and invents others.
Here each face of a frame continues the track it overlaps most; gaps are
interpolated; tracks that are short-lived or tiny are dropped; and the tracks
are put in order from left to right.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from avsep_sb.errors import VideoError


@dataclass
class FaceTrack:
    """One face through the whole video.

    Arguments
    ---------
    boxes : np.ndarray
        float32 [Tv, 4] (left, top, right, bottom) in pixels.
    points : np.ndarray
        float32 [Tv, 5, 2]: left eye, right eye, nose, left and right mouth
        corner as seen in the picture, in pixels.
    seen : np.ndarray
        bool [Tv]; False where boxes and points are interpolated.
    """

    boxes: np.ndarray
    points: np.ndarray
    seen: np.ndarray

    @property
    def size(self):
        """Median side of the box in pixels, where the face was seen."""
        boxes = self.boxes[self.seen]
        return float(np.median(np.ptp(boxes.reshape(-1, 2, 2), axis=1)))

    @property
    def mean_x(self):
        """Mean horizontal centre in pixels, where the face was seen."""
        return float(self.boxes[self.seen][:, [0, 2]].mean())


def build_tracks(
    faces,
    max_faces=None,
    min_seen=0.5,
    min_relative_size=0.25,
    min_overlap=0.3,
    name="the video",
):
    """Joins the faces of single frames into tracks.

    Arguments
    ---------
    faces : iterable of list of Face
        The faces of each frame, in any order
        (:func:`avsep_sb.vision.faces.find_faces`).
    max_faces : int or None
        Keep at most so many, those largest and longest in view.
    min_seen : float
        Drop tracks that were seen in a smaller part of the frames.
    min_relative_size : float
        Drop tracks smaller than this part of the largest one.
    min_overlap : float
        Least intersection over union that continues a track.
    name : str
        The video, for the message.

    Returns
    -------
    list of FaceTrack
        From left to right; ``VideoError`` is raised if there is none.

    Example
    -------
    >>> from avsep_sb.vision.faces import Face
    >>> def face(x):
    ...     box = np.array([x, 0.0, x + 50.0, 60.0], np.float32)
    ...     return Face(0.9, box, np.full((5, 2), x, np.float32))
    >>> tracks = build_tracks([[face(200), face(0)], [face(2), face(198)]])
    >>> [track.mean_x for track in tracks]
    [26.0, 224.0]
    """
    open_tracks, frames = [], 0
    for index, found in enumerate(faces):
        _continue_tracks(open_tracks, found, index, min_overlap)
        frames = index + 1
    tracks = [
        _fill_gaps(track, frames)
        for track in open_tracks
        if len(track) >= min_seen * frames
    ]
    if tracks:
        largest = max(track.size for track in tracks)
        tracks = [t for t in tracks if t.size >= min_relative_size * largest]
    if not tracks:
        raise VideoError(
            f"{name}: no face stays in view for {min_seen:.0%} of its "
            f"{frames} frames; give a clip that shows the speakers' faces "
            "from the front."
        )
    tracks.sort(key=lambda t: t.size * t.seen.mean(), reverse=True)
    return sorted(tracks[:max_faces], key=lambda t: t.mean_x)


def overlap(first, second):
    """Intersection over union of each pair of boxes.

    Arguments
    ---------
    first : np.ndarray
        [N, 4] (left, top, right, bottom).
    second : np.ndarray
        [M, 4].

    Returns
    -------
    np.ndarray
        [N, M], in 0..1.

    Example
    -------
    >>> overlap(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2]])).round(3)
    array([[0.333]])
    """
    first = np.asarray(first, np.float64)[:, None]
    second = np.asarray(second, np.float64)[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (first, second)]
    return common / np.maximum(areas[0] + areas[1] - common, 1e-9)


def _continue_tracks(tracks, found, index, min_overlap):
    """Adds the faces of one frame; a track is a dict of frame to face."""
    fresh = set(range(len(found)))
    if tracks and found:
        # The last box of each track, however long ago: faces come back.
        last = np.stack([t[max(t)].box for t in tracks])
        match = overlap(last, np.stack([face.box for face in found]))
        for row, column in np.transpose(linear_sum_assignment(-match)):
            if match[row, column] >= min_overlap:
                tracks[row][index] = found[column]
                fresh.discard(column)
    tracks.extend({index: found[column]} for column in sorted(fresh))


def _fill_gaps(track, frames):
    """Interpolates linearly; the ends repeat the nearest seen frame."""
    times = np.array(sorted(track))
    seen = np.zeros(frames, bool)
    seen[times] = True
    values = np.stack(
        [np.concatenate([track[t].box, track[t].points.ravel()]) for t in times]
    )
    everywhere = np.arange(frames)
    filled = np.stack(
        [np.interp(everywhere, times, column) for column in values.T], axis=1
    ).astype(np.float32)
    return FaceTrack(filled[:, :4], filled[:, 4:].reshape(-1, 5, 2), seen)
