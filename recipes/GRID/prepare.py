"""Prepares GRID: mouth ROIs, audio and manifests of speaker mixtures.

Authors
 * avsep_sb contributors
"""

import re
from pathlib import Path

from avsep_sb.dataio.corpus import SPLITS, open_splits, write_splits
from avsep_sb.dataio.mixture_lists import (
    make_mixture_list,
    write_mixture_list,
)
from avsep_sb.errors import DataError

TEST_SPEAKERS = ("s1", "s2", "s20", "s22")
"""The unseen speakers of the lip-reading literature on GRID."""

VALID_SPEAKERS = ("s3", "s4", "s30", "s31")


def prepare_grid(
    data_folder,
    save_folder,
    num_train=20000,
    num_valid=5000,
    num_test=3000,
    mix_seed=0,
    media_folder=None,
    num_spks=2,
    clip_seconds=None,
    workers=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of GRID.

    The split is by speaker: s1, s2, s20, s22 are for test, s3, s4, s30, s31
    for validation, all others for training. The mixtures are drawn by
    ``mix_seed`` alone and do not depend on the seed of the training; their
    lists are kept in ``<save_folder>/lists``.

    Arguments
    ---------
    data_folder : str or Path
        The corpus, with videos ``s<k>/*.mpg`` (in subfolders too).
    save_folder : str or Path
        Folder of the manifests. A manifest that is there stays.
    num_train, num_valid, num_test : int
        Mixtures of each split.
    mix_seed : int
        Seed of the mixtures.
    media_folder : str, Path or None
        Folder for the extracted audio and mouths, which all experiments
        share; None takes ``<data_folder>/avsep_sb``.
    num_spks : int
        Speakers per mixture: 2, 3 or 4.
    clip_seconds : float or None
        Use the first so many seconds of each video; None uses all (3 s).
    workers : int or None
        Processes; None takes one per processor.
    skip_prep : bool
        Do nothing.

    Example
    -------
    >>> prepare_grid("corpus", "manifests", skip_prep=True)
    """
    if skip_prep:
        return
    counts = {"train": num_train, "valid": num_valid, "test": num_test}
    settings = {
        "corpus": "GRID",
        "num_spks": num_spks,
        "clip_seconds": clip_seconds,
        "mix_seed": mix_seed,
        "counts": counts,
    }
    splits = open_splits(save_folder, settings)
    if not splits:
        return
    videos, speakers = find_videos(data_folder)
    lists = {}
    for index, split in enumerate(SPLITS):
        if split not in splits:
            continue
        members = {
            name: speaker
            for name, speaker in speakers.items()
            if split_of(speaker) == split
        }
        found = sorted(set(members.values()))
        if len(found) < num_spks:
            raise DataError(
                f"the {split} split needs {num_spks} speakers but "
                f"{data_folder} has {', '.join(found) or 'none'} of "
                f"{_wanted(split)}: download more speakers"
            )
        lists[split] = make_mixture_list(
            members, counts[split], [mix_seed, index], num_spks
        )
        name = f"mix_{num_spks}_spk_{SPLITS[split]}.scp"
        write_mixture_list(Path(save_folder, "lists", name), lists[split])
    write_splits(
        lists,
        videos,
        speakers,
        data_folder,
        save_folder,
        media_folder,
        clip_seconds,
        num_spks,
        workers,
    )


def split_of(speaker):
    """The split of a speaker.

    Arguments
    ---------
    speaker : str
        "s1" to "s34".

    Returns
    -------
    str
        "train", "valid" or "test".

    Example
    -------
    >>> split_of("s20"), split_of("s4"), split_of("s5")
    ('test', 'valid', 'train')
    """
    if speaker in TEST_SPEAKERS:
        return "test"
    return "valid" if speaker in VALID_SPEAKERS else "train"


def find_videos(data_folder):
    """All videos of the corpus.

    Arguments
    ---------
    data_folder : str or Path
        The folder that holds ``s1`` to ``s34``.

    Returns
    -------
    videos : dict
        Path of each utterance, ``{"s1_bbaf2n": Path}``.
    speakers : dict
        Speaker of each utterance, ``{"s1_bbaf2n": "s1"}``.
    """
    videos, speakers = {}, {}
    for folder in sorted(Path(data_folder).glob("s*")):
        if not re.fullmatch(r"s\d+", folder.name):
            continue
        for path in sorted(folder.rglob("*.mpg")):
            name = f"{folder.name}_{path.stem}"
            videos.setdefault(name, path)
            speakers[name] = folder.name
    if not videos:
        raise DataError(
            f"{data_folder} holds no videos s1/*.mpg: download GRID as "
            "recipes/GRID/README.md says, and give its --data_folder"
        )
    return videos, speakers


def _wanted(split):
    named = {"test": TEST_SPEAKERS, "valid": VALID_SPEAKERS}
    return ", ".join(named.get(split, ("the other speakers",)))
