"""What all models from a pretrained folder share: how they are loaded.

Authors
 * avsep_sb contributors
"""

import re
from pathlib import Path

from speechbrain.dataio.preprocess import AudioNormalizer
from speechbrain.inference.interfaces import Pretrained

from avsep_sb.errors import CheckpointError
from avsep_sb.inference.folder import FORMAT_VERSION, MODULE_NAMES
from avsep_sb.inference.onnx_separator import GRAPH_FILE


class PretrainedFolder(Pretrained):
    """A model in a folder of avsep_sb, refused with a reason if it is none.

    Arguments
    ---------
    *args, **kwargs
        Those of :class:`speechbrain.inference.interfaces.Pretrained`.

    Example
    -------
    >>> PretrainedFolder.from_hparams("no/such/folder")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: 'no/such/folder' is not a folder with a...
    """

    HPARAMS_NEEDED = ["sample_rate", "video_fps"]
    MODULES_NEEDED = []

    def __init__(self, modules=None, hparams=None, **kwargs):
        # SpeechBrain checks one of the two lists, and only after building.
        for kind, needed, given in (
            ("key", self.HPARAMS_NEEDED, hparams),
            ("module", self.MODULES_NEEDED, modules),
        ):
            missing = [name for name in needed if name not in (given or {})]
            if missing:
                raise CheckpointError(
                    f"The model's hyperparams.yaml has no {kind} "
                    f"{', '.join(missing)}; it is not a folder of avsep_sb."
                )
        if hparams.get("format_version", 1) > FORMAT_VERSION:
            raise CheckpointError(
                "The model's folder has format_version "
                f"{hparams['format_version']}, but this avsep_sb reads up to "
                f"{FORMAT_VERSION}; install a newer avsep_sb."
            )
        super().__init__(modules=modules, hparams=hparams, **kwargs)
        if "audio_normalizer" not in hparams:
            # SpeechBrain's default is 16 kHz, whatever the model's rate.
            self.audio_normalizer = AudioNormalizer(hparams["sample_rate"])

    @classmethod
    def from_hparams(cls, source, hparams_file="hyperparams.yaml", **kwargs):
        """Loads a model from a folder or a hub.

        Arguments
        ---------
        source : str or Path
            A folder on disk, or a Hugging Face id ``owner/name``.
        hparams_file : str
            Name of the YAML inside it.
        **kwargs
            As in SpeechBrain: ``run_opts={"device": "cuda:0"}``,
            ``overrides``, ``savedir`` and so on.

        Returns
        -------
        PretrainedFolder
            Of the class it is called on, in evaluation mode, with frozen
            weights.
        """
        source = str(source)
        if (Path(source) / hparams_file).is_file():
            _check_weights(Path(source), hparams_file)
            return super().from_hparams(source, hparams_file, **kwargs)
        if looks_local(source):
            # A mistyped folder would be looked up on a hub for half a minute.
            raise CheckpointError(
                f"'{source}' is not a folder with a {hparams_file}; give "
                "the 'pretrained' folder of a run, or one that ships."
            )
        try:
            return super().from_hparams(source, hparams_file, **kwargs)
        except (OSError, ValueError) as err:
            raise CheckpointError(
                f"'{source}' is not a folder on this machine, and fetching "
                f"it failed ({str(err).strip().splitlines()[0]}); check the "
                "name and the network."
            ) from err


def looks_local(source):
    """Whether a source that is no folder can only have been meant as one.

    Arguments
    ---------
    source : str
        A path, or a Hugging Face id ``owner/name``.

    Returns
    -------
    bool

    Example
    -------
    >>> looks_local("./no/folder"), looks_local("an-owner/a-model")
    (True, False)
    """
    if "://" in source:
        return False
    path = Path(source)
    owner = path.parent
    return (
        path.exists()
        or source.startswith((".", "/", "~"))
        or source.count("/") != 1
        # "pretrained/typo", where "pretrained" is a folder here
        or owner.is_dir()
    )


def _check_weights(folder, hparams_file):
    """Names a weight file that a local folder's YAML wants but lacks."""
    text = (folder / hparams_file).read_text(encoding="utf-8")
    files = [
        f"{name}.ckpt"
        for name in MODULE_NAMES
        if re.search(rf"^{name}:", text, re.MULTILINE)
    ]
    if "onnx_separator" in text:
        files = [GRAPH_FILE]
    for name in files:
        if not (folder / name).is_file():
            raise CheckpointError(
                f"'{folder / name}' is missing; fetch or export the folder "
                "again."
            )
