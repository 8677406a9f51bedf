"""Files that an evaluation leaves: tables and the page, all or none.

Authors
 * avsep_sb contributors
"""

import csv
import os
from pathlib import Path

from avsep_sb.errors import DataError
from avsep_sb.results import ResultsTable

#: scores of each mixture, of each voice, their means, and the page
FILES = ("utterances.csv", "voices.csv", "summary.csv", "report.html")
#: with recognisers: rates by group, and what was understood
WORD_FILES = ("wer.csv", "transcripts.csv")
#: scores of a test that is under way
JOURNAL = "scores.jsonl.partial"


def check_output(out, overwrite=False):
    """Refuses a folder that holds results.

    Arguments
    ---------
    out : str or Path
        The folder.
    overwrite : bool
        Whether they may be replaced.

    Returns
    -------
    Path
        The folder; nothing is made. ``DataError`` names a file in the way.

    Example
    -------
    >>> check_output("results/new").name
    'new'
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise DataError(f"'{out}' is a file: give a folder with --out.")
    for name in (*FILES, *WORD_FILES):
        if (out / name).exists() and not overwrite:
            raise DataError(
                f"'{out / name}' is there already: give another --out, or "
                "--overwrite."
            )
    return out


def write_results(out, utterances, voices, lines, page, words=()):
    """Writes all files under other names, and then puts them in place.

    Arguments
    ---------
    out : str or Path
        The folder, which is made.
    utterances : dict
        ID to the scores of a mixture.
    voices : list of dict
        Cells of each voice.
    lines : list of Line
        Means.
    page : str
        The HTML.
    words : (list of dict, list of dict)
        Rows of ``WORD_FILES``; nothing without recognisers, and then those
        of an earlier test go.

    Returns
    -------
    list of Path
        The files.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    names = [*FILES, *WORD_FILES[: len(words)]]
    new = [out / f".{name}.new" for name in names]
    new[0].unlink(missing_ok=True)
    with ResultsTable(new[0], overwrite=True) as table:
        for name, scores in utterances.items():
            table.add(name, scores)
    _write_csv(new[1], voices)
    _write_csv(
        new[2],
        [
            {
                "score": line.score,
                "mean": line.mean,
                "low95": line.low,
                "high95": line.high,
                "count": line.count,
            }
            for line in lines
        ],
    )
    new[3].write_text(page, encoding="utf-8")
    for path, rows in zip(new[len(FILES) :], words, strict=True):
        _write_csv(path, rows)
    paths = [out / name for name in names]
    for name in WORD_FILES[len(words) :]:
        (out / name).unlink(missing_ok=True)
    for source, path in zip(new, paths, strict=True):
        os.replace(source, path)
    return paths


def _write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    k: f"{v:.4f}" if isinstance(v, float) else v
                    for k, v in row.items()
                }
            )
