"""Which utterances the mixtures of each split are drawn from.

No speaker is in two splits. Where the public list of two-speaker mixtures of
a split is at hand, its utterances are taken, so that mixtures of three and
four speakers are split as the two-speaker protocol is.

Authors
 * avsep_sb contributors
"""

import numpy as np
from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.corpus import SPLITS
from avsep_sb.dataio.mixture_lists import check_known, read_mixture_list
from avsep_sb.dataio.wham_pools import find_in
from avsep_sb.errors import DataError

logger = get_logger(__name__)

#: list whose utterances make the pool
POOL_FILE = "mix_2_spk_{}.scp"


def draw_pools(corpus, splits, folders, num_spks, seed, taken=()):
    """Utterances of each split to draw from.

    Arguments
    ---------
    corpus : avsep_sb.dataio.raw_corpus.RawCorpus
        The corpus.
    splits : collection of str
        Splits to draw, out of "train", "valid" and "test".
    folders : list of Path
        Where public lists of two-speaker mixtures may lie.
    num_spks : int
        Speakers per mixture.
    seed : int
        Chooses the speakers of the validation, where the corpus does not.
    taken : collection of str
        Speakers of other splits.

    Returns
    -------
    pools : dict
        ``{split: {utterance: speaker}}``.
    sources : dict
        ``{split: str}``: where the utterances come from. ``DataError`` is
        raised for a split without enough speakers.
    """
    pools, sources, taken, rest = {}, {}, set(taken), []
    # The test first: what it needs, nobody else may have.
    for split in ("test", "valid", "train"):
        if split not in splits:
            continue
        path = find_in(folders, POOL_FILE.format(SPLITS[split]))
        pool = {} if path is None else _listed(corpus, path, taken)
        if len(set(pool.values())) < num_spks:
            if path is not None:
                logger.warning(
                    f"{path.name} has too few speakers whom no other split "
                    f"has: {split} is drawn from {corpus.pool_name(split)}"
                )
            rest.append(split)
            continue
        pools[split], sources[split] = pool, path.name
        taken.update(pool.values())
    for split in rest:
        pool = {
            name: speaker
            for name, speaker in corpus.members(split).items()
            if speaker not in taken
        }
        if split == "valid" and corpus.valid_share and "train" in rest:
            chosen = _some_speakers(
                pool.values(), corpus.valid_share, num_spks, seed
            )
            pool = {n: s for n, s in pool.items() if s in chosen}
        _check_enough(corpus, split, pool, num_spks)
        pools[split], sources[split] = pool, corpus.pool_name(split)
        taken.update(pool.values())
    return pools, sources


def _listed(corpus, path, taken):
    """``{utterance: speaker}`` of a list, without speakers who are taken."""
    mixtures = read_mixture_list(path)
    names = {name for mixture in mixtures for name in mixture.utterances}
    known = {name for name in names if corpus.find(name)}
    check_known(mixtures, known, path, corpus.folder)
    return {
        name: corpus.speaker(name)
        for name in names
        if corpus.speaker(name) not in taken
    }


def _some_speakers(speakers, share, least, seed):
    """One of so many speakers, but as many as a mixture has."""
    speakers = sorted(set(speakers))
    chosen = np.random.default_rng([seed, 2]).permutation(speakers)
    return set(chosen[: max(least, len(chosen) // share)].tolist())


def _check_enough(corpus, split, pool, num_spks):
    found = sorted(set(pool.values()))
    if len(found) < num_spks:
        names = ", ".join(found[:5]) or "none"
        raise DataError(
            f"the {split} split needs {num_spks} speakers but "
            f"{corpus.folder} has {names} of {corpus.pool_name(split)} that "
            "no other split has: download more speakers"
        )
