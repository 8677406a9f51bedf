"""Compares pretrained separators: quality, size and cost in one table.

    python benchmarks/compare_models.py pretrained/iianet-synthav \
        pretrained/bin-synthav=hparams/bin_synthav.yaml RUN/pretrained \
        --data DIR --manifests DIR/test.csv DIR/test_same.csv --out DIR

For each manifest, with its noise if it lists any: SI-SNRi with its 95 %
interval, and the visual swap, the share of mixtures whose voices follow the
faces both in order and exchanged. Audio-only models get the better of their
orders (PIT) and have no swap. The differences to the first model are taken
mixture by mixture. Each manifest leaves ``<out>/<manifest>.csv``, a row per
mixture; the table is ``<out>/compare_models.md``.

Costs are for one mixture with all its faces, measured in turns
(``rounds.py``). MACs are in the convention of ptflops. A training step is
one of the Brain on the folder's own architecture, front end included, with
batch, length, loss and optimizer of a YAML: the one after ``=``, else that of
the run whose ``pretrained`` folder it is. Reading data is not in it.

Authors
 * avsep_sb contributors
"""

import argparse
import copy
import functools
import re
import statistics
import sys
from pathlib import Path

import torch
from report import footer, new_files
from rounds import interleaved, spread
from scoring import load_models, read_item, reader_for, score
from tqdm import tqdm
from training_step import random_batch, random_mouths, training_step

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.macs import count_macs
from avsep_sb.results import ResultsTable, confidence95
from avsep_sb.summary import count_parameters, load_model

ROI = (96, 96)


def split_yaml(text):
    """Folder and training YAML (or None) of an argument."""
    folder, _, yaml = text.rpartition("=")
    if folder and yaml.endswith((".yaml", ".yml")):
        return Path(folder), Path(yaml)
    run = Path(text).resolve().parent / "hyperparams.yaml"
    if Path(text).name == "pretrained" and run.is_file():
        return Path(text), run
    return Path(text), None


def score_manifest(models, rows, table):
    """Scores all models on the mixtures of one manifest.

    Arguments
    ---------
    models : dict
        Name to AVSeparation.
    rows : list of dict
        Rows of the manifest.
    table : Path
        CSV to write.

    Returns
    -------
    dict
        (name, "SI-SNRi" or "swap") to a list of figures.
    """
    sees = any(model.sees for model in models.values())
    voices = sum(bool(re.fullmatch(r"s\d+_wav", key)) for key in rows[0])
    reader = reader_for(next(iter(models.values())), sees, voices)
    figures = {}
    with ResultsTable(table) as results:
        for row in tqdm(rows, desc=table.stem):
            parts = read_item(reader, row)
            scores = {}
            for name, model in models.items():
                gain, right = score(model, *parts)
                scores[f"{name} SI-SNRi"] = gain
                figures.setdefault((name, "SI-SNRi"), []).append(gain)
                figures.setdefault((name, "swap"), []).append(right)
                if model.sees:
                    scores[f"{name} swap"] = right
            results.add(row["ID"], scores)
    return figures


def interval(values, scale=1.0, sign=""):
    """Mean and 95 % interval, or a dash if there is nothing to average."""
    mean, half = confidence95(values)
    if mean != mean:
        return "-"
    return f"{scale * mean:{sign}.2f} ± {scale * half:.2f}"


def size_and_macs(model, faces):
    """Parameters and MACs per second: separator, then front end.

    Arguments
    ---------
    model : AVSeparation
        The model.
    faces : int
        Faces of the mixture.

    Returns
    -------
    (list of int, list of float)
        One figure or, for a model that sees, two.
    """
    rate, fps = model.hparams.sample_rate, model.hparams.video_fps
    visual, frontend = None, []
    if model.sees:
        frontend = [model.mods.visual_frontend]
        roi = random_mouths((1, faces, fps, *ROI))
        with torch.no_grad():
            visual = frontend[0](roi)
    mix = torch.zeros(1, rate)
    macs = [count_macs(model.mods.separator, mix, visual).ptflops]
    macs += [count_macs(part, roi).ptflops for part in frontend]
    parts = [model.mods.separator, *frontend]
    return [count_parameters(part) for part in parts], macs


