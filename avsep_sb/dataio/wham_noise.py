"""WHAM! noise: the order of its files and the window that a mixture gets.

`wham_noise/{tr,cv,tt}/*.wav` are recordings of cafes, bars and streets,
stereo at 16 kHz. The mixtures of LRS3+WHAM! walk through them in turn, each
taking the next unused window of the next file that still has one.

Authors
 * avsep_sb contributors
"""

import csv
from collections import namedtuple
from pathlib import Path

from avsep_sb.dataio.audio import num_samples
from avsep_sb.errors import DataError

NoiseWindow = namedtuple("NoiseWindow", ["name", "start", "stop"])
NoiseWindow.__doc__ = """A noise file and the samples that are used of it."""

ORDER_FILE = "mix_param_meta_{}.csv"
"""WHAM!'s own metadata, whose rows give the order of the files of a split."""

SAMPLE_RATE = 16000


def noise_windows(lengths, count, window=32000):
    """Which noise each mixture gets, by the rule of LRS3+WHAM!.

    A pointer walks over the files, round and round. A file with less than
    a window left is passed over; else the mixture takes the first unused
    window of it and the pointer moves on. So a file is used again only when
    every other file with a window left has had its turn, and never the same
    samples twice.

    Arguments
    ---------
    lengths : list of (str, int)
        Name and number of samples of each file, in order.
    count : int
        Number of mixtures.
    window : int
        Samples per mixture.

    Returns
    -------
    list of NoiseWindow
        One per mixture; ``DataError`` is raised when the noise is used up.

    Example
    -------
    >>> [tuple(w) for w in noise_windows([("a", 9), ("b", 5)], 3, window=4)]
    [('a', 0, 4), ('b', 0, 4), ('a', 4, 8)]
    """
    used = [0] * len(lengths)
    windows, place, passed = [], 0, 0
    while len(windows) < count:
        if passed == len(lengths):
            raise DataError(
                f"the noise holds {len(windows)} windows of {window} samples "
                f"but {count} mixtures need one each: ask for fewer mixtures "
                "or give all noise files"
            )
        name, length = lengths[place]
        start = used[place]
        if length - start < window:
            passed += 1
        else:
            passed = 0
            used[place] = start + window
            windows.append(NoiseWindow(name, start, start + window))
        place = (place + 1) % len(lengths)
    return windows


def noise_folder(folder, split):
    """The folder with the noise of a split.

    Arguments
    ---------
    folder : str or Path
        ``wham_noise`` as it unpacks, or the folder that holds it.
    split : str
        "tr", "cv" or "tt".

    Returns
    -------
    Path
        ``DataError`` is raised if there is none.
    """
    for place in (Path(folder) / split, Path(folder) / "wham_noise" / split):
        if place.is_dir():
            return place
    raise DataError(
        f"{folder} holds no WHAM! noise ({split}/*.wav): unpack "
        "wham_noise.zip and name its folder, "
        '--prepare_args "{wham_folder: DIR}"'
    )


def noise_order(folder, metadata=None):
    """Names of the noise files of a split, in the order of their use.

    Arguments
    ---------
    folder : str or Path
        The split's folder of wavs.
    metadata : str, Path or None
        WHAM!'s ``mix_param_meta_{tr,cv,tt}.csv``; without it the files are
        taken in the order of their names.

    Returns
    -------
    list of str
        ``DataError`` is raised for a table without the column
        ``utterance_id`` and for a folder without wavs.
    """
    if metadata is None:
        names = sorted(path.name for path in Path(folder).glob("*.wav"))
        if not names:
            raise DataError(f"{folder} holds no wavs: unpack wham_noise.zip")
        return names
    try:
        with open(metadata, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise DataError(f"cannot read the list {metadata}: {err}") from err
    if not rows or not rows[0].get("utterance_id"):
        raise DataError(
            f"{metadata} has no column utterance_id: take {ORDER_FILE[:-7]}"
            "{tr,cv,tt}.csv of the WHAM! scripts, or leave it away"
        )
    return [row["utterance_id"] for row in rows]


def check_noise_files(folder, names, listed_by):
    """Refuses a list that names noise files which are not there.

    Arguments
    ---------
    folder : str or Path
        The split's folder of wavs.
    names : iterable of str
        The files.
    listed_by : str or Path
        The list, for the message.

    Example
    -------
    >>> check_noise_files("wham_noise/tr", [], "list.csv")
    """
    folder, names = Path(folder), list(dict.fromkeys(names))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{listed_by} names {len(missing)} of {len(names)} noise files "
            f"that are not in {folder}, first {', '.join(missing[:3])}: "
            "unpack all of wham_noise.zip, or name its folder, "
            '--prepare_args "{wham_folder: DIR}"'
        )


def noise_lengths(folder, names):
    """Length of each noise file, from the headers.

    Arguments
    ---------
    folder : str or Path
        The split's folder of wavs.
    names : list of str
        The files.

    Returns
    -------
    list of (str, int)
        Names and samples at 16 kHz, in the given order.

    Example
    -------
    >>> noise_lengths("wham_noise/tr", [])
    []
    """
    lengths = []
    for name in names:
        count, rate = num_samples(Path(folder) / name, with_rate=True)
        lengths.append((name, count * SAMPLE_RATE // rate))
    return lengths
