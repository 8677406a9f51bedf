"""Tells what fewer bits save in the visual front end, and what they cost.

    python benchmarks/lip_precision.py pretrained/iianet-synthav --data DIR \
        --manifest DIR/test.csv --out DIR --resnet --separator

Each *form* (:mod:`lip_forms`) of the front end takes its turn on the first
seconds of a mixture (``rounds.py``): ratios are to float32. Then each embeds
the mouths of whole mixtures for the same separator in float32, and its cost is
the SI-SNR improvement over that with the float32 embedding, mixture by
mixture, with 95 % intervals. The front end's share is of its time and that of
the separator, both in float32.

``--resnet`` adds the ResNet-18 of CTCNet-Lip with random weights: its times
and the error of its embedding. ``--separator`` adds the separator under bf16
autocast, which takes the layers: its loops for inference are for 32 bits.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path

import torch
from lip_forms import FLOAT32, autocast, forms_of
from report import footer, new_files
from rounds import interleaved, spread
from scoring import improvement, load_models, read_item, reader_for, separate
from tqdm import tqdm

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import ConfigError, DataError, run_or_explain
from avsep_sb.lobes.lip_resnet import LipResNet
from avsep_sb.results import ResultsTable, confidence95

SEPARATOR = "separator"
LAYERS = "separator, layers"
BF16 = "separator, bf16"
# Frames of each of the last mixtures on which ranges are set.
CALIBRATED, LAST = 25, 4


class Embedder(torch.nn.Module):
    """A form in the place of a model's front end."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, roi):
        """[B, S, Tv, H, W] to [B, S, Tv, C]."""
        return self.form(roi)


class Layers(torch.nn.Module):
    """A separator without its loops for inference, in 32 bits or in bf16."""

    def __init__(self, separator, bf16):
        super().__init__()
        self.separator, self.bf16 = separator, bf16

    def forward(self, mix, visual, **masked):
        """As the separator."""
        fast = getattr(self.separator, "fast", None)
        self.separator.fast = False
        try:
            with autocast(self.bf16):
                return self.separator(mix, visual, **masked)
        finally:
            self.separator.fast = fast


class Replaced:
    """Puts something in the place of a part of a model, for a while."""

    def __init__(self, model, name, part):
        self.mods, self.name, self.part = model.mods, name, part

    def __enter__(self):
        self.kept = self.mods[self.name]
        self.mods[self.name] = self.part

    def __exit__(self, *_):
        self.mods[self.name] = self.kept


def error_of(embedding, exact):
    """Size of the difference over that of the exact embedding."""
    return float((embedding.float() - exact).norm() / exact.norm())


@torch.no_grad()
def gains(model, parts, item):
    """SI-SNR improvement of a mixture in each form, dB.

    Arguments
    ---------
    model : AVSeparation
        The model.
    parts : dict
        Name of each form to the part of the model it stands for, and a module.
    item : tuple
        Mixture, sources and lips of :func:`read_item`.

    Returns
    -------
    dict
        Means over the voices.
    """
    found = {}
    for name, (place, part) in parts.items():
        with Replaced(model, place, part):
            estimate = separate(model, *item)
        found[name] = float(improvement(estimate, *item[:2]).mean())
    return found


def start_of(model, item, seconds):
    """The first seconds of a mixture, and of the mouths in it."""
    mix, _, lips = item
    frames = min(round(seconds * model.hparams.video_fps), lips.shape[2])
    samples = frames * model.hparams.sample_rate / model.hparams.video_fps
    return mix[:, : round(samples)], lips[:, :, :frames]


@torch.inference_mode()
def times(forms, separators, start, rounds):
    """Times all forms on the beginning of a mixture, in turns.

    Arguments
    ---------
    forms : dict
        Of the front end.
    separators : dict
        Of the separator; may be empty.
    start : tuple
        Of :func:`start_of`.
    rounds : int
        How often.

    Returns
    -------
    (Rounds, dict)
        The times, and the error of each form's embedding.
    """
    mix, lips = start
    exact = forms[FLOAT32](lips).float()
    errors = {
        name: error_of(form(lips), exact)
        for name, form in forms.items()
        if name != FLOAT32
    }
    calls = {name: lambda f=form: f(lips) for name, form in forms.items()}
    for name, separator in separators.items():
        calls[name] = lambda s=separator: s(mix, exact)
    return interleaved(calls, rounds), errors


