"""Prepares LRW: the mouth ROIs of its clips, and a list of each split.

> python recipes/LRW/prepare.py /path/to/LRW -j 8

does it without training, for a machine without a GPU.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path

from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.corpus import open_splits
from avsep_sb.dataio.lrw import (
    FAILURES,
    extract_clips,
    find_clips,
    write_clips,
)
from avsep_sb.errors import ConfigError, DataError, run_or_explain

logger = get_logger(__name__)


def prepare_lrw(
    data_folder,
    save_folder,
    media_folder=None,
    num_words=None,
    clips_per_word=None,
    num_spks=1,
    workers=None,
    ray=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of LRW.

    Arguments
    ---------
    data_folder : str or Path
        The corpus, with ``lipread_mp4/<WORD>/{train,val,test}/*.mp4``.
    save_folder : str or Path
        Folder of the lists. One that is there stays.
    media_folder : str, Path or None
        Folder for the mouths, which all experiments share; None takes
        ``<data_folder>/avsep_sb/words``.
    num_words : int or None
        Only the first so many of the 500 words.
    clips_per_word : int or None
        Only the first so many clips of each word and split.
    num_spks : int
        1: there is one face in a clip.
    workers : int or None
        Processes; None takes one per processor.
    ray : str or None
        Address of a Ray cluster that does the work; "" takes the one that
        the environment names.
    skip_prep : bool
        Do nothing.

    Example
    -------
    >>> prepare_lrw("corpus", "manifests", skip_prep=True)
    """
    if skip_prep:
        return
    if num_spks != 1:
        raise ConfigError(f"num_spks is {num_spks}: clips of LRW have 1 face.")
    settings = {
        "corpus": "LRW",
        "num_words": num_words,
        "clips_per_word": clips_per_word,
    }
    splits = open_splits(save_folder, settings)
    if not splits:
        return
    clips = find_clips(data_folder, num_words, clips_per_word)
    folder = Path(media_folder or Path(data_folder) / "avsep_sb" / "words")
    wanted = [clip for split in splits for clip in clips[split]]
    logger.info(f"Mouths of {len(wanted)} clips in {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise DataError(
            f"the mouths cannot be written to {folder} ({err}): name another "
            'folder, --prepare_args "{media_folder: DIR}"'
        ) from err
    failures = extract_clips(wanted, folder, workers, ray)
    failed = {(clip.split, clip.name): why for clip, why in failures.items()}
    if failed:
        logger.warning(
            f"{len(failed)} of {len(wanted)} clips cannot be used, see "
            f"{folder / FAILURES}"
        )
    for split in splits:
        usable = [c for c in clips[split] if (split, c.name) not in failed]
        if not usable:
            raise DataError(
                f"no clip of {split} can be used "
                f"(first reason: {next(iter(failed.values()))}); see "
                f"{folder / FAILURES}"
            )
        unknown = write_clips(
            Path(save_folder) / f"{split}.csv", usable, folder, data_folder
        )
        if unknown:
            logger.warning(
                f"{unknown} of {len(usable)} clips of {split} have no text "
                "that tells how long the word is: they are used whole"
            )


def main(argv):
    """Prepares the corpus that the command line names."""
    parser = argparse.ArgumentParser(description="Prepares LRW for training.")
    parser.add_argument("data_folder", help="folder with lipread_mp4")
    parser.add_argument(
        "--save_folder",
        default="results/LRW/manifests",
        help="folder of the lists (default: %(default)s)",
    )
    parser.add_argument("--media_folder", help="folder for the mouths")
    parser.add_argument(
        "-j", "--workers", type=int, help="processes (default: all processors)"
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="HOST:PORT",
        help="work on a Ray cluster (default: the one RAY_ADDRESS names)",
    )
    args = parser.parse_args(argv)
    prepare_lrw(**vars(args))


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
