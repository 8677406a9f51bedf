"""Looks at a whole video once and tells who is to be seen when.

Frames are decoded, searched, followed and let go: two seconds of them are held
at a time, in grey. Mouths go to disk.

Authors
 * avsep_sb contributors
"""

import os

from avsep_sb.vision.decode import read_frames
from avsep_sb.vision.face_look import FaceDescriber
from avsep_sb.vision.faces import FaceFinder
from avsep_sb.vision.identity import Stretch, link_stretches
from avsep_sb.vision.prefetch import run_ahead
from avsep_sb.vision.roi_store import RoiStore
from avsep_sb.vision.scenes import CutDetector
from avsep_sb.vision.timeline import FaceTimeline, gather_people
from avsep_sb.vision.tracklets import Follower


def watch(
    video,
    fps=25,
    max_people=None,
    detector=None,
    describer=None,
    every=8,
    folder=None,
    progress=None,
):
    """Finds the people of a video, with their mouths, in one pass.

    Arguments
    ---------
    video : str, Path or iterable of np.ndarray
        A video file of any length and frame rate; or its frames at ``fps``,
        uint8 [H, W, 3], RGB.
    fps : float
        Frames per second of the timeline.
    max_people : int or None
        Keep at most so many people, those with the most pixels over time.
    detector : avsep_sb.vision.faces.FaceDetector or None
        None makes one with its defaults; pass one to share it over videos.
    describer : avsep_sb.vision.face_look.FaceDescriber or None
        None makes one, with SFace where it is installed.
    every : int
        A full face detection each so many frames, and at each cut.
    folder : str, Path or None
        Where the temporary file of mouths is made (see
        :class:`avsep_sb.vision.roi_store.RoiStore`).
    progress : callable or None
        Called with the number of frames looked at, after each.

    Returns
    -------
    FaceTimeline
        To be closed; without people if no face is found. ``VideoError`` is
        raised for a video without frames.

    Example
    -------
    >>> import numpy as np
    >>> with watch([np.zeros((90, 120, 3), np.uint8)] * 3) as timeline:
    ...     print(timeline.frames, timeline.size, timeline.people)
    3 (120, 90) []
    """
    frames = (
        read_frames(video, fps)
        if isinstance(video, (str, os.PathLike))
        else video
    )
    finder = FaceFinder(detector, every)
    describer = describer or FaceDescriber()
    store = RoiStore(folder)
    try:
        follower, cutter = Follower(store, describer), CutDetector()
        cuts, count, size = [], 0, (0, 0)
        for frame in run_ahead(frames):
            cut = cutter.feed(frame)
            if cut:
                cuts.append(count)
                size = size if count else (frame.shape[1], frame.shape[0])
            follower.step(count, frame, finder.step(frame, cut), cut)
            count += 1
            if progress is not None:
                progress(count)
        tracklets = follower.finish()
        people = gather_people(
            tracklets, _link(tracklets, cuts), cuts, fps, max_people
        )
        return FaceTimeline(fps, count, size, cuts, people, store)
    except BaseException:
        store.close()
        raise


def _link(tracklets, cuts):
    stretches = []
    for tracklet in tracklets:
        boxes, _ = tracklet.rows()
        stretches.append(
            Stretch(
                tracklet.start,
                tracklet.stop,
                tracklet.look,
                boxes[0],
                boxes[-1],
            )
        )
    return link_stretches(stretches, cuts)
