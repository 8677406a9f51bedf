"""``avsep separate``: the voices of real videos, one wav and mp4 per face.

Authors
 * avsep_sb contributors
"""

import sys
from pathlib import Path

from avsep_sb.errors import AVSepError, ConfigError


def add_arguments(parser):
    """Adds the command's options.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The command's parser.

    Returns
    -------
    None
        The parser is changed in place.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["a.mp4", "--out", "voices"]).videos
    ['a.mp4']
    """
    parser.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="videos of faces in view"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="results go to DIR/<name of the video>/",
    )
    parser.add_argument(
        "--source",
        metavar="DIR",
        help="pretrained folder (default: the checkpoint that ships)",
    )
    parser.add_argument(
        "--faces", type=int, metavar="N", help="keep at most N faces"
    )
    parser.add_argument(
        "--device", default="cpu", help="cpu or cuda (default: cpu)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace earlier results"
    )


def run(args):
    """Separates each video; a bad one is reported and the next one follows.

    Arguments
    ---------
    args : argparse.Namespace
        The options of :func:`add_arguments`.

    Returns
    -------
    int
        0, or 2 if a video failed.
    """
    if args.faces is not None and args.faces < 1:
        raise ConfigError("--faces must be at least 1.")
    targets = {}
    for video in args.videos:
        folder = Path(args.out) / Path(video).stem
        if folder in targets:
            raise ConfigError(
                f"{targets[folder]} and {video} would both be written to "
                f"'{folder}'; separate them into two folders."
            )
        targets[folder] = video

    # Bad folders show before minutes of work, and before torch is loaded.
    from avsep_sb.inference.video import (
        check_free,
        save_results,
        separate_video,
    )

    for folder in targets:
        check_free(folder, args.overwrite)
    separator = load_separator(args.source, args.device)
    from avsep_sb.vision.faces import FaceDetector

    detector = FaceDetector(device=args.device)
    failed = 0
    for folder, video in targets.items():
        try:
            result = separate_video(separator, video, args.faces, detector)
            files = save_results(result, folder, args.overwrite)
        except AVSepError as err:
            failed += 1
            print(f"error: {err}", file=sys.stderr)
            continue
        seconds = len(result.mixture) / result.sample_rate
        print(
            f"{video}: {len(result.tracks)} face(s), {seconds:.1f} s -> "
            f"{files['folder']}"
        )
        for wav in files["wavs"]:
            print(f"  {wav}")
    return 2 if failed else 0


def load_separator(source=None, device="cpu"):
    """Loads a pretrained folder, or the checkpoint that ships.

    Arguments
    ---------
    source : str or None
        The folder; None takes the shipped ``iianet-synthav``.
    device : str
        Where it runs.

    Returns
    -------
    AVSeparation
        ``CheckpointError`` is raised for a folder that cannot be loaded, and
        ``ConfigError`` for a device that is not there.
    """
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as err:
        raise ConfigError(
            f"the device '{device}' is not available here; use --device cpu."
        ) from err
    from avsep_sb.inference.separation import AVSeparation
    from avsep_sb.inference.shipped import shipped_model

    return AVSeparation.from_hparams(
        str(source or shipped_model()), run_opts={"device": device}
    )
