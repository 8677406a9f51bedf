"""Prepares LRS3+WHAM!: mouth ROIs, audio and manifests of noisy mixtures.

Authors
 * avsep_sb contributors
"""

import hashlib
import json
from functools import partial
from pathlib import Path

from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.corpus import (
    SPLITS,
    media_folder_for,
    open_splits,
    portable_path,
)
from avsep_sb.dataio.corpus_media import Video, extract_corpus, media_paths
from avsep_sb.dataio.jobs import list_failures, replace_file
from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.dataio.mixture_lists import check_known
from avsep_sb.dataio.protocols import check_protocol
from avsep_sb.dataio.wham_lists import (
    SECONDS,
    read_wham_list,
    speaker_of,
    write_wham_list,
)
from avsep_sb.dataio.wham_noise import check_noise_files, noise_folder
from avsep_sb.dataio.wham_pools import (
    draw_lists,
    find_in,
    find_sound,
    find_video,
)
from avsep_sb.dataio.wham_rows import (
    corrected_rows,
    make_published_speech,
    published_rows,
    short_speech,
)
from avsep_sb.errors import ConfigError, DataError

logger = get_logger(__name__)

LIST_FILES = {
    split: f"mix_2_spk_{name}_fully_overlapped_only_full_wham.csv"
    for split, name in zip(SPLITS, ("train", "val", "test"), strict=True)
}
"""Names of the published lists."""


