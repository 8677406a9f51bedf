"""Tells whether a separator works as well on short inputs as on long ones.

    python benchmarks/length_sweep.py pretrained/bin-synthav RUN/pretrained \
        --data DIR --manifest DIR/test.csv --out DIR

All lengths hear the same speech. Mixtures of the longest length are made by
joining utterances (``long_mixtures.py``), and each shorter length gets them
in pieces: with 1, 2, 4 and 8 s, an 8 s mixture is separated once as a whole
and also as 8 inputs of 1 s, each without the others. Two scores are given.

*Same windows*, the fair one: whatever the inputs were, the outputs are put
back in a row and scored in the same windows, as long as the shortest input,
with SI-SNR in each. So all lengths are held against the same samples, and
SI-SNR's free gain is free in every window for all of them. Joined and scored
over 8 s at once, short inputs would be blamed for a scale that changes from
one to the next, which SI-SNR does not ask any of them to keep.

*Whole inputs*, the plain one: SI-SNR over each input, as tests usually have
it. Here the lengths also differ in what is averaged: SI-SNR over 8 s is
ruled by the loud parts.

Where a voice of a window (or input) is silent its SI-SNR says nothing, and
the window is left out, for all lengths alike. A mixture's score is the mean
over its windows and voices; differences to the longest are taken mixture by
mixture, with their 95 % interval. Audio-only models get the better of their
orders (PIT) in each input.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path

import torch
from long_mixtures import LongMixtures
from report import footer, new_files
from scoring import improvement, load_models, separate
from tqdm import tqdm

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.dataio.scaling import active_rms
from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.results import ResultsTable, confidence95

# A voice is silent in a window this far below its level while it speaks.
SILENT_DB = -20.0
SAME, WHOLE = "same windows", "whole inputs"


def pieces(signal, size):
    """Cut [1, T, ...] into consecutive pieces [T / size, size, ...]."""
    return signal.reshape(-1, size, *signal.shape[2:])


def audible_windows(sources, size):
    """Which windows hold every voice.

    Arguments
    ---------
    sources : torch.Tensor
        Voices, [1, T, S].
    size : int
        Samples per window.

    Returns
    -------
    torch.Tensor
        [T / size], True where all voices are less than 20 dB below their
        active level in the whole mixture.
    """
    level = torch.tensor([active_rms(w) for w in sources[0].T.numpy()])
    here = pieces(sources, size).square().mean(1).sqrt()
    return (here > level * 10 ** (SILENT_DB / 20)).all(1)


@torch.no_grad()
def sweep(model, mix, sources, lips, sizes):
    """Scores one mixture at all lengths of input.

    Arguments
    ---------
    model : AVSeparation
        The model.
    mix, sources, lips : torch.Tensor
        [1, T], [1, T, S] and [1, S, Tv, H, W].
    sizes : list of int
        Samples per input, ascending; the last is T.

    Returns
    -------
    dict
        (size, "same windows" or "whole inputs") to SI-SNRi in dB; NaN if
        no window holds every voice.
    """
    total, shortest = mix.shape[1], sizes[0]
    figures = {}
    for size in sizes:
        count = total // size
        frames = lips.shape[2] // count
        # [1, S, Tv, H, W] to one item per piece.
        mouths = lips.unflatten(2, (count, frames))[0].transpose(0, 1)
        estimate = separate(
            model, pieces(mix, size), pieces(sources, size), mouths
        )
        estimate = estimate.reshape(1, total, -1)
        for score, window in ((SAME, shortest), (WHOLE, size)):
            gain = improvement(
                pieces(estimate, window),
                pieces(mix, window),
                pieces(sources, window),
            )
            kept = gain[audible_windows(sources, window)]
            figures[size, score] = float(kept.mean())
    return figures


def sizes_of(lengths, sample_rate, video_fps):
    """Samples of each length, ascending.

    ``ConfigError`` if a length is not whole frames, or not a multiple of the
    shortest that divides the longest.
    """
    frame = sample_rate // video_fps
    sizes = sorted({round(length * sample_rate) for length in lengths})
    if (
        len(sizes) < 2
        or sizes[0] < frame
        or any(size % frame or size % sizes[0] for size in sizes)
        or any(sizes[-1] % size for size in sizes)
    ):
        raise ConfigError(
            f"The lengths {lengths} do not go into one another: give two or "
            f"more, in whole frames of {1 / video_fps:g} s, each a multiple "
            "of the shortest that divides the longest, such as 1 2 4 8."
        )
    return sizes


def table(figures, sizes, sample_rate, limit):
    """Markdown lines of one model.

    Arguments
    ---------
    figures : dict
        (size, score) to a list over the mixtures.
    sizes : list of int
        Samples per input, ascending.
    sample_rate : int
        Hz.
    limit : float
        Largest difference in dB between the shortest and the longest.

    Returns
    -------
    list of str
    """
    lines = [
        "| input (s) | SI-SNRi, same windows (dB) | to the longest (dB) "
        "| SI-SNRi, whole inputs (dB) | to the longest (dB) |",
        "|---|---|---|---|---|",
    ]
    for size in sizes:
        cells = [f"{size / sample_rate:g}"]
        for score in (SAME, WHOLE):
            values, longest = figures[size, score], figures[sizes[-1], score]
            pairs = zip(values, longest, strict=True)
            mean, half = confidence95(values)
            cells.append(f"{mean:.2f} ± {half:.2f}")
            mean, half = confidence95([a - b for a, b in pairs])
            cells.append(f"{mean:+.2f} ± {half:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    pairs = zip(figures[sizes[0], SAME], figures[sizes[-1], SAME], strict=True)
    mean, half = confidence95([a - b for a, b in pairs])
    low, high = mean - half, mean + half
    if max(abs(low), abs(high)) <= limit:
        verdict = f"within {limit:g} dB"
    elif low > limit or high < -limit:
        verdict = f"not within {limit:g} dB"
    else:
        which = "within" if abs(mean) <= limit else "not within"
        verdict = f"the mean is {which} {limit:g} dB, the interval undecided"
    lines += [
        "",
        f"Inputs of {sizes[0] / sample_rate:g} s beside "
        f"{sizes[-1] / sample_rate:g} s, same windows: {mean:+.2f} dB, 95 % "
        f"interval {low:+.2f} to {high:+.2f}: {verdict}.",
    ]
    return lines


def main(argv):
    """Scores, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", help="pretrained folders")
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument(
        "--lengths", nargs="+", type=float, default=[1.0, 2.0, 4.0, 8.0]
    )
    parser.add_argument("--mixtures", type=int, default=100)
    parser.add_argument("--gain-db", type=float, default=2.5)
    parser.add_argument("--limit-db", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    if min(args.mixtures, args.threads) <= 0:
        raise ConfigError("mixtures and threads must be above 0.")
    torch.set_num_threads(args.threads)
    models = load_models(args.models)
    names = [f"length_sweep_{name.replace('/', '_')}.csv" for name in models]
    report, *csvs = new_files(args.out, ["length_sweep.md", *names])
    hparams = next(iter(models.values())).hparams
    rate, fps = hparams.sample_rate, hparams.video_fps
    sizes = sizes_of(args.lengths, rate, fps)
    rows = check_manifest(args.manifest, args.data, num_spks=2)
    mixtures = LongMixtures(rows, sizes[-1], rate, fps, args.gain_db, args.seed)
    figures = {name: {} for name in models}
    results = [ResultsTable(path) for path in csvs]
    for number in tqdm(range(args.mixtures), desc="mixtures"):
        parts = mixtures.draw(number)
        for (name, model), rows in zip(models.items(), results, strict=True):
            found = sweep(model, *parts, sizes)
            for key, value in found.items():
                figures[name].setdefault(key, []).append(value)
            rows.add(
                f"mix{number:04d}",
                {
                    f"{size / rate:g} s, {score}": value
                    for (size, score), value in found.items()
                },
            )
    for rows in results:
        rows.finish()
    lines = [
        f"{args.mixtures} mixtures of {sizes[-1] / rate:g} s from "
        f"{Path(args.manifest).name}, two speakers each, utterances joined; "
        "the shorter inputs are their pieces. Same windows: outputs in a "
        f"row, SI-SNR in each {sizes[0] / rate:g} s, whatever the input was. "
        "Whole inputs: SI-SNR over each input. Means with 95 % intervals, "
        "differences mixture by mixture.",
    ]
    for name in models:
        lines += ["", f"**{name}**", ""]
        lines += table(figures[name], sizes, rate, args.limit_db)
    lines += footer(__file__, argv)
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
