"""Lists of recordings and of what is said in them, for recognisers.

The columns are those of SpeechBrain's ASR recipes: ``ID``, ``duration``,
``wav``, ``spk_id`` and ``wrd``.

Authors
 * avsep_sb contributors
"""

import csv
import os
from pathlib import Path

from avsep_sb.errors import DataError
from avsep_sb.inference.text import normalise_text

FIELDS = ("ID", "duration", "wav", "spk_id", "wrd")


def read_sayings(path, needed=("ID", "duration")):
    """Reads a list as dicts.

    Arguments
    ---------
    path : str or Path
        A CSV: ``utterances.csv`` of SynthAV, or one of
        :func:`write_sayings`.
    needed : tuple of str
        Columns that it must have.

    Returns
    -------
    list of dict
        ``DataError`` if there is no such file, no row, or no such column.

    Example
    -------
    >>> read_sayings("no/such.csv")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.DataError: 'no/such.csv' is missing; prepare the corpus...
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"'{path}' is missing; prepare the corpus first.")
    with path.open(newline="", encoding="utf-8") as fin:
        rows = list(csv.DictReader(fin))
    if not rows:
        raise DataError(f"'{path}' lists nothing; prepare the corpus again.")
    missing = [name for name in needed if rows[0].get(name) is None]
    if missing:
        raise DataError(
            f"'{path}' has no column {', '.join(missing)}; is it a list of "
            "recordings?"
        )
    return rows


def write_sayings(path, rows):
    """Writes a list, whole or not at all; texts are normalised.

    Arguments
    ---------
    path : str or Path
        The file.
    rows : list of dict
        Of the columns ``FIELDS``. ``DataError`` if two have one ID.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.csv"
    >>> row = dict(ID="a", duration=3.0, wav="a.wav", spk_id="x", wrd="Bin A")
    >>> write_sayings(path, [row])
    >>> path.read_text().splitlines()[1]
    'a,3.000000,a.wav,x,bin a'
    """
    ids = {row["ID"] for row in rows}
    if len(ids) < len(rows):
        raise DataError(f"Two recordings for '{path}' have the same ID.")
    part = Path(path).with_name(f".{Path(path).name}.{os.getpid()}")
    with part.open("w", newline="", encoding="utf-8") as fout:
        writer = csv.DictWriter(fout, FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    **row,
                    "duration": f"{float(row['duration']):.6f}",
                    "wrd": normalise_text(row["wrd"]),
                }
            )
    os.replace(part, path)


def write_wer(stats, path):
    """Writes SpeechBrain's report of word errors, with the alignments.

    Arguments
    ---------
    stats : speechbrain.utils.metric_stats.ErrorRateStats
        After all recordings.
    path : str or Path
        The file.
    """
    with open(path, "w", encoding="utf-8") as fout:
        stats.write_stats(fout)
