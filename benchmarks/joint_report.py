"""Compares two tests of one manifest: is the second model better understood?

    avsep evaluate pretrained/iianet-synthav --manifest DIR/test.csv \
        --data_root DATA --asr pretrained/asr-synthav --out BEFORE
    avsep evaluate RUN/pretrained --manifest DIR/test.csv \
        --data_root DATA --asr pretrained/asr-synthav --out AFTER
    python benchmarks/joint_report.py BEFORE AFTER --out OUT

Word error rates are those of the voices whose texts are known, with the
intervals of :mod:`avsep_sb.evaluation.wer`; SI-SNR improvements are means over
the mixtures. The differences are taken mixture by mixture, so that what makes
a mixture hard counts for neither. Leaves ``<out>/joint_report.md``.

Authors
 * avsep_sb contributors
"""

import argparse
import csv
import sys
from pathlib import Path

from report import footer, new_files

from avsep_sb.errors import DataError, run_or_explain
from avsep_sb.evaluation.wer import rate95, ratio95
from avsep_sb.results import confidence95


def read_table(folder, name):
    """Rows of a table of ``avsep evaluate``; ``DataError`` if it is absent."""
    path = Path(folder) / name
    if not path.is_file():
        raise DataError(
            f"'{path}' is missing: run avsep evaluate with --asr first."
        )
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def gains_of(folder):
    """SI-SNR improvement of each mixture, by ID."""
    rows = read_table(folder, "utterances.csv")
    return {
        row["snt_id"]: float(row["si-snr_i"])
        for row in rows
        if row["snt_id"] not in ("avg", "ci95")
    }


def errors_of(folder):
    """Errors and words of each mixture: {judge: {sound: {ID: [e, w]}}}."""
    found = {}
    for row in read_table(folder, "transcripts.csv"):
        sounds = found.setdefault(row["judge"], {})
        sums = sounds.setdefault(row["sound"], {}).setdefault(row["ID"], [0, 0])
        sums[0] += int(row["errors"])
        sums[1] += int(row["words"])
    return found


def compare(before, after):
    """Lines of the table.

    Arguments
    ---------
    before, after : str or Path
        Folders of ``avsep evaluate --asr``, of the same mixtures.

    Returns
    -------
    list of str
        Markdown. ``DataError`` is raised where mixtures or recognisers
        differ.
    """
    gains = [gains_of(folder) for folder in (before, after)]
    errors = [errors_of(folder) for folder in (before, after)]
    if list(gains[0]) != list(gains[1]) or set(errors[0]) != set(errors[1]):
        raise DataError(
            f"'{before}' and '{after}' differ in mixtures or recognisers: run "
            "avsep evaluate with the same --manifest, --limit and --asr."
        )
    lines = [
        "| | before | after | difference (95 %) |",
        "|---|---|---|---|",
    ]
    means = [confidence95(g.values())[0] for g in gains]
    change, half = confidence95(gains[1][n] - gains[0][n] for n in gains[0])
    lines.append(
        f"| SI-SNRi [dB] | {means[0]:.2f} | {means[1]:.2f} | "
        f"{change:+.2f} ({change - half:+.2f} to {change + half:+.2f}) |"
    )
    for judge in errors[0]:
        old, new = errors[0][judge], errors[1][judge]
        for sound in ("separated", "clean", "mixture"):
            if sound in old and sound in new:
                row = _words(old[sound], new[sound])
                lines.append(f"| WER, {sound}, by {judge} [%] | {row} |")
    return lines


def _words(old, new):
    """Cells of one kind of sound."""
    if {n: w for n, (_, w) in old.items()} != {
        n: w for n, (_, w) in new.items()
    }:
        raise DataError(
            "The texts of the two tests differ: run avsep evaluate again."
        )
    words = [w for _, w in old.values()]
    cells = []
    for errors in (old, new):
        rate, low, high = rate95([e for e, _ in errors.values()], words)
        cells.append(f"{100 * rate:.1f} ({100 * low:.1f} to {100 * high:.1f})")
    moved = [new[name][0] - e for name, (e, _) in old.items()]
    rate, low, high = (100 * x for x in ratio95(moved, words))
    cells.append(f"{rate:+.1f} ({low:+.1f} to {high:+.1f})")
    return " | ".join(cells)


def main(argv):
    """Writes the table and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("before", help="of avsep evaluate, with --asr")
    parser.add_argument("after", help="the same test of the other model")
    parser.add_argument("--out", required=True, help="folder of the report")
    args = parser.parse_args(argv)
    lines = compare(args.before, args.after)
    (path,) = new_files(args.out, ["joint_report.md"])
    text = "\n".join([*lines, *footer(__file__, argv)]) + "\n"
    path.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
