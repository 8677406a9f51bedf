"""Which faces are seen from the front, and which from the side.

The paper splits its scores so in App. J. The orientation of a face comes from
its mouth ROI file, where that holds the landmarks of the frames or their
quality, or from a CSV that names it.

Authors
 * avsep_sb contributors
"""

import csv
import zipfile
from pathlib import Path

import numpy as np

from avsep_sb.dataio.manifest import DATA_ROOT
from avsep_sb.errors import DataError
from avsep_sb.vision.quality import PROFILE_TURN, Quality, turn

FRONTAL, SIDE = "frontal", "side"
#: how the split is explained where no file tells the orientation
NO_SPLIT = (
    "There is no split into frontal and side faces: the mouth ROI files hold "
    "no landmarks (key 'landmarks' [Tv, 5, 2]) and no quality of the frames "
    "(key 'quality' [Tv]), and no --orientation CSV was given."
)


def orientation_of(path):
    """Orientation of the face of a mouth ROI file.

    Arguments
    ---------
    path : str or Path
        An npz that may hold ``landmarks`` [Tv, 5, 2] (eyes, nose, mouth
        corners, in pixels; NaN where there is no face) or ``quality`` [Tv]
        (:class:`avsep_sb.vision.quality.Quality`).

    Returns
    -------
    str
        "side" if the face is turned by more than about 35 degrees in most
        of the frames that show it, else "frontal"; "" if the file tells
        nothing.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.npz"
    >>> np.savez(path, quality=[1, 3, 3, 3, 0])
    >>> orientation_of(path)
    'side'
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "landmarks" in stored.files:
                turned = _turned(np.asarray(stored["landmarks"], np.float64))
            elif "quality" in stored.files:
                quality = np.asarray(stored["quality"])
                turned = quality[quality != Quality.MISSING] == Quality.PROFILE
            else:
                return ""
    except (AttributeError, TypeError):
        return ""  # an npy, which holds the frames alone
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as err:
        raise DataError(
            f"the mouth ROI {path} cannot be read ({err}): delete it and run "
            "the preparation again."
        ) from err
    if not len(turned):
        return ""
    return SIDE if np.mean(turned) > 0.5 else FRONTAL


def _turned(landmarks):
    if landmarks.ndim != 3 or landmarks.shape[1:] != (5, 2):
        raise ValueError(f"landmarks of shape {list(landmarks.shape)}")
    seen = landmarks[np.isfinite(landmarks).all((1, 2))]
    return np.array([turn(points) > PROFILE_TURN for points in seen])


def read_orientations(path, data_root):
    """Reads a CSV with the columns ``lips`` and ``orientation``.

    Arguments
    ---------
    path : str or Path
        The CSV; ``lips`` as in the manifest, ``orientation`` "frontal" or
        "side".
    data_root : str or Path
        Put in place of ``$data_root``.

    Returns
    -------
    dict
        Path of the mouth ROI to orientation. ``DataError`` for a file that
        is missing or holds something else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "o.csv"
    >>> _ = path.write_text("lips,orientation\\n$data_root/a.npz,side\\n")
    >>> read_orientations(path, "corpus")
    {'corpus/a.npz': 'side'}
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"'{path}' does not exist; check --orientation.")
    try:
        with open(path, newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    except (csv.Error, UnicodeDecodeError) as err:
        raise DataError(f"'{path}' is no CSV text: {err}.") from err
    known = {}
    for number, row in enumerate(rows, 1):
        lips, where = row.get("lips"), row.get("orientation")
        if not lips or where not in (FRONTAL, SIDE):
            raise DataError(
                f"row {number} of '{path}' must have a path under 'lips' and "
                f"'{FRONTAL}' or '{SIDE}' under 'orientation'."
            )
        known[lips.replace(DATA_ROOT, str(data_root))] = where
    return known
