"""``avsep separate --stream``: the voices of a video that still comes in.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from avsep_sb.errors import ConfigError

#: seconds without a byte after which a recording counts as over
IDLE = 10.0
#: faces that are followed unless --faces says otherwise
MOST_FACES = 4
#: options of whole recordings
_WHOLE = (
    "audio_source sync_source label_by_lips speakers chunk all_in_view "
    "fix_sync ray"
).split()


def add_stream_options(parser):
    """Adds the options of streams.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The parser of ``avsep separate``.

    Returns
    -------
    None
        The parser is changed in place.
    """
    parser.add_argument(
        "--stream",
        action="store_true",
        help="separate a video as it comes in, about 0.1 s late: Matroska or "
        "MPEG-TS; wavs are written into DIR as they grow (no mp4s)",
    )
    parser.add_argument(
        "--idle",
        type=float,
        metavar="SECONDS",
        help="with --stream: the video is over when nothing came for so long "
        f"(default: {IDLE:.0f})",
    )


def check_stream(args):
    """Refuses options that do not go with streams.

    Arguments
    ---------
    args : argparse.Namespace
        The options.

    Returns
    -------
    None
        ``ConfigError`` names the first one.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> options = dict.fromkeys(_WHOLE)
    >>> check_stream(SimpleNamespace(videos=["a", "b"], idle=1, **options))
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: --stream separates one video at a time; name...
    """
    if len(args.videos) != 1:
        raise ConfigError(
            "--stream separates one video at a time; name one, or - for what "
            "is piped in."
        )
    for name in _WHOLE:
        if getattr(args, name, None) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"--stream goes without {option}.")
    if getattr(args, "device", "cpu") != "cpu":
        raise ConfigError("--stream runs on the CPU: leave out --device.")
    if args.idle is not None and args.idle <= 0:
        raise ConfigError("--idle must be above 0 seconds.")


def run_stream(args):
    """Separates one video as it comes in.

    Arguments
    ---------
    args : argparse.Namespace
        The options of ``avsep separate``.

    Returns
    -------
    int
        0; bad input raises an ``AVSepError``.
    """
    check_stream(args)
    from avsep_sb.commands.models import load_face_models
    from avsep_sb.inference.live import separate_live
    from avsep_sb.inference.shipped import STREAM_MODEL, find_model
    from avsep_sb.inference.streaming import StreamingSeparation

    source = find_model(args.source or STREAM_MODEL)
    model = StreamingSeparation.from_hparams(source)
    detector, _ = load_face_models()
    print(
        f"{args.videos[0]}: {1000 * model.latency_seconds:.0f} ms late -> "
        f"{args.out}",
        flush=True,
    )
    report = separate_live(
        model,
        args.videos[0],
        Path(args.out),
        args.faces or MOST_FACES,
        args.idle or IDLE,
        detector,
        args.overwrite,
        told=lambda sentence: print(f"  {sentence}", flush=True),
    )
    print(summary(report))
    return 0


def summary(report):
    """What is printed at the end.

    Arguments
    ---------
    report : dict
        Of :func:`avsep_sb.inference.live.separate_live`.

    Returns
    -------
    str
        Two lines.
    """
    seconds = max(report["seconds"], 1e-9)
    return (
        f"{len(report['faces'])} face(s), {report['seconds']:.1f} s; "
        f"{report['work_seconds']:.1f} s of work "
        f"({report['work_seconds'] / seconds:.2f} of real time)\n"
        f"  latency {1000 * report['latency_seconds']:.0f} ms by the code; "
        f"at most {1000 * report['waiting_seconds_max']:.0f} ms of sound "
        f"waited; a video frame took {report['frame_ms_median']:.0f} ms, "
        f"95 % below {report['frame_ms_p95']:.0f} ms (separation "
        f"{report['separation_ms_p95']:.0f} ms)"
    )
