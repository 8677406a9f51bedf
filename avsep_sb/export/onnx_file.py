"""Writes a graph as ONNX, and runs it.

Authors
 * avsep_sb contributors
"""

import warnings

import numpy as np
import torch

from avsep_sb.errors import ConfigError
from avsep_sb.inference.onnx_separator import open_graph

OPSET = 18
OUTPUTS = ("sources", "estimates")
INSTALL = "install them with pip install 'avsep_sb[onnx]'."


def check_onnx():
    """Refuse to start where the libraries of ONNX are missing.

    Returns
    -------
    None
        ``ConfigError`` says what to install.

    Example
    -------
    >>> check_onnx()  # doctest: +SKIP
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as err:
        raise ConfigError(
            f"ONNX needs the packages onnx and onnxruntime ({err}): {INSTALL}"
        ) from err


def write_onnx(graph, example, inputs, path):
    """Traces a graph and writes it.

    Arguments
    ---------
    graph : torch.nn.Module
        In evaluation mode.
    example : tuple of torch.Tensor
        What it is traced with, of sizes that differ from each other.
    inputs : dict
        Name of each input to the names of its dimensions; a number stands
        for a fixed one. So for the outputs, those of ``OUTPUTS``.
    path : Path
        The file.

    Returns
    -------
    None
    """
    import onnx

    names = [name for name in inputs if name not in OUTPUTS]
    axes = {
        name: {k: dim for k, dim in enumerate(dims) if isinstance(dim, str)}
        for name, dims in inputs.items()
    }
    with warnings.catch_warnings(), torch.no_grad():
        # Of sizes that become constants: those that should not are tested.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            example,
            str(path),
            input_names=names,
            output_names=[name for name in OUTPUTS if name in inputs],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    drop_identities(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def drop_identities(graph):
    """Removes nodes that only give a value a second name.

    Cycles share weights, and the exporter names them anew for each; of these
    names onnxruntime 1.31 forgets some.

    Arguments
    ---------
    graph : onnx.GraphProto
        Changed in place; its outputs keep their names.

    Returns
    -------
    None
    """
    outputs = {output.name for output in graph.output}
    first, kept = {}, []
    for node in graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = first.get(name, name)
        if node.op_type == "Identity" and node.output[0] not in outputs:
            first[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


class OnnxGraph:
    """An exported graph, called as the module that it was.

    Arguments
    ---------
    path : str or Path
        The file.
    threads : int
        Threads of one operation; 0 takes all cores.
    """

    def __init__(self, path, threads=0):
        self.session = open_graph(path, threads)
        self.names = [node.name for node in self.session.get_inputs()]

    def __call__(self, *inputs):
        """Runs it; arguments and result are tensors on the CPU."""
        arrays = [np.ascontiguousarray(x.numpy()) for x in inputs]
        feed = dict(zip(self.names, arrays, strict=True))
        return torch.from_numpy(self.session.run(["sources"], feed)[0])
