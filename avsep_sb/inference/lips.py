"""Reads the mouths of the faces for separation of files.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import numpy as np

from avsep_sb.dataio.lips import read_lips
from avsep_sb.errors import DataError

# Frames by which faces, or audio and video, may differ before it is a mistake.
SLACK_FRAMES = 2


def load_lips(lips, fps=25):
    """Reads mouth ROIs, one per face.

    Arguments
    ---------
    lips : list
        Paths of ``.npz``/``.npy`` files, or arrays ``[Tv, H, W]`` uint8; a
        single one of them means one face.
    fps : float
        Frames per second wanted; a file that states another is converted.

    Returns
    -------
    numpy.ndarray
        ``[S, Tv, H, W]`` uint8; ``DataError`` if the faces differ in size
        or by more than two frames in length (one or two are cut).

    Example
    -------
    >>> load_lips([np.zeros((5, 96, 96), np.uint8)] * 2).shape
    (2, 5, 96, 96)
    """
    if isinstance(lips, (str, Path)) or (
        isinstance(lips, np.ndarray) and lips.ndim == 3
    ):
        lips = [lips]
    faces = [
        read_lips(face, fps)
        if isinstance(face, (str, Path))
        else np.asarray(face)
        for face in lips
    ]
    if not faces:
        raise DataError("No mouth ROI was given; give one per face.")
    for face in faces:
        if face.ndim != 3 or face.dtype != np.uint8 or 0 in face.shape:
            raise DataError(
                f"A mouth ROI is {face.dtype} of shape {list(face.shape)}; "
                "give grey uint8 frames [Tv, H, W], one array per face."
            )
    lengths = [len(face) for face in faces]
    if max(lengths) - min(lengths) > SLACK_FRAMES:
        raise DataError(
            f"The faces have {lengths} frames; cut them to the same time."
        )
    if len({face.shape[1:] for face in faces}) > 1:
        raise DataError(
            "The mouth ROIs differ in size "
            f"({', '.join(str(face.shape[1:]) for face in faces)}); crop "
            "them alike."
        )
    return np.stack([face[: min(lengths)] for face in faces])
