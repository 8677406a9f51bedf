"""Read the weights that other projects published, in any of their layouts.

Four layouts of an IIANet file are known: the release's own dictionary, a
bare state dict, a Lightning checkpoint (separator and lip net in one, told
apart by prefix), and the parameter names from before the release. The lip
reading weights come as ``{"model_state_dict": ...}`` with a word classifier,
which separation does not use, nor mostly the temporal net under it. BIN's and
AVLiT's layouts are described in
:mod:`avsep_sb.inference.official_bin`.

Authors
 * avsep_sb contributors
"""

import pickle
from pathlib import Path

import numpy as np
import torch
from torch.torch_version import TorchVersion

from avsep_sb.errors import CheckpointError
from avsep_sb.inference.iianet_keys import normalise_official
from avsep_sb.inference.lip_keys import without_classifier, without_tcn
from avsep_sb.inference.official_bin import (
    find_autoencoder_state,
    find_bin_state,
)

PREFIXES = {
    "iianet": "audio_model.",
    **dict.fromkeys(("lip_resnet", "lip_mstcn", "lip_dctcn"), "video_model."),
}


def load_content(path):
    """Load a PyTorch file without running any code that it may hold.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    dict
        What the file holds, on the CPU. A CheckpointError is raised when
        the file is missing, torn, or holds other objects than weights.

    Example
    -------
    >>> load_content("missing.pth")
    Traceback (most recent call last):
        ...
    avsep_sb.errors.CheckpointError: There is no checkpoint at missing.pth.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}.")
    try:
        # A fresh official file names the versions it was made with, and
        # torch's own version is an object; it does nothing when made. Nor do
        # NumPy's numbers, which BIN's trainer may save as scores.
        with torch.serialization.safe_globals([TorchVersion, *numpy_numbers()]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise CheckpointError(
            f"{path} is no PyTorch checkpoint, or holds objects other than "
            "weights, which are not loaded as they could run code: save its "
            "state_dict alone and give that file."
        ) from err
    except Exception as err:
        raise CheckpointError(
            f"{path} cannot be read as a PyTorch checkpoint "
            f"({type(err).__name__}): it is torn or of another kind, so "
            "download it again."
        ) from err
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__} and not a dictionary "
            "of weights: give a checkpoint file."
        )
    return content


def numpy_numbers():
    """List what a pickled NumPy number is made of, by all its names.

    Returns
    -------
    list
        For ``torch.serialization.safe_globals``.

    Example
    -------
    >>> any("multiarray.scalar" in str(item) for item in numpy_numbers())
    True
    """
    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in (np.float32, np.float64)]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [np.dtype, *kinds, *((scalar, name) for name in names)]


def read_official_file(path, model="iianet"):
    """Read the weights of one model from a published file.

    Arguments
    ---------
    path : str or pathlib.Path
        A file in one of the four IIANet layouts, the lip reading weights,
        or a file of BIN, AVLiT or their autoencoder.
    model : str
        One of :data:`avsep_sb.inference.official.MODELS`.

    Returns
    -------
    dict
        State dict with the names of the release. A CheckpointError is
        raised when the file cannot be read or holds no such model.

    Example
    -------
    >>> import os, tempfile
    >>> tmp = tempfile.TemporaryDirectory()
    >>> path = os.path.join(tmp.name, "lightning.ckpt")
    >>> state = {"audio_model.ln.weight": torch.ones(9)}
    >>> torch.save({"state_dict": state}, path)
    >>> list(read_official_file(path))
    ['ln.weight']
    >>> tmp.cleanup()
    """
    state = find_state(load_content(path), model)
    if not state:
        raise CheckpointError(
            f"{path} holds no weights of {model}: give another file."
        )
    return state


def find_state(content, model="iianet"):
    """Find the state dict of one model in what a file holds.

    Arguments
    ---------
    content : dict
        As of :func:`load_content`.
    model : str
        One of :data:`avsep_sb.inference.official.MODELS`.

    Returns
    -------
    dict
        State dict with the names of the release; empty when the file holds
        the other model only.

    Example
    -------
    >>> content = {"model_state_dict": {"tcn.a": torch.ones(1)}}
    >>> find_state(content, "lip_resnet")
    {}
    """
    if model in ("bin", "avlit"):
        return find_bin_state(content)
    if model == "frame_autoencoder":
        return find_autoencoder_state(content)
    state = content
    for key in ("state_dict", "model_state_dict"):
        if isinstance(content.get(key), dict):
            state = content[key]
            break
    state = {
        name: value
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    if any(name.startswith(tuple(PREFIXES.values())) for name in state):
        prefix = PREFIXES[model]
        state = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
    if model == "lip_resnet":
        # The temporal net of the lip reader; separation takes the embedding
        # from before it.
        return without_tcn(state)
    if model in PREFIXES and model != "iianet":
        return without_classifier(state)
    return normalise_official(state)


def read_num_blocks(path):
    """Read the number of cycles that an official file states.

    It cannot be told from the weights, as all cycles share them.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    int or None
        The number; None where the file does not state it (a file fresh from
        training does not).

    Example
    -------
    >>> import os, tempfile
    >>> tmp = tempfile.TemporaryDirectory()
    >>> path = os.path.join(tmp.name, "best_model.pth")
    >>> torch.save({"model_args": {"num_blocks": 10}}, path)
    >>> read_num_blocks(path)
    10
    >>> tmp.cleanup()
    """
    args = load_content(path).get("model_args")
    value = args.get("num_blocks") if isinstance(args, dict) else None
    return int(value) if isinstance(value, int) and value > 0 else None
