"""Tells what voices are worth when faces are not what they should be.

    python benchmarks/ladder_report.py pretrained/iianet-synthav \
        --audio pretrained/iianet-synthav-audio --data DIR \
        --manifests DIR/test.csv DIR/test_same.csv --out DIR --limit 30

Each mixture is separated over time (:mod:`avsep_sb.inference.over_time`) with
its faces changed by each condition of ``ladder_conditions.py``, and scored
beside the audio-only model on the same mixture, which gets the better of its
two orders. Where nothing that is left of the faces tells whose voice is whose,
the voices over time get it too, and the table says so. The aim is at most
0.5 dB below the audio-only model, and no exception.

Of a manifest with two speakers in a row, utterances are joined to mixtures of
``--seconds`` (``long_mixtures.py``); of one with the same speaker twice, rows
are taken as they are.

Authors
 * avsep_sb contributors
"""

import argparse
import logging
import sys
import traceback
from pathlib import Path

import numpy as np
import torch
from ladder_conditions import all_conditions
from ladder_inputs import Remembering, mixtures_of
from report import footer, new_files
from scoring import improvement, load_models
from tqdm import tqdm

from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.shipped import SYNC_MODEL
from avsep_sb.inference.video_sync import (
    find_offsets,
    offset_finder,
    settle_offsets,
)
from avsep_sb.losses import pit
from avsep_sb.results import ResultsTable, confidence95

AIM_DB = -0.5
AUDIO = "audio-only"


def synchronised(finder, mix, faces):
    """The faces, with the offsets that are trusted taken out."""
    estimates = find_offsets(finder, faces, [mix])
    names = [f"face{k + 1}" for k in range(len(estimates))]
    logging.disable(logging.WARNING)  # of every pair of lips out of step
    try:
        return settle_offsets(faces, names, estimates)[0]
    finally:
        logging.disable(logging.NOTSET)


@torch.no_grad()
def separate(models, mix, faces, condition, options):
    """Voices [1, T, S] of a mixture [1, T] with faces as they are."""
    model, audio_model, finder = models
    sound = mix[0].numpy()
    if condition.sync:
        faces = synchronised(finder, sound, faces)
    over_time = OverTime(model, faces, audio_model, **options)
    blocks = [block.voices for block in over_time.separate(sound)]
    return torch.from_numpy(np.concatenate(blocks)[: len(sound)])[None]


class Scores:
    """SI-SNRi of every condition and of the audio-only model, row by row."""

    def __init__(self, names):
        self.names = names
        self.values = {name: [] for name in (AUDIO, *names)}
        self.errors = dict.fromkeys(names, 0)

    def add(self, row):
        """Keeps the scores of a mixture; NaN where there was an exception."""
        for name, values in self.values.items():
            values.append(row[name])

    def lines(self, unordered):
        """The table in Markdown."""
        mean, half = confidence95(self.values[AUDIO])
        lines = [
            "| faces | SI-SNRi (dB) | less audio-only (dB) | exceptions | "
            f"aim: >= {AIM_DB:g} dB |",
            "|---|---|---|---|---|",
            f"| {AUDIO}, best order | {mean:.2f} ± {half:.2f} | | | |",
        ]
        for name in self.names:
            mean, half = confidence95(self.values[name])
            apart = np.subtract(self.values[name], self.values[AUDIO])
            less, width = confidence95(apart)
            right = less >= AIM_DB and not self.errors[name]
            mark = ", best order" if name in unordered else ""
            lines.append(
                f"| {name}{mark} | {mean:.2f} ± {half:.2f} | "
                f"{less:+.2f} ± {width:.2f} | {self.errors[name]} | "
                f"{'holds' if right else 'falls short'} |"
            )
        return lines


def measure(models, draw, count, conditions, table, seed, options):
    """Scores of the mixtures of a manifest under all conditions."""
    model, audio_model, _ = models
    scores = Scores([condition.name for condition in conditions])
    for number in tqdm(range(count), desc=table.path.stem):
        mix, sources, lips = draw(number)
        frame = int(model.hparams.sample_rate) // int(model.hparams.video_fps)
        mouths = lips[0, :, : -(-mix.shape[1] // frame)].numpy()
        sound = audio_model.separate_batch(mix)
        best = pit(sound, sources)[1]
        row = {AUDIO: float(improvement(best, mix, sources).mean())}
        for condition in conditions:
            # One draw for all conditions of a mixture.
            rng = np.random.default_rng([seed, number])
            faces = condition.change(mouths.copy(), rng)
            try:
                voices = separate(models, mix, faces, condition, options)
            except Exception:  # to be counted, whatever it is
                traceback.print_exc()
                scores.errors[condition.name] += 1
                row[condition.name] = float("nan")
                continue
            if not condition.ordered:
                voices = pit(voices, sources)[1]
            gain = improvement(voices, mix, sources)
            row[condition.name] = float(gain.mean())
        scores.add(row)
        table.add(f"mix{number:04d}", row)
    table.finish()
    return scores


def main(argv):
    """Separates, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="pretrained folder that sees faces")
    parser.add_argument("--audio", required=True, help="audio-only folder")
    parser.add_argument(
        "--sync", default=SYNC_MODEL, help="SyncNet, by folder or name"
    )
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifests", required=True, nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--limit", type=int, default=30, help="mixtures each")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--conditions", nargs="+", help="only these; all by default"
    )
    parser.add_argument(
        "--lips-only", action="store_true", help="without a second opinion"
    )
    parser.add_argument(
        "--doubt-seen", action="store_true", help="as of FaceLadder"
    )
    args = parser.parse_args(argv)
    if min(args.limit, args.threads) <= 0 or args.seconds <= 0:
        raise ConfigError("limit, threads and seconds must be above 0.")
    torch.set_num_threads(args.threads)
    model, audio_model = load_models([args.model, args.audio]).values()
    if not model.sees or audio_model.sees:
        raise ConfigError("Give a model that sees faces, and --audio one.")
    finder = offset_finder(model, args.sync)
    models = (model, Remembering(audio_model), finder)
    conditions = all_conditions(int(model.hparams.video_fps))
    known = [condition.name for condition in conditions]
    wanted = args.conditions or known
    if not set(wanted) <= set(known):
        raise ConfigError(f"Conditions are {', '.join(known)}.")
    conditions = [c for c in conditions if c.name in wanted]
    unordered = {c.name for c in conditions if not c.ordered}
    stems = [Path(manifest).stem for manifest in args.manifests]
    report, *csvs = new_files(
        args.out, ["ladder_report.md", *(f"ladder_{s}.csv" for s in stems)]
    )
    options = {
        "second_opinion": not args.lips_only,
        "doubt_seen": args.doubt_seen,
        # As the audio-only model is told by its number of outputs.
        "all_in_view": True,
    }
    lines = []
    for manifest, csv in zip(args.manifests, csvs, strict=True):
        draw, most = mixtures_of(
            manifest, args.data, model, args.seconds, args.seed
        )
        count = min(args.limit, most or args.limit)
        scores = measure(
            models,
            draw,
            count,
            conditions,
            ResultsTable(csv),
            args.seed,
            options,
        )
        lines += ["", f"**{Path(manifest).name}**, {count} mixtures", ""]
        lines += scores.lines(unordered)
    lines += footer(__file__, argv)
    report.write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines[1:]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
