"""Measures a training step of ours beside the plain forms.

    python benchmarks/training_cost.py --out OUT hparams/iianet.yaml \
        "hparams/iianet.yaml --checkpoint_cycles True" --seconds 1 --faces 1
    python benchmarks/training_cost.py --out OUT "hparams/bin.yaml \
        --num_iterations 12" --forms plain ours bf16 --threads 2

A step is that of the Brain (forward, the YAML's loss, backward, clipping, the
YAML's optimizer) on one mixture and the embeddings of its faces. Rows are each
model in each form, in processes of their own that take turns (``rounds.py``);
ratios are to the first row. The first step, in which "compiled"
(``--compile``) compiles, is not among them and has a column of its own. Memory
is what a process holds at most beyond the loaded model.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path

import torch
from report import footer, new_files
from rounds import interleaved, spread, timed
from speed_report import short
from speed_worker import STEP, Worker

from avsep_sb.errors import ConfigError, run_or_explain

FORMS = ("plain", "ours", "bf16", "compiled")


def measure(names, args):
    """Times and memory of each row.

    Arguments
    ---------
    names : list of tuple
        Model and form of each row.
    args : argparse.Namespace
        Those of the command.

    Returns
    -------
    (Rounds, dict, dict)
        The times, and MB and seconds of the first step of each row.
    """
    size = (args.seconds, args.faces, args.threads)
    workers = {}
    try:
        for model, form in names:
            workers[model, form] = Worker(model, STEP + form, *size)
        for worker in workers.values():
            worker.ready()
        first = {
            name: timed(lambda worker=worker: worker.ask("run"))[0]
            for name, worker in workers.items()
        }
        rounds = interleaved(
            {
                name: lambda worker=worker: worker.ask("run")
                for name, worker in workers.items()
            },
            args.rounds,
        )
        memory = {
            name: worker.ask("megabytes") for name, worker in workers.items()
        }
    finally:
        for worker in workers.values():
            worker.stop()
    return rounds, memory, first


def table(names, rounds, memory, first):
    """Markdown lines of all rows.

    Arguments
    ---------
    names : list of tuple
        Model and form of each row; ratios are to the first.
    rounds : Rounds
        Times by name.
    memory, first : dict
        MB, and seconds of the first step, by name.

    Returns
    -------
    list of str
    """
    lines = [
        "| model | form | step (s) | steps of it in one of the first row "
        "| peak memory (MB) | first step (s) |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        model, form = name
        lines.append(
            f"| {short(model)} | {form} | {spread(rounds.seconds(name))} "
            f"| {spread(rounds.ratios(names[0], name))} "
            f"| {memory[name]:.0f} | {first[name]:.3g} |"
        )
    return lines


def main(argv):
    """Measures, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", help="YAML, or 'YAML --option'")
    parser.add_argument("--out", required=True)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS[:3])
    parser.add_argument(
        "--later-forms",
        nargs="+",
        choices=FORMS,
        default=["ours"],
        help="forms of all models but the first",
    )
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args(argv)
    if min(args.seconds, args.faces, args.rounds, args.threads) <= 0:
        raise ConfigError("seconds, faces, rounds and threads must be above 0.")
    [report] = new_files(Path(args.out), ["training_cost.md"])
    torch.set_num_threads(args.threads)
    first, *others = args.models
    names = [(first, form) for form in args.forms]
    names += [(other, form) for other in others for form in args.later_forms]
    measured = measure(names, args)
    rounds = measured[0]
    lines = [
        f"A step on one mixture of {args.seconds:g} s with {args.faces} "
        f"face(s), on the CPU. {rounds.note()}",
        "",
        *table(names, *measured),
        *footer(__file__, argv),
    ]
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