def row_of(name, base, found, errors, costs):
    """Markdown row of one form."""
    cells = [name]
    for take in (lambda: found.seconds(name), lambda: found.ratios(name, base)):
        cells.append(spread(take()) if found else "")
    error = errors.get(name)
    cells.append("" if error is None else f"{error:.1e}")
    cost = ""
    if costs.get(name):
        mean, half = confidence95(costs[name])
        cost = f"{mean:+.3f} ± {half:.3f}, at worst {min(costs[name]):+.2f}"
    return f"| {' | '.join([*cells, cost])} |"


def table(title, base, names, *figures):
    """Markdown lines of all forms of one net."""
    return [
        "",
        f"**{title}**",
        "",
        "| form | time (s) | over float32 | error of the embedding | "
        "SI-SNRi over float32 (dB) |",
        "|---|---|---|---|---|",
        *[row_of(name, base, *figures) for name in names],
    ]


def costs_of(model, parts, items, path):
    """Costs of all forms in dB, mixture by mixture, which are written too."""
    costs = {}
    rows = ResultsTable(path)
    for label, item in tqdm(items, desc="mixtures"):
        found = gains(model, parts, item)
        rows.add(label, found)
        for name, gain in found.items():
            costs.setdefault(name, []).append(gain - found[FLOAT32])
    rows.finish()
    return costs


def main(argv):
    """Measures, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="pretrained folder")
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--limit", type=int, default=100, help="mixtures")
    parser.add_argument("--rounds", type=int, default=10, help="0: no times")
    parser.add_argument("--seconds", type=float, default=2.0, help="timed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resnet", action="store_true")
    parser.add_argument("--separator", action="store_true")
    args = parser.parse_args(argv)
    if min(args.limit, args.rounds) < 0 or args.limit + args.rounds == 0:
        raise ConfigError("Give --limit or --rounds above 0, none below.")
    if min(args.threads, args.seconds) <= 0:
        raise ConfigError("threads and seconds must be above 0.")
    torch.set_num_threads(args.threads)
    [(name, model)] = load_models([args.model]).items()
    if not model.sees:
        raise ConfigError(f"{name} has no visual front end: give one that has.")
    report, csv = new_files(args.out, ["lip_precision.md", "lip_precision.csv"])
    reader = reader_for(model)
    listed = check_manifest(args.manifest, args.data, model.hparams.num_spks)
    first = [read_item(reader, row) for row in listed[-LAST:]]
    if len(listed) < args.limit + LAST:
        raise DataError(
            f"'{args.manifest}' has {len(listed)} mixtures, and the last "
            f"{LAST} set the ranges of the int8 form: give --limit "
            f"{len(listed) - LAST} or less."
        )
    start = start_of(model, first[0], args.seconds)
    known = [lips[:, :, :CALIBRATED] for _, _, lips in first]
    frontend = model.mods.visual_frontend
    forms = forms_of(frontend, known, args.threads)
    parts = {n: ("visual_frontend", Embedder(f)) for n, f in forms.items()}
    separators = {SEPARATOR: model.mods.separator}
    if args.separator:
        for title, bf16 in ((LAYERS, False), (BF16, True)):
            separators[title] = Layers(model.mods.separator, bf16)
        parts[BF16] = (SEPARATOR, separators[BF16])
    lines = [
        f"The first {args.seconds:g} s of a mixture are timed; "
        f"{args.limit} mixtures of {Path(args.manifest).name} are scored."
    ]
    found, errors, costs = None, {}, {}
    if args.rounds:
        found, errors = times(forms, separators, start, args.rounds)
        lines.append(found.note())
        share = [
            own / (own + rest)
            for own, rest in zip(
                found.seconds(FLOAT32), found.seconds(SEPARATOR), strict=True
            )
        ]
        lines.append(f"Share of the front end: {spread(share)}.")
    if args.limit:
        items = (
            (row["ID"], read_item(reader, row)) for row in listed[: args.limit]
        )
        costs = costs_of(model, parts, items, csv)
    figures = (found, errors, costs)
    title = f"{name}, {type(frontend).__name__}"
    lines += table(title, FLOAT32, forms, *figures)
    if args.separator:
        lines += table(f"{name}, separator", SEPARATOR, separators, *figures)
    if args.resnet and args.rounds:
        torch.manual_seed(0)
        forms = forms_of(LipResNet().eval(), known, args.threads)
        found, errors = times(forms, {}, start, args.rounds)
        title = "LipResNet (CTCNet-Lip), random weights"
        lines += table(title, FLOAT32, forms, found, errors, {})
        lines += ["", found.note()]
    lines += footer(__file__, argv)
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
