"""Measures what separators cost to train and to run, side by side.

    python benchmarks/model_costs.py --out DIR
    python benchmarks/model_costs.py --out DIR hparams/iianet.yaml \
        hparams/bin.yaml "hparams/bin.yaml --num_iterations 12"

For each YAML: a training step of the Brain (forward, the YAML's loss,
backward, clipping, the YAML's optimizer) and inference, of the separator on
one mixture and the embeddings of its faces. Visual front ends are rows of
their own: a frozen one costs the same in both. All take turns in one process
(``rounds.py``); the ratios are to the first model, round by round. MACs are
those of the timed input, in the convention of ptflops; peak memory is what a
task adds to the loaded model, in a process of its own.

BIN's paper says that it takes more than 50 % less time in training and in
inference on a GPU than the benchmark models in nearly all settings
(arXiv:2507.07270, abstract). The report ends with what that comes to here, on
a CPU and among our models.

Authors
 * avsep_sb contributors
"""

import argparse
import statistics
import sys

import torch
from candidates import TASKS, Candidate
from matplotlib.figure import Figure
from peak_memory import peak_megabytes
from report import footer, new_files
from rounds import interleaved, spread

from avsep_sb.errors import ConfigError, run_or_explain

DEFAULT = ["hparams/iianet.yaml", "hparams/bin.yaml", "hparams/avlit.yaml"]
# Less than this share of the other model's time is "more than 50 % less".
CLAIM = 0.5


def measure(candidates, num_rounds):
    """Times every task of every candidate in turns.

    Arguments
    ---------
    candidates : list of Candidate
        The models.
    num_rounds : int
        Times that each task is done.

    Returns
    -------
    Rounds
        With (task, name of the model) as names.
    """
    return interleaved(
        {
            (task, one.name): one.call(task)
            for task in TASKS
            for one in candidates
            if task != "front end" or one.frontend is not None
        },
        num_rounds,
    )


