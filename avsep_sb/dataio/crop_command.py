"""Crops a whole corpus once: ``python recipes/<corpus>/prepare.py FOLDER``.

Lists of any kind are then made without a look at a video. Training does the
same for what its lists name, so this command is for large corpora, and for
preparing them on other machines than the one that trains.

Authors
 * avsep_sb contributors
"""

import argparse

from avsep_sb.dataio.corpus import check_writable, media_folder_for
from avsep_sb.dataio.corpus_media import FAILURES, extract_corpus


def crop_main(argv, corpus_class):
    """Writes mouth ROIs and audio of all videos of a corpus.

    A run that was stopped goes on when it is given once more.

    Arguments
    ---------
    argv : list of str
        The command line.
    corpus_class : type
        Subclass of :class:`avsep_sb.dataio.raw_corpus.RawCorpus`.

    Returns
    -------
    int
        0, also if some videos cannot be used: they are counted, and listed
        with their reasons.
    """
    args = _parse(argv, corpus_class)
    corpus = corpus_class(args.data_folder)
    videos = list(corpus.videos(args.parts))
    folder = media_folder_for(
        corpus.folder, args.media_folder, args.clip_seconds
    )
    whole = media_folder_for(corpus.folder, args.media_folder, None)
    check_writable(folder)
    failures = extract_corpus(
        videos,
        folder,
        args.clip_seconds,
        args.jobs,
        ray=args.ray,
        whole_folder=whole,
    )
    good = len(videos) - len(failures)
    share = 100 * good / len(videos) if videos else 0
    print(
        f"{good} of {len(videos)} videos ({share:.2f} %) have mouths and "
        f"audio in {folder}"
    )
    if failures:
        print(f"{len(failures)} failed, see {folder / FAILURES}")
    return 0


def _parse(argv, corpus_class):
    name, default = corpus_class.name, corpus_class.clip_seconds
    parser = argparse.ArgumentParser(
        prog=f"python recipes/{name}/prepare.py",
        description=f"Extracts mouth ROIs and audio of all videos of {name}.",
    )
    parser.add_argument("data_folder", help="the corpus as it unpacks")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=corpus_class.parts,
        metavar="PART",
        help=f"out of {' '.join(corpus_class.parts)}; all unless given",
    )
    parser.add_argument(
        "--media_folder",
        metavar="DIR",
        help="where audio and mouths go; DATA_FOLDER/avsep_sb unless given",
    )
    parser.add_argument(
        "--clip_seconds",
        type=_seconds,
        default=default,
        metavar="SECONDS",
        help="the first so many of each video, or 'all', from which clips of "
        f"any length are then cut; {default or 'all'} unless given",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=int,
        metavar="N",
        help="processes; one per processor unless given",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="HOST:PORT",
        help="work on the Ray cluster that RAY_ADDRESS or HOST:PORT names, "
        "else on all processors of this machine",
    )
    return parser.parse_args(argv)


def _seconds(text):
    """Seconds, or None for all.

    Example
    -------
    >>> _seconds("2"), _seconds("all")
    (2.0, None)
    """
    if text == "all":
        return None
    seconds = float(text)
    if not seconds > 0:
        raise ValueError
    return seconds
