"""Tells how well the offset between lips and sound is found.

    python benchmarks/sync_report.py pretrained/syncnet-synthav \
        --data DIR --manifest DIR/test.csv --out DIR

The model is a SyncNet, or a separator that finds offsets by itself.

Mixtures of two speakers are made by joining utterances
(``long_mixtures.py``). The lips of the first one are shifted by a drawn
number of frames, and :func:`avsep_sb.inference.sync.estimate_offset` looks for
it in windows of 5 s. Right is what is at most one frame (40 ms) off.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from long_mixtures import LongMixtures
from report import footer, new_files
from scoring import load_models
from tqdm import tqdm

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.inference.lip_sync import LipSync
from avsep_sb.inference.sync import estimate_offset
from avsep_sb.results import ResultsTable

WINDOW_S = 5.0


def late_by(frames, late):
    """Frames [Tv, ...] that come late; the ends stand still."""
    place = np.arange(len(frames)) - late
    return frames[np.clip(place, 0, len(frames) - 1)]


def windows_of(mix, lips, frame, count):
    """Consecutive windows of the sound [T] and the lips [Tv, H, W]."""
    return [
        (mix[first * frame : (first + count) * frame], lips[first:][:count])
        for first in range(0, len(lips) - count + 1, count)
    ]


def summary(errors, trusted):
    """One row: how many there are, how many are right, how far they are.

    Arguments
    ---------
    errors : np.ndarray
        Absolute errors in ms, [N].
    trusted : np.ndarray
        bool [N], which of them are meant.

    Returns
    -------
    str
        Cells of a Markdown row.
    """
    errors = errors[trusted]
    if not len(errors):
        return "0 | | | "
    right = 100 * float((errors <= 40).mean())
    return (
        f"{len(errors)} | {right:.0f} % | {np.median(errors):.0f} | "
        f"{errors.max():.0f}"
    )


def load_finder(folder):
    """The SyncNet or separator in a folder; refused if it sees no lips."""
    yaml = Path(folder, "hyperparams.yaml")
    if yaml.is_file() and "\nsync_net:" in yaml.read_text(encoding="utf-8"):
        return LipSync.from_hparams(folder)
    model = next(iter(load_models([folder]).values()))
    if not model.sees:
        raise ConfigError("Give an audio-visual model: others see no lips.")
    return model


def main(argv):
    """Estimates, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="pretrained folder")
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--mixtures", type=int, default=20)
    parser.add_argument("--most-frames", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    if min(args.mixtures, args.threads, args.windows) <= 0:
        raise ConfigError("mixtures, windows and threads must be above 0.")
    torch.set_num_threads(args.threads)
    model = load_finder(args.model)
    report, csv = new_files(args.out, ["sync_report.md", "sync_report.csv"])
    rate, fps = int(model.hparams.sample_rate), int(model.hparams.video_fps)
    frame, count = rate // fps, round(WINDOW_S * fps)
    rows = check_manifest(args.manifest, args.data, num_spks=2)
    mixtures = LongMixtures(
        rows, args.windows * count * frame, rate, fps, seed=args.seed
    )
    rng = np.random.default_rng(args.seed)
    table = ResultsTable(csv)
    errors, trusted = [], []
    for number in tqdm(range(args.mixtures), desc="mixtures"):
        mix, _, lips = mixtures.draw(number)
        late = int(rng.integers(-args.most_frames, args.most_frames + 1))
        shifted = late_by(lips[0, 0].numpy(), late)
        found = estimate_offset(
            model, windows_of(mix[0].numpy(), shifted, frame, count)
        )
        true = late * 1000 / fps
        figures = {"true": true, "ms": found.ms, "confidence": found.confidence}
        table.add(f"mix{number:04d}", figures)
        errors.append(abs(found.ms - true))
        trusted.append(found.trusted)
    table.finish()
    errors, trusted = np.array(errors), np.array(trusted)
    lines = [
        f"{args.mixtures} mixtures of two speakers from "
        f"{Path(args.manifest).name}, {args.windows * WINDOW_S:g} s each; "
        f"offsets up to {args.most_frames} frames either way.",
        "",
        "| estimates | number | within 40 ms | median error (ms) | worst |",
        "|---|---|---|---|---|",
        f"| trusted (confidence {found.least:g} or more) | "
        f"{summary(errors, trusted)} |",
        f"| the others | {summary(errors, ~trusted)} |",
        *footer(__file__, argv),
    ]
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
