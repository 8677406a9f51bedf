"""Exports models; how far are the graphs from them, and are they faster?

    python benchmarks/export_report.py hparams/iianet.yaml --out OUT \
        --formats onnx torchscript --seconds 0.5 1 3.3 10 --faces 1 2

A model is a pretrained folder, or a training YAML with options in one string
(random weights then: ``largest difference`` means the same for them, quality
nothing). The graphs are left in OUT. Each form is opened in a process of its
own, as two pools of threads would get in each other's way, and they take
turns (``rounds.py``). ``--rounds 0`` compares outputs alone.

Authors
 * avsep_sb contributors
"""

import argparse
import math
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch
from candidates import Candidate
from report import footer, new_files
from rounds import interleaved, spread
from speed_worker import Served

from avsep_sb.errors import AVSepError, ConfigError, run_or_explain
from avsep_sb.export.check import Speech
from avsep_sb.export.write import FILES, export_model
from avsep_sb.inference.separation import AVSeparation

REPORT = "export_report.md"
# Of the speech that is repeated until a case is as long as it should be.
PIECE = 1.6
HEADER = (
    "| model | format | MB | export (s) | opening (s) | s | faces | largest "
    "difference | time, model = 1 |"
)


def load(text):
    """A model by its folder, or with random weights by its YAML."""
    if Path(text).is_dir():
        return AVSeparation.from_hparams(text)
    torch.manual_seed(0)
    found = Candidate(text, 1.0, 1)
    modules = {
        name: module
        for name, module in found.hparams["modules"].items()
        if name in ("separator", "visual_frontend", "mixture_consistency")
    }
    # Where every mask is 0 there would be nothing to compare.
    torch.nn.init.ones_(modules["separator"].mask_conv.bias)
    names = ("sample_rate", "video_fps", "num_spks")
    hparams = {name: found.hparams[name] for name in names}
    return AVSeparation(modules, hparams, run_opts={"device": "cpu"}).eval()


def scene(model, seconds, faces):
    """Inputs of one mixture, of speech that is repeated."""
    speech = Speech(model.hparams.sample_rate, model.hparams.video_fps)
    mix, lips, seen = speech(1, faces, PIECE)
    samples = round(seconds * speech.rate)
    frames = math.ceil(samples * speech.fps / speech.rate)
    mix = mix.tile(1, -(-samples // mix.shape[1]))[:, :samples]
    if not model.sees:
        return (mix,)
    times = -(-frames // lips.shape[2])
    lips = lips.tile(1, 1, times, 1, 1)[:, :, :frames]
    return mix, lips, seen.tile(1, 1, times)[:, :, :frames]


def serve(pipe, text, folder, threads):
    """Separates what it is told to: the model, or the export in a folder."""
    torch.set_num_threads(threads)
    try:
        model = load(text)
        begin = time.monotonic()
        run = open_form(model, folder, threads)
    except AVSepError as error:
        pipe.send(error)
        return
    pipe.send(time.monotonic() - begin)
    inputs = {}
    while True:
        case, wants_output = pipe.recv()
        if case not in inputs:
            inputs[case] = scene(model, *case)
        with torch.inference_mode():
            out = run(*inputs[case])
        pipe.send(out.numpy() if wants_output else None)


def open_form(model, folder, threads):
    """A function of mixtures, mouths and masks."""
    if folder is None:

        def run(mix, lips=None, seen=None):
            given = {} if lips is None else {"lips_mask": seen}
            return model.separate_batch(mix, lips, **given)

        return run
    path = Path(folder) / FILES["onnx"]
    if path.exists():
        from avsep_sb.export.onnx_file import OnnxGraph

        return OnnxGraph(path, threads)
    return torch.jit.load(str(Path(folder) / FILES["torchscript"]))


class Form(Served):
    """A process with a model or its export, as long as the block lasts."""

    def __init__(self, text, folder, threads):
        super().__init__(serve, (text, folder, threads), threads)
        self.opening = self.receive()

    def __call__(self, case, wants_output=False):
        return self.ask((case, wants_output))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


def name_of(text):
    """What a model is called in the table."""
    first, *options = shlex.split(text)
    return " ".join([Path(first).stem, *options]).replace("--", "")


def measure(text, folder, facts, cases, args):
    """Lines of the table, and notes on the machine, of one export."""
    megabytes = (folder / facts["file"]).stat().st_size / 1e6
    with (
        Form(text, None, args.threads) as model,
        Form(text, folder, args.threads) as export,
    ):
        for case in cases:
            wanted, found = model(case, True), export(case, True)
            difference = np.abs(wanted - found).max()
            ratio = "-"
            if args.rounds:
                calls = {
                    "model": lambda case=case: model(case),
                    "export": lambda case=case: export(case),
                }
                rounds = interleaved(calls, args.rounds, rest=0.3)
                ratio = spread(rounds.ratios("export", "model"))
                yield None, f"{case}: {rounds.note()}"
            yield (
                f"| {name_of(text)} | {facts['format']} | {megabytes:.1f} | "
                f"{facts['export_seconds']} | {export.opening:.1f} | "
                f"{case[0]:g} | {case[1]} | {difference:.1e} | {ratio} |",
                None,
            )


def main(argv):
    """Exports, measures and writes a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", help="folders, or YAMLs")
    parser.add_argument("--out", required=True, help="new folder")
    parser.add_argument(
        "--formats", nargs="+", choices=FILES, default=list(FILES)
    )
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.5, 3.3])
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    if min(*args.seconds, *args.faces, args.threads) <= 0 or args.rounds < 0:
        raise ConfigError("seconds, faces and threads must be above 0.")
    if max(args.faces) > 3:
        raise ConfigError("There are three faces to compare with: --faces 3.")
    torch.set_num_threads(args.threads)
    (path,) = new_files(args.out, [REPORT])
    lines, notes = [HEADER, "|---" * HEADER.count(" | ") + "|---|"], []
    for number, text in enumerate(args.models):
        model = load(text)
        faces = args.faces if model.sees else args.faces[:1]
        cases = [(s, f) for s in args.seconds for f in faces]
        for kind in args.formats:
            folder = path.with_name(f"{number}-{kind}")
            facts = export_model(model, folder, kind, text)
            for line, note in measure(text, folder, facts, cases, args):
                (notes if line is None else lines).append(line or note)
                print(line or note, flush=True)
    text = "\n".join([*lines, "", *notes, *footer(__file__, argv)])
    path.write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
