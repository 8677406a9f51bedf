"""``avsep separate``: the voices of real videos, one wav and mp4 per face.

Authors
 * avsep_sb contributors
"""

import sys
from pathlib import Path

from avsep_sb.commands.models import (
    load_face_models,
    load_models,
    load_separator,
    models_of,
)
from avsep_sb.commands.progress import StageBars
from avsep_sb.commands.separate_stream import add_stream_options, run_stream
from avsep_sb.commands.video_list import list_videos
from avsep_sb.errors import AVSepError, ConfigError

__all__ = [
    "add_arguments",
    "add_separation_options",
    "check_options",
    "load_face_models",
    "load_models",
    "load_separator",
    "make_options",
    "report",
    "run",
    "sentence",
]

#: shortest window that is worth separating, in seconds
LEAST_CHUNK = 1.0


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
    add = parser.add_argument
    add(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="videos of any length, or folders with videos; with --stream one "
        "that still grows, a FIFO, or - for what is piped in",
    )
    add(
        "--out",
        required=True,
        metavar="DIR",
        help="results go to DIR/<name of the video>/",
    )
    add_separation_options(parser)
    add(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="share the videos among the machines of the Ray cluster at "
        "HOST:PORT (without an address: the one that RAY_ADDRESS names, or "
        "the processors of this machine)",
    )
    add("--overwrite", action="store_true", help="replace earlier results")
    add_stream_options(parser)


def add_separation_options(parser):
    """Adds the options of any command that separates videos.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The command's parser.

    Returns
    -------
    None
        The parser is changed in place.
    """
    add = parser.add_argument
    add(
        "--source",
        metavar="DIR",
        help="pretrained folder (default: the checkpoint that ships)",
    )
    add(
        "--audio-source",
        metavar="DIR",
        help="audio-only model for moments without lips and recordings "
        "without faces (default: the one that ships)",
    )
    add(
        "--sync-source",
        metavar="DIR",
        help="SyncNet that finds lips out of step (default: the one that "
        "ships, beside the models that ship; else the separator itself)",
    )
    add(
        "--label-by-lips",
        action="store_true",
        help="--source is a model without faces (SpeechBrain's SepFormer or "
        "any of its interface, an audio-only model): its voices are dealt to "
        "faces by the SyncNet",
    )
    add("--faces", type=int, metavar="N", help="keep at most N faces")
    add(
        "--speakers",
        type=int,
        metavar="N",
        help="where there is no face, separate into N voices by sound alone",
    )
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add(
        "--chunk",
        type=float,
        metavar="SECONDS",
        help="length of the windows that are separated (default: 4)",
    )
    add(
        "--all-in-view",
        action="store_true",
        help="nothing is to be heard but the faces in view (no noise, nobody "
        "else): their voices are cleaner, and nothing is left as residual",
    )
    add(
        "--fix-sync",
        action="store_true",
        help="in the mp4 of a face whose lips are more than 80 ms off, move "
        "the voice to the lips (it is separated by them either way)",
    )
    add(
        "--no-video",
        action="store_true",
        help="write no mp4s, only the voices",
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
    check_options(args)
    if args.stream:
        return run_stream(args)
    # Bad names show before minutes of work, and before torch is loaded.
    jobs = list_videos(args.videos, args.out)
    if args.ray is not None:
        from avsep_sb.commands.separate_ray import run_on_cluster

        return run_on_cluster(args, jobs)
    from avsep_sb.inference.video import separate_to_folder

    models = models_of(args)
    options = make_options(args, *models)
    detector, describer = load_face_models(args.device)
    failed = 0
    for number, (video, folder) in enumerate(jobs, 1):
        bars = StageBars(f"[{number}/{len(jobs)}] {video.name}")
        try:
            with bars:
                result = separate_to_folder(
                    *models, video, folder, options, detector, describer, bars
                )
        except AVSepError as err:
            failed += 1
            print(f"error: {sentence(video, err)}", file=sys.stderr)
            continue
        print(report(video, result), flush=True)
    return 2 if failed else 0


def check_options(args):
    """Refuses options that no video could be separated with.

    Arguments
    ---------
    args : argparse.Namespace
        The options.

    Returns
    -------
    None
        ``ConfigError`` names the first one that cannot be used.
    """
    for name in ("faces", "speakers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1.")
    if args.chunk is not None and not LEAST_CHUNK <= args.chunk <= 600:
        raise ConfigError("--chunk must be from 1 to 600 seconds.")
    if args.label_by_lips:
        if args.source is None:
            raise ConfigError("--label-by-lips needs the model as --source.")
        for name in ("audio_source", "all_in_view", "ray"):
            if getattr(args, name, None) not in (None, False):
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"--label-by-lips goes without {option}.")


