"""Tell the size, the cost and the reach of the separator in a YAML.

``python -m avsep_sb.summary hparams/iianet.yaml`` describes one model;
several files, or ``--table``, give a Markdown table beside the figures that
the IIANet paper prints. Costs are per second of audio: 16000 samples and 25
video frames, one face; see :mod:`avsep_sb.macs` for the two conventions.

Authors
 * avsep_sb contributors
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAMLError

from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.macs import Macs, count_macs
from avsep_sb.published import PUBLISHED
from avsep_sb.receptive_field import conv_reach

ROI_SIZE = (88, 88)


@dataclass
class Summary:
    """What is known about the model of one YAML.

    Arguments
    ---------
    name : str
        Name of the file, without its ending.
    parameters : int
        Of the separator.
    macs : Macs
        Of the separator, for one second and one face.
    reach : int
        Samples that one output sample sees through convolutions alone.
    sample_rate : int
        Samples per second.
    frames : int
        Video frames of a second, rounded.
    frontend_parameters : int
        Of the visual front end; 0 without one.
    frontend_macs : Macs or None
        Of the visual front end, for one second of one face.
    causal : bool
        Whether it hears the past alone, but for its latency.
    """

    name: str
    parameters: int
    macs: Macs
    reach: int
    sample_rate: int
    frames: int = 25
    frontend_parameters: int = 0
    frontend_macs: Macs | None = None
    causal: bool = False


def load_model(path):
    """Build the modules of a YAML, and nothing else that is in it.

    Arguments
    ---------
    path : str or Path
        The YAML. Its placeholders need no values here.

    Returns
    -------
    dict
        The loaded YAML, with ``separator``; weights are on the meta device,
        that is, have shapes and no values. Raises ConfigError if there is
        no such file or it does not describe a separator.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            f"There is no hyperparameter file '{path}'; the files that ship "
            "are in hparams/."
        )
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"^(\w+): *!PLACEHOLDER", text, re.MULTILINE)
    overrides = dict.fromkeys(names, "unset")
    # These write files, change the global random state or read weights that
    # need not be there.
    for name in ("checkpointer", "__set_seed", "recogniser"):
        if re.search(rf"^{name}:", text, re.MULTILINE):
            overrides[name] = None
    try:
        # Shapes are enough: no weight is drawn.
        with torch.device("meta"):
            hparams = load_hyperpyyaml(text, overrides)
    except (YAMLError, KeyError, ValueError, TypeError, ImportError) as err:
        what = str(err).strip("'\"").split("\n")[0]
        raise ConfigError(f"'{path}' cannot be used: {what}") from err
    if not isinstance(hparams.get("separator"), torch.nn.Module):
        raise ConfigError(
            f"'{path}' has no separator to describe; give the YAML of a "
            "separation model."
        )
    return hparams


def summarise(path, with_frontend=True):
    """Measure the model of a YAML.

    Arguments
    ---------
    path : str or Path
        The YAML.
    with_frontend : bool
        Measure the visual front end too.

    Returns
    -------
    Summary
        Its figures.
    """
    hparams = load_model(path)
    sample_rate = hparams.get("sample_rate", 16000)
    frames = round(hparams.get("video_fps", 25))
    separator = hparams["separator"]
    inputs = [torch.empty(1, sample_rate, device="meta")]
    if not separator.audio_only:
        size = (1, 1, frames, separator.vpre_channels)
        inputs.append(torch.empty(size, device="meta"))
    summary = Summary(
        name=Path(path).stem,
        parameters=count_parameters(separator),
        macs=count_macs(separator, *inputs),
        reach=conv_reach(separator),
        sample_rate=sample_rate,
        frames=frames,
        causal=hasattr(separator, "latency_samples"),
    )
    frontend = hparams.get("visual_frontend")
    if with_frontend and frontend is not None:
        height, width = hparams.get("crop_size") or ROI_SIZE
        # Pixels: a front end crops and resizes them as it needs.
        shape = (1, 1, frames, height, width)
        roi = torch.empty(shape, dtype=torch.uint8, device="meta")
        summary.frontend_parameters = count_parameters(frontend)
        summary.frontend_macs = count_macs(frontend, roi)
    return summary


