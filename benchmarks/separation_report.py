"""Scores a pretrained separator and its audio-only twin on test manifests.

    python benchmarks/separation_report.py --av pretrained/iianet-synthav \
        --audio DIR --data DIR --manifests test.csv test_same.csv --out DIR

For each manifest: SI-SNRi of both models with 95 % intervals, the gap between
them utterance by utterance, and the visual swap: the same mixture is given
with its faces exchanged, and counts as right only if both voices follow the
faces, before and after. Utterance rows go to ``<out>/<manifest>.csv``, the
table to ``<out>/report.md``.

Authors
 * avsep_sb contributors
"""

import argparse
import csv
import sys
from pathlib import Path

from report import footer
from scoring import read_item, reader_for, score
from tqdm import tqdm

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import run_or_explain
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.results import confidence95

COLUMNS = "ID av_si_snri audio_si_snri gap swap_right".split()


def row_of(av, audio, mix, sources, lips):
    """Figures of one mixture.

    Arguments
    ---------
    av, audio : AVSeparation
        The model that sees, and its twin or None.
    mix, sources, lips : torch.Tensor
        [1, T], [1, T, 2] and [1, 2, Tv, H, W].

    Returns
    -------
    dict
        Keys of ``COLUMNS`` but for the ID, dB and 0/1.
    """
    gain, right = score(av, mix, sources, lips)
    heard = float("nan")
    if audio is not None:
        heard, _ = score(audio, mix, sources, None)
    return {
        "av_si_snri": gain,
        "audio_si_snri": heard,
        "gap": gain - heard,
        "swap_right": right,
    }


def line_of(name, rows):
    """Means of some mixtures, with 95 % intervals, as a line of a table."""
    cells = []
    for key in COLUMNS[1:4]:
        mean, half = confidence95([row[key] for row in rows])
        cells.append(f"{mean:.2f} ± {half:.2f} dB")
    mean, half = confidence95([row["swap_right"] for row in rows])
    cells.append(f"{100 * mean:.1f} ± {100 * half:.1f} %")
    return f"| {name} | {len(rows)} | {' | '.join(cells)} |"


def main(argv):
    """Writes the report that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--av", required=True, help="pretrained folder")
    parser.add_argument("--audio", help="pretrained folder of the twin")
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifests", nargs="+", required=True)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    av = AVSeparation.from_hparams(args.av)
    audio = AVSeparation.from_hparams(args.audio) if args.audio else None
    reader = reader_for(av)
    lines = [
        "| manifest | mixtures | SI-SNRi AV | SI-SNRi audio-only | gap "
        "| voices follow faces |",
        "|---|---|---|---|---|---|",
    ]
    everything = []
    for path in map(Path, args.manifests):
        rows = []
        listed = check_manifest(path, args.data)[: args.limit]
        for item in tqdm(listed, desc=path.stem):
            parts = read_item(reader, item)
            rows.append({"ID": item["ID"], **row_of(av, audio, *parts)})
        with open(out / f"{path.stem}.csv", "w", newline="") as fout:
            writer = csv.DictWriter(fout, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        lines.append(line_of(path.stem, rows))
        everything += rows
    if len(args.manifests) > 1:
        lines.append(line_of("all", everything))
    lines += footer(__file__, argv)
    (out / "report.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
