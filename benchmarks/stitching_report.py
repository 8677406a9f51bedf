"""Tells what separation window by window costs beside one pass.

    python benchmarks/stitching_report.py pretrained/iianet-synthav \
        --data DIR --manifest DIR/test.csv --out DIR

Mixtures of some seconds are made by joining utterances
(``long_mixtures.py``), separated in one pass and over time
(:mod:`avsep_sb.inference.over_time`), and scored against the true voices.
Four figures are given per mixture.

*Difference*: SI-SNR over time less SI-SNR in one pass, mean over the voices.

*To one pass*: SI-SNR of one result with respect to the other.

*Zeroed samples*: where a voice of the result is exactly 0, while that of one
pass is not.

*Boundary jump*: at each end of each window, how much the level of a voice
steps from the 20 ms before to the 20 ms after it, less the same step in one
pass, in dB. A voice whose level is more than 40 dB below its own loudest
20 ms on either side is left out there. The mean of all steps is what the
joints do; their size (mean of absolute values) is also what different context
does, so it is shown beside that of places in the middle of what only one
window holds, where there is no joint.

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
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.losses import si_snr
from avsep_sb.results import ResultsTable, confidence95

STEP_S = 0.02
QUIET_DB = -40.0


def level_steps(signal, places, size):
    """Steps of the level at places.

    Arguments
    ---------
    signal : np.ndarray
        Voice, [T].
    places : list of int
        Samples.
    size : int
        Samples before and after each that are compared.

    Returns
    -------
    np.ndarray
        Steps in dB, NaN where the voice is quiet on a side, or ends.
    """
    power = np.cumsum(np.r_[0.0, np.square(signal, dtype=np.float64)])
    loudest = np.max(power[size:] - power[:-size], initial=0.0)
    steps = np.full(len(places), np.nan)
    for number, place in enumerate(places):
        if not size <= place <= len(signal) - size:
            continue
        before = power[place] - power[place - size]
        after = power[place + size] - power[place]
        if min(before, after) > loudest * 10 ** (QUIET_DB / 10):
            steps[number] = 10 * np.log10(after / before)
    return steps


def joints(notes, total):
    """Where windows begin or end, and places far from any of that.

    Arguments
    ---------
    notes : list of WindowNote
        The windows.
    total : int
        Samples of the whole.

    Returns
    -------
    (list of int, list of int)
        Joints, and the middle between each and the next.
    """
    ends = {note.first for note in notes}
    ends |= {note.first + note.count for note in notes}
    ends = sorted(ends | {0, total})
    middles = [(a + b) // 2 for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return ends[1:-1], middles


@torch.no_grad()
def compare(model, mix, sources, lips, window, overlap):
    """Figures of one mixture.

    Arguments
    ---------
    model : AVSeparation
        The model.
    mix, sources, lips : torch.Tensor
        [1, T], [1, T, S] and [1, S, Tv, H, W].
    window : float
        Seconds.
    overlap : float
        Part of it.

    Returns
    -------
    (dict, np.ndarray, np.ndarray)
        Figures by name; steps less those of one pass in dB, at the joints
        and elsewhere.
    """
    whole = model.separate_batch(mix, lips)
    over_time = OverTime(
        model,
        ArrayFaces(lips[0].numpy(), fps=model.hparams.video_fps),
        window_seconds=window,
        overlap=overlap,
    )
    blocks = [b.voices for b in over_time.separate(mix[0].numpy())]
    voices = np.concatenate(blocks)
    stitched = torch.from_numpy(voices)[None]
    one = whole[0].numpy()
    scores = [float(si_snr(x, sources).mean()) for x in (whole, stitched)]
    size = round(STEP_S * model.hparams.sample_rate)
    steps = [
        np.concatenate(
            [
                level_steps(a, places, size) - level_steps(b, places, size)
                for a, b in zip(voices.T, one.T, strict=True)
            ]
        )
        for places in joints(over_time.notes, len(voices))
    ]
    figures = {
        "one pass": scores[0],
        "over time": scores[1],
        "difference": scores[1] - scores[0],
        "to one pass": float(si_snr(stitched, whole).mean()),
        "zeroed": int(((voices == 0) & (one != 0)).sum()),
        "windows": len(over_time.notes),
    }
    return figures, *(s[~np.isnan(s)] for s in steps)


def lines_of(rows, steps, others):
    """Markdown of one model from its figures and level steps."""
    lines = ["| figure | mean, 95 % | worst | aim |", "|---|---|---|---|"]
    for name, unit, worst, aim in (
        ("one pass", "dB SI-SNR", min, ""),
        ("over time", "dB SI-SNR", min, ""),
        ("difference", "dB", min, ">= -0.3"),
        ("to one pass", "dB SI-SNR", min, ""),
        ("zeroed", "samples", max, "0"),
    ):
        values = [row[name] for row in rows]
        mean, half = confidence95(values)
        lines.append(
            f"| {name} ({unit}) | {mean:.2f} ± {half:.2f} | "
            f"{worst(values):.2f} | {aim} |"
        )
    for name, found, aim in (
        ("boundary jump (dB)", steps, "mean within ±0.5"),
        ("the same, away from joints (dB)", others, ""),
    ):
        if len(found) == 0:
            lines.append(f"| {name} | no voice there | | {aim} |")
            continue
        mean, half = confidence95(found.tolist())
        size = np.abs(found)
        lines.append(
            f"| {name} | {mean:+.2f} ± {half:.2f}, size {size.mean():.2f} of "
            f"{len(found)} | {size.max():.2f} | {aim} |"
        )
    return lines


def main(argv):
    """Separates, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", help="pretrained folders")
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--window", type=float, default=4.0)
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--mixtures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    if min(args.mixtures, args.threads) <= 0:
        raise ConfigError("mixtures and threads must be above 0.")
    if args.seconds <= args.window:
        raise ConfigError("Give more --seconds than a --window has.")
    torch.set_num_threads(args.threads)
    models = load_models(args.models)
    if not all(model.sees for model in models.values()):
        raise ConfigError("Give audio-visual models: only they are stitched.")
    names = [f"stitching_{name.replace('/', '_')}.csv" for name in models]
    report, *csvs = new_files(args.out, ["stitching_report.md", *names])
    hparams = next(iter(models.values())).hparams
    rate, fps = hparams.sample_rate, hparams.video_fps
    total = round(args.seconds * fps) * (rate // fps)
    rows = check_manifest(args.manifest, args.data, num_spks=2)
    mixtures = LongMixtures(rows, total, rate, fps, seed=args.seed)
    lines = [
        f"{args.mixtures} mixtures of {args.seconds:g} s from "
        f"{Path(args.manifest).name}, two speakers each, utterances joined; "
        f"windows of {args.window:g} s, overlap {args.overlap:g}.",
    ]
    found = {name: ([], [], []) for name in models}
    tables = [ResultsTable(path) for path in csvs]
    for number in tqdm(range(args.mixtures), desc="mixtures"):
        parts = mixtures.draw(number)
        for (name, model), table in zip(models.items(), tables, strict=True):
            results = compare(model, *parts, args.window, args.overlap)
            table.add(f"mix{number:04d}", results[0])
            for column, value in zip(found[name], results, strict=True):
                column.append(value)
    for table in tables:
        table.finish()
    for name, (figures, steps, others) in found.items():
        lines += ["", f"**{name}**", ""]
        lines += lines_of(figures, *map(np.concatenate, (steps, others)))
    lines += footer(__file__, argv)
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
