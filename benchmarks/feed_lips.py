"""The same few mixtures with their lips as npz, as mp4 and as embeddings.

The pipeline reads mouth ROIs from npz, or embeddings from its cache. mp4 is
not among its formats: here it shows what decoding would cost.

Authors
 * avsep_sb contributors
"""

import contextlib
import csv
from pathlib import Path

import numpy as np

from avsep_sb.dataio import items, lips
from avsep_sb.dataio.embedding_fill import fill_cache
from avsep_sb.dataio.manifest import DATA_ROOT
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.vision.decode import read_frames
from avsep_sb.vision.encode import write_video

KINDS = ("npz", "mp4", "embeddings")
STILL = {"dynamic_mixing": False, "random_crop": False}
STILL |= {"horizontal_flip": False}


def read_any(path, fps=25.0):
    """Reads a mouth ROI, from an mp4 too.

    Arguments
    ---------
    path : str
        ``.npz`` as the pipeline has it, or ``.mp4``.
    fps : float
        Frames per second wanted.

    Returns
    -------
    np.ndarray
        [Tv, H, W] uint8, grey.
    """
    if not str(path).endswith(".mp4"):
        return lips.read_lips(path, fps)
    # The picture is grey: any channel will do.
    return np.stack([frame[..., 1] for frame in read_frames(path, fps)])


@contextlib.contextmanager
def reading_mp4():
    """Has the pipeline read ROIs by :func:`read_any`, in its workers too."""
    before = items.read_lips
    items.read_lips = read_any
    try:
        yield
    finally:
        items.read_lips = before


def as_mp4(manifest, data, folder, fps):
    """Writes the ROIs of a manifest as mp4, and a manifest that names them.

    Arguments
    ---------
    manifest : str
        A short one.
    data : str
        What its paths start from.
    folder : pathlib.Path
        Where the files go.
    fps : int
        Frames per second.

    Returns
    -------
    str
        The new manifest.
    """
    with open(manifest, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    made = {}
    for row in rows:
        for name in [name for name in row if name.endswith("_lips")]:
            path = row[name]
            if path and path not in made:
                made[path] = str(folder / f"{len(made)}.mp4")
                frames = lips.read_lips(path.replace(DATA_ROOT, str(data)), fps)
                coloured = np.repeat(frames[..., None], 3, -1)
                silence = np.zeros(len(frames) * 16000 // fps)
                write_video(made[path], silence, 16000, coloured, fps=fps)
            row[name] = made.get(path, path)
    out = folder / "mp4.csv"
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(out)


def lip_sets(hparams, manifest, data, folder, kinds):
    """Training sets of the same mixtures with lips of several kinds.

    Arguments
    ---------
    hparams : dict
        A training YAML that is loaded; for embeddings with a frozen front
        end.
    manifest : str
        A short one.
    data : str
        What its paths start from.
    folder : str
        For what has to be written.
    kinds : list of str
        Of ``KINDS``.

    Returns
    -------
    dict
        Kind to training set.
    """
    folder, sets = Path(folder), {}
    for kind in kinds:
        own = {**hparams, **STILL, "data_folder": data}
        if kind == "mp4":
            manifest_of = as_mp4(manifest, data, folder, hparams["video_fps"])
        else:
            manifest_of = manifest
        for split in ("train", "valid", "test"):
            own[f"{split}_data"] = manifest_of
        if kind == "embeddings":
            own["embedding_cache"] = str(folder / "cache")
        found = make_datasets(own)
        if kind == "embeddings":
            fill_cache(own, found, progress=False)
        sets[kind] = found[0]
    return sets