def make_options(args, separator, audio_separator):
    """Turns the options of the command into those of a video.

    Arguments
    ---------
    args : argparse.Namespace
        The options of the command.
    separator, audio_separator : AVSeparation
        What :func:`load_models` gave.

    Returns
    -------
    VideoOptions
        ``ConfigError`` is raised for a number of speakers that the models
        do not separate.
    """
    from avsep_sb.inference.fingerprint import fingerprint
    from avsep_sb.inference.over_time import WINDOW_SECONDS, SpeakerLadder
    from avsep_sb.inference.shipped import (
        SYNC_MODEL,
        find_model,
        shipped_audio_model,
        shipped_model,
    )
    from avsep_sb.inference.video_options import VideoOptions
    from avsep_sb.inference.video_sync import offset_finder

    if args.speakers is not None:
        if audio_separator is None and separator.sees:
            raise ConfigError(
                "--speakers needs an audio-only model of the same rates as "
                "--source; name one with --audio-source."
            )
        SpeakerLadder(audio_separator or separator, args.speakers)
    sources = [Path(args.source or shipped_model())]
    if audio_separator is not None and not args.label_by_lips:
        sources.append(Path(args.audio_source or shipped_audio_model()))
    sync_model = args.sync_source
    if sync_model is None and (args.source is None or args.label_by_lips):
        sync_model = SYNC_MODEL
    if separator.sees and sync_model is not None:
        # A wrong one is refused before the work begins.
        offset_finder(separator, sync_model)
        sources.append(find_model(sync_model))
        if args.sync_source is not None:
            sync_model = str(sources[-1].absolute())
    names = [source.resolve().name for source in sources]
    audio_model = None
    if audio_separator is not None:
        # A model whose voices are dealt to faces is both.
        audio_model = names[0 if args.label_by_lips else 1]
    return VideoOptions(
        max_faces=args.faces,
        speakers=args.speakers,
        window_seconds=args.chunk or WINDOW_SECONDS,
        fix_sync=args.fix_sync,
        all_in_view=args.all_in_view,
        videos=not args.no_video,
        overwrite=args.overwrite,
        model=names[0],
        audio_model=audio_model,
        sync_model=sync_model,
        weights=fingerprint(*sources),
    )


def report(video, result):
    """What is printed of a result.

    Arguments
    ---------
    video : Path
        The video.
    result : VideoResult
        Its result.

    Returns
    -------
    str
        A line, and one for each voice that was written.
    """
    if result.skipped:
        return f"{video}: already separated, left as it is: {result.folder}"
    names = result.names
    kind = "face" if names[:1] == ["face1"] else "voice"
    seconds = result.table["seconds"]
    lines = [
        f"{video}: {len(names)} {kind}(s), {seconds:.1f} s -> {result.folder}"
    ]
    return "\n".join(lines + [f"  {wav}" for wav in result.wavs])


def sentence(video, err):
    """What is said of a video that cannot be separated.

    Arguments
    ---------
    video : Path
        The video.
    err : AVSepError or str
        What is wrong with it.

    Returns
    -------
    str
        The error, after the name of the video if it does not say it.

    Example
    -------
    >>> sentence("a.mp4", "no sound; record it again.")
    'a.mp4: no sound; record it again.'
    """
    text = str(err)
    return text if str(video) in text else f"{video}: {text}"
