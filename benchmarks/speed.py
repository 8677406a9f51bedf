"""Measures how fast separators run: ours, their plain forms, SpeechBrain's.

    python benchmarks/speed.py --out OUT
    python benchmarks/speed.py --out OUT --models hparams/iianet.yaml \
        --seconds 2 --faces 1 --threads 2 --rounds 7
    python benchmarks/speed.py --out OUT --seconds 60 --forms ours --rounds 0

IIANet, IIANet-fast, BIN and AVLiT beside the same weights in the plain form of
``benchmarks/plain``, and beside SepFormer, Conv-TasNet and RE-SepFormer in the
sizes of SpeechBrain's WSJ0Mix recipes. Those were made for 8 kHz; here all run
on 16,000 samples a second, which doubles what they take at their own rate.

Each case's forms take turns, each in a process of its own. Rows go to
``OUT/speed.csv`` as they come, and cases that are there are not measured
again, so a long table can be made in parts; ``--redo`` measures them anew. The
report, ``speed.md``, and two figures are written from all rows at the end.

Authors
 * avsep_sb contributors
"""

import argparse
import itertools
import sys
from pathlib import Path

import torch
from speed_cases import add_rows, measure, read_rows
from speed_models import FORMS, SPEECHBRAIN
from speed_report import write_report

from avsep_sb.errors import ConfigError, run_or_explain

OURS = [
    "hparams/iianet.yaml",
    "hparams/iianet_fast.yaml",
    "hparams/bin.yaml --num_iterations 12",
    "hparams/avlit.yaml",
]
BUILT_FOR = 2


def cases_of(args):
    """The cases that the options name, in order.

    Arguments
    ---------
    args : argparse.Namespace
        Those of the command.

    Returns
    -------
    list of tuple
        Model, seconds, faces, threads.
    """
    cases = itertools.product(
        args.models, args.seconds, args.faces, args.threads
    )
    # Without faces there is nothing to do for fewer or more.
    return [
        case
        for case in cases
        if case[0] not in SPEECHBRAIN or case[2] == BUILT_FOR
    ]


def main(argv):
    """Measures what is missing, and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument(
        "--models",
        nargs="+",
        default=[*OURS, *SPEECHBRAIN],
        help="YAML, 'YAML --option', or " + ", ".join(SPEECHBRAIN),
    )
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument(
        "--seconds", nargs="+", type=float, default=[1.0, 2.0, 8.0]
    )
    parser.add_argument("--faces", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--rounds", type=int, default=4, help="0 for one pass of each"
    )
    parser.add_argument(
        "--redo", action="store_true", help="measure what is there again"
    )
    args = parser.parse_args(argv)
    if min(*args.seconds, *args.faces, *args.threads) <= 0 or args.rounds < 0:
        raise ConfigError(
            "seconds, faces and threads must be above 0, rounds at least 0."
        )
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    table = out / "speed.csv"
    there = {(*row.case, row.form) for row in read_rows(table)}
    for case in cases_of(args):
        missing = [
            form
            for form in args.forms
            if args.redo or (*case, form) not in there
        ]
        if case[0] in SPEECHBRAIN:
            missing = [form for form in missing if form == "ours"]
        if missing:
            print(*case, *missing, flush=True)
            forms = missing
            if missing == ["pipeline"]:
                # Beside something that its time can be held against.
                forms = ["ours", "pipeline"]
            model, *size = case
            rows = measure(model, forms, *size, args.rounds)
            add_rows(table, [row for row in rows if row.form in missing])
    rows = read_rows(table)
    if not rows:
        raise ConfigError("No case is left to measure: name other options.")
    torch.set_num_threads(max(args.threads))
    print(write_report(rows, out, argv))
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
