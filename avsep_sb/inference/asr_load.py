"""Finds and loads a recogniser of SpeechBrain, whatever its kind.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import yaml
from speechbrain.inference import ASR
from speechbrain.utils.fetching import fetch

from avsep_sb.errors import CheckpointError
from avsep_sb.inference.export import read_objects
from avsep_sb.inference.pretrained import looks_local
from avsep_sb.inference.shipped import shipped_model

YAML = "hyperparams.yaml"
#: interfaces, the most particular first, by keys of the YAML and its modules
KINDS = (
    ("StreamingASR", {"fea_streaming_extractor"}, {"enc", "proj_enc"}),
    ("WhisperASR", {"sample_rate"}, {"whisper", "decoder"}),
    ("EncoderDecoderASR", {"tokenizer"}, {"encoder", "decoder"}),
    ("EncoderASR", {"tokenizer", "decoding_function"}, {"encoder"}),
)


def load_asr(source, device=None):
    """Loads a recogniser; its ``hyperparams.yaml`` tells of which kind.

    Arguments
    ---------
    source : str or Path
        A folder, the name of a recogniser that ships (``asr-synthav``), or a
        Hugging Face id ``owner/name``. As with SpeechBrain, the YAML of a
        recogniser names the classes that are built: load those you trust.
    device : str, optional
        Such as ``cuda:0``; SpeechBrain's guess if not given.

    Returns
    -------
    EncoderASR, EncoderDecoderASR, WhisperASR or StreamingASR
        In evaluation mode, with frozen weights. ``CheckpointError`` tells in
        a sentence why there is none.

    Example
    -------
    >>> load_asr("no/such/folder")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: 'no/such/folder' is neither a folder ...
    """
    folder = _folder(str(source))
    kind = asr_kind(folder)
    options = {} if device is None else {"run_opts": {"device": str(device)}}
    interface = getattr(ASR, kind)
    try:
        return interface.from_hparams(source=str(folder), **options)
    except CheckpointError:
        raise
    except ImportError as err:
        raise CheckpointError(
            f"The recogniser '{source}' needs a package that is missing here "
            f"({_first_line(err)}); install it."
        ) from err
    except Exception as err:  # whatever the YAML of others may build
        raise CheckpointError(
            f"The recogniser '{source}' cannot be loaded as {kind}: "
            f"{_first_line(err)}; fetch or export it again."
        ) from err


def asr_kind(folder):
    """Tells which interface of SpeechBrain a recogniser's folder is for.

    Arguments
    ---------
    folder : str or Path
        On disk, or a Hugging Face id, of which the YAML is fetched.

    Returns
    -------
    str
        A class of :mod:`speechbrain.inference.ASR`. ``CheckpointError`` if
        it is none that transcribes.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "hyperparams.yaml").write_text("sample_rate: 16000")
    >>> asr_kind(folder)
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: '...' is no recogniser: its hyperparams...
    """
    place = Path(folder)
    if not place.is_dir():
        place = Path(fetch(YAML, source=str(folder))).parent
    try:
        found = read_objects(place)
    except yaml.YAMLError as err:
        raise CheckpointError(
            f"'{place / YAML}' is no YAML ({_first_line(err)}); fetch or "
            "export the recogniser again."
        ) from err
    found = found if isinstance(found, dict) else {}
    modules = found.get("modules")
    modules = set(modules) if isinstance(modules, dict) else set()
    for kind, keys, needed in KINDS:
        if keys <= found.keys() and needed <= modules:
            return kind
    raise CheckpointError(
        f"'{folder}' is no recogniser: its {YAML} holds what none of "
        f"{', '.join(kind for kind, *_ in KINDS)} needs; give a folder of "
        "SpeechBrain's that transcribes, such as 'asr-synthav'."
    )


def _folder(source):
    """The folder on disk, or the id if a hub must have it."""
    if (Path(source) / YAML).is_file():
        return Path(source)
    if "/" not in source and not Path(source).exists():
        return shipped_model(source)
    if looks_local(source):
        raise CheckpointError(
            f"'{source}' is neither a folder with a {YAML} nor the name of a "
            "recogniser that ships, such as 'asr-synthav'; check the path."
        )
    try:
        fetch(YAML, source=source)
    except Exception as err:  # hubs fail in many ways
        raise CheckpointError(
            f"'{source}' is not a folder on this machine, and fetching it "
            f"failed ({_first_line(err)}); check the name and the network."
        ) from err
    return source


def _first_line(err):
    lines = str(err).strip().strip("'\"").splitlines()
    return lines[0] if lines else type(err).__name__
