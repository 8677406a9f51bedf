"""Lip Reading in the Wild (LRW): its layout, its mouths, its list of clips.

Each clip shows 29 frames of one face (1.16 s at 25 fps) with the word in the
middle: ``lipread_mp4/<WORD>/{train,val,test}/<WORD>_00001.mp4``, beside it a
``.txt`` that tells how long the word is.

Authors
 * avsep_sb contributors
"""

import csv
import io
import re
from collections import namedtuple
from functools import partial
from pathlib import Path

import numpy as np

from avsep_sb.dataio.corpus import portable_path
from avsep_sb.dataio.jobs import list_failures, replace_file, run_jobs
from avsep_sb.dataio.manifest import DATA_ROOT
from avsep_sb.errors import DataError

FOLDERS = {"train": "train", "valid": "val", "test": "test"}
"""Splits and their folders."""
FRAMES = 29
VIDEO_FPS = 25
COLUMNS = ("ID", "duration", "lips", "word", "word_seconds")
FAILURES = "failures.csv"

Clip = namedtuple("Clip", ["name", "word", "split", "path"])
Clip.__doc__ = """A clip: its name, its word, its split and its video."""


def find_clips(data_folder, num_words=None, clips_per_word=None):
    """Finds the clips of the corpus.

    Arguments
    ---------
    data_folder : str or Path
        Holds ``lipread_mp4``, or the folders of the words themselves.
    num_words : int or None
        Only the first so many words, in the order of the alphabet.
    clips_per_word : int or None
        Only the first so many clips of each word and split.

    Returns
    -------
    dict
        ``{"train": [Clip, ...], "valid": ..., "test": ...}``, sorted by
        name. ``DataError`` is raised if the corpus is not there, or if a
        word has no clip in one of the splits.
    """
    root = Path(data_folder) / "lipread_mp4"
    root = root if root.is_dir() else Path(data_folder)
    words = sorted(path.parent for path in root.glob("*/train"))[:num_words]
    if len(words) < 2:
        raise DataError(
            f"{data_folder} holds no words of LRW (lipread_mp4/ABOUT/train/"
            "ABOUT_00001.mp4): obtain the corpus as recipes/LRW/README.md "
            "says, and name its folder with --data_folder."
        )
    clips = {split: [] for split in FOLDERS}
    for word in words:
        for split, folder in FOLDERS.items():
            paths = sorted((word / folder).glob("*.mp4"))[:clips_per_word]
            if not paths:
                raise DataError(
                    f"{word / folder} holds no mp4: the corpus is not whole; "
                    "unpack all of its parts."
                )
            clips[split] += [Clip(p.stem, word.name, split, p) for p in paths]
    return clips


def word_seconds(path):
    """Reads how long the word of a clip is.

    Arguments
    ---------
    path : str or Path
        The video; the text beside it has a line ``Duration: 0.53 seconds``.

    Returns
    -------
    float or None
        Seconds; None if the text is missing or has no such line.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "ABOUT_00001.txt"
    >>> _ = path.write_text("Channel: BBC One\\nDuration: 0.21 seconds\\n")
    >>> word_seconds(path.with_suffix(".mp4"))
    0.21
    """
    try:
        text = Path(path).with_suffix(".txt").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    line = re.search(r"^Duration:\s*(\d*\.?\d+)", text, re.MULTILINE)
    return float(line[1]) if line else None


def lips_path(folder, clip):
    """Where the mouth ROI of a clip lies.

    Arguments
    ---------
    folder : str or Path
        Folder of the extracted mouths.
    clip : Clip
        The clip.

    Returns
    -------
    Path

    Example
    -------
    >>> clip = Clip("ABOUT_00001", "ABOUT", "valid", "ABOUT_00001.mp4")
    >>> lips_path("mouths", clip).as_posix()
    'mouths/ABOUT/val/ABOUT_00001.npz'
    """
    return Path(folder, clip.word, FOLDERS[clip.split], f"{clip.name}.npz")


