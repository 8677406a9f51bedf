"""LRS3: where its utterances lie, and which ones new mixtures are drawn from.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import numpy as np
from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.audio import num_samples
from avsep_sb.dataio.corpus import SPLITS
from avsep_sb.dataio.jobs import run_jobs
from avsep_sb.dataio.mixture_lists import read_mixture_list
from avsep_sb.dataio.wham_lists import SECONDS, draw_wham_list, speaker_of
from avsep_sb.dataio.wham_noise import (
    ORDER_FILE,
    check_noise_files,
    noise_folder,
    noise_lengths,
    noise_order,
    noise_windows,
)
from avsep_sb.errors import DataError

logger = get_logger(__name__)

POOL_FILE = "mix_2_spk_{}.scp"
"""Lists of LRS3-2Mix, whose utterances are those of LRS3+WHAM!."""

PARTS = ("test", "trainval", "pretrain")
"""Folders of the release, in the order in which an utterance is sought."""

VALID_SHARE = 6
"""One of so many trainval speakers is for validation, as in LRS3-2Mix."""


def find_video(data_folder, utterance):
    """The video ``<part>/<spk>/<utt>.mp4`` of an utterance.

    Arguments
    ---------
    data_folder : str or Path
        LRS3 as it unpacks, with ``test`` and ``trainval``.
    utterance : str
        ``<spk>_<utt>``.

    Returns
    -------
    Path or None

    Example
    -------
    >>> find_video("nowhere", "a_00001") is None
    True
    """
    spk, _, utt = utterance.rpartition("_")
    for part in PARTS:
        path = Path(data_folder) / part / spk / f"{utt}.mp4"
        if path.is_file():
            return path
    return None


def find_sound(data_folder, utterance, video):
    """The sound of an utterance: ``audio/<spk>/<utt>.wav``, else its video.

    Arguments
    ---------
    data_folder : str or Path
        LRS3, where some have unpacked the sound beside the videos.
    utterance : str
        ``<spk>_<utt>``.
    video : Path
        Its video.

    Returns
    -------
    Path

    Example
    -------
    >>> find_sound("nowhere", "a_00001", Path("test/a/00001.mp4")).suffix
    '.mp4'
    """
    spk, _, utt = utterance.rpartition("_")
    path = Path(data_folder) / "audio" / spk / f"{utt}.wav"
    return path if path.is_file() else video


def find_in(folders, name):
    """The first folder's file of a name, or None.

    Arguments
    ---------
    folders : list of Path
        Where to look.
    name : str
        The file.

    Returns
    -------
    Path or None

    Example
    -------
    >>> find_in([], "mix_2_spk_tr.scp") is None
    True
    """
    places = [Path(folder) / name for folder in folders]
    return next((place for place in places if place.is_file()), None)


def draw_lists(
    data_folder, wham_folder, folders, counts, seed, taken=(), workers=None
):
    """Draws the lists that are missing, by the rule of the published ones.

    The utterances are those of the LRS3-2Mix list of the split, if there is
    one; else those of at least 2 s of ``test``, or of ``trainval``, a sixth
    of whose speakers are kept for validation. No speaker is in two splits.

    Arguments
    ---------
    data_folder, wham_folder : str or Path
        LRS3 and the WHAM! noise.
    folders : list of Path
        Where ``mix_2_spk_{tr,cv,tt}.scp`` and WHAM!'s
        ``mix_param_meta_{tr,cv,tt}.csv`` may lie.
    counts : dict
        Number of mixtures of each split to draw, ``{"train": 50000}``.
    seed : int
        The same seed and corpus give the same lists.
    taken : collection of str
        Speakers who must not be used.
    workers : int or None
        Processes that read the lengths of the utterances.

    Returns
    -------
    lists : dict
        ``{split: [NoisyMixture, ...]}``.
    origins : dict
        ``{split: sentence}``: how the list was drawn.

    Example
    -------
    >>> draw_lists("lrs3", "wham", [], {}, seed=0)
    ({}, {})
    """
    pools, sources = _pools(data_folder, folders, counts, seed, taken, workers)
    lists, origins = {}, {}
    for index, (split, code) in enumerate(SPLITS.items()):
        if split not in counts:
            continue
        noise = noise_folder(wham_folder, code)
        order = find_in(folders, ORDER_FILE.format(code))
        names = noise_order(noise, order)
        check_noise_files(noise, names, order)
        windows = noise_windows(noise_lengths(noise, names), counts[split])
        lists[split] = draw_wham_list(pools[split], windows, [seed, index])
        origins[split] = (
            f"drawn with seed {seed}: {counts[split]} mixtures of "
            f"{len(pools[split])} utterances of {sources[split]}, noise in "
            f"the order of {order.name if order else 'the file names'}"
        )
    return lists, origins


def _pools(data_folder, folders, wanted, seed, taken, workers):
    """Utterances and speakers of each split, and where they come from."""
    taken, pools, sources, rest = set(taken), {}, {}, []
    for split in ("test", "valid", "train"):
        if split not in wanted:
            continue
        path = find_in(folders, POOL_FILE.format(SPLITS[split]))
        if path is None:
            rest.append(split)
            continue
        mixtures = read_mixture_list(path)
        names = {name for mixture in mixtures for name in mixture.utterances}
        pools[split] = {
            name: speaker_of(name)
            for name in names
            if speaker_of(name) not in taken
        }
        sources[split] = path.name
        taken.update(pools[split].values())
    for split in rest:
        part = "test" if split == "test" else "trainval"
        members = _members(Path(data_folder) / part, taken)
        if split == "valid" and "train" in rest:
            chosen = np.random.default_rng([seed, 2]).permutation(
                sorted(set(members.values()))
            )
            chosen = set(chosen[: max(2, len(chosen) // VALID_SHARE)])
            members = {n: s for n, s in members.items() if s in chosen}
        pools[split], sources[split] = members, f"{part}/"
        taken.update(members.values())
    # Public lists hold long enough ones only; all others in one go.
    members = {n: spk for split in rest for n, spk in pools[split].items()}
    long_enough = _long_enough(data_folder, members, workers)
    for split in rest:
        pools[split] = {
            n: spk for n, spk in pools[split].items() if n in long_enough
        }
    return pools, sources


def _members(folder, taken):
    """``{utterance: speaker}`` of a part of the release."""
    members = {
        f"{path.parent.name}_{path.stem}": path.parent.name
        for path in folder.glob("*/*.mp4")
        if path.parent.name not in taken
    }
    if not members:
        raise DataError(
            f"{folder} holds no videos <speaker>/<utterance>.mp4 to draw "
            "mixtures of: give LRS3 as it unpacks with --data_folder"
        )
    return members


def _long_enough(data_folder, members, workers):
    """The utterances that are not shorter than a mixture."""
    paths = {}
    for name in sorted(members):
        video = find_video(data_folder, name)
        paths[name] = str(find_sound(data_folder, name, video))
    failed = run_jobs(_check_length, [*paths.values()], workers, "lengths")
    if failed:
        logger.info(
            f"{len(failed)} of {len(members)} utterances are not drawn from, "
            f"first {next(iter(failed.values()))}"
        )
    return {name for name, path in paths.items() if path not in failed}


def _check_length(path):
    """Raises ``DataError`` for a file of less than 2 s by its header."""
    if path.endswith(".wav"):
        count, rate = num_samples(path, with_rate=True)
        seconds = count / rate
    else:
        from avsep_sb.vision.decode import probe

        seconds = probe(path).duration
    # A header that does not say is left to the extraction.
    if seconds is not None and seconds < SECONDS:
        raise DataError(f"{path} lasts {seconds:.2f} s")
