"""Word error rates of clean voices, mixtures and separated voices.

    python benchmarks/wer_report.py --av pretrained/iianet-synthav \
        --audio pretrained/iianet-synthav-audio --out OUT \
        --test asr-synthav DIR DIR/test.csv --texts DIR/utterances.csv \
        --test pocketsphinx-grid GRID GRID/real.csv

Each ``--test`` names a recogniser (or several, with commas between), a corpus
and a manifest with ``s1_text``, ``s2_text`` ...; ``--texts`` tells for those
without. The rates of all groups (input SNR, speakers) go to
``<out>/<manifest>_wer.csv``, what was understood to
``<out>/<manifest>_transcripts.csv``, and the table to ``<out>/report.md``.

Authors
 * avsep_sb contributors
"""

import argparse
import csv
import sys
from pathlib import Path

from report import footer, new_files
from tqdm import tqdm

from avsep_sb.errors import run_or_explain
from avsep_sb.evaluation.evaluate import MixtureSet, check_twin, read_rows
from avsep_sb.evaluation.judges import (
    SOUNDS,
    load_judges,
    read_texts,
    with_texts,
)
from avsep_sb.evaluation.scoring import score_job
from avsep_sb.evaluation.words import (
    ALL,
    SNR,
    groups,
    word_lines,
    word_rows,
)
from avsep_sb.inference.separation import AVSeparation

GROUPS = (ALL, SNR)


def lines_of(title, words):
    """Rows of the table for one test.

    Arguments
    ---------
    title : str
        Of the manifest.
    words : list of dict
        Of :func:`avsep_sb.evaluation.words.word_rows`.

    Returns
    -------
    list of str
    """
    rates, lines = groups(words), []
    times = {line.label: line for line in word_lines(words)}
    for judge in dict.fromkeys(row["judge"] for row in words):
        own = [r for r in rates if r["judge"] == judge and r["group"] in GROUPS]
        for name in dict.fromkeys(rate["name"] for rate in own):
            some = {r["sound"]: r for r in own if r["name"] == name}
            cells = [_cell(some.get(sound)) for sound in SOUNDS]
            ratio = times.get(f"WER, times that of clean ({judge})")
            shown = "" if name != ALL else "–"
            if name == ALL and ratio is not None:
                shown = (
                    f"{ratio.mean:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
                )
            counts = next(iter(some.values()))
            lines.append(
                f"| {title} | {judge} | {name} | {counts['voices']} "
                f"| {counts['words']} | {' | '.join(cells)} | {shown} |"
            )
    return lines


def _cell(rate):
    if rate is None:
        return "–"
    low, high = 100 * rate["low95"], 100 * rate["high95"]
    return f"{100 * rate['wer']:.1f} % ({low:.1f} to {high:.1f})"


def main(argv):
    """Writes the report that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--av", required=True, help="pretrained folder")
    parser.add_argument("--audio", help="pretrained folder of the twin")
    parser.add_argument(
        "--test",
        nargs=3,
        action="append",
        required=True,
        metavar=("ASR", "DATA", "MANIFEST"),
    )
    parser.add_argument("--texts", help="CSV with the columns ID and text")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    stems = [Path(manifest).stem for *_, manifest in args.test]
    *paths, page = new_files(
        args.out,
        [f"{s}_{kind}.csv" for s in stems for kind in ("wer", "transcripts")]
        + ["report.md"],
    )
    av = AVSeparation.from_hparams(args.av)
    audio = None
    if args.audio:
        audio = AVSeparation.from_hparams(args.audio)
        check_twin(av, audio)
    texts = read_texts(args.texts) if args.texts else {}
    counts = []
    lines = [
        "| manifest | recogniser | group | voices | words | clean | mixture "
        "| separated | audio-only twin | separated / clean |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for number, (judges, data, manifest) in enumerate(args.test):
        rows = read_rows(manifest, data, av.sees, args.limit)
        tests = MixtureSet(
            av,
            with_texts(rows, texts, manifest),
            audio,
            swap=False,
            judges=load_judges(judges.split(",")),
        )
        scores = {
            row["ID"]: score_job(tests.job(row))
            for row in tqdm(tests.rows, desc=stems[number])
        }
        words = word_rows(tests.rows, scores)
        for path, table in zip(
            paths[2 * number :], (groups(words), words), strict=False
        ):
            with open(path, "w", newline="", encoding="utf-8") as out:
                writer = csv.DictWriter(out, list(table[0]))
                writer.writeheader()
                writer.writerows(table)
        lines += lines_of(stems[number], words)
        heard = {(row["ID"], row["voice"]) for row in words}
        files = {
            row[f"s{voice}_wav"]
            for row in tests.rows
            for voice in range(1, tests.num_spks + 1)
            if (row["ID"], voice) in heard
        }
        counts.append(f"{stems[number]}: {len(files)} utterances.")
    lines += [
        "",
        "Wrong words over all words of the voices that are heard whole; 95 % "
        "intervals by a bootstrap over mixtures, too narrow where mixtures "
        f"share few utterances. {' '.join(counts)}",
    ]
    lines += footer(__file__, argv)
    text = "\n".join(lines) + "\n"
    page.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
