"""Finds the model of a run.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from avsep_sb.errors import CheckpointError


def find_model(run, scratch):
    """The pretrained folder that a run stands for.

    Arguments
    ---------
    run : str or Path
        The output folder of a training, finished or not, a pretrained
        folder, or the name of a model on a hub.
    scratch : str or Path
        An empty folder, into which the best checkpoint of a training that
        is not finished is exported.

    Returns
    -------
    (str or Path, str)
        A source for ``AVSeparation.from_hparams`` and what to call it.
        ``CheckpointError`` if a training has left no checkpoint.

    Example
    -------
    >>> from avsep_sb.inference.shipped import shipped_model
    >>> folder, name = find_model(shipped_model(), "unused")
    >>> folder.name, name
    ('iianet-synthav', 'iianet-synthav')
    """
    folder = Path(run)
    name = folder.resolve().name
    if (folder / "pretrained" / "hyperparams.yaml").is_file():
        return folder / "pretrained", name
    if (folder / "save").is_dir():
        if not list((folder / "save").glob("CKPT*")):
            raise CheckpointError(
                f"'{folder}' holds a training without a checkpoint: let it "
                "finish an epoch first."
            )
        from avsep_sb.inference.export import export_pretrained

        dest = export_pretrained(folder, Path(scratch) / "pretrained", "loss")
        return dest, f"{name} (best checkpoint of an unfinished training)"
    if folder.is_dir():
        if folder.name == "pretrained":
            name = folder.resolve().parent.name
        return folder, name
    return str(run), str(run)
