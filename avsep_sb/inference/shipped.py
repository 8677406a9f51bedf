"""Finds the checkpoints that ship with avsep_sb.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from avsep_sb.errors import CheckpointError

DEFAULT_MODEL = "iianet-synthav"
AUDIO_MODEL = "iianet-synthav-audio"
SYNC_MODEL = "syncnet-synthav"
ASR_MODEL = "asr-synthav"
STREAM_MODEL = "iianet-causal-synthav"


def shipped_model(name=DEFAULT_MODEL):
    """Gives the folder of a shipped checkpoint.

    Arguments
    ---------
    name : str
        Its name under ``pretrained/``.

    Returns
    -------
    pathlib.Path
        A folder for ``AVSeparation.from_hparams``. ``CheckpointError`` names
        those that ship if it is not among them.

    Example
    -------
    >>> shipped_model("no-such-model")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: No checkpoint 'no-such-model' ships...
    """
    package = Path(__file__).resolve().parents[1]
    # In a checkout pretrained/ stands beside the package; installed, in it.
    places = [package.parent / "pretrained", package / "pretrained"]
    for place in places:
        if (place / name / "hyperparams.yaml").is_file():
            return place / name
    found = sorted(
        p.parent.name for d in places for p in d.glob("*/hyperparams.yaml")
    )
    raise CheckpointError(
        f"No checkpoint '{name}' ships with avsep_sb; there are: "
        f"{', '.join(found) or 'none'}."
    )


def find_model(source):
    """Gives the folder of a model by its place or its name.

    Arguments
    ---------
    source : str or Path
        A folder, or the name of a checkpoint that ships.

    Returns
    -------
    pathlib.Path
        ``CheckpointError`` as of :func:`shipped_model` for neither.

    Example
    -------
    >>> find_model("iianet-synthav").name
    'iianet-synthav'
    """
    folder = Path(source)
    return folder if folder.is_dir() else shipped_model(str(source))


def shipped_audio_model():
    """Gives the folder of the audio-only checkpoint that ships.

    Returns
    -------
    pathlib.Path
        A folder for ``AVSeparation.from_hparams``, for moments without lips
        and for recordings without faces.

    Example
    -------
    >>> shipped_audio_model().name
    'iianet-synthav-audio'
    """
    return shipped_model(AUDIO_MODEL)
