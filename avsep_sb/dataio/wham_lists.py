"""Lists of LRS3+WHAM! mixtures: read, checked, drawn and written.

A list is a CSV table with one mixture of two speakers and noise per row, as
published with BIN: ``mix_2_spk_<split>_fully_overlapped_only_full_wham.csv``.

Authors
 * avsep_sb contributors
"""

import csv
import os
from collections import Counter, namedtuple
from pathlib import Path, PurePosixPath

import numpy as np

from avsep_sb.dataio.mixture_lists import make_mixture_list
from avsep_sb.dataio.wham_noise import SAMPLE_RATE
from avsep_sb.errors import DataError

SECONDS = 2
LENGTH = SECONDS * SAMPLE_RATE
"""Samples of each mixture."""

NOISE_DB = (-6.0, 3.0)
"""Bounds of the level of the noise, in dB."""

NoisyMixture = namedtuple(
    "NoisyMixture", ["utterances", "level_db", "noise", "start", "noise_db"]
)
NoisyMixture.__doc__ = """A row: two utterances, d, noise, its start, q.

``level_db`` is d, the level of speaker 1 (speaker 2 has -d), ``noise`` the
file name, ``start`` the first of 32000 samples, ``noise_db`` is q.
"""

_NUMBERS = ("speaker_1_db", "wham_starttime", "wham_endtime", "noise_db")
_NEEDED = ("speaker_1_dir", "speaker_2_dir", "wham_id", *_NUMBERS)
#: columns that may be there, with the only value that is known to occur
_FIXED = {"s1_start": 0.0, "s2_start": 0.0, "overlap_ms": 1000.0 * SECONDS}
_UNUSED = ("", "Unnamed: 0", "mixture_dir") + tuple(
    f"s1_silence_{end}_ms" for end in ("start", "end")
)


def speaker_of(utterance):
    """The speaker of an utterance ``<spk>_<utt>``.

    Arguments
    ---------
    utterance : str
        Its speaker is a YouTube id, which may hold underscores itself.

    Returns
    -------
    str

    Example
    -------
    >>> speaker_of("a_bCdEfGhIj_00004")
    'a_bCdEfGhIj'
    """
    return utterance.rpartition("_")[0]


