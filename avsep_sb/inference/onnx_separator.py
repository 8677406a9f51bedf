"""Runs an exported model by onnxruntime, on the CPU, as any other separator.

The folder that ``avsep export`` writes holds a ``hyperparams.yaml`` of its
own, so that ``AVSeparation.from_hparams(folder)`` and ``--source folder`` take
it. The front end is inside the graph; what makes the voices add up to the
mixture is not, as recordings are separated with and without.

Authors
 * avsep_sb contributors
"""

import numpy as np
import torch
from speechbrain.utils.fetching import FetchSource
from speechbrain.utils.parameter_transfer import Pretrainer
from torch import nn

from avsep_sb.errors import CheckpointError, ConfigError, DataError

GRAPH_FILE = "model.onnx"


def open_graph(path, threads=0):
    """Opens an ONNX file for the CPU.

    Arguments
    ---------
    path : str or Path
        The file.
    threads : int
        Threads of one operation; 0 takes all cores.

    Returns
    -------
    onnxruntime.InferenceSession
        ``ConfigError`` is raised where onnxruntime is missing, and
        ``CheckpointError`` for a file that it cannot read.

    Example
    -------
    >>> open_graph("no/such.onnx")  # doctest: +SKIP
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: 'no/such.onnx' cannot be read as an ONNX...
    """
    try:
        import onnxruntime
    except ImportError as err:
        raise ConfigError(
            f"An exported model needs the package onnxruntime ({err}): "
            "install it with pip install 'avsep_sb[onnx]'."
        ) from err
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as err:  # its classes have no other base
        raise CheckpointError(
            f"'{path}' cannot be read as an ONNX model: export it again."
        ) from err


class OnnxSeparator(nn.Module):
    """Front end and separator of an exported model.

    It stands where a separator does in ``AVSeparation``, beside a front end
    that passes the mouths on as they are.

    Example
    -------
    >>> OnnxSeparator()(torch.zeros(1, 100))
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: No ONNX model is loaded: use AVSeparati...
    """

    def __init__(self):
        super().__init__()
        self.session = None

    def load(self, path):
        """Takes a graph that ``avsep export`` wrote.

        Arguments
        ---------
        path : str or Path
            The file. As many threads as torch has now will run it.

        Returns
        -------
        None
            ``CheckpointError`` is raised for another file, ``ConfigError``
            where onnxruntime is missing.
        """
        session = open_graph(path, torch.get_num_threads())
        self.shapes = {x.name: x.shape for x in session.get_inputs()}
        outputs = [x.name for x in session.get_outputs()]
        if (
            set(self.shapes) not in ({"mix"}, {"mix", "lips", "lips_mask"})
            or "sources" not in outputs
        ):
            raise CheckpointError(
                f"'{path}' is not a separator that avsep export wrote: export "
                "the model again."
            )
        # Before they are made to add up, where the model does that at all.
        self.output = "estimates" if "estimates" in outputs else "sources"
        self.session = session

    def forward(self, mix, visual=None, visual_mask=None):
        """Separates mixtures.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T] float32, on the CPU.
        visual : torch.Tensor, optional
            Mouths, [B, S, Tv, H, W] uint8, for a model that was exported
            with its front end.
        visual_mask : torch.Tensor, optional
            [B, S, Tv] bool, False where a face is missing.

        Returns
        -------
        torch.Tensor
            [B, T, S]; not made to add up to the mixture. ``ConfigError`` is
            raised on another device, and ``DataError`` for other mouths.
        """
        if self.session is None:
            raise CheckpointError(
                "No ONNX model is loaded: use AVSeparation.from_hparams with "
                "the folder that avsep export wrote."
            )
        if mix.device.type != "cpu":
            raise ConfigError(
                "An exported model runs on the CPU: leave the device "
                f"'{mix.device}' out, or give the pretrained folder."
            )
        feed = {"mix": _array(mix)}
        if "lips" in self.shapes:
            size = self.shapes["lips"][-2:]
            if visual.dtype != torch.uint8 or list(visual.shape[-2:]) != size:
                raise DataError(
                    "This exported model takes mouth ROIs of "
                    f"{' x '.join(map(str, size))} pixels (uint8), not "
                    f"{' x '.join(map(str, visual.shape[-2:]))} ({visual.dtype}"
                    "): extract them so, or give the pretrained folder."
                )
            if visual_mask is None:
                visual_mask = torch.ones(visual.shape[:3], dtype=torch.bool)
            feed.update(lips=_array(visual), lips_mask=_array(visual_mask))
        # Nothing else is computed then.
        options = _run_options()
        (sources,) = self.session.run([self.output], feed, options)
        return torch.from_numpy(sources)


def _array(tensor):
    return np.ascontiguousarray(tensor.numpy())


def _run_options():
    from onnxruntime import RunOptions

    options = RunOptions()
    options.only_execute_path_to_fetches = True
    options.log_severity_level = 3
    return options


class GraphPretrainer(Pretrainer):
    """Takes ``model.onnx`` where SpeechBrain looks for ``separator.ckpt``.

    Arguments
    ---------
    *args, **kwargs
        Those of ``Pretrainer``.

    Example
    -------
    >>> GraphPretrainer(loadables={"separator": OnnxSeparator()}).paths
    {}
    """

    def collect_files(self, default_source=None, **options):
        """Finds the graph; arguments and result as in ``Pretrainer``."""
        if isinstance(default_source, FetchSource):
            kind, place = default_source
            path = FetchSource(kind, f"{place}/{GRAPH_FILE}")
        else:
            path = f"{default_source}/{GRAPH_FILE}"
        self.paths = {"separator": path}
        return super().collect_files(default_source, **options)


def load_graph(separator, path, device=None):
    """Fills an :class:`OnnxSeparator`; the ``custom_hooks`` of its folder.

    Arguments
    ---------
    separator : OnnxSeparator
        Changed in place.
    path : str or Path
        The graph.
    device : str, optional
        Not needed.

    Returns
    -------
    None
        Errors as of :meth:`OnnxSeparator.load`.
    """
    del device
    separator.load(path)
