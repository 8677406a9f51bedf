"""Loads weights so that a wrong file is an error and not a random model.

SpeechBrain's Pretrainer only logs missing and unexpected names; a checkpoint
of another model, or one saved with a ``module.`` prefix, would separate with
random weights.

Authors
 * avsep_sb contributors
"""

import pickle
import zipfile
from pathlib import Path

import torch

from avsep_sb.errors import CheckpointError


def read_state(path):
    """Reads a file of tensors, and nothing that could run code.

    Arguments
    ---------
    path : str or Path
        Written by ``torch.save`` of a ``state_dict``.

    Returns
    -------
    dict
        Names to tensors, on the CPU. ``CheckpointError`` tells when the file
        is missing, cut off, or holds something else.

    Example
    -------
    >>> read_state("no/such.ckpt")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: The checkpoint 'no/such.ckpt' does not...
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"The checkpoint '{path}' does not exist; check the path."
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        RuntimeError,
        EOFError,
        UnicodeDecodeError,
        ValueError,
        KeyError,
        IndexError,
    ) as err:
        raise CheckpointError(
            f"'{path}' cannot be read as a checkpoint; it is cut off or not "
            "a file of tensors: fetch or write it again."
        ) from err
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise CheckpointError(
            f"'{path}' does not hold the weights of one module; for a "
            "published checkpoint run avsep import-official first."
        )
    return state


def strict_load(module, path, device=None, new_parts=()):
    """Fills a module from a file that must fit it exactly.

    It is the ``custom_hooks`` of our pretrained folders.

    Arguments
    ---------
    module : torch.nn.Module
        What to fill, in place.
    path : str or Path
        File of its ``state_dict``.
    device : str, optional
        Not needed: values are copied to wherever the module is.
    new_parts : list of str
        Submodules that the file may lack: they keep the values they have.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> net = torch.nn.Linear(2, 1)
    >>> torch.save({"weight": net.weight}, folder / "a.ckpt")
    >>> strict_load(net, folder / "a.ckpt")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: '...a.ckpt' does not fit Linear: missing \
bias.
    """
    del device
    state = read_state(path)
    own = module.state_dict()
    for name in own.keys() - state.keys():
        if name.startswith(tuple(f"{part}." for part in new_parts)):
            state[name] = own[name]
    problems = []
    for text, names in (
        ("missing", own.keys() - state.keys()),
        ("unexpected", state.keys() - own.keys()),
        (
            "of another shape",
            {k for k in own.keys() & state if own[k].shape != state[k].shape},
        ),
    ):
        if names:
            shown = sorted(names)[:5]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            problems.append(f"{text} {', '.join(shown)}{more}")
    if problems:
        raise CheckpointError(
            f"'{path}' does not fit {type(module).__name__}: "
            f"{'; '.join(problems)}."
        )
    module.load_state_dict(state)