def mixture_ids(mixtures):
    """The name of each mixture in the published set, each different.

    Arguments
    ---------
    mixtures : list of NoisyMixture
        A list.

    Returns
    -------
    list of str
        ``<spk1>_<utt1>_<spk2>_<utt2>``; a pair that comes again ends in
        ``_2``, ``_3`` and so on.

    Example
    -------
    >>> mixture = NoisyMixture(("a_1", "b_2"), 1.0, "n.wav", 0, 0.0)
    >>> mixture_ids([mixture, mixture])
    ['a_1_b_2', 'a_1_b_2_2']
    """
    seen, names = Counter(), []
    for mixture in mixtures:
        name = "_".join(mixture.utterances)
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def read_wham_list(path):
    """Reads a list in the published format.

    Arguments
    ---------
    path : str or Path
        The CSV file. Of paths only ``<spk>/<utt>.wav`` counts, for their
        folders are those of the machine the list was made on.

    Returns
    -------
    list of NoisyMixture
        ``DataError`` is raised for missing or unknown columns, and for a
        row that is not two speakers who both start at once, with 2 s of
        noise.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise DataError(f"cannot read the mixture list {path}: {err}") from err
    missing = [name for name in _NEEDED if name not in header]
    known = {*_NEEDED, *_FIXED, *_UNUSED}
    unknown = [name for name in header if name not in known]
    if missing or unknown:
        raise DataError(
            f"{path} lacks the columns {missing} and has the unknown columns "
            f"{unknown}: take a list published with BIN, or let the recipe "
            'draw one, --prepare_args "{make_lists: True}"'
        )
    if not rows:
        raise DataError(f"the mixture list {path} is empty")
    return [_parse(row, f"{path}, row {n}") for n, row in enumerate(rows, 1)]


def _parse(row, where):
    try:
        values = {name: float(row[name]) for name in _NUMBERS}
        fixed = {name: float(row[name]) for name in _FIXED if name in row}
        if None in row or not np.isfinite([*values.values()]).all():
            raise ValueError
    except (TypeError, ValueError):
        raise DataError(
            f"{where} is not as its header says: it needs one field per "
            f"column, with numbers for {', '.join(_NUMBERS)}"
        ) from None
    for name, value in fixed.items():
        if value != _FIXED[name]:
            raise DataError(
                f"{where} has {name} {value:g}, but only mixtures are known "
                f"whose speakers overlap fully, with {_FIXED[name]:g}"
            )
    start, stop = values["wham_starttime"], values["wham_endtime"]
    if start < 0 or abs(stop - start - SECONDS) > 1e-6:
        raise DataError(
            f"{where} takes the noise from {start:g} to {stop:g} s: a "
            f"mixture needs {SECONDS} s of it, from 0 s or later on"
        )
    return NoisyMixture(
        tuple(_utterance(row[f"speaker_{k}_dir"], where) for k in (1, 2)),
        values["speaker_1_db"],
        PurePosixPath(row["wham_id"]).name,
        round(start * SAMPLE_RATE),
        values["noise_db"],
    )


def _utterance(path, where):
    """``.../<spk>/<utt>.wav`` becomes ``<spk>_<utt>``."""
    path = PurePosixPath((path or "").replace("\\", "/"))
    if not path.stem or not path.parent.name:
        raise DataError(
            f"{where} names the utterance {str(path)!r}: <spk>/<utt>.wav is "
            "needed"
        )
    return f"{path.parent.name}_{path.stem}"


def draw_wham_list(speakers, windows, seed):
    """Draws a list by the rule of the published ones.

    Two utterances of different speakers, no pair twice; d uniform in [0, 5)
    dB, so that speaker 1 is the louder one; q uniform in [-6, 3] dB with 3
    decimals; the noise in the order in which it is given.

    Arguments
    ---------
    speakers : dict
        Speaker of each utterance, ``{utterance: speaker}``.
    windows : list of NoiseWindow
        The noise of each mixture, see
        :func:`avsep_sb.dataio.wham_noise.noise_windows`.
    seed : int or list of int
        The same seed gives the same list.

    Returns
    -------
    list of NoisyMixture
        As many as there are windows.

    Example
    -------
    >>> from avsep_sb.dataio.wham_noise import NoiseWindow
    >>> windows = [NoiseWindow("n.wav", 0, 32000)]
    >>> drawn = draw_wham_list({"a_1": "a", "b_1": "b"}, windows, seed=0)
    >>> sorted(drawn[0].utterances), 0 <= drawn[0].level_db < 5
    (['a_1', 'b_1'], True)
    """
    pairs = make_mixture_list(speakers, len(windows), seed)
    # a generator of its own: the pairs do not depend on the noise
    rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), 1])
    levels = np.round(rng.uniform(*NOISE_DB, len(pairs)), 3).tolist()
    return [
        NoisyMixture(p.utterances, p.gains_db[0], w.name, w.start, level)
        for p, w, level in zip(pairs, windows, levels, strict=True)
    ]


def write_wham_list(path, mixtures):
    """Writes a list in the published format, with paths below the corpus.

    Arguments
    ---------
    path : str or Path
        The file to write, replaced in one step.
    mixtures : list of NoisyMixture
        What to write.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file,
            ["", *_NEEDED[:2], "mixture_dir", *_NEEDED[2:], *_FIXED],
            lineterminator="\n",
        )
        writer.writeheader()
        names = mixture_ids(mixtures)
        for index, (mixture, name) in enumerate(
            zip(mixtures, names, strict=True)
        ):
            start = mixture.start / SAMPLE_RATE
            row = {
                "": index,
                "mixture_dir": f"audio_mixture/{name}.wav",
                "speaker_1_db": mixture.level_db,
                "wham_id": mixture.noise,
                "wham_starttime": start,
                "wham_endtime": start + SECONDS,
                "noise_db": mixture.noise_db,
                **{key: round(value) for key, value in _FIXED.items()},
            }
            for k, utterance in enumerate(mixture.utterances, start=1):
                spk, _, utt = utterance.rpartition("_")
                row[f"speaker_{k}_dir"] = f"audio/{spk}/{utt}.wav"
            writer.writerow(row)
    os.replace(part, path)
