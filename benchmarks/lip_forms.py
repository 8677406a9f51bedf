"""A visual front end in 32, 16 and 8 bits, for ``lip_precision.py``.

torch's int8 dynamic quantisation knows no convolutions, of which the lip nets
are made: it reaches a Linear layer alone. Those of onnxruntime take the
exported net: dynamic (each activation's range as it comes, ConvInteger), and
static (ranges set on a few mixtures before).

Authors
 * avsep_sb contributors
"""

import copy
import logging
import tempfile
import warnings
from pathlib import Path

import torch

from avsep_sb.export.graph import fixed_crop, shallow_copy
from avsep_sb.export.onnx_file import check_onnx, write_onnx
from avsep_sb.export.operations import ExportableOperations

FLOAT32 = "float32"
# What traces the net: sizes that differ from each other, and from those used.
FACES, FRAMES = 2, 7


def autocast(enabled=True):
    """bf16 autocast on the CPU, or none."""
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


class FrontEndGraph(torch.nn.Module):
    """A front end as the export writes it.

    Arguments
    ---------
    frontend : FreezableFrontEnd
        In evaluation mode; stays as it is.
    height, width : int
        Pixels of the mouths.
    """

    def __init__(self, frontend, height, width):
        super().__init__()
        self.frontend = shallow_copy(frontend)
        self.frontend.input = fixed_crop(frontend.input, height, width)
        self.eval()

    def forward(self, lips):
        """[B, S, Tv, H, W] uint8 to [B, S, Tv, C]."""
        with ExportableOperations():
            return self.frontend(lips)


class Session:
    """An exported front end in onnxruntime, called as the module that it was.

    Its threads stop as soon as it has run: going on to spin, as they do
    otherwise, they would slow down those that are timed after it.

    Arguments
    ---------
    path : str
        The file.
    threads : int
        Of one operation.
    """

    def __init__(self, path, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, lips):
        """[B, S, Tv, H, W] uint8 to [B, S, Tv, C]."""
        feed = {"lips": lips.contiguous().numpy()}
        return torch.from_numpy(self.session.run(None, feed)[0])


class Mouths:
    """Mouths in the form in which onnxruntime asks for them."""

    def __init__(self, known):
        self.left = list(known)

    def get_next(self):
        """The next, or None."""
        return {"lips": self.left.pop().numpy()} if self.left else None


def linear_int8(frontend):
    """torch's dynamic quantisation of the Linear layers, None without any."""
    if not any(isinstance(x, torch.nn.Linear) for x in frontend.modules()):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        return torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(frontend), {torch.nn.Linear}, dtype=torch.qint8
        )


def onnx_forms(frontend, known, threads, folder):
    """The exported net in float32 and in int8.

    Arguments
    ---------
    frontend : FreezableFrontEnd
        In evaluation mode.
    known : list of torch.Tensor
        Mouths [B, S, Tv, H, W] that set the ranges of the static form.
    threads : int
        Of onnxruntime.
    folder : str or Path
        For files that are not wanted afterwards.

    Returns
    -------
    dict
        Name to a function of the mouths.
    """
    from onnxruntime.quantization import (
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    whole, ready, dynamic, static = (
        str(Path(folder) / f"{name}.onnx")
        for name in ("whole", "ready", "dynamic", "static")
    )
    size = known[0].shape[-2:]
    write_onnx(
        FrontEndGraph(frontend, *size),
        (known[0][:1, :FACES, :FRAMES],),
        {
            "lips": ["batch", "faces", "frames", *size],
            "sources": ["batch", "faces", "frames", frontend.out_channels],
        },
        whole,
    )
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        quant_pre_process(whole, ready)
        # Unsigned weights: ConvInteger is twice as fast with them.
        quantize_dynamic(ready, dynamic, weight_type=QuantType.QUInt8)
        quantize_static(
            ready,
            static,
            Mouths(known),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.getLogger().setLevel(level)
    files = {
        "onnxruntime, float32": whole,
        "onnxruntime, int8 dynamic": dynamic,
        "onnxruntime, int8 static": static,
    }
    return {name: Session(path, threads) for name, path in files.items()}


def forms_of(frontend, known, threads):
    """All forms of a front end.

    Arguments
    ---------
    frontend, known, threads
        As for :func:`onnx_forms`.

    Returns
    -------
    dict
        Name to a function of mouths [B, S, Tv, H, W] uint8 that gives
        [B, S, Tv, C]; the first is float32. ``ConfigError`` without
        onnxruntime.
    """
    check_onnx()

    def bf16(lips):
        with autocast():
            return frontend(lips).float()

    forms = {FLOAT32: frontend, "bf16 autocast": bf16}
    quantized = linear_int8(frontend)
    if quantized is not None:
        forms["int8 dynamic, Linear alone"] = quantized
    with tempfile.TemporaryDirectory() as folder:
        forms.update(onnx_forms(frontend, known, threads, folder))
    return forms
