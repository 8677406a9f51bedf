"""The mixture lists of a recipe: those that are given, and new ones by seed.

Authors
 * avsep_sb contributors
"""

import hashlib
import json
from pathlib import Path

from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.corpus import SPLITS
from avsep_sb.dataio.jobs import replace_file
from avsep_sb.dataio.list_pools import draw_pools
from avsep_sb.dataio.mixture_lists import (
    make_mixture_list,
    read_mixture_list,
    write_mixture_list,
)
from avsep_sb.dataio.wham_pools import find_in
from avsep_sb.errors import DataError

logger = get_logger(__name__)


def list_file(num_spks, split):
    """Name of the list of a split, that of the public ones.

    Arguments
    ---------
    num_spks : int
        Speakers per mixture.
    split : str
        "train", "valid" or "test".

    Returns
    -------
    str

    Example
    -------
    >>> list_file(3, "valid")
    'mix_3_spk_cv.scp'
    """
    return f"mix_{num_spks}_spk_{SPLITS[split]}.scp"


def gather_lists(
    corpus,
    folders,
    save_folder,
    num_spks,
    counts=None,
    seed=0,
    clip_seconds=None,
):
    """The mixtures of each split; drawn lists and a record are written.

    Arguments
    ---------
    corpus : avsep_sb.dataio.raw_corpus.RawCorpus
        The corpus.
    folders : list of Path
        Where lists may lie.
    save_folder : str or Path
        Drawn lists go to ``lists`` in it; ``lists.json`` says of each list
        whether it was given or drawn, and from what.
    num_spks : int
        Speakers per mixture.
    counts : dict or None
        Mixtures of each list to draw, ``{"train": 20000, ...}``; None draws
        none, and a list that is not there is refused.
    seed : int
        Seed of the drawn lists.
    clip_seconds : float or None
        Shorter videos are not drawn from.

    Returns
    -------
    dict
        ``{split: [ListedMixture, ...]}``. ``DataError`` is raised for a list
        that is missing, or is of another number of speakers.
    """
    lists, origins = {}, {}
    for split in SPLITS:
        path = find_in(folders, list_file(num_spks, split))
        if path is not None:
            lists[split] = read_mixture_list(path)
            _check_speakers(lists[split], num_spks, path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            origins[split] = f"the given {path.name} (SHA-256 {digest}...)"
        elif counts is None:
            raise DataError(
                f"the mixture list {list_file(num_spks, split)} is not in "
                f"{' or '.join(map(str, folders))}: download it as "
                f"recipes/{corpus.name}/README.md says and name its folder, "
                '--prepare_args "{lists_folder: DIR}", or have one drawn, '
                '--prepare_args "{make_lists: True}"'
            )
    _warn_of_shared(corpus, lists)
    drawn = [split for split in SPLITS if split not in lists]
    taken = {spk for listed in lists.values() for spk in _of(corpus, listed)}
    pools, sources = draw_pools(corpus, drawn, folders, num_spks, seed, taken)
    usable = LongEnough(corpus, clip_seconds) if clip_seconds else None
    for index, split in enumerate(SPLITS):
        if split not in drawn:
            continue
        lists[split] = make_mixture_list(
            pools[split], counts[split], [seed, index], num_spks, usable
        )
        path = Path(save_folder, "lists", list_file(num_spks, split))
        write_mixture_list(path, lists[split])
        origins[split] = (
            f"drawn with seed {seed}: {counts[split]} mixtures of "
            f"{len(pools[split])} utterances of {sources[split]}"
        )
    if usable and usable.refused:
        logger.info(
            f"{len(usable.refused)} utterances were not drawn, first "
            f"{usable.refused[0]}"
        )
    _record(Path(save_folder, "lists.json"), origins)
    return {split: lists[split] for split in SPLITS}


class LongEnough:
    """Tells whether the video of an utterance is long enough, by its header.

    Arguments
    ---------
    corpus : avsep_sb.dataio.raw_corpus.RawCorpus
        The corpus.
    seconds : float
        Shorter videos, and those that cannot be read, are refused; the
        reasons are kept in ``refused``.
    """

    def __init__(self, corpus, seconds):
        self.corpus, self.seconds = corpus, seconds
        self.refused = []

    def __call__(self, utterance):
        from avsep_sb.errors import VideoError
        from avsep_sb.vision.decode import probe

        path = self.corpus.find(utterance).path
        try:
            lasts = probe(str(path)).duration
        except VideoError as err:
            self.refused.append(str(err))
            return False
        # A header that does not say is left to the extraction.
        if lasts is None or lasts >= self.seconds:
            return True
        self.refused.append(f"{path}, which lasts {lasts:.2f} s")
        return False


def _of(corpus, mixtures):
    return {corpus.speaker(n) for m in mixtures for n in m.utterances}


def _warn_of_shared(corpus, lists):
    """Some public lists have speakers in common."""
    done = []
    for split, listed in lists.items():
        for other in done:
            shared = _of(corpus, listed) & _of(corpus, lists[other])
            if shared:
                logger.warning(
                    f"the given lists of {other} and {split} share "
                    f"{len(shared)} speakers, first {min(shared)}"
                )
        done.append(split)


def _check_speakers(mixtures, num_spks, path):
    listed = len(mixtures[0].utterances)
    if listed != num_spks:
        raise DataError(
            f"{path} mixes {listed} speakers but num_spks is {num_spks}: "
            "change --num_spks or take another list"
        )


def _record(path, origins):
    text = json.dumps({s: origins[s] for s in SPLITS}, indent=1)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        replace_file(path, lambda file: file.write(text.encode()))
