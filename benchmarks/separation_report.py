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
import platform
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from avsep_sb.dataio.items import ItemReader
from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import run_or_explain
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.losses import pit, si_snr
from avsep_sb.results import confidence95

COLUMNS = "ID av_si_snri audio_si_snri gap swap_right".split()


def follows(estimate, target):
    """Whether every voice of [1, T, 2] is nearest to its own target."""
    own = si_snr(estimate, target)
    other = si_snr(estimate, target.flip(-1))
    return bool((own > other).all())


@torch.no_grad()
def score(av, audio, mix, sources, lips):
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
    base = si_snr(mix.unsqueeze(-1).expand_as(sources), sources)
    seen = av.separate_batch(mix, lips)
    swapped = av.separate_batch(mix, lips.flip(1))
    row = {
        "av_si_snri": float((si_snr(seen, sources) - base).mean()),
        "swap_right": int(
            follows(seen, sources) and follows(swapped, sources.flip(-1))
        ),
        "audio_si_snri": float("nan"),
    }
    if audio is not None:
        _, heard = pit(audio.separate_batch(mix, None), sources)
        row["audio_si_snri"] = float((si_snr(heard, sources) - base).mean())
    row["gap"] = row["av_si_snri"] - row["audio_si_snri"]
    return row


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
    reader = ItemReader(
        length=None,
        num_spks=2,
        sample_rate=av.hparams.sample_rate,
        video_fps=av.hparams.video_fps,
        samples_per_frame=av.hparams.sample_rate // av.hparams.video_fps,
        use_lips=True,
        crop_size=None,
    )
    lines = [
        "| manifest | mixtures | SI-SNRi AV | SI-SNRi audio-only | gap "
        "| voices follow faces |",
        "|---|---|---|---|---|---|",
    ]
    for path in map(Path, args.manifests):
        rows = []
        listed = check_manifest(path, args.data)[: args.limit]
        for item in tqdm(listed, desc=path.stem):
            mix, sources, lips = (
                torch.from_numpy(np.ascontiguousarray(a))
                for a in reader(item["ID"], item)[:3]
            )
            lips = lips.transpose(0, 1)[None]
            rows.append(
                {
                    "ID": item["ID"],
                    **score(av, audio, mix[None], sources[None], lips),
                }
            )
        with open(out / f"{path.stem}.csv", "w", newline="") as fout:
            writer = csv.DictWriter(fout, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        cells = []
        for key in COLUMNS[1:4]:
            mean, half = confidence95([row[key] for row in rows])
            cells.append(f"{mean:.2f} ± {half:.2f} dB")
        right = [row["swap_right"] for row in rows]
        mean, half = confidence95(right)
        lines.append(
            f"| {path.stem} | {len(rows)} | {' | '.join(cells)} "
            f"| {100 * mean:.1f} ± {100 * half:.1f} % |"
        )
    lines += [
        "",
        f"Machine: {platform.processor() or platform.machine()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads.",
        f"Command: python benchmarks/separation_report.py {' '.join(argv)}",
    ]
    (out / "report.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