def step_of(model, yaml):
    """A training step of a model, and the size of its batch.

    Arguments
    ---------
    model : AVSeparation
        The model; a copy of it is trained.
    yaml : Path
        Training YAML.

    Returns
    -------
    (callable, (int, float))
        The step; mixtures in it, and seconds of each.
    """
    hparams = load_model(yaml)
    rate, fps = model.hparams.sample_rate, model.hparams.video_fps
    if hparams["sample_rate"] != rate:
        raise ConfigError(
            f"'{yaml}' trains at {hparams['sample_rate']} Hz but the model "
            f"works at {rate} Hz: give the YAML that it was trained with."
        )
    size, length = hparams["batch_size"], hparams["training_signal_len"]
    voices = hparams["num_spks"]
    modules = copy.deepcopy(dict(model.mods.items()))
    for parameter in modules["separator"].parameters():
        parameter.requires_grad_(True)
    lips = None
    if model.sees:
        frames = -(-length * fps // rate)
        lips = random_mouths((voices, frames, *ROI))
    batch = random_batch(size, length, voices, lips)
    step = training_step(hparams, modules, batch)
    return step, (size, length / rate)


def measure_costs(models, yamls, args):
    """Times separation and training steps of all models in turns.

    Arguments
    ---------
    models : dict
        Name to AVSeparation.
    yamls : dict
        Name to training YAML or None.
    args : argparse.Namespace
        With ``seconds``, ``faces`` and ``rounds``.

    Returns
    -------
    (Rounds, dict)
        Times, named (task, name); and name to the size of its batch.
    """
    calls, batches = {}, {}
    for name, model in models.items():
        rate, fps = model.hparams.sample_rate, model.hparams.video_fps
        mix = random_batch(1, round(args.seconds * rate), 1).mix_sig.data
        frames = round(args.seconds * fps)
        lips = random_mouths((1, args.faces, frames, *ROI))
        calls["inference", name] = functools.partial(
            model.separate_batch, mix, lips if model.sees else None
        )
        if yamls[name] is not None:
            step, batches[name] = step_of(model, yamls[name])
            calls["training step", name] = step
    return interleaved(calls, args.rounds), batches


def cost_cells(name, model, costs, args):
    """Cells of the cost columns of one model.

    Arguments
    ---------
    name : str
        Its name.
    model : AVSeparation
        The model.
    costs : (Rounds, dict) or None
        Of :func:`measure_costs`.
    args : argparse.Namespace
        With ``seconds`` and ``faces``.

    Returns
    -------
    list of str
    """
    sizes, macs = size_and_macs(model, args.faces)
    cells = [
        " + ".join(f"{size / 1e6:.3f}" for size in sizes),
        " + ".join(f"{count / 1e9:.3f}" for count in macs),
    ]
    if costs is None:
        return [*cells, "-", "-"]
    rounds, batches = costs
    taken = rounds.seconds(("inference", name), cpu=True)
    cells.append(spread([value / args.seconds for value in taken]))
    if name in batches:
        taken = rounds.seconds(("training step", name))
        size, seconds = batches[name]
        each = statistics.median(taken) / size / seconds
        cells.append(
            f"{spread(taken)} for {size} x {seconds:g} s, {each:.3f} per s"
        )
    else:
        cells.append("-")
    return cells


def tables(models, figures, costs, args):
    """Markdown lines of the comparison and of the paired differences.

    Arguments
    ---------
    models : dict
        Name to AVSeparation.
    figures : dict
        Manifest's name to the figures of :func:`score_manifest`.
    costs : (Rounds, dict) or None
        Of :func:`measure_costs`.
    args : argparse.Namespace
        The command line.

    Returns
    -------
    list of str
    """
    head, below = ["model"], ["model"]
    for stem, found in figures.items():
        count = len(next(iter(found.values())))
        head += [f"{stem} ({count}), SI-SNRi (dB)", "visual swap (%)"]
        below.append(f"{stem}, SI-SNRi (dB)")
    head += [
        "parameters (M)",
        "MACs/s (G)",
        "CPU s per s of audio",
        "training step (s)",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    first, *others = models
    for name, model in models.items():
        cells = [name]
        for found in figures.values():
            cells.append(interval(found[name, "SI-SNRi"]))
            cells.append(interval(found[name, "swap"], 100))
        cells += cost_cells(name, model, costs, args)
        lines.append(f"| {' | '.join(cells)} |")
    if not others:
        return lines
    lines += ["", f"Differences to {first}, mixture by mixture:", ""]
    lines += [f"| {' | '.join(below)} |", "|---" * len(below) + "|"]
    for name in others:
        cells = [name]
        for found in figures.values():
            pairs = zip(
                found[name, "SI-SNRi"], found[first, "SI-SNRi"], strict=True
            )
            cells.append(interval([a - b for a, b in pairs], sign="+"))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main(argv):
    """Scores, measures, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "models", nargs="+", help="pretrained folder, or FOLDER=YAML"
    )
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifests", nargs="+", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument(
        "--rounds", type=int, default=10, help="0 leaves out the times"
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    positive = min(args.limit, args.seconds, args.faces, args.threads)
    if positive <= 0 or args.rounds < 0:
        raise ConfigError(
            "limit, seconds, faces and threads must be above 0, and rounds "
            "not below it."
        )
    torch.set_num_threads(args.threads)
    report, *csvs = new_files(
        args.out,
        ["compare_models.md"]
        + [f"{Path(path).stem}.csv" for path in args.manifests],
    )
    given = [split_yaml(text) for text in args.models]
    models = load_models([folder for folder, _ in given])
    yamls = dict(zip(models, (yaml for _, yaml in given), strict=True))
    sees = any(model.sees for model in models.values())
    # What does not fit is told before the long part.
    rows = [
        check_manifest(path, args.data, use_lips=sees)[: args.limit]
        for path in args.manifests
    ]
    costs = measure_costs(models, yamls, args) if args.rounds else None
    figures = {
        table.stem: score_manifest(models, listed, table)
        for listed, table in zip(rows, csvs, strict=True)
    }
    lines = tables(models, figures, costs, args)
    lines += [
        "",
        "Parameters and MACs: separator + visual front end, for "
        f"{args.faces} faces. CPU time: {args.seconds:g} s of audio, front "
        "end included. Training step: front end included, reading data not. "
        "Times are medians, with the range in brackets.",
    ]
    if costs is not None:
        lines += ["", costs[0].note()]
    lines += footer(__file__, argv)
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
