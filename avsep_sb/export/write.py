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
from avsep_sb.inference.folder import FORMAT_VERSION
from avsep_sb.inference.onnx_separator import GRAPH_FILE
from avsep_sb.lobes.frame_autoencoder import FrameInput
from avsep_sb.lobes.lip_input import PIXEL_MEAN, PIXEL_STD
from avsep_sb.lobes.mixture_consistency import MixtureConsistency

FILES = {"onnx": GRAPH_FILE, "torchscript": "model.pt"}
SCRIPT = "separate_onnx.py"
#: what the pipeline writes
ROI_SIZE = (96, 96)
GRAPH_YAML = """\
# Exported model of avsep_sb; onnxruntime runs model.onnx on the CPU. Load with
#   from avsep_sb.inference.separation import AVSeparation
#   AVSeparation.from_hparams(source="<this folder>")
format_version: {version}
sample_rate: {sample_rate}
video_fps: {video_fps}
num_spks: {num_spks}

separator: !new:avsep_sb.inference.onnx_separator.OnnxSeparator

modules:
{modules}

audio_normalizer: !new:speechbrain.dataio.preprocess.AudioNormalizer
    sample_rate: !ref <sample_rate>

pretrainer: !new:avsep_sb.inference.onnx_separator.GraphPretrainer
    loadables:
        separator: !ref <separator>
    custom_hooks:
        separator: !name:avsep_sb.inference.onnx_separator.load_graph
"""


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


def dimensions(sees, roi_size=ROI_SIZE, both=False):
    """Names the dimensions of inputs and outputs.

    Arguments
    ---------
    sees : bool
        Whether the model is given faces.
    roi_size : tuple
        Height and width of the mouths.
    both : bool
        Whether there are voices before they are made to add up, too.

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
    outputs = ("sources", "estimates") if both else ("sources",)
    shape = ["batch", "samples", "faces" if sees else "voices"]
    return table | {name: list(shape) for name in outputs}


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
    graph = SeparationGraph(model, ROI_SIZE, both=kind == "onnx")
    sizes = dimensions(model.sees, both=graph.both)
    rate, fps = model.hparams.sample_rate, model.hparams.video_fps
    speech = Speech(rate, fps, ROI_SIZE)
    example = speech(*EXAMPLE) if model.sees else speech(*EXAMPLE)[:1]
    part = folder.parent / f".{folder.name}.{os.getpid()}.unfinished"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        path = part / FILES[kind]
        if kind == "onnx":
            write_onnx(graph, example, sizes, path)
            run = OnnxGraph(path, torch.get_num_threads())
            shutil.copyfile(Path(__file__).with_name(SCRIPT), part / SCRIPT)
            text = hyperparams_of_graph(model)
            (part / "hyperparams.yaml").write_text(text, encoding="utf-8")
        else:
            write_torchscript(graph, example, path)
            run = torch.jit.load(str(path))
        with torch.no_grad():
            worst = largest_difference(run, model, speech)
        facts = describe(model, kind, source, sizes)
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


def hyperparams_of_graph(model):
    """Writes the YAML by which ``AVSeparation`` runs a graph of ONNX.

    Arguments
    ---------
    model : AVSeparation
        What was exported.

    Returns
    -------
    str
        Text of ``hyperparams.yaml``.
    """
    modules = {"separator": "!ref <separator>"}
    if model.sees:
        modules["visual_frontend"] = "!new:torch.nn.Identity"
    if "mixture_consistency" in model.mods:
        part = model.mods.mixture_consistency
        modules["mixture_consistency"] = (
            f"!new:{MixtureConsistency.__module__}.MixtureConsistency\n"
            f"        kernel_size: {part.kernel_size}\n"
            f"        stride: {part.stride}"
        )
    hparams = model.hparams
    return GRAPH_YAML.format(
        version=FORMAT_VERSION,
        sample_rate=hparams.sample_rate,
        video_fps=hparams.video_fps,
        num_spks=hparams.num_spks,
        modules="\n".join(f"    {k}: {v}" for k, v in modules.items()),
    )


def describe(model, kind, source, sizes):
    """Collects what a program must know to use the model.

    Arguments
    ---------
    model : AVSeparation
        The model.
    kind : str
        "onnx" or "torchscript".
    source : str
        Name of the model.
    sizes : dict
        As of :func:`dimensions`.

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
        "dimensions": sizes,
        "types": dict.fromkeys(sizes, "float32"),
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
