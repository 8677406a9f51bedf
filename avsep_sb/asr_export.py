"""Writes a trained recogniser as a folder that SpeechBrain loads.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from speechbrain.nnet.containers import LengthsCapableSequential

from avsep_sb.errors import CheckpointError
from avsep_sb.inference.export import read_objects
from avsep_sb.inference.folder import write_folder, yaml_object

PARTS = ("compute_features", "normalize", "model")
TEXT = """\
# Pretrained recogniser of avsep_sb. Load with
#   from speechbrain.inference.ASR import EncoderASR
#   EncoderASR.from_hparams(source="<this folder>")
sample_rate: {sample_rate}
blank_index: 0

{parts}
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    input_shape: [null, null, {n_mels}]
    compute_features: !ref <compute_features>
    normalize: !ref <normalize>
    model: !ref <model>

tokenizer: !new:sentencepiece.SentencePieceProcessor

decoding_function: !name:speechbrain.decoders.ctc_greedy_decode
    blank_id: !ref <blank_index>

modules:
    encoder: !ref <encoder>

audio_normalizer: !new:speechbrain.dataio.preprocess.AudioNormalizer
    sample_rate: !ref <sample_rate>

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <encoder>
        tokenizer: !ref <tokenizer>
    custom_hooks:
        encoder: !name:avsep_sb.inference.load.strict_load
"""
CARD = """\
# {title}

A recogniser with CTC, trained with avsep_sb on {dataset}: lower-case English.

```python
from speechbrain.inference.ASR import EncoderASR
EncoderASR.from_hparams("<this folder>").transcribe_file("a.wav")
```
"""


def without_folder(model, path):
    """Hides where a file lay in a SentencePiece model, which quotes its paths.

    Arguments
    ---------
    model : bytes
        The model.
    path : str
        A path with folders, as given when it was trained.

    Returns
    -------
    bytes
        As long as before: the length of a string stands beside it.

    Example
    -------
    >>> without_folder(b"..data/me/words.txt..", "data/me/words.txt")
    b'..________words.txt..'
    """
    folder = path[: len(path) - len(Path(path).name)].encode()
    hidden = path.encode().replace(folder, b"_" * len(folder), 1)
    return model.replace(path.encode(), hidden)


def export_recogniser(output_folder, hparams, tokenizer, dest=None, card=None):
    """Writes the folder, whole or not at all; one that is there is replaced.

    Arguments
    ---------
    output_folder : str or Path
        The run, with its ``hyperparams.yaml``.
    hparams : dict
        With the trained ``compute_features``, ``normalize`` and ``model``.
    tokenizer : speechbrain.tokenizers.SentencePiece.SentencePiece
        The one it was trained with.
    dest : str or Path, optional
        The folder; ``pretrained`` in the run if not given.
    card : str, optional
        Model card in Markdown; a short one is written without it.

    Returns
    -------
    pathlib.Path
        ``dest``. ``CheckpointError`` is raised for a folder of no such run.
    """
    run = read_objects(output_folder)
    missing = [name for name in PARTS if name not in run]
    if missing:
        raise CheckpointError(
            f"'{output_folder}' is not the output folder of a recogniser: "
            f"its hyperparams.yaml has no {', '.join(missing)}."
        )
    text = TEXT.format(
        sample_rate=run["sample_rate"],
        n_mels=run["n_mels"],
        parts="\n".join(f"{n}: {yaml_object(*run[n])}\n" for n in PARTS),
    )
    encoder = LengthsCapableSequential(
        input_shape=[None, None, run["n_mels"]],
        **{name: hparams[name] for name in PARTS},
    )
    card = card or CARD.format(
        title=run.get("experiment_name", "recogniser"),
        dataset=run.get("dataset", "a corpus"),
    )
    model = Path(f"{tokenizer.prefix_model_file}.model").read_bytes()
    for path in (tokenizer.text_file, tokenizer.prefix_model_file):
        model = without_folder(model, str(path))
    return write_folder(
        Path(dest or Path(output_folder) / "pretrained"),
        {"encoder": encoder},
        text,
        card,
        overwrite=True,
        files={"tokenizer.ckpt": model},
    )
