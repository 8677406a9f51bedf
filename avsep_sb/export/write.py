"""Writes the folder of an exported model, whole or not at all.

Authors
 * avsep_sb contributors
"""

import json
import os
import shutil
import time
import warnings
from pathlib import Path

import torch

from avsep_sb import __version__
from avsep_sb.errors import ConfigError
from avsep_sb.export.check import EXAMPLE, Speech, largest_difference
from avsep_sb.export.graph import SeparationGraph
from avsep_sb.export.onnx_file import OnnxGraph, check_onnx, write_onnx
from avsep_sb.lobes.frame_autoencoder import FrameInput
from avsep_sb.lobes.lip_input import PIXEL_MEAN, PIXEL_STD

FILES = {"onnx": "model.onnx", "torchscript": "model.pt"}
SCRIPT = "separate_onnx.py"
#: what the pipeline writes
ROI_SIZE = (96, 96)


def check_target(folder):
    """Refuses a folder that holds something.

    Arguments
    ---------
    folder : str or Path
        To be written.

    Returns
    -------
    Path
        ``ConfigError`` is raised if it is not empty, or a file.

    Example
    -------
    >>> check_target("a/new/folder").name
    'folder'
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(
            f"'{folder}' is there already and not empty: name another folder."
        )
    return folder


def dimensions(sees, roi_size=ROI_SIZE):
    """Names the dimensions of inputs and output.

    Arguments
    ---------
    sees : bool
        Whether the model is given faces.
    roi_size : tuple
        Height and width of the mouths.

    Returns
    -------
    dict
        Name to a list; strings stand for sizes that may change.

    Example
    -------
    >>> dimensions(False)
    {'mix': ['batch', 'samples'], 'sources': ['batch', 'samples', 'voices']}
    """
    table = {"mix": ["batch", "samples"]}
    if sees:
        table["lips"] = ["batch", "faces", "frames", *roi_size]
        table["lips_mask"] = ["batch", "faces", "frames"]
    voices = "faces" if sees else "voices"
    return {**table, "sources": ["batch", "samples", voices]}


def export_model(model, folder, kind="onnx", source=""):
    """Writes a model as ONNX or TorchScript, with what others need to run it.

    Arguments
    ---------
    model : AVSeparation
        On the CPU.
    folder : str or Path
        New, or empty.
    kind : str
        "onnx" or "torchscript".
    source : str
        Name of the model, for the record.

    Returns
    -------
    dict
        What ``model.json`` holds; see :func:`describe`. ``ConfigError`` is
        raised for a folder in use, for a model that cannot be exported, and
        for an export that gives other numbers than the model.
    """
    folder = check_target(folder)
    if kind not in FILES:
        raise ConfigError(
            f"'{kind}' is no format: choose {' or '.join(FILES)}."
        )
    if kind == "onnx":
        check_onnx()
    begin = time.monotonic()
    graph = SeparationGraph(model, ROI_SIZE)
    rate, fps = model.hparams.sample_rate, model.hparams.video_fps
    speech = Speech(rate, fps, ROI_SIZE)
    example = speech(*EXAMPLE) if model.sees else speech(*EXAMPLE)[:1]
    part = folder.parent / f".{folder.name}.{os.getpid()}.unfinished"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        path = part / FILES[kind]
        if kind == "onnx":
            write_onnx(graph, example, dimensions(model.sees), path)
            run = OnnxGraph(path, torch.get_num_threads())
            shutil.copyfile(Path(__file__).with_name(SCRIPT), part / SCRIPT)
        else:
            write_torchscript(graph, example, path)
            run = torch.jit.load(str(path))
        with torch.no_grad():
            worst = largest_difference(run, model, speech)
        facts = describe(model, kind, source)
        facts["largest_difference"] = float(f"{worst:.1e}")
        facts["export_seconds"] = round(time.monotonic() - begin, 1)
        text = json.dumps(facts, indent=2)
        (part / "model.json").write_text(f"{text}\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return facts


def write_torchscript(graph, example, path):
    """Traces a graph and writes it as TorchScript.

    Arguments
    ---------
    graph : torch.nn.Module
        In evaluation mode.
    example : tuple of torch.Tensor
        What it is traced with.
    path : Path
        The file.

    Returns
    -------
    None
    """
    with warnings.catch_warnings(), torch.no_grad():
        # Of sizes that become constants: those that should not are tested.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph, example, check_trace=False)
        torch.jit.save(traced, str(path))


def describe(model, kind, source):
    """Collects what a program must know to use the model.

    Arguments
    ---------
    model : AVSeparation
        The model.
    kind : str
        "onnx" or "torchscript".
    source : str
        Name of the model.

    Returns
    -------
    dict
        Plain values.
    """
    hparams = model.hparams
    facts = {
        "file": FILES[kind],
        "format": kind,
        "separator": type(model.mods.separator).__name__,
        "sample_rate": hparams.sample_rate,
        "video_fps": hparams.video_fps,
        "trained_speakers": hparams.num_spks,
        "adds_up_to_mixture": "mixture_consistency" in model.mods,
        "dimensions": dimensions(model.sees),
        "types": {"mix": "float32", "sources": "float32"},
    }
    if model.sees:
        frontend = model.mods.visual_frontend
        facts["types"].update(lips="uint8", lips_mask="bool")
        facts["roi"] = {
            "shape": list(ROI_SIZE),
            "colour": "grey, 0 to 255; cropped and normalised in the graph",
            "crop": list(frontend.input.crop(torch.zeros(ROI_SIZE)).shape),
            "normalisation": f"(grey / 255 - {PIXEL_MEAN}) / {PIXEL_STD}",
        }
        if isinstance(frontend.input, FrameInput):
            facts["roi"]["resized"] = list(frontend.input.size)
            facts["roi"]["normalisation"] = "none"
        facts["visual_frontend"] = type(frontend).__name__
        facts["embedding"] = frontend.out_channels
    facts["made_by"] = {
        "avsep_sb": __version__,
        "torch": torch.__version__,
        "source": source,
    }
    return facts
