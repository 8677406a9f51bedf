"""Data sets that are made by two protocols, whose numbers never mix.

*published* repeats a release with all its quirks, to compare with its
numbers; *corrected* makes mixtures that hold what their labels say.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from avsep_sb.errors import ConfigError

PROTOCOLS = ("published", "corrected")


def check_protocol(protocol, save_folder, dataset):
    """Refuses a folder whose name does not say which protocol it is of.

    Manifests, checkpoints and results lie in ``results/<dataset>``. With a
    name of its own for the corrected protocol, no model trained by one goes
    on, or is tested, by the other.

    Arguments
    ---------
    protocol : str
        "published" or "corrected".
    save_folder : str or Path
        Folder of the manifests. Its name, or that of the folder it is in,
        must hold the word "corrected" for that protocol, and for no other.
    dataset : str
        Name of the recipe, for the message.

    Returns
    -------
    None
        ``ConfigError`` says which option is missing.

    Example
    -------
    >>> check_protocol("published", "results/X/manifests", "X")
    >>> check_protocol("corrected", "results/X-corrected/manifests", "X")
    >>> check_protocol("corrected", "results/X/manifests", "X")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: results of the corrected protocol need a \
folder that says so: add --dataset X-corrected (or a --manifest_folder, and \
an --output_folder, with that word in their names)
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(
            f"protocol is {protocol!r} but must be {' or '.join(PROTOCOLS)}"
        )
    folder = Path(save_folder)
    marked = "corrected" in f"{folder.parent.name}/{folder.name}"
    if protocol == "corrected" and not marked:
        raise ConfigError(
            "results of the corrected protocol need a folder that says so: "
            f"add --dataset {dataset}-corrected (or a --manifest_folder, and "
            "an --output_folder, with that word in their names)"
        )
    if protocol == "published" and marked:
        raise ConfigError(
            f"{save_folder} is for the corrected protocol: ask for it, "
            '--prepare_args "{protocol: corrected}", or name another folder'
        )
