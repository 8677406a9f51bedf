"""Embeddings of a frozen visual front end on disk, in place of mouth ROIs.

An epoch then reads no video and computes no front end. A folder holds one
``.npy`` [Tv, C] per mouth ROI, and ``embeddings.json``: the key of what made
them. Filling it is :mod:`avsep_sb.dataio.embedding_fill`.

Whole recordings are embedded, and items take windows of them. The frames at
the two edges of a window therefore know their neighbours outside it, which
they do not when the window itself goes through the front end; for windows
that are whole recordings, and for front ends that see one frame at a time,
nothing differs.

Authors
 * avsep_sb contributors
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch

from avsep_sb.dataio.jobs import replace_file
from avsep_sb.errors import ConfigError, DataError

KEY_FILE = "embeddings.json"
TYPES = ("float32", "float16")
#: frames and pixels of the picture that shows what a front end does
PROBE = (5, 96, 96)


class EmbeddingCache:
    """The embeddings in a folder.

    Arguments
    ---------
    folder : str or Path
        Where they lie, or will lie.
    root : str or Path
        Folder of the corpus: what lies below it is known by its path from
        there, so that both may move.
    dtype : str
        "float32", or "float16" for half the disk.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> cache = EmbeddingCache(folder / "cache", folder)
    >>> cache.write(folder / "a.npz", np.zeros((50, 512), np.float32))
    >>> cache.read(folder / "a.npz").shape
    (50, 512)
    """

    def __init__(self, folder, root, dtype="float32"):
        if dtype not in TYPES:
            raise ConfigError(
                f"embedding_dtype is {dtype!r} but must be float32 or float16."
            )
        self.folder, self.root = Path(folder), os.path.abspath(root)
        self.dtype = dtype

    def path(self, lips):
        """Tells where the embedding of a mouth ROI lies.

        Arguments
        ---------
        lips : str or Path
            File of the mouth ROI.

        Returns
        -------
        Path
        """
        name = os.path.abspath(lips)
        if name.startswith(self.root + os.sep):
            name = Path(os.path.relpath(name, self.root)).as_posix()
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        return self.folder / digest[:2] / f"{digest[2:]}.npy"

    def holds(self, lips):
        """Tells whether there is an embedding, not older than the mouth ROI.

        Arguments
        ---------
        lips : str or Path
            File of the mouth ROI.

        Returns
        -------
        bool
        """
        try:
            made = os.stat(self.path(lips)).st_mtime_ns
            return made >= os.stat(lips).st_mtime_ns
        except FileNotFoundError:
            return False

    def read(self, lips):
        """Reads the embedding of a mouth ROI, of which only a part may be used.

        Arguments
        ---------
        lips : str or Path
            File of the mouth ROI.

        Returns
        -------
        np.ndarray
            [Tv, C], mapped from the disk. ``DataError`` tells when there is
            none or it is unusable.
        """
        path = self.path(lips)
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as err:
            raise DataError(
                f"the embedding {path} of {lips} cannot be read ({err}): "
                "delete it and start again, and it will be made anew."
            ) from err
        if values.ndim != 2 or 0 in values.shape or values.dtype != self.dtype:
            raise DataError(
                f"the embedding {path} of {lips} is {values.dtype} of shape "
                f"{list(values.shape)} but must be {self.dtype} [Tv, C]: "
                "delete it and start again, and it will be made anew."
            )
        return values

    def write(self, lips, values):
        """Keeps the embedding of a mouth ROI; the file appears whole.

        Arguments
        ---------
        lips : str or Path
            File of the mouth ROI.
        values : np.ndarray
            [Tv, C]
        """
        values = np.asarray(values, self.dtype)
        if not np.isfinite(values).all():
            raise DataError(
                f"the embedding of {lips} is not finite in {self.dtype}: set "
                "embedding_dtype to float32, or look at the front end."
            )
        replace_file(self.path(lips), lambda file: np.save(file, values))

    def claim(self, key):
        """Begins the folder for a key, or checks that it is of this key.

        Arguments
        ---------
        key : dict
            From :func:`make_key`.

        Example
        -------
        >>> folder = Path(getfixture("tmpdir"))
        >>> EmbeddingCache(folder / "cache", folder).claim({"video_fps": 25})
        >>> EmbeddingCache(folder / "cache", folder).claim({"video_fps": 50})
        Traceback (most recent call last):
        ...
        avsep_sb.errors.ConfigError: The embeddings in '...cache' were made \
