"""``avsep transcribe``: who says what in a video, by faces.

A video is separated as ``avsep separate`` does it, and what each face says is
written by a recogniser. What is there already is taken as it is, so a run
that was stopped goes on when it is given once more.

Authors
 * avsep_sb contributors
"""

import os
import sys
from pathlib import Path

from avsep_sb.commands.progress import StageBars
from avsep_sb.commands.separate import (
    add_separation_options,
    check_options,
    make_options,
    sentence,
)
from avsep_sb.commands.video_list import list_videos
from avsep_sb.errors import AVSepError, CheckpointError, ConfigError
from avsep_sb.inference.shipped import ASR_MODEL
from avsep_sb.inference.video_files import earlier_result, read_table

#: where the results of videos go
OUT = "transcripts"


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
    >>> parser.parse_args(["a.mp4", "--names", "face1=Anna"]).names
    'face1=Anna'
    """
    add = parser.add_argument
    add(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="videos of any length, folders with videos, or folders that "
        "avsep separate wrote, which are not separated again",
    )
    add(
        "--asr",
        default=ASR_MODEL,
        metavar="SOURCE",
        help="recogniser of SpeechBrain: a folder, one that ships, or a name "
        f"on Hugging Face (default: {ASR_MODEL})",
    )
    add(
        "--names",
        metavar="FACE=NAME,...",
        help="who the faces are, such as face1=Anna,face2=Ben",
    )
    add(
        "--longest",
        type=float,
        metavar="SECONDS",
        help="utterances that last longer are cut at a pause (default: 20)",
    )
    add(
        "--out",
        metavar="DIR",
        help="voices go to DIR/<name of the video>/, and what is said to "
        f"transcript/ in it (default: {OUT}; of a folder that avsep separate "
        "wrote: that folder)",
    )
    add_separation_options(parser)
    # That of separate, which checks the options of both.
    parser.set_defaults(ray=None)
    add("--overwrite", action="store_true", help="replace earlier results")


def run(args):
    """Transcribes each video; a bad one is reported, the next one follows.

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
    if args.longest is not None and not 1 <= args.longest <= 600:
        raise ConfigError("--longest must be from 1 to 600 seconds.")
    names = parse_names(args.names)
    jobs = list_jobs(args.videos, args.out)
    from avsep_sb.inference.transcribe import transcribe_folder

    asr, options = load_recogniser(args, names)
    separate = _Separation(args)
    failed = 0
    for number, (video, folder, out) in enumerate(jobs, 1):
        bars = StageBars(f"[{number}/{len(jobs)}] {(video or folder).name}")
        try:
            with bars:
                if video is not None:
                    separate(video, folder, bars)
                result = transcribe_folder(asr, folder, options, out, bars)
        except AVSepError as err:
            failed += 1
            text = sentence(video or folder, err)
            print(f"error: {text}", file=sys.stderr)
            continue
        print(report(video or folder, result), flush=True)
    return 2 if failed else 0


def parse_names(text):
    """Reads the names of faces.

    Arguments
    ---------
    text : str or None
        Such as ``face1=Anna,face2=Ben``.

    Returns
    -------
    dict
        Face to name. ``ConfigError`` is raised for what cannot be read.

    Example
    -------
    >>> parse_names("face1=Anna, face2=Ben Smith")
    {'face1': 'Anna', 'face2': 'Ben Smith'}
    """
    names = {}
    for part in text.split(",") if text else []:
        face, equals, name = (piece.strip() for piece in part.partition("="))
        if not (face and equals and name) or face in names:
            raise ConfigError(
                f"--names has '{part.strip()}'; write each face once, as "
                "face1=Anna,face2=Ben."
            )
        names[face] = name
    return names


