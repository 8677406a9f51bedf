"""``avsep import-official``: makes published weights a pretrained folder.

Authors
 * avsep_sb contributors
"""

import hashlib
import sys
from pathlib import Path

from avsep_sb.errors import CheckpointError, ConfigError

CROPS = {"88x88": [88, 88], "50x88": "release"}
# Options that say something of these models alone.
OPTIONS_OF = {
    "swish": ("iianet",),
    "token_policy": ("bin",),
    "fusion_position": ("avlit",),
    "frame_size": ("bin", "avlit"),
    "video_fps": ("bin", "avlit"),
}

CARD = """\
# IIANet, imported from its official release

Converted by `avsep import-official`; the weights are unchanged, only their
names are ours.

| module | source | SHA-256 |
|---|---|---|
| separator | `{separator_file}` | `{separator_sha}` |
| visual_frontend | `{lip_file}` | `{lip_sha}` |

- {num_blocks} cycles: {num_av_cycles} audio-visual, then {num_audio_cycles}
  audio-only.
- Mouth ROI: {crop} of the 96 x 96 grey mouth, 25 frames per second.
- Audio: {sample_rate} Hz.
- The separator was trained on the embedding of one lip net. Weights of
  another lip reader load as well, as their shapes agree, but then the voices
  come out nearly alike.

```python
from avsep_sb.inference.separation import AVSeparation
model = AVSeparation.from_hparams("<this folder>")
```
"""

SAMPLE_RATE = 16000


def add_arguments(parser):
    """Declares the options.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Of the subcommand.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["best_model.pth", "--to", "model"]).to
    'model'
    """
    parser.add_argument(
        "checkpoint", metavar="CKPT", help="checkpoint of the reference code"
    )
    parser.add_argument(
        "--model",
        choices=("iianet", "bin", "avlit"),
        default="iianet",
        help="what CKPT holds (default: %(default)s)",
    )
    parser.add_argument(
        "--to", metavar="DIR", required=True, help="folder to write"
    )
    parser.add_argument(
        "--lip",
        metavar="LIPCKPT",
        help="weights of the visual front end that the checkpoint was "
        "trained with: lip reading weights for iianet, frame autoencoder for "
        "bin and avlit (not needed if CKPT holds them)",
    )
    parser.add_argument(
        "--num-blocks",
        type=int,
        help="cycles of the separator, which its weights do not tell "
        "(default: as the file states, or else 16; the fast IIANet has 10, "
        "BIN 20, the audio branch of AVLiT 8)",
    )
    parser.add_argument(
        "--crop",
        metavar="HxW",
        help="window of the mouth ROI: 88x88 for iianet, or 50x88, with which "
        "the release's published scores were made; 80x80 for bin and avlit, "
        "or any other, or whole",
    )
    parser.add_argument(
        "--frame-size",
        metavar="HxW",
        help="bin, avlit: pixels to which the window is brought (default: "
        "64x64, or 32x64 for an autoencoder of 3 layers)",
    )
    parser.add_argument(
        "--video-fps",
        type=float,
        help="bin, avlit: frames per second (default: 25; NTCD-TIMIT 62.5)",
    )
    parser.add_argument(
        "--token-policy",
        choices=("mean", "audio", "video", "separate", "none"),
        help="bin: which tokens a branch reads (default: mean)",
    )
    parser.add_argument(
        "--fusion-position",
        type=int,
        help="avlit: the run, from 0, before which the lips are added "
        "(default: 0)",
    )
    parser.add_argument(
        "--swish",
        action="store_true",
        help="the lip net has swish activations, which its weights do not "
        "tell from ReLU (not needed for a whole DC-TCN or MS-TCN)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a pretrained folder that is there",
    )


