"""Checkpoints that a killed run left half-written, and whole ones.

SpeechBrain writes ``CKPT.yaml`` first and the tensors after it, so a kill in
between leaves a folder that looks like the newest checkpoint and cannot be
read. Such folders are renamed, never deleted.

Authors
 * avsep_sb contributors
"""

import os
import zipfile
from pathlib import Path

import torch
import yaml

from avsep_sb.errors import CheckpointError

TORN_PREFIX = "torn+"


def is_whole(folder):
    """Tells whether every file of a checkpoint can be read to its end.

    Arguments
    ---------
    folder : str or Path
        A ``CKPT+...`` folder of SpeechBrain's Checkpointer.

    Returns
    -------
    bool
        False if the meta file is missing or broken, if there is no parameter
        file, or if one is empty or a cut-off archive.

    Example
    -------
    >>> import tempfile
    >>> is_whole(tempfile.mkdtemp())
    False
    """
    folder = Path(folder)
    try:
        meta = yaml.safe_load((folder / "CKPT.yaml").read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    files = list(folder.glob("*.ckpt"))
    return (
        isinstance(meta, dict)
        and "end-of-epoch" in meta
        and bool(files)
        and all(map(_is_readable, files))
    )


def _is_readable(path):
    head = path.open("rb").read(2)
    if not head:
        return False
    if head != b"PK":  # counters and samplers are short text files
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, OSError):
        return False


def set_torn_checkpoints_aside(checkpoints_dir):
    """Renames unreadable checkpoints so that the newest whole one is used.

    A checkpoint that was cut off before its first tensor file has fewer
    recoverables than its elder; it is torn as well.

    Arguments
    ---------
    checkpoints_dir : str or Path
        The folder that holds the ``CKPT+...`` folders.

    Returns
    -------
    list of str
        The names of the folders that were set aside.

    Example
    -------
    >>> set_torn_checkpoints_aside("no/such/folder")
    []
    """
    folders = sorted(
        p for p in Path(checkpoints_dir).glob("CKPT+*") if p.is_dir()
    )
    expected = max(
        (set(_names(p)) for p in folders if is_whole(p)), key=len, default=set()
    )
    torn = []
    for folder in folders:
        if is_whole(folder) and expected <= set(_names(folder)):
            continue
        folder.rename(folder.with_name(TORN_PREFIX + folder.name))
        torn.append(folder.name)
    return torn


def _names(folder):
    # The train loader's state is there only in the middle of an epoch.
    return [p.name for p in folder.glob("*.ckpt") if "dataloader" not in p.name]


def require_best(checkpointer, max_key=None, min_key=None):
    """Refuses a test where there is nothing to test but random weights.

    Arguments
    ---------
    checkpointer : speechbrain.utils.checkpoints.Checkpointer
        Of the run. ``CheckpointError`` is raised if it has no checkpoint
        with the number that is asked for.
    max_key, min_key : str, optional
        The number by which the best one is chosen.

    Example
    -------
    >>> from speechbrain.utils.checkpoints import Checkpointer
    >>> require_best(Checkpointer(getfixture("tmpdir")), min_key="loss")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: There is no checkpoint in ... to test...
    """
    if checkpointer.find_checkpoint(max_key=max_key, min_key=min_key) is None:
        raise CheckpointError(
            f"There is no checkpoint in '{checkpointer.checkpoints_dir}' to "
            "test; train first, or give the output_folder of a finished run."
        )


def save_frontend(net, folder):
    """Writes the weights of a front end, whole or not at all.

    Arguments
    ---------
    net : torch.nn.Module
        The front end.
    folder : str or Path
        Where ``visual_frontend.ckpt`` goes; an older one is replaced.

    Returns
    -------
    pathlib.Path
        The file.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> save_frontend(torch.nn.Linear(1, 1), folder).name
    'visual_frontend.ckpt'
    """
    weights = Path(folder, "visual_frontend.ckpt")
    partial = weights.with_suffix(".part")
    torch.save(net.state_dict(), partial)
    os.replace(partial, weights)
    return weights
