"""Cuts the mouth region of interest (ROI) of each face out of a video.

Each face is turned, scaled and moved onto a mean face by a similarity
transform of its eyes and nose, and a 96 x 96 grey patch is cut around its
mouth: the usual preparation for lip reading. A crop that trembles, or that
goes up and down with the jaw, looks like speech or hides it; so it is fixed
to the head. All is smoothed over windows centred on the frame: the place of
eyes and nose over a short one, which keeps up with the head, angle and scale
over a longer one, and how far below them the mouth lies over the longest.

Authors
 * avsep_sb contributors
"""

import os

import cv2
import numpy as np

from avsep_sb.errors import VideoError
from avsep_sb.vision.decode import read_frames
from avsep_sb.vision.faces import find_faces
from avsep_sb.vision.smoothing import follow, smooth
from avsep_sb.vision.tracks import build_tracks

#: left eye, right eye, nose and mouth corners of the mean face, in pixels of
#: a canvas of 256 x 256
MEAN_FACE = np.array(
    [
        (102.1, 94.3),
        (156.4, 93.6),
        (128.3, 127.7),
        (107.2, 157.2),
        (152.2, 157.0),
    ],
    np.float32,
)
ROI_SIZE = 96
#: frames of the windows for angle and scale, for the place, and for the
#: height of the mouth in the face; odd. Words move the mouth's corners for
#: half a second or more: with 25 frames for the height, crops of GRID wander
#: by 1.5 pixels, with 75 by less than one
WINDOWS = (13, 9, 75)
#: frames on either side that a transform depends on
CONTEXT = max(WINDOWS[2] // 2, WINDOWS[0] // 2 + WINDOWS[1] // 2)


def mouth_rois(path, max_faces=None, fps=25, detector=None, every=8):
    """Finds the faces of a video and cuts out their mouths.

    The video is decoded twice, frame by frame: first to find the faces, then
    to cut. Only the crops are kept, so that length and resolution cost little
    memory.

    Arguments
    ---------
    path : str or Path
        The video file.
    max_faces : int or None
        Keep at most so many faces, the largest and longest in view.
    fps : float
        Frames per second of the ROIs.
    detector : avsep_sb.vision.faces.FaceDetector or None
        None makes one with its defaults; pass one to share it over files.
    every : int
        A full face detection each so many frames.

    Returns
    -------
    rois : np.ndarray
        uint8 [S, Tv, 96, 96], one per face, from left to right.
    tracks : list of FaceTrack
        Where the S faces are, in pixels of the upright frame. ``VideoError``
        is raised for a video without frames or without faces.
    """
    faces = find_faces(read_frames(path, fps), detector, every)
    tracks = build_tracks(faces, max_faces, name=os.fspath(path))
    return crop_mouths(read_frames(path, fps), tracks), tracks


def crop_mouths(frames, tracks):
    """Cuts the mouths of tracked faces out of frames.

    Arguments
    ---------
    frames : iterable of np.ndarray
        Tv frames, uint8 [H, W, 3], RGB.
    tracks : list of FaceTrack
        The S faces, of Tv frames each.

    Returns
    -------
    np.ndarray
        uint8 [S, Tv, 96, 96]; ``VideoError`` is raised if there are not as
        many frames as the tracks have.
    """
    transforms = np.stack([mouth_transforms(t.points) for t in tracks])
    faces, length = transforms.shape[:2]
    rois = np.empty((faces, length, ROI_SIZE, ROI_SIZE), np.uint8)
    index = -1
    for index, frame in enumerate(frames):
        if index >= length:
            break
        for face in range(faces):
            rois[face, index] = cut_roi(frame, transforms[face, index])
    if index + 1 != length:
        raise VideoError(
            "the second pass over the video gave another number of frames "
            f"than the first ({index + 1} and {length}): was it replaced "
            "meanwhile? Run again."
        )
    return rois


def mouth_transforms(points, windows=WINDOWS):
    """The transform of each frame that puts the mouth into the ROI.

    Arguments
    ---------
    points : np.ndarray
        float [Tv, 5, 2]: eyes, nose, mouth corners, in pixels.
    windows : tuple
        Frames to smooth over, see ``WINDOWS``.

    Returns
    -------
    np.ndarray
        float64 [Tv, 2, 3]: pixels of the frame to pixels of the ROI.

    Example
    -------
    >>> transform = mouth_transforms(2 * MEAN_FACE[None])[0]
    >>> mouth = 2 * MEAN_FACE[3:].mean(0)
    >>> (transform[:, :2] @ mouth + transform[:, 2]).round(3)
    array([47.5, 47.5])
    """
    points = np.asarray(points, np.float64)
    head = points[:, :3].mean(1)
    reach = points[:, 3:].mean(1) - head
    result = similarity(smooth(points[:, :3], windows[0]), MEAN_FACE[:3])
    beside = smooth((result[:, 0, :2] * reach).sum(1), windows[1])
    # The long window asks for frames so far away that each is turned alone.
    alone = similarity(points[:, :3], MEAN_FACE[:3])
    below = smooth((alone[:, 1, :2] * reach).sum(1), windows[2])
    place = follow(head, windows[1])[:, :, None]
    mouth = (result[:, :, :2] @ place)[..., 0] + np.stack([beside, below], 1)
    # Pixel centres are integers, so the middle of 96 pixels is 47.5.
    result[:, :, 2] = (ROI_SIZE - 1) / 2 - mouth
    return result


def similarity(source, target):
    """Least-squares rotation, scale and shift (Umeyama, 1991).

    Arguments
    ---------
    source : np.ndarray
        [..., N, 2] points.
    target : np.ndarray
        [N, 2] points they shall come to lie on.

    Returns
    -------
    np.ndarray
        float64 [..., 2, 3].

    Example
    -------
    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    >>> (similarity(square, 2 * square + 3) + 0.0).round(6).tolist()
    [[2.0, 0.0, 3.0], [0.0, 2.0, 3.0]]
    """
    # In the plane a rotation with scale is one complex factor.
    source = np.asarray(source, np.float64) @ [1, 1j]
    target = np.asarray(target, np.float64) @ [1, 1j]
    middle = source.mean(-1)
    centred = source - middle[..., None]
    spread = np.maximum((np.abs(centred) ** 2).sum(-1), 1e-9)
    factor = (centred.conj() * (target - target.mean())).sum(-1) / spread
    shift = target.mean() - factor * middle
    return np.stack(
        [
            np.stack([factor.real, -factor.imag, shift.real], -1),
            np.stack([factor.imag, factor.real, shift.imag], -1),
        ],
        -2,
    )


def cut_roi(frame, transform):
    """Cuts one grey ROI out of a frame; edges repeat beyond the frame.

    Arguments
    ---------
    frame : np.ndarray
        uint8 [H, W, 3], RGB, or [H, W], grey.
    transform : np.ndarray
        [2, 3]: pixels of the frame to pixels of the ROI.

    Returns
    -------
    np.ndarray
        uint8 [96, 96].
    """
    inverse = cv2.invertAffineTransform(transform)
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * (ROI_SIZE - 1)
    corners = corners @ inverse[:, :2].T + inverse[:, 2]
    height, width = frame.shape[:2]
    # Only the surroundings of the mouth are converted and reduced.
    size = np.array([width, height])
    low = np.clip(np.floor(corners.min(0)) - 4, 0, size - 2).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 5, low + 2, size).astype(int)
    patch = frame[low[1] : high[1], low[0] : high[0]]
    if patch.ndim == 3:
        patch = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    transform = np.array(transform, np.float64)
    transform[:, 2] += transform[:, :2] @ low
    scale = np.hypot(transform[0, 0], transform[1, 0])
    if scale < 0.7:
        # Bilinear sampling of a large face would alias: average areas first.
        whole = np.array(patch.shape[::-1])
        size = np.maximum(np.round(whole * scale), 2).astype(int)
        ratio = whole / size
        patch = cv2.resize(patch, size.tolist(), interpolation=cv2.INTER_AREA)
        # Pixel centres: x_old = (x_new + 0.5) * ratio - 0.5.
        transform[:, 2] += transform[:, :2] @ (0.5 * ratio - 0.5)
        transform[:, :2] *= ratio
    return cv2.warpAffine(
        patch,
        transform,
        (ROI_SIZE, ROI_SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def contact_sheet(rois, path_png, columns=16):
    """Draws mouths on a sheet to look at: one row per face, time runs right.

    Arguments
    ---------
    rois : np.ndarray
        uint8 [S, Tv, H, W].
    path_png : str or Path
        The picture to write.
    columns : int
        Frames to show, evenly spaced.

    Returns
    -------
    np.ndarray
        uint8 [S * (H + 4), columns * (W + 4)]: the picture.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sheet = contact_sheet(
    ...         np.zeros((2, 5, 96, 96), np.uint8), folder + "/mouths.png"
    ...     )
    >>> sheet.shape
    (200, 500)
    """
    length = rois.shape[1]
    shown = np.linspace(0, length - 1, min(columns, length)).round().astype(int)
    padding = ((0, 0), (0, 0), (2, 2), (2, 2))
    tiles = np.pad(rois[:, shown], padding, constant_values=255)
    faces, count, height, width = tiles.shape
    sheet = tiles.transpose(0, 2, 1, 3).reshape(faces * height, count * width)
    done, data = cv2.imencode(".png", sheet)
    assert done, "cv2 can always write PNG"
    part = f"{os.fspath(path_png)}.part"
    with open(part, "wb") as file:
        file.write(data.tobytes())
    os.replace(part, path_png)
    return sheet
