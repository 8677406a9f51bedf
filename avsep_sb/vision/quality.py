"""How far the mouth of one face in one frame can be trusted.

Authors
 * avsep_sb contributors
"""

from enum import IntEnum

import cv2
import numpy as np

#: nose off the middle of the eyes, in eye distances: about 35 degrees
PROFILE_TURN = 0.45
#: a mouth whose detail of 2 to 4 pixels has less than this part of its
#: contrast (both as variances) is out of focus, smeared by motion, or coded
#: too coarsely: about as after a Gaussian blur of 3.5 pixels; sharp mouths of
#: GRID and of a debate have 0.0019 to 0.0084
LEAST_DETAIL = 0.0007
#: grey levels of contrast below which there is no mouth to be seen
LEAST_CONTRAST = 4.0


class Quality(IntEnum):
    """What is known of the mouth of a face in a frame.

    ``MISSING`` (0): the face is not there, or its place is a guess, and the
    ROI is black. ``FOUND``: seen from the front. ``INTERPOLATED``: not found
    in this frame, but just before and after; the ROI is cut between those
    places. ``PROFILE``: found, turned away by more than about 35 degrees.
    ``BLURRED``: found, but without the detail that lips need.

    Example
    -------
    >>> Quality(2).name
    'INTERPOLATED'
    """

    MISSING = 0
    FOUND = 1
    INTERPOLATED = 2
    PROFILE = 3
    BLURRED = 4


def turn(points):
    """How far a face is turned to the side.

    Arguments
    ---------
    points : np.ndarray
        [5, 2]: eyes, nose, mouth corners.

    Returns
    -------
    float
        Distance of the nose from the line through the middles of eyes and
        mouth, in distances of the eyes or half the face's height, whichever
        is larger: 0 from the front, and about 0.5 where one eye hides.

    Example
    -------
    >>> points = np.array([[0, 0], [40, 0], [20, 22], [5, 45], [35, 45]])
    >>> turn(points)
    0.0
    >>> round(turn(points + [[0, 0], [0, 0], [20, 0], [0, 0], [0, 0]]), 2)
    0.5
    """
    points = np.asarray(points, np.float64)
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    axis = mouth - eyes
    height = max(float(np.hypot(*axis)), 1e-6)
    nose = points[2] - eyes
    off = abs(axis[0] * nose[1] - axis[1] * nose[0]) / height
    # Seen from the side the eyes close up: then the height is the measure.
    width = max(float(np.hypot(*(points[1] - points[0]))), height / 2)
    return float(off / width)


def detail(roi):
    """Fine detail of a mouth, relative to its contrast.

    Arguments
    ---------
    roi : np.ndarray
        uint8 [96, 96].

    Returns
    -------
    float
        Variance of the difference between two slight blurs, over the
        variance of the ROI; 0 where there is hardly any contrast.

    Example
    -------
    >>> detail(np.full((96, 96), 7, np.uint8))
    0.0
    """
    roi = roi.astype(np.float32)
    contrast = float(roi.std())
    if contrast < LEAST_CONTRAST:
        return 0.0
    # The slighter blur takes away the camera's noise.
    fine = cv2.GaussianBlur(roi, (0, 0), 1.0)
    fine -= cv2.GaussianBlur(roi, (0, 0), 1.6)
    return float(fine.var()) / contrast**2


def judge(points, roi):
    """Quality of a face that was found in a frame.

    Arguments
    ---------
    points : np.ndarray
        [5, 2]: eyes, nose, mouth corners, in pixels.
    roi : np.ndarray
        uint8 [96, 96], its mouth.

    Returns
    -------
    Quality
        ``FOUND``, ``PROFILE`` or ``BLURRED``.

    Example
    -------
    >>> from avsep_sb.vision.mouth import MEAN_FACE
    >>> judge(MEAN_FACE, np.zeros((96, 96), np.uint8)).name
    'BLURRED'
    """
    if turn(points) > PROFILE_TURN:
        return Quality.PROFILE
    return Quality.BLURRED if detail(roi) < LEAST_DETAIL else Quality.FOUND
