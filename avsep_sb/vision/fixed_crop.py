"""A crop of one place, as BIN's NTCD-TIMIT videos are cropped.

The camera's picture is squeezed to 224 x 224, and 60 rows by 40 columns
around the speaker's mean mouth are kept: nose, mouth and chin. Unlike
:mod:`avsep_sb.vision.mouth` it follows no movement and undoes no turn.

Authors
 * avsep_sb contributors
"""

import cv2
import numpy as np

PICTURE = 224
ABOVE, BELOW, BESIDE = 20, 40, 20
"""Pixels of the squeezed picture kept around the mouth."""

FIXED_SIZE = 67
"""Height and width in pixels that the crop is stretched to."""


def crop_fixed(frames, track):
    """Cuts the same place out of all frames of one face.

    The place is the mean of the mouth corners over the track; the published
    crops take the mean of dlib's 20 mouth points over about 113 frames.

    Arguments
    ---------
    frames : iterable of np.ndarray
        uint8 [H, W, 3], RGB.
    track : avsep_sb.vision.tracks.FaceTrack
        The face.

    Returns
    -------
    np.ndarray
        uint8 [Tv, 67, 67]. What lies beyond the picture repeats its edge.

    Example
    -------
    >>> from avsep_sb.vision.tracks import FaceTrack
    >>> points = np.full((2, 5, 2), 100, np.float32)
    >>> track = FaceTrack(np.zeros((2, 4)), points, np.ones(2, bool))
    >>> crop_fixed(np.zeros((2, 448, 448, 3), np.uint8), track).shape
    (2, 67, 67)
    """
    centre = np.asarray(track.points)[:, 3:].mean((0, 1))
    rois = []
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        size = np.array(grey.shape[::-1])
        grey = cv2.resize(
            grey, (PICTURE, PICTURE), interpolation=cv2.INTER_AREA
        )
        x, y = np.round((centre + 0.5) * PICTURE / size - 0.5).astype(int)
        rows = np.clip(np.arange(y - ABOVE, y + BELOW), 0, PICTURE - 1)
        columns = np.clip(np.arange(x - BESIDE, x + BESIDE), 0, PICTURE - 1)
        rois.append(
            cv2.resize(
                grey[np.ix_(rows, columns)],
                (FIXED_SIZE, FIXED_SIZE),
                interpolation=cv2.INTER_CUBIC,
            )
        )
    return np.stack(rois)