def prepare_lrs3_wham(
    data_folder,
    save_folder,
    protocol="published",
    wham_folder=None,
    lists_folder=None,
    make_lists=False,
    num_train=50000,
    num_valid=5000,
    num_test=3000,
    mix_seed=0,
    media_folder=None,
    num_spks=2,
    workers=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of LRS3+WHAM!.

    The README says what the two protocols are; a folder of manifests holds
    one of them. ``lists.json`` beside the manifests says of each list
    whether it was given or drawn; drawn ones are kept in ``lists``.

    Arguments
    ---------
    data_folder : str or Path
        LRS3, with ``{trainval,test}/<spk>/<utt>.mp4`` and, where somebody
        has unpacked the sound, ``audio/<spk>/<utt>.wav``.
    save_folder : str or Path
        Folder of the manifests. A manifest that is there stays. Its name,
        or its parent's, holds "corrected" for that protocol alone.
    protocol : str
        "published" or "corrected".
    wham_folder : str, Path or None
        Folder of ``{tr,cv,tt}/*.wav``; None takes
        ``<data_folder>/wham_noise``.
    lists_folder : str, Path or None
        Folder of the published lists; None looks in ``<data_folder>/lists``
        and in ``data_folder``.
    make_lists : bool
        Whether to draw the lists that are not found.
    num_train, num_valid, num_test : int
        Mixtures of each drawn list.
    mix_seed : int
        Seed of drawn lists, and of order and sign in "corrected".
    media_folder : str, Path or None
        Folder for mouths, speech and mixtures, which all experiments share;
        None takes ``<data_folder>/avsep_sb``.
    num_spks : int
        2: the lists hold no other.
    workers : int or None
        Processes; None takes one per processor.
    skip_prep : bool
        Do nothing.

    Example
    -------
    >>> prepare_lrs3_wham("corpus", "manifests", skip_prep=True)
    """
    if skip_prep:
        return
    check_protocol(protocol, save_folder, "LRS3-WHAM")
    if num_spks != 2:
        raise ConfigError(
            f"num_spks is {num_spks} but LRS3+WHAM! mixes 2 speakers"
        )
    counts = {"train": num_train, "valid": num_valid, "test": num_test}
    settings = {
        "corpus": "LRS3-WHAM",
        "protocol": protocol,
        "mix_seed": mix_seed,
        "counts": counts if make_lists else None,
    }
    splits = open_splits(save_folder, settings)
    if not splits:
        return
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    folders = [data_folder / "lists", data_folder]
    if lists_folder is not None:
        folders = [Path(lists_folder)]
    wham_folder = wham_folder or data_folder / "wham_noise"
    # All lists before the first video, and of all splits: their speakers
    # are compared.
    lists, origins = _given_lists(folders, make_lists)
    drawn, drawn_origins = draw_lists(
        data_folder,
        wham_folder,
        folders,
        {s: n for s, n in counts.items() if s not in lists},
        mix_seed,
        {spk for listed in lists.values() for spk in _speakers(listed)},
        workers,
    )
    lists = _apart({**lists, **drawn}, protocol)
    origins.update(drawn_origins)
    _record(save_folder, protocol, origins, drawn)
    lists = {split: lists[split] for split in splits}
    videos, noise = {}, {}
    for split, listed in lists.items():
        names = {name for mixture in listed for name in mixture.utterances}
        found = {n: v for n in names if (v := find_video(data_folder, n))}
        check_known(listed, found, origins[split], data_folder)
        videos.update(found)
        noise[split] = noise_folder(wham_folder, SPLITS[split])
        check_noise_files(
            noise[split], [mixture.noise for mixture in listed], origins[split]
        )
    media = Path(media_folder or data_folder / "avsep_sb")
    sources, failures = _extract(videos, media, workers)
    if protocol == "published":
        speech = media / "lrs3_wham_published" / "speech"
        sounds = {n: find_sound(data_folder, n, videos[n]) for n in sources}
        wavs = sum(path.suffix == ".wav" for path in sounds.values())
        logger.info(
            f"Speech of {wavs} wavs in {data_folder / 'audio'} and of "
            f"{len(sounds) - wavs} videos"
        )
        failures.update(make_published_speech(sounds, speech, workers))
    describe = partial(portable_path, data_folder=data_folder)
    listing = {videos[name]: reason for name, reason in failures.items()}
    for split, listed in lists.items():
        usable = [m for m in listed if failures.keys().isdisjoint(m.utterances)]
        if protocol == "published":
            rows, failed = published_rows(
                usable,
                sources,
                speech,
                noise[split],
                speech.parent / split,
                workers,
                describe,
            )
        else:
            rows, failed = corrected_rows(
                usable, sources, noise[split], mix_seed, workers, describe
            )
        listing.update(failed)
        list_failures(save_folder / "failures.csv", listing)
        _check_left(split, len(rows), len(listed), listing, save_folder)
        write_manifest(save_folder / f"{split}.csv", rows, num_spks)


def _given_lists(folders, make_lists):
    """The lists that are there, and what to say of them."""
    lists, origins = {}, {}
    for split, name in LIST_FILES.items():
        path = find_in(folders, name)
        if path is not None:
            lists[split] = read_wham_list(path)
            check = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            origins[split] = f"the given {name} (SHA-256 {check}...)"
        elif not make_lists:
            raise DataError(
                f"the list {name} is not in {' or '.join(map(str, folders))}: "
                'name its folder, --prepare_args "{lists_folder: DIR}", or '
                "have one drawn by the published rule, "
                '--prepare_args "{make_lists: True}"'
            )
    return lists, origins


def _record(save_folder, protocol, origins, drawn):
    """Keeps the drawn lists, and what all lists are."""
    for split, listed in drawn.items():
        write_wham_list(save_folder / "lists" / LIST_FILES[split], listed)
    text = json.dumps({"protocol": protocol, "lists": origins}, indent=1)
    replace_file(
        save_folder / "lists.json", lambda file: file.write(text.encode())
    )


def _speakers(mixtures):
    return {speaker_of(name) for m in mixtures for name in m.utterances}


def _apart(lists, protocol):
    """Speakers in two splits: kept as published, left out when corrected."""
    lists = dict(lists)
    for split, others in (("valid", ["test"]), ("train", ["valid", "test"])):
        for other in others:
            shared = _speakers(lists[split]) & _speakers(lists[other])
            if not shared:
                continue
            names = ", ".join(sorted(shared)[:5])
            names += f" and {len(shared) - 5} more" * (len(shared) > 5)
            if protocol == "published":
                logger.warning(
                    f"{split} and {other} share {len(shared)} speakers "
                    f"({names}), which the published protocol keeps"
                )
                continue
            apart = [m for m in lists[split] if not _speakers([m]) & shared]
            logger.warning(
                f"{len(lists[split]) - len(apart)} of {len(lists[split])} "
                f"mixtures of {split} are left out, for {other} has their "
                f"speakers too ({names})"
            )
            if not apart:
                raise DataError(
                    f"no mixture of {split} is left, for {other} has all its "
                    "speakers: give lists of different speakers"
                )
            lists[split] = apart
    return lists


def _extract(videos, media, workers):
    """Files of the first 2 s of each utterance, and why others have none."""
    folder = media_folder_for(None, media, SECONDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise DataError(
            f"nothing can be written to {folder} ({err.strerror}): name "
            'another folder, --prepare_args "{media_folder: DIR}"'
        ) from err
    failures = extract_corpus(
        [Video(name, path) for name, path in sorted(videos.items())],
        folder,
        SECONDS,
        workers,
    )
    sources = {
        name: media_paths(folder, name)
        for name in sorted(videos)
        if name not in failures
    }
    short = short_speech(sources)
    failures.update(short)
    return {n: s for n, s in sources.items() if n not in short}, failures


def _check_left(split, left, listed, listing, save_folder):
    """Says how many mixtures are left out, and refuses an empty split."""
    if not left:
        name, reason = next(iter(listing.items()))
        raise DataError(
            f"no mixture of {split} is left (first failure {name}: {reason}); "
            f"see {save_folder / 'failures.csv'}"
        )
    if left < listed:
        effect = (
            ""
            if split == "train"
            else (": scores on it are not comparable with those of the whole")
        )
        logger.warning(
            f"{listed - left} of {listed} mixtures of {split} are left out, "
            f"see {save_folder / 'failures.csv'}{effect}"
        )
