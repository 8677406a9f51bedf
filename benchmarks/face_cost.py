"""Measures what further faces cost: passes with one and with more in turns.

    python benchmarks/face_cost.py hparams/iianet.yaml --threads 2

``speed.py`` times each number of faces by itself, minutes apart; on a machine
whose speed drifts, times taken in turns (``rounds.py``) say more of their
ratio. "pipeline" has the visual front end in each pass, "compiled" a cycle of
the layers by ``torch.compile``.

Authors
 * avsep_sb contributors
"""

import argparse
import sys

import speed_models
import torch
from rounds import interleaved, spread

from avsep_sb.errors import ConfigError, run_or_explain

FORMS = (*speed_models.FORMS, "compiled")


def main(argv):
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="a YAML, and overrides in one string")
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--forms", nargs="+", choices=FORMS, default=["ours", "pipeline"]
    )
    args = parser.parse_args(argv)
    if min(args.seconds, args.threads, args.rounds, *args.faces) <= 0:
        raise ConfigError("faces, seconds, threads and rounds must be above 0.")
    torch.set_num_threads(args.threads)
    faces = sorted({1, *args.faces})
    print(f"| form | faces | seconds | time, {faces[0]} face = 1 |")
    print("|---|---|---|---|")
    notes = []
    for form in args.forms:
        passes = {
            count: speed_models.Runner(args.model, form, args.seconds, count)
            for count in faces
        }
        rounds = interleaved(passes, args.rounds)
        notes.append(f"{form}: {rounds.note()}")
        for count in faces:
            seconds = spread(rounds.seconds(count))
            ratio = spread(rounds.ratios(count, faces[0]))
            print(f"| {form} | {count} | {seconds} | {ratio} |")
    print("\n" + "\n".join(notes))
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