with another video_fps (25, now 50): name another folder as embedding_cache, \
or delete this one to have them made again.
        """
        path = self.folder / KEY_FILE
        if not path.is_file():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ConfigError(
                    f"'{self.folder}' holds other files and no {KEY_FILE}: "
                    "name a new folder as embedding_cache."
                )
            text = json.dumps(key, indent=1)
            replace_file(path, lambda file: file.write(text.encode()))
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            other = [name for name in key if not _same(found[name], key[name])]
        except (ValueError, KeyError, TypeError) as err:
            raise ConfigError(
                f"'{path}' does not say what made the embeddings: delete the "
                "folder to have them made again."
            ) from err
        if other:
            told = ", ".join(
                f"{name} ({found[name]}, now {key[name]})"
                for name in other
                if name != "probe"
            )
            told = told or "crop, normalisation or layers of the front end"
            raise ConfigError(
                f"The embeddings in '{self.folder}' were made with another "
                f"{told}: name another folder as embedding_cache, or delete "
                "this one to have them made again."
            )


def _same(found, now):
    """Equal, or for what a front end does to the probe nearly equal."""
    if isinstance(now, list) and any(isinstance(x, float) for x in now):
        found, now = np.array(found, float), np.array(now)
        near = 1e-3 * max(np.abs(now).max(), 1e-6)
        return found.shape == now.shape and np.abs(found - now).max() < near
    return found == now


def make_key(frontend, crop_size, video_fps, dtype):
    """Says what makes embeddings: weights, crop, rate, and normalisation.

    Arguments
    ---------
    frontend : torch.nn.Module
        Frozen, on the CPU, so that all machines find the same.
    crop_size : (int, int) or None
        What the pipeline keeps of a mouth ROI.
    video_fps : float
        Frame rate in Hz.
    dtype : str
        Type of the values on disk.

    Returns
    -------
    dict
        Goes through JSON. ``probe`` holds what the front end makes of a fixed
        picture: it changes with whatever its weights do not tell, such as
        its own crop, its normalisation or its non-linearities.

    Example
    -------
    >>> from avsep_sb.lobes.light_lip import LightLipNet
    >>> key = make_key(LightLipNet(8, frozen=True), (88, 88), 25, "float32")
    >>> key["front_end"], len(key["weights"]), len(key["probe"])
    ('LightLipNet', 12, 8)
    """
    size = PROBE if crop_size is None else (PROBE[0], *crop_size)
    pixels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    with torch.no_grad():
        shown = frontend(torch.from_numpy(pixels)[None, None])
    return {
        "front_end": type(frontend).__name__,
        "weights": fingerprint_of(frontend),
        "crop_size": None if crop_size is None else list(crop_size),
        "video_fps": video_fps,
        "dtype": dtype,
        "probe": shown[0, 0, PROBE[0] // 2, :16].tolist(),
    }


def fingerprint_of(module):
    """A short name of the weights of a module.

    Arguments
    ---------
    module : torch.nn.Module
        Any.

    Returns
    -------
    str
        12 digits, others for other names or values.

    Example
    -------
    >>> net = torch.nn.Linear(2, 1)
    >>> before = fingerprint_of(net)
    >>> with torch.no_grad():
    ...     net.bias += 1
    >>> len(before), before == fingerprint_of(net)
    (12, False)
    """
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        values = value.detach().cpu().contiguous().numpy()
        digest.update(f"{name}\0{values.dtype}\0{values.shape}\0".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:12]
