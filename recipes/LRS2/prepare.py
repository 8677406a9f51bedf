"""Prepares LRS2: mouth ROIs, audio and manifests of two-speaker mixtures.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from avsep_sb.dataio.corpus import SPLITS, open_splits, write_splits
from avsep_sb.dataio.mixture_lists import check_known, read_mixture_list
from avsep_sb.dataio.mixture_names import speaker_of
from avsep_sb.dataio.ready_mixtures import (
    has_ready_mixtures,
    write_ready_splits,
)
from avsep_sb.errors import DataError


def prepare_lrs2(
    data_folder,
    save_folder,
    lists_folder=None,
    mixtures_folder=None,
    media_folder=None,
    num_spks=2,
    clip_seconds=2.0,
    workers=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of LRS2.

    The mixtures are those of the public lists, made from the raw videos; or
    ready ones, if there is a folder of them.

    Arguments
    ---------
    data_folder : str or Path
        The raw corpus, with ``mvlrs_v1/main/<id>/<utt>.mp4``; or ready
        mixtures, with ``audio/wav16k/min`` and ``mouths``.
    save_folder : str or Path
        Folder of the manifests. A manifest that is there stays.
    lists_folder : str, Path or None
        Folder of ``mix_<num_spks>_spk_{tr,cv,tt}.scp``; None looks in
        ``<data_folder>/lists`` and in ``data_folder``.
    mixtures_folder : str, Path or None
        Folder of ready mixtures, if it is not ``data_folder``.
    media_folder : str, Path or None
        Folder for the extracted audio and mouths, which all experiments
        share; None takes ``<data_folder>/avsep_sb``.
    num_spks : int
        Speakers per mixture.
    clip_seconds : float or None
        Use the first so many seconds of each video, as the published
        mixtures do; None uses all.
    workers : int or None
        Processes; None takes one per processor.
    skip_prep : bool
        Do nothing.

    Example
    -------
    >>> prepare_lrs2("corpus", "manifests", skip_prep=True)
    """
    if skip_prep:
        return
    data_folder = Path(data_folder)
    if mixtures_folder is None and has_ready_mixtures(data_folder):
        mixtures_folder = data_folder
    settings = {
        "corpus": "LRS2",
        "num_spks": num_spks,
        "clip_seconds": clip_seconds,
        "ready_mixtures": mixtures_folder is not None,
    }
    splits = open_splits(save_folder, settings)
    if not splits:
        return
    if mixtures_folder is not None:
        write_ready_splits(
            mixtures_folder, splits, data_folder, save_folder, num_spks
        )
        return
    # All lists before the first video: a wrong one should cost no hours.
    lists, videos = {}, {}
    root = _raw_root(data_folder)
    for split in splits:
        path = _find_list(data_folder, lists_folder, num_spks, split)
        lists[split] = read_mixture_list(path)
        _check_speakers(lists[split], num_spks, path)
        names = {n for mixture in lists[split] for n in mixture.utterances}
        found = {n: v for n in names if (v := _find_video(root, n))}
        check_known(lists[split], found, path, root)
        videos.update(found)
    speakers = {name: speaker_of(name) for name in videos}
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


def _raw_root(data_folder):
    """The folder that holds ``main`` and ``pretrain``."""
    for root in (data_folder / "mvlrs_v1", data_folder):
        if (root / "main").is_dir() or (root / "pretrain").is_dir():
            return root
    raise DataError(
        f"{data_folder} holds neither LRS2 (mvlrs_v1/main) nor ready mixtures "
        "(audio/wav16k/min): give the right folder with --data_folder"
    )


def _find_list(data_folder, lists_folder, num_spks, split):
    name = f"mix_{num_spks}_spk_{SPLITS[split]}.scp"
    folders = [data_folder / "lists", data_folder]
    if lists_folder is not None:
        folders = [Path(lists_folder)]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"the mixture list {name} is not in {' or '.join(map(str, folders))}: "
        "download it as recipes/LRS2/README.md says, and name its folder, "
        '--prepare_args "{lists_folder: DIR}"'
    )


def _check_speakers(mixtures, num_spks, path):
    listed = len(mixtures[0].utterances)
    if listed != num_spks:
        raise DataError(
            f"{path} mixes {listed} speakers but num_spks is {num_spks}: "
            "change --num_spks or take another list"
        )


def _find_video(root, utterance):
    """``<id>_<utt>`` is ``main/<id>/<utt>.mp4``, or in ``pretrain``."""
    programme, _, number = utterance.partition("_")
    for part in ("main", "pretrain"):
        path = root / part / programme / f"{number}.mp4"
        if path.is_file():
            return path
    return None