def count_parameters(model):
    """Count the parameters, trained or not.

    Arguments
    ---------
    model : torch.nn.Module
        The model.

    Returns
    -------
    int
        Their number.

    Example
    -------
    >>> count_parameters(torch.nn.Linear(2, 3))
    9
    """
    return sum(weight.numel() for weight in model.parameters())


def describe(summary):
    """Write out one model.

    Arguments
    ---------
    summary : Summary
        Its figures.

    Returns
    -------
    str
        Several lines.
    """
    macs, reach = summary.macs, summary.reach
    milliseconds = 1000 * reach / summary.sample_rate
    lines = [
        f"model                 {summary.name}",
        f"parameters            {summary.parameters:,}",
        f"MACs per second       {macs.ptflops / 1e9:.3f} G (convention of "
        "ptflops 0.7.0: convolutions, biases, norms, activations)",
        f"                      {macs.convs / 1e9:.3f} G (convolutions only; "
        f"{macs.saved / 1e9:.3f} G of them saved by filtering before frames "
        "are repeated)",
        f"                      for 1 s of audio and {summary.frames} video "
        "frames of one face, separator alone",
        f"receptive field       {reach} samples, {milliseconds:.0f} ms, "
        "of the sound through convolutions alone;",
        "                      the norms, and the way over the lips, pool over "
        + (
            "what came before: every output sample depends on all of it"
            if summary.causal
            else "the whole input: every output sample depends on all of it"
        ),
    ]
    if summary.frontend_macs is not None:
        cost = summary.frontend_macs.convs / 1e9
        lines.append(
            f"visual front end      {summary.frontend_parameters:,} "
            f"parameters, {cost:.2f} G MACs (convolutions only), not in the "
            "figures above"
        )
    return "\n".join(lines)


def deviation(ours, paper):
    """Write a relative difference.

    Arguments
    ---------
    ours, paper : float
        Figures of the same unit.

    Returns
    -------
    str
        In percent, with its sign.

    Example
    -------
    >>> deviation(18.1, 18.64)
    '-2.9 %'
    """
    return f"{100 * (ours / paper - 1):+.1f} %"


def table(summaries):
    """Write several models beside the figures of the paper.

    Arguments
    ---------
    summaries : list of Summary
        Their figures.

    Returns
    -------
    str
        A Markdown table, and below it a note on each deviation above 3 %.
    """
    lines = [
        "| YAML | parameters (M) | paper | MACs/s (G) | paper | convs only "
        "(G) | from |",
        "|---|---|---|---|---|---|---|",
    ]
    notes = []
    for summary in summaries:
        paper = PUBLISHED.get(summary.name)
        size, cost = summary.parameters / 1e6, summary.macs.ptflops / 1e9
        beside_size = beside_cost = source = "-"
        if paper is not None:
            source = paper.source
            beside_size = (
                f"{paper.parameters} ({deviation(size, paper.parameters)})"
            )
            beside_cost = f"{paper.macs} ({deviation(cost, paper.macs)})"
            if paper.note:
                source = f"{source} [{len(notes) + 1}]"
                notes.append(paper.note)
        lines.append(
            f"| {summary.name} | {size:.3f} | {beside_size} | {cost:.2f} | "
            f"{beside_cost} | {summary.macs.convs / 1e9:.2f} | {source} |"
        )
    lines.append("")
    lines.extend(f"[{i}] {note}  " for i, note in enumerate(notes, 1))
    return "\n".join(lines).rstrip()


def main(argv=None):
    """Run the command line.

    Arguments
    ---------
    argv : list of str, optional
        Arguments; those of the process if not given.

    Returns
    -------
    int
        0; errors are raised.
    """
    parser = argparse.ArgumentParser(
        prog="python -m avsep_sb.summary", description=__doc__.split("\n")[0]
    )
    parser.add_argument("yaml", nargs="+", help="hyperparameter file")
    parser.add_argument(
        "--table",
        action="store_true",
        help="a Markdown table, also for a single file",
    )
    args = parser.parse_args(argv)
    if args.table or len(args.yaml) > 1:
        print(table([summarise(path, False) for path in args.yaml]))
    else:
        print(describe(summarise(args.yaml[0])))
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main))
