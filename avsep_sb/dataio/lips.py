"""Mouth ROI files and the augmentations that keep them uint8.

Frames stay uint8 until the device: a quarter of the memory and of the bus.

Authors
 * avsep_sb contributors
"""

import os
import zipfile

import numpy as np

from avsep_sb.errors import DataError

KEY = "data"
#: mean grey level of mouths, for a face of which nothing was seen
GREY = 107


def read_lips(path, fps=25.0):
    """Reads the mouth ROI of one utterance.

    Arguments
    ---------
    path : str or Path
        A ``.npz`` with key ``data`` [Tv, H, W] uint8, grey; an optional key
        ``fps`` states the frame rate. Or a ``.npy`` with the array alone.
    fps : float
        Frame rate wanted, in Hz. A file that states another is converted;
        a file that states none is taken to have this one.

    Returns
    -------
    np.ndarray
        [Tv, H, W] uint8. ``DataError`` is raised for a missing or torn
        file, a missing key, another type or shape, and for no frames.

    Example
    -------
    >>> path = str(getfixture("tmpdir") / "a.npz")
    >>> np.savez(path, data=np.zeros((50, 96, 96), np.uint8))
    >>> read_lips(path).shape
    (50, 96, 96)
    """
    if not os.path.isfile(path):
        raise DataError(
            f"the mouth ROI {path} is missing: check data_folder or run the "
            "preparation again."
        )
    try:
        frames, stored_fps = _load(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as err:
        raise DataError(
            f"the mouth ROI {path} cannot be read ({err}): delete it and run "
            "the preparation again."
        ) from err
    if frames is None:
        raise DataError(
            f"the mouth ROI {path} has no key '{KEY}': store the frames "
            "[Tv, H, W] under it."
        )
    if frames.dtype != np.uint8 or frames.ndim != 3 or 0 in frames.shape:
        raise DataError(
            f"the mouth ROI {path} is {frames.dtype} of shape "
            f"{list(frames.shape)} but must be grey uint8 [Tv, H, W] with at "
            "least one frame: extract it again."
        )
    if stored_fps is not None and abs(stored_fps - fps) > 1e-3:
        frames = convert_fps(frames, stored_fps, fps)
    return frames


def _load(path):
    """The array, or None without its key; and the stated rate, or None."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded, None
    with loaded:
        if KEY not in loaded.files:
            return None, None
        rate = float(loaded["fps"]) if "fps" in loaded.files else None
        return loaded[KEY], rate


def convert_fps(frames, src_fps, dst_fps):
    """Takes for each new time the frame whose time is nearest.

    Arguments
    ---------
    frames : np.ndarray
        [Tv, ...], frame n at time n / src_fps.
    src_fps, dst_fps : float
        Frame rates in Hz.

    Returns
    -------
    np.ndarray
        [round(Tv * dst_fps / src_fps), ...], at least one frame, same type.
        ``DataError`` is raised for a rate that is not positive.

    Example
    -------
    >>> convert_fps(np.arange(6), 30, 25).tolist()
    [0, 1, 2, 4, 5]
    """
    if not (0 < src_fps < np.inf and 0 < dst_fps < np.inf):
        raise DataError(
            f"frames cannot be converted from {src_fps} to {dst_fps} fps: "
            "both rates must be positive."
        )
    count = max(1, round(len(frames) * dst_fps / src_fps))
    index = np.floor(np.arange(count) * (src_fps / dst_fps) + 0.5)
    return frames[np.minimum(index.astype(np.int64), len(frames) - 1)]


def crop_flip(frames, size, rng=None, random_crop=False, horizontal_flip=False):
    """Crops all frames at one place, and mirrors all or none.

    Arguments
    ---------
    frames : np.ndarray
        [Tv, H, W] uint8.
    size : (int, int) or None
        Height and width wanted; None keeps the frames whole.
    rng : np.random.Generator, optional
        Source of the draws; without it the crop is central, unmirrored.
    random_crop : bool
        Whether the place is drawn.
    horizontal_flip : bool
        Whether the frames are mirrored with probability 1/2.

    Returns
    -------
    np.ndarray
        [Tv, *size] uint8, a view where possible. ``DataError`` is raised
        for frames smaller than the size.

    Example
    -------
    >>> crop_flip(np.zeros((2, 96, 96), np.uint8), (88, 88)).shape
    (2, 88, 88)
    """
    if size is not None:
        height, width = size
        room = (frames.shape[1] - height, frames.shape[2] - width)
        if min(room) < 0:
            raise DataError(
                f"mouth ROIs of {frames.shape[1]}x{frames.shape[2]} pixels "
                f"cannot be cropped to {height}x{width}: lower crop_size or "
                "extract larger ROIs."
            )
        if rng is not None and random_crop:
            top = int(rng.integers(room[0] + 1))
            left = int(rng.integers(room[1] + 1))
        else:
            top, left = room[0] // 2, room[1] // 2
        frames = frames[:, top : top + height, left : left + width]
    if rng is not None and horizontal_flip and rng.random() < 0.5:
        frames = frames[:, :, ::-1]
    return frames


def hold_missing(frames, seen):
    """Puts into missing frames what a lip-reading net may see there.

    The embeddings of missing frames are masked, but those of their neighbours
    come from windows that reach into the gap. There the last frame seen is
    held, or before any the first one: no movement is made up. Training and
    inference both call this on the very window that the net is given.

    Arguments
    ---------
    frames : np.ndarray
        [Tv, H, W] uint8; what missing frames hold does not matter.
    seen : np.ndarray
        [Tv] bool, False where the face is missing.

    Returns
    -------
    np.ndarray
        [Tv, H, W] uint8; the frames themselves where none is missing, and
        plain grey where none was seen.

    Example
    -------
    >>> frames = np.arange(5, dtype=np.uint8).reshape(5, 1, 1)
    >>> seen = np.array([False, True, False, False, True])
    >>> hold_missing(frames, seen)[:, 0, 0].tolist()
    [1, 1, 1, 1, 4]
    """
    seen = np.asarray(seen, dtype=bool)
    if seen.all():
        return frames
    if not seen.any():
        return np.full_like(frames, GREY)
    last = np.where(seen, np.arange(len(frames)), -1)
    index = np.maximum.accumulate(last)
    return frames[np.where(index < 0, seen.argmax(), index)]