def run(args):
    """Writes the folder, whole or not at all.

    Arguments
    ---------
    args : argparse.Namespace
        Of :func:`add_arguments`.

    Returns
    -------
    int
        0. ConfigError and CheckpointError tell of options and of files that
        cannot be used.
    """
    # Imported here, so that `avsep --help` does not wait for torch.
    from avsep_sb.inference.folder import (
        check_destination,
        write_pretrained_folder,
        yaml_object,
    )
    from avsep_sb.inference.official import infer_args, load_official
    from avsep_sb.inference.official_file import (
        read_num_blocks,
        read_official_file,
    )
    from avsep_sb.inference.official_lips import has_swish

    if args.num_blocks is not None and args.num_blocks < 1:
        raise ConfigError(f"--num-blocks is {args.num_blocks}: give 1 or more.")
    refuse_options_of_others(args)
    # Before the work rather than after it.
    check_destination(args.to, args.overwrite)
    if args.model != "iianet":
        from avsep_sb.commands.import_bin import run_bin

        return run_bin(args)

    crop = args.crop or "88x88"
    if crop not in CROPS:
        raise ConfigError(f"--crop is {crop}: give {' or '.join(CROPS)}.")
    state = read_official_file(args.checkpoint)
    blocks = args.num_blocks or read_num_blocks(args.checkpoint) or 16
    chosen = {"num_blocks": blocks}
    separator = load_official(state, chosen)
    separator_args = infer_args(state, chosen)
    if separator_args["num_sources"] != 1:
        raise CheckpointError(
            f"{args.checkpoint} gives {separator_args['num_sources']} voices "
            "per face, which has no place in a pretrained folder: import a "
            "checkpoint with num_sources 1."
        )

    lip_file, lip_state = find_lips(args, read_official_file)
    lip_chosen = {"crop": CROPS[crop], "frozen": True}
    if args.swish or has_swish(lip_file):
        lip_chosen["relu_type"] = "swish"
    lips = load_official(lip_state, lip_chosen, "lip_resnet")
    lip_args = infer_args(lip_state, lip_chosen, "lip_resnet")
    if lips.out_channels != separator_args["vpre_channels"]:
        raise CheckpointError(
            f"The separator takes {separator_args['vpre_channels']} values "
            f"per frame, but the lip net gives {lips.out_channels}: give "
            "the lip net it was trained with."
        )

    card = CARD.format(
        separator_file=Path(args.checkpoint).name,
        separator_sha=sha256(args.checkpoint),
        lip_file=Path(lip_file).name,
        lip_sha=sha256(lip_file),
        num_blocks=blocks,
        num_av_cycles=separator_args["num_av_cycles"],
        num_audio_cycles=separator_args["num_audio_cycles"],
        crop=crop,
        sample_rate=SAMPLE_RATE,
    )
    dest = write_pretrained_folder(
        args.to,
        separator,
        lips,
        yaml_object("avsep_sb.lobes.iianet.IIANet", separator_args),
        yaml_object("avsep_sb.lobes.lip_resnet.LipResNet", lip_args),
        card,
        sample_rate=SAMPLE_RATE,
        overwrite=args.overwrite,
    )
    sys.stdout.write(f"IIANet of {blocks} cycles, in {dest}\n")
    return 0


def refuse_options_of_others(args):
    """Refuses an option that would do nothing.

    Arguments
    ---------
    args : argparse.Namespace
        Of :func:`add_arguments`. ConfigError names the option.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> refuse_options_of_others(parser.parse_args(
    ...     ["a.pth", "--to", "b", "--video-fps", "30"]))
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: --video-fps is for --model bin or avlit, not...
    """
    for name, models in OPTIONS_OF.items():
        value = getattr(args, name)
        # Not "in (None, False)", as 0 is a position and equals False.
        given = value is not None and value is not False
        if given and args.model not in models:
            raise ConfigError(
                f"--{name.replace('_', '-')} is for --model "
                f"{' or '.join(models)}, not for {args.model}."
            )


def find_lips(args, read):
    """Finds the weights of the lip net.

    Arguments
    ---------
    args : argparse.Namespace
        Of :func:`add_arguments`.
    read : callable
        :func:`avsep_sb.inference.official_file.read_official_file`.

    Returns
    -------
    tuple
        (path, state dict). A ConfigError is raised when they were not given
        and the checkpoint does not hold them either.
    """
    if args.lip is not None:
        return args.lip, read(args.lip, "lip_resnet")
    state = read(args.checkpoint, "lip_resnet")
    if not any(name.startswith("frontend3D.") for name in state):
        raise ConfigError(
            f"{args.checkpoint} holds the separator only, as the official "
            "checkpoints do: give the lip reading weights that it was "
            "trained with by --lip LIPCKPT."
        )
    return args.checkpoint, state


def sha256(path):
    """Hashes a file, for a card that tells where weights come from.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    str
        Its SHA-256 in hexadecimal.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> path = folder / "empty"
    >>> path.touch()
    >>> sha256(path)[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
