"""Preparation of mixtures of a raw corpus, the same for every recipe.

Lists first, for a wrong one should cost no hours; then audio and mouths of
what they name, unless ``prepare.py`` of the recipe has cropped them already;
then the manifests.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from avsep_sb.dataio.corpus import SPLITS, open_splits, write_splits
from avsep_sb.dataio.corpus_lists import gather_lists
from avsep_sb.dataio.mixture_lists import LIST_COUNTS, check_known
from avsep_sb.dataio.ready_mixtures import (
    has_ready_mixtures,
    write_ready_splits,
)
from avsep_sb.errors import ConfigError


def prepare_mixtures(
    corpus,
    save_folder,
    lists_folder=None,
    make_lists=None,
    num_train=None,
    num_valid=None,
    num_test=None,
    mix_seed=0,
    mixtures_folder=None,
    media_folder=None,
    num_spks=2,
    clip_seconds=None,
    workers=None,
    ray=None,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of a corpus.

    Arguments
    ---------
    corpus : avsep_sb.dataio.raw_corpus.RawCorpus
        The corpus.
    save_folder : str or Path
        Folder of the manifests. A manifest that is there stays.
    lists_folder : str, Path or None
        Folder of ``mix_<num_spks>_spk_{tr,cv,tt}.scp``; None looks in
        ``lists`` of the corpus and in the corpus.
    make_lists : bool or None
        Whether to draw the lists that are not found. None draws where none
        are public: for more than two speakers.
    num_train, num_valid, num_test : int or None
        Mixtures of each drawn list; None takes the numbers of the paper.
    mix_seed : int
        Seed of drawn lists.
    mixtures_folder : str, Path or None
        Folder of ready mixtures; None takes the corpus, if it holds some.
    media_folder : str, Path or None
        See :func:`avsep_sb.dataio.corpus.media_folder_for`.
    num_spks : int
        Speakers per mixture: 2, 3 or 4.
    clip_seconds : float or None
        Use the first so many seconds of each video; None uses all.
    workers, ray
        See :func:`avsep_sb.dataio.corpus_media.extract_corpus`.

    Returns
    -------
    None
        ``ConfigError`` is raised for manifests of other settings.
    """
    if corpus.public_lists:
        if mixtures_folder is None and has_ready_mixtures(corpus.folder):
            mixtures_folder = corpus.folder
        if make_lists is None:
            make_lists = num_spks > 2
    else:
        make_lists = True
    wanted = (num_train, num_valid, num_test)
    counts = None
    if make_lists and mixtures_folder is None:
        counts = _counts(wanted, num_spks)
    elif wanted != (None, None, None):
        raise ConfigError(
            "num_train, num_valid and num_test are for lists that are drawn: "
            'write --prepare_args "{make_lists: True, ...}" or leave them out'
        )
    settings = {
        "corpus": corpus.name,
        "num_spks": num_spks,
        "clip_seconds": clip_seconds,
        "mix_seed": mix_seed if counts else None,
        "counts": counts,
    }
    if corpus.public_lists:
        settings["ready_mixtures"] = mixtures_folder is not None
    splits = open_splits(save_folder, settings)
    if not splits:
        return
    if mixtures_folder is not None:
        write_ready_splits(
            mixtures_folder,
            splits,
            corpus.folder,
            save_folder,
            num_spks,
            corpus.speaker,
        )
        return
    corpus.roots()
    folders = [corpus.folder / "lists", corpus.folder]
    if lists_folder is not None:
        folders = [Path(lists_folder)]
    lists = gather_lists(
        corpus, folders, save_folder, num_spks, counts, mix_seed, clip_seconds
    )
    lists = {split: lists[split] for split in splits}
    videos = {}
    for split, listed in lists.items():
        names = {name for mixture in listed for name in mixture.utterances}
        found = {n: v for n in names if (v := corpus.find(n))}
        check_known(listed, found, f"the list of {split}", corpus.folder)
        videos.update(found)
    write_splits(
        lists,
        videos,
        {name: corpus.speaker(name) for name in videos},
        corpus.folder,
        save_folder,
        media_folder,
        clip_seconds,
        num_spks,
        workers,
        ray,
        # What is left of a text that is cut, nobody knows.
        corpus.text if clip_seconds is None else None,
    )


def _counts(wanted, num_spks):
    """Mixtures of each split."""
    if num_spks not in LIST_COUNTS:
        raise ConfigError(
            f"mixtures of {num_spks} speakers cannot be drawn: set num_spks "
            f"to one of {', '.join(map(str, LIST_COUNTS))}"
        )
    return {
        split: default if count is None else count
        for split, count, default in zip(
            SPLITS, wanted, LIST_COUNTS[num_spks], strict=True
        )
    }
