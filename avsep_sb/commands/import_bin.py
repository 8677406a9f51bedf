"""``avsep import-official --model bin`` and ``--model avlit``.

Authors
 * avsep_sb contributors
"""

import sys
from pathlib import Path

from avsep_sb.commands.import_official import SAMPLE_RATE, sha256
from avsep_sb.errors import CheckpointError, ConfigError

TITLES = {"bin": "BIN", "avlit": "AVLiT"}

CARD = """\
# {title}, imported from a checkpoint of its reference

Converted by `avsep import-official`; the weights are unchanged, only their
names are ours.

| module | source | SHA-256 |
|---|---|---|
| separator | `{separator_file}` | `{separator_sha}` |
| visual_frontend | `{frontend_file}` | `{frontend_sha}` |

- The weights do not tell, and were taken to be: {told}.
- Faces: {num_spks} are seen together; other numbers can be separated.
- Mouth ROI: {crop} of the grey mouth brought to {size}, {video_fps} frames per
  second. What the crop of the reference shows is not known in pixels.
- Audio: {sample_rate} Hz.

```python
from avsep_sb.inference.separation import AVSeparation
model = AVSeparation.from_hparams("<this folder>")
```
"""


def run_bin(args):
    """Writes the folder of a BIN or an AVLiT, whole or not at all.

    Arguments
    ---------
    args : argparse.Namespace
        Of :func:`avsep_sb.commands.import_official.add_arguments`.

    Returns
    -------
    int
        0. ConfigError and CheckpointError tell of options and of files that
        cannot be used.
    """
    # Imported here, so that `avsep --help` does not wait for torch.
    from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
    from avsep_sb.inference.official import infer_args, load_official
    from avsep_sb.inference.official_file import read_official_file

    fps = 25.0 if args.video_fps is None else args.video_fps
    if not 0 < fps < SAMPLE_RATE:
        raise ConfigError(f"--video-fps is {fps:g}: give frames per second.")
    state = read_official_file(args.checkpoint, args.model)
    chosen = chosen_args(args)
    separator = load_official(state, chosen, args.model)
    separator_args = infer_args(state, chosen, args.model)

    frontend_file = args.lip or args.checkpoint
    try:
        frontend_state = read_official_file(frontend_file, "frame_autoencoder")
    except CheckpointError:
        if args.lip is not None:
            raise
        raise ConfigError(
            f"{args.checkpoint} holds the separator only: give the weights "
            "of the frame autoencoder that it was trained with by --lip "
            "LIPCKPT."
        ) from None
    frontend_chosen = {"crop": [80, 80], "frozen": True}
    if args.crop is not None:
        frontend_chosen["crop"] = parse_size(args.crop, "--crop", whole=True)
    if args.frame_size is not None:
        frontend_chosen["size"] = parse_size(args.frame_size, "--frame-size")
    frontend = load_official(
        frontend_state, frontend_chosen, "frame_autoencoder"
    )
    frontend_args = infer_args(
        frontend_state, frontend_chosen, "frame_autoencoder"
    )
    if frontend.out_channels != separator_args["embedding_dim"]:
        raise CheckpointError(
            f"The separator takes {separator_args['embedding_dim']} values "
            f"per frame, but the autoencoder gives {frontend.out_channels}: "
            "give the one it was trained with, and its --frame-size."
        )

    told = [
        f"{name} {separator_args[name]}"
        for name in (
            *("num_iterations", "token_policy"),
            *("audio_blocks", "video_blocks", "fusion_positions", "residual"),
        )
        if name in separator_args
    ]
    crop = frontend_args["crop"]
    card = CARD.format(
        title=TITLES[args.model],
        separator_file=Path(args.checkpoint).name,
        separator_sha=sha256(args.checkpoint),
        frontend_file=Path(frontend_file).name,
        frontend_sha=sha256(frontend_file),
        told=", ".join(told),
        num_spks=separator_args["num_sources"],
        crop="x".join(map(str, crop)) if crop else "all",
        size="x".join(map(str, frontend_args["size"])),
        video_fps=f"{fps:g}",
        sample_rate=SAMPLE_RATE,
    )
    kind, front = type(separator), type(frontend)
    dest = write_pretrained_folder(
        args.to,
        separator,
        frontend,
        yaml_object(f"{kind.__module__}.{kind.__name__}", separator_args),
        yaml_object(f"{front.__module__}.{front.__name__}", frontend_args),
        card,
        sample_rate=SAMPLE_RATE,
        video_fps=fps,
        num_spks=separator_args["num_sources"],
        overwrite=args.overwrite,
    )
    sys.stdout.write(f"{TITLES[args.model]} ({', '.join(told)}), in {dest}\n")
    return 0


def chosen_args(args):
    """Collects what the options say of the separator.

    Arguments
    ---------
    args : argparse.Namespace
        Of :func:`avsep_sb.commands.import_official.add_arguments`.

    Returns
    -------
    dict
        Arguments of our class; empty for what was not given.

    Example
    -------
    >>> import argparse
    >>> chosen_args(argparse.Namespace(
    ...     model="avlit", num_blocks=4, fusion_position=3))
    {'audio_blocks': 4, 'fusion_positions': [3]}
    """
    chosen = {}
    if args.num_blocks is not None:
        name = "num_iterations" if args.model == "bin" else "audio_blocks"
        chosen[name] = args.num_blocks
    if args.model == "bin":
        if args.token_policy is not None:
            chosen["token_policy"] = args.token_policy
    else:
        chosen["fusion_positions"] = [args.fusion_position or 0]
    return chosen


def parse_size(text, option, whole=False):
    """Reads a height and a width.

    Arguments
    ---------
    text : str
        Such as "64x64".
    option : str
        Its name, for the message.
    whole : bool
        Whether "whole" may stand for the picture as it is.

    Returns
    -------
    list of int or None
        ``[height, width]``, or None for "whole". ConfigError is raised for
        anything else.

    Example
    -------
    >>> parse_size("32x64", "--frame-size")
    [32, 64]
    """
    if whole and text == "whole":
        return None
    sides = text.split("x")
    if len(sides) != 2 or not all(s.isdecimal() and int(s) for s in sides):
        raise ConfigError(
            f"{option} is {text!r}: give height and width in pixels, as in "
            f"64x64{', or whole' if whole else ''}."
        )
    return [int(side) for side in sides]
