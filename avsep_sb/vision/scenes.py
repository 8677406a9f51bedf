"""Finds the cuts between the shots of a video, frame by frame.

Small copies of neighbouring frames are compared. A cut changes the picture
much more than the frames before it changed, and changes its colours or its
edges too, which a hand that moves through the picture does not. One cut too
many costs little: faces are recognised on its other side.

Authors
 * avsep_sb contributors
"""

from collections import deque

import cv2
import numpy as np

WIDTH, HEIGHT = 48, 36
#: least mean change, in grey levels of 0..1, and by how much it must stand
#: out of the changes before
LEAST_CHANGE, STANDS_OUT = 0.035, 3.5
#: a change so large is a cut, whatever the picture did before
SURE_CHANGE = 0.25
#: least change of colours (0..1) or, without one, of edges (0..1)
LEAST_COLOURS, LEAST_EDGES = 0.12, 0.45
_HISTORY = 12


class CutDetector:
    """Says of each frame whether it begins a shot.

    Example
    -------
    >>> detector = CutDetector()
    >>> dark = np.zeros((90, 160, 3), np.uint8)
    >>> [detector.feed(frame) for frame in (dark, dark, dark + 99, dark + 99)]
    [True, False, True, False]
    """

    def __init__(self):
        self.last = None
        self.changes = deque(maxlen=_HISTORY)

    def feed(self, frame):
        """Compares a frame with the one before.

        Arguments
        ---------
        frame : np.ndarray
            uint8 [H, W, 3], RGB.

        Returns
        -------
        bool
            True for the first frame of a shot, and for the first of all.
        """
        small = _small(frame)
        last, self.last = self.last, small
        if last is None or last.shape != small.shape:
            return True
        change = float(cv2.absdiff(small, last).mean()) / 255
        usual = float(np.median(self.changes)) if self.changes else 0.0
        cut = change > SURE_CHANGE or (
            change > max(LEAST_CHANGE, STANDS_OUT * usual)
            and (
                _colour_change(small, last) > LEAST_COLOURS
                or _edge_change(small, last) > LEAST_EDGES
            )
        )
        if cut:
            self.changes.clear()
        else:
            self.changes.append(change)
        return cut


def _small(frame):
    # Rows and columns are skipped first: averaging all of them takes longer
    # than everything else here.
    step = max(1, min(frame.shape[0] // 144, frame.shape[1] // 192))
    thin = np.ascontiguousarray(frame[::step, ::step])
    return cv2.resize(thin, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def _colour_change(first, second):
    """Part of the pixels that change their colour class, 0..1."""
    histograms = [
        cv2.calcHist([image], [0, 1, 2], None, [6, 6, 6], [0, 256] * 3)
        for image in (first, second)
    ]
    return float(np.abs(histograms[0] - histograms[1]).sum()) / (
        2 * WIDTH * HEIGHT
    )


def _edge_change(first, second):
    """One minus the correlation of the strengths of edges, 0..1."""
    edges = []
    for image in (first, second):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        edge = np.hypot(
            cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        )
        edges.append(edge - edge.mean())
    spread = np.sqrt((edges[0] ** 2).sum() * (edges[1] ** 2).sum())
    # Two pictures without edges have not changed theirs.
    if spread < 1e-3:
        return 0.0
    return float(np.clip(1 - (edges[0] * edges[1]).sum() / spread, 0, 1))
