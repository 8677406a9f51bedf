"""Mouths that were found but show nothing: frozen pictures and covered mouths.

Both can be told from the pixels of the mouth ROI alone. What cannot, such as
lips out of step or behind a patterned scarf, is left to
:mod:`avsep_sb.inference.second_opinion`, which listens.

The thresholds were measured on 80 mouths of SynthAV and 30 real ones of GRID.
From frame to frame a mouth changes by a mean of 0.64 grey levels or more, also
when it is silent, but for single frames that a coder repeats. In a frame, 41 %
of the patches or fewer are flat, and of a mouth behind a block 53 % or more.

Authors
 * avsep_sb contributors
"""

import numpy as np

#: mean change in grey levels below which two frames are the same picture
LEAST_CHANGE = 0.3
#: so many frames of one picture are frozen; videos of 10 fps or more repeat
#: fewer when they are brought to 25
FROZEN_FRAMES = 6
#: standard deviation in grey levels below which a patch is flat
FLAT = 2.0
#: part of the patches of a mouth that are flat behind a cover
COVERED = 0.47
#: the middle of a mouth that is looked at, as a share of each side
_MIDDLE = 2 / 3
#: patches along each side
_PATCHES = 8


def frozen_frames(rois):
    """Frames in which the picture stands still, but for the first.

    Arguments
    ---------
    rois : np.ndarray
        uint8 [Tv, H, W].

    Returns
    -------
    np.ndarray
        bool [Tv], True in each run of ``FROZEN_FRAMES`` or more frames of
        one picture, from the second on.

    Example
    -------
    >>> rois = np.zeros((9, 4, 4), np.uint8)
    >>> rois[:2] = 50
    >>> frozen_frames(rois).tolist()[1:5]
    [False, False, True, True]
    """
    frames = np.asarray(rois).astype(np.int16)
    change = np.abs(np.diff(frames, axis=0)).mean((1, 2))
    same = np.r_[False, change < LEAST_CHANGE]
    edges = np.flatnonzero(np.diff(np.r_[False, same, False].astype(np.int8)))
    for first, after in edges.reshape(-1, 2):
        if after - first < FROZEN_FRAMES - 1:
            same[first:after] = False
    return same


def covered_frames(rois):
    """Frames whose mouth is hidden behind something plain.

    Arguments
    ---------
    rois : np.ndarray
        uint8 [Tv, H, W]; at least 24 pixels a side, smaller ones are never
        called covered.

    Returns
    -------
    np.ndarray
        bool [Tv]: most of the middle is flat, as no skin is under a lamp.

    Example
    -------
    >>> rois = np.random.default_rng(0).integers(0, 99, (2, 96, 96), np.uint8)
    >>> rois[1, 20:80, 10:90] = 128
    >>> covered_frames(rois).tolist()
    [False, True]
    """
    frames = np.asarray(rois)
    count, *sides = frames.shape
    sizes = [int(side * _MIDDLE) // _PATCHES for side in sides]
    if min(sizes) < 2:
        return np.zeros(count, dtype=bool)
    top, left = (
        (side - size * _PATCHES) // 2
        for side, size in zip(sides, sizes, strict=True)
    )
    middle = frames[
        :, top : top + sizes[0] * _PATCHES, left : left + sizes[1] * _PATCHES
    ]
    patches = middle.astype(np.float32).reshape(
        count, _PATCHES, sizes[0], _PATCHES, sizes[1]
    )
    return (patches.std((2, 4)) < FLAT).mean((1, 2)) > COVERED


def unreadable(rois):
    """Frames in which lips cannot be read: frozen or covered.

    Arguments
    ---------
    rois : np.ndarray
        uint8 [Tv, H, W].

    Returns
    -------
    np.ndarray
        bool [Tv].

    Example
    -------
    >>> unreadable(np.zeros((3, 96, 96), np.uint8)).tolist()
    [True, True, True]
    """
    return frozen_frames(rois) | covered_frames(rois)