def extract_clip(clip, folder):
    """Writes the mouth ROI of a clip, unless it is there.

    Arguments
    ---------
    clip : Clip
        The clip. ``DataError`` or ``VideoError`` is raised if it cannot be
        decoded, shows no face, or is not about 29 frames long.
    folder : str or Path
        Folder of the extracted mouths.
    """
    path = lips_path(folder, clip)
    if path.is_file():
        return
    from avsep_sb.vision.mouth import mouth_rois

    rois = np.asarray(mouth_rois(str(clip.path), max_faces=1)[0])
    if rois.shape[0] == 0:
        raise DataError("no face was found")
    # Decoders may differ by a frame at the end; more is another clip.
    if abs(rois.shape[1] - FRAMES) > 1:
        raise DataError(
            f"{rois.shape[1]} frames at 25 fps instead of {FRAMES}: it is "
            "torn, or no clip of LRW"
        )
    replace_file(path, lambda file: np.savez_compressed(file, data=rois[0]))


def extract_clips(clips, folder, workers=None, ray=None, progress=True):
    """Writes the mouth ROIs of many clips and lists those that failed.

    What is there is kept, so that an interrupted run continues; clips that
    failed are tried again.

    Arguments
    ---------
    clips : list of Clip
        What to extract.
    folder : str or Path
        Folder of the mouths; ``failures.csv`` (``file``, ``reason``) is
        written there if any clip failed.
    workers : int or None
        Processes; None takes one per processor, 0 works in this process.
    ray : str or None
        Address of a Ray cluster, "" for the one that the environment names;
        None uses processes of this machine.
    progress : bool
        Whether to show a progress bar, with the time left.

    Returns
    -------
    dict
        ``{Clip: reason}`` of those that failed.

    Example
    -------
    >>> extract_clips([], getfixture("tmpdir"), workers=0)
    {}
    """
    # Absolute: machines of a cluster work in other folders.
    folder = Path(folder).absolute()
    work = partial(extract_clip, folder=folder)
    jobs = [
        clip._replace(path=Path(clip.path).absolute())
        for clip in clips
        if not lips_path(folder, clip).is_file()
    ]
    if ray is None:
        failures = run_jobs(work, jobs, workers, "mouths", progress)
    else:
        from avsep_sb.dataio.corpus_cluster import run_on_cluster

        failures = run_on_cluster(work, jobs, ray, "mouths", progress)
    list_failures(
        folder / FAILURES, {clip.path: why for clip, why in failures.items()}
    )
    return failures


def write_clips(path, clips, folder, data_folder):
    """Writes the list of the clips of one split, whole or not at all.

    Arguments
    ---------
    path : str or Path
        The CSV file, with the columns ``COLUMNS``.
    clips : list of Clip
        Clips whose mouths are there.
    folder : str or Path
        Folder of the mouths.
    data_folder : str or Path
        Folder that ``$data_root`` stands for.

    Returns
    -------
    int
        The number of clips that do not tell how long their word is.
    """
    text, unknown = io.StringIO(), 0
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for clip in clips:
        seconds = word_seconds(clip.path)
        unknown += seconds is None
        writer.writerow(
            [
                clip.name,
                f"{FRAMES / VIDEO_FPS:.2f}",
                portable_path(lips_path(folder, clip), data_folder),
                clip.word,
                "" if seconds is None else seconds,
            ]
        )
    replace_file(path, lambda file: file.write(text.getvalue().encode()))
    return unknown


def read_clips(path, data_folder):
    """Reads the list of the clips of one split.

    Arguments
    ---------
    path : str or Path
        Of :func:`write_clips`.
    data_folder : str or Path
        Put in place of ``$data_root``.

    Returns
    -------
    dict
        ``{ID: {"lips": path, "word": str, "word_seconds": float}}``; the
        seconds are 0 where they are not known. ``DataError`` is raised for a
        list that is missing, has other columns, or is empty.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is missing: run the preparation of LRW again.")
    root, clips = Path(data_folder).as_posix(), {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise DataError(
                f"{path} has the columns {reader.fieldnames}: words are read "
                "from the lists that recipes/LRW/prepare.py writes."
            )
        for row in reader:
            clips[row["ID"]] = {
                "lips": row["lips"].replace(DATA_ROOT, root, 1),
                "word": row["word"],
                "word_seconds": float(row["word_seconds"] or 0.0),
            }
    if not clips:
        raise DataError(f"{path} lists no clip: run the preparation again.")
    return clips