def list_jobs(names, out=None):
    """Lists what is to be transcribed.

    Arguments
    ---------
    names : list of str
        Videos, folders of them, and folders that ``avsep separate`` wrote, or
        that hold such folders and no video.
    out : str or None
        The folder of all results.

    Returns
    -------
    list of (Path or None, Path, Path or None)
        Video (None for one that is separated already), folder of its voices,
        and folder of the transcript (None for the one inside the voices').
        ``ConfigError`` is raised as of
        :func:`avsep_sb.commands.video_list.list_videos`, and if two
        transcripts would be written to one folder.
    """
    videos, jobs, taken = [], [], set()
    for name in names:
        folders = _separated(Path(name), out or OUT)
        if not folders:
            videos.append(name)
        for folder in folders:
            place = None
            if out is not None:
                place = Path(out, folder.resolve().name, "transcript")
            key = os.path.normcase(place or folder.resolve())
            if key in taken:
                raise ConfigError(
                    f"two transcripts would be written to '{place or folder}'; "
                    "give each folder once, or transcribe them one by one."
                )
            taken.add(key)
            jobs.append((None, folder, place))
    if videos:
        found = list_videos(videos, OUT if out is None else out)
        jobs += [(video, folder, None) for video, folder in found]
    return jobs


def _separated(folder, out):
    """Results of avsep separate that a name stands for; none of a video."""
    if read_table(folder) is not None:
        return [folder]
    if not folder.is_dir():
        return []
    try:
        list_videos([folder], out)
    except ConfigError:
        tables = sorted(folder.glob("**/faces.json"))
        places = [path.parent for path in tables]
        return [place for place in places if read_table(place) is not None]
    return []


def load_recogniser(args, names):
    """Loads the recogniser, before minutes of separation.

    Arguments
    ---------
    args : argparse.Namespace
        The options of the command.
    names : dict
        Of :func:`parse_names`.

    Returns
    -------
    (object, TranscriptOptions)
        ``CheckpointError`` tells in a sentence why there is none.
    """
    from avsep_sb.commands.models import check_device
    from avsep_sb.inference.asr_load import load_asr
    from avsep_sb.inference.fingerprint import fingerprint
    from avsep_sb.inference.shipped import find_model
    from avsep_sb.inference.transcribe import LONGEST_S, TranscriptOptions

    check_device(args.device)
    source = args.asr
    if source == ASR_MODEL:
        try:
            source = find_model(ASR_MODEL)
        except CheckpointError as err:
            raise CheckpointError(
                f"the recogniser '{ASR_MODEL}' is not installed here; name "
                "one with --asr: a folder, or a name on Hugging Face."
            ) from err
    asr = load_asr(source, args.device)
    source = Path(source)
    return asr, TranscriptOptions(
        names,
        args.longest or LONGEST_S,
        args.overwrite,
        asr=source.resolve().name if source.is_dir() else args.asr,
        weights=fingerprint(source),
    )


class _Separation:
    """Separates videos, with models that are loaded for the first one."""

    def __init__(self, args):
        self.args, self.loaded = args, None

    def __call__(self, video, folder, bars):
        """Writes the voices of a video, unless they are there."""
        from dataclasses import replace

        from avsep_sb.inference.video import separate_to_folder

        if self.loaded is None:
            self.loaded = self._load()
        models, options, faces = self.loaded
        # A transcript that is made again needs no other voices.
        again = self.args.overwrite and not _is_there(
            folder, video, options.settings
        )
        options = replace(options, overwrite=again)
        separate_to_folder(*models, video, folder, options, *faces, bars)

    def _load(self):
        from avsep_sb.commands.models import load_face_models, models_of

        models = models_of(self.args)
        options = make_options(self.args, *models)
        return models, options, load_face_models(self.args.device)


def _is_there(folder, video, settings):
    try:
        return earlier_result(folder, video, settings) is not None
    except ConfigError:
        return False


def report(source, transcript):
    """What is printed of a transcript.

    Arguments
    ---------
    source : Path
        The video, or the folder of its voices.
    transcript : Transcript
        What was said.

    Returns
    -------
    str
        A line, and one for each utterance.
    """
    folder = transcript.folder
    if transcript.skipped:
        return f"{source}: already transcribed, left as it is: {folder}"
    said = transcript.text.splitlines()
    lines = [f"{source}: {len(said)} utterance(s) -> {folder}"]
    return "\n".join(lines + [f"  {line}" for line in said])