def separator_table(candidates, rounds, peaks):
    """Markdown lines of the separators' costs.

    Arguments
    ---------
    candidates : list of Candidate
        The models; ratios are to the first.
    rounds : Rounds
        Of :func:`measure`.
    peaks : dict
        (task, name) to MB; empty if not measured.

    Returns
    -------
    list of str
    """
    first = candidates[0].name
    lines = [
        "| separator | parameters (M) | MACs (G) | training step (s) | ratio "
        "| inference (s) | ratio | peak memory, training / inference (MB) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in candidates:
        size, macs, *_ = one.figures()
        cells = [one.name, f"{size / 1e6:.3f}", f"{macs / 1e9:.2f}"]
        for task in TASKS[:2]:
            key = (task, one.name)
            cells.append(spread(rounds.seconds(key)))
            cells.append(spread(rounds.ratios(key, (task, first))))
        used = [peaks.get((task, one.name)) for task in TASKS[:2]]
        cells.append(
            " / ".join("-" if mb is None else f"{mb:.0f}" for mb in used)
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def frontend_table(candidates, rounds):
    """Markdown lines of the visual front ends' costs.

    Arguments
    ---------
    candidates : list of Candidate
        The models.
    rounds : Rounds
        Of :func:`measure`.

    Returns
    -------
    list of str
        Empty if no model sees.
    """
    seeing = [one for one in candidates if one.frontend is not None]
    if not seeing:
        return []
    lines = [
        "",
        "| front end of | class | parameters (M) | MACs (G) | all faces (s) |",
        "|---|---|---|---|---|",
    ]
    for one in seeing:
        *_, size, macs = one.figures()
        lines.append(
            f"| {one.name} | {type(one.frontend).__name__} "
            f"| {size / 1e6:.3f} | {macs / 1e9:.2f} "
            f"| {spread(rounds.seconds(('front end', one.name)))} |"
        )
    return lines


def verdict(ratios):
    """What the rounds say about the claim.

    Arguments
    ---------
    ratios : list of float
        BIN's time over that of another model, per round.

    Returns
    -------
    str
    """
    middle = statistics.median(ratios)
    change = (
        f"{abs(100 * (middle - 1)):.0f} % {'less' if middle < 1 else 'more'}"
    )
    if max(ratios) < CLAIM:
        holds = "the claim holds"
    elif min(ratios) >= CLAIM:
        holds = "the claim does not hold"
    else:
        holds = "the rounds do not agree on the claim"
    return f"{spread(ratios)} times, {change}: {holds}"


def conclusion(candidates, rounds):
    """Sentences that hold BIN's claim against the figures.

    Arguments
    ---------
    candidates : list of Candidate
        The models.
    rounds : Rounds
        Of :func:`measure`.

    Returns
    -------
    list of str
        Empty without a BIN or without another model that sees.
    """
    lines = []
    others = [one for one in candidates if one.frontend and not one.is_bin]
    for own in (one for one in candidates if one.is_bin):
        for other in others:
            for task in TASKS[:2]:
                ratios = rounds.ratios((task, own.name), (task, other.name))
                lines.append(
                    f"- {own.name} beside {other.name}, {task}: "
                    f"{verdict(ratios)}."
                )
    if not lines:
        return []
    return [
        "",
        "BIN's paper claims more than 50 % less time in training and in GPU "
        "inference than the benchmark models, in nearly all settings. Here, "
        "separators alone, on a CPU (the paper's strongest baseline, RTFS-Net, "
        "is not here, and its IIANet is a variant of its own):",
        "",
        *lines,
    ]


def draw(candidates, rounds, path):
    """Bars of the times, with the range over the rounds.

    Arguments
    ---------
    candidates : list of Candidate
        The models, from top to bottom.
    rounds : Rounds
        Of :func:`measure`.
    path : pathlib.Path
        The PNG.
    """
    height = 1.2 + 0.5 * len(candidates)
    figure = Figure(figsize=(10, height), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = [one.name for one in candidates]
    for panel, task in zip(panels, TASKS, strict=False):
        taken = [rounds.seconds((task, name)) for name in names]
        middle = [statistics.median(values) for values in taken]
        reach = [
            [mid - min(v) for mid, v in zip(middle, taken, strict=True)],
            [max(v) - mid for mid, v in zip(middle, taken, strict=True)],
        ]
        panel.barh(names, middle, xerr=reach, color="#0072B2", capsize=4)
        panel.set_xlabel(f"{task} [s], median and range")
        panel.grid(axis="x", alpha=0.3)
    panels[0].invert_yaxis()
    figure.savefig(path, format="png", dpi=110)


def main(argv):
    """Measures, prints and writes the report and its figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "models", nargs="*", default=DEFAULT, help="YAML, or 'YAML --option'"
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-memory", action="store_true")
    args = parser.parse_args(argv)
    if min(args.seconds, args.faces, args.rounds, args.threads) <= 0:
        raise ConfigError("seconds, faces, rounds and threads must be above 0.")
    table, picture = new_files(args.out, ["model_costs.md", "model_costs.png"])
    torch.set_num_threads(args.threads)
    candidates = [
        Candidate(text, args.seconds, args.faces) for text in args.models
    ]
    if len({one.name for one in candidates}) < len(candidates):
        raise ConfigError("Two of the models are the same: give each once.")
    size = (args.seconds, args.faces, args.threads)
    peaks = {}
    if not args.no_memory:
        for text, one in zip(args.models, candidates, strict=True):
            for task in TASKS[:2]:
                peaks[task, one.name] = peak_megabytes(text, task, *size)
    rounds = measure(candidates, args.rounds)
    lines = [
        f"One mixture of {args.seconds:g} s with {args.faces} faces, float32 "
        "on the CPU. Separators are given embeddings: their visual front "
        "ends are rows of their own. Times are medians, with the range in "
        "brackets; ratios are to the first model, round by round.",
        "",
        rounds.note(),
        "",
        *separator_table(candidates, rounds, peaks),
        *frontend_table(candidates, rounds),
        *conclusion(candidates, rounds),
        *footer(__file__, argv),
    ]
    draw(candidates, rounds, picture)
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
