"""Keeps mouth ROIs on disk: an hour of two faces is 1.7 GB.

The file only grows, and reads are plain reads, not a mapping, so that the
memory in use does not grow with the video.

Authors
 * avsep_sb contributors
"""

import os
import tempfile
import threading

import numpy as np

from avsep_sb.errors import VideoError
from avsep_sb.vision.mouth import ROI_SIZE

_BYTES = ROI_SIZE * ROI_SIZE


class RoiStore:
    """A temporary file of ROIs, each at a slot of its own.

    Arguments
    ---------
    folder : str, Path or None
        Where the file is made; None takes the system's folder for temporary
        files. 9.2 kB are needed for each face and frame: at 25 fps 0.83 GB
        for each face and hour.

    Example
    -------
    >>> with RoiStore() as store:
    ...     first = store.append(np.ones((2, 96, 96), np.uint8))
    ...     store.read(np.array([-1, first, first + 1])).max((1, 2))
    array([0, 1, 1], dtype=uint8)
    """

    def __init__(self, folder=None):
        self.file = tempfile.TemporaryFile(  # noqa: SIM115
            prefix="avsep-mouths-", dir=folder
        )
        self.slots = 0
        self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def append(self, rois):
        """Writes ROIs behind all others.

        Arguments
        ---------
        rois : np.ndarray
            uint8 [N, 96, 96].

        Returns
        -------
        int
            Slot of the first one; ``VideoError`` is raised if the disk is
            full.
        """
        rois = np.ascontiguousarray(rois, np.uint8)
        with self.lock:
            first = self.slots
            try:
                self.file.seek(first * _BYTES)
                self.file.write(rois.tobytes())
                self.file.flush()
            except OSError as err:
                raise VideoError(
                    f"the mouths cannot be kept on disk ({err.strerror}): "
                    "free some space, or name a folder on another disk."
                ) from err
            self.slots += len(rois)
        return first

    def read(self, slots):
        """Reads ROIs.

        Arguments
        ---------
        slots : np.ndarray
            int [N]; -1 stands for no ROI.

        Returns
        -------
        np.ndarray
            uint8 [N, 96, 96], black where there is none.
        """
        slots = np.asarray(slots, np.int64)
        rois = np.zeros((len(slots), ROI_SIZE, ROI_SIZE), np.uint8)
        if not len(slots):
            return rois
        # Neighbours are read at once.
        breaks = (np.diff(slots) != 1) | (slots[:-1] < 0)
        ends = np.flatnonzero(breaks) + 1
        begins = np.concatenate([[0], ends])
        ends = np.concatenate([ends, [len(slots)]])
        with self.lock:
            for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
                if slots[begin] < 0:
                    continue
                self.file.seek(int(slots[begin]) * _BYTES, os.SEEK_SET)
                data = self.file.read((end - begin) * _BYTES)
                rois[begin:end] = np.frombuffer(data, np.uint8).reshape(
                    end - begin, ROI_SIZE, ROI_SIZE
                )
        return rois

    def close(self):
        """Deletes the file."""
        self.file.close()
