"""What the preparation of every raw talking-face corpus has in common.

A recipe says which videos there are and which utterances are mixed; this
module extracts them once and writes the manifests, split by split.

Authors
 * avsep_sb contributors
"""

import json
import os
from pathlib import Path

from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.corpus_media import extract_corpus, media_paths
from avsep_sb.dataio.manifest import DATA_ROOT, write_manifest
from avsep_sb.dataio.mixture_rows import mixture_rows
from avsep_sb.errors import ConfigError, DataError

logger = get_logger(__name__)

SPLITS = {"train": "tr", "valid": "cv", "test": "tt"}
"""Names of the manifests, and of the same splits in public lists."""

SETTINGS_FILE = "prepared.json"


def open_splits(save_folder, settings):
    """Splits that have no manifest yet.

    The settings are kept beside the manifests, so that a later run with
    other settings is refused and does not train on the wrong mixtures.

    Arguments
    ---------
    save_folder : str or Path
        Folder of the manifests.
    settings : dict
        What the manifests depend on, as values that JSON can hold.

    Returns
    -------
    list of str
        Out of "train", "valid" and "test". ``ConfigError`` is raised if
        there are manifests of other settings.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     open_splits(folder, {"seed": 1})
    ['train', 'valid', 'test']
    """
    save_folder = Path(save_folder)
    todo = [s for s in SPLITS if not (save_folder / f"{s}.csv").is_file()]
    for split in SPLITS:
        if split not in todo:
            logger.info(
                f"Skipping {split}: {save_folder / split}.csv is there."
            )
    record = save_folder / SETTINGS_FILE
    settings = json.loads(json.dumps(settings))
    if len(todo) < len(SPLITS) and record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        changed = [
            f"{key} {before.get(key)!r}, now {settings.get(key)!r}"
            for key in sorted({*before, *settings})
            if before.get(key) != settings.get(key)
        ]
        if changed:
            raise ConfigError(
                f"{save_folder} was prepared with {'; '.join(changed)}: "
                "choose another --manifest_folder or delete this one"
            )
    elif todo:
        save_folder.mkdir(parents=True, exist_ok=True)
        part = record.with_name(f".{record.name}.{os.getpid()}.part")
        part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        os.replace(part, record)
    return todo


def portable_path(path, data_folder):
    """A path as a manifest holds it.

    Arguments
    ---------
    path : str or Path
        A file.
    data_folder : str or Path
        Folder that ``$data_root`` stands for.

    Returns
    -------
    str
        ``$data_root/...`` for files below the folder, else absolute.

    Example
    -------
    >>> portable_path("corpus/audio/a.flac", "corpus")
    '$data_root/audio/a.flac'
    """
    path, root = Path(path).absolute(), Path(data_folder).absolute()
    if path.is_relative_to(root):
        return f"{DATA_ROOT}/{path.relative_to(root).as_posix()}"
    return path.as_posix()


def media_folder_for(data_folder, media_folder, clip_seconds):
    """Folder of the extracted media, shared by all experiments.

    Arguments
    ---------
    data_folder : str or Path
        Folder of the corpus.
    media_folder : str, Path or None
        Asked for by the user; None takes ``<data_folder>/avsep_sb``.
    clip_seconds : float or None
        Clips of another length lie in another folder.

    Returns
    -------
    Path

    Example
    -------
    >>> media_folder_for("corpus", None, 2.0).as_posix()
    'corpus/avsep_sb/first_2s'
    """
    folder = Path(media_folder or Path(data_folder) / "avsep_sb")
    if clip_seconds is None:
        return folder / "whole"
    return folder / f"first_{float(clip_seconds):g}s"


def write_splits(
    lists,
    videos,
    speakers,
    data_folder,
    save_folder,
    media_folder=None,
    clip_seconds=None,
    num_spks=2,
    workers=None,
    ray=None,
    text_of=None,
):
    """Extracts all videos that the lists name and writes the manifests.

    Mixtures with a video that cannot be used are left out, with a warning;
    the reasons stand in ``failures.csv`` in the folder of the media.

    Arguments
    ---------
    lists : dict
        Mixtures of each split to write, ``{"train": [ListedMixture, ...]}``.
    videos : dict
        :class:`avsep_sb.dataio.corpus_media.Video` of each utterance.
    speakers : dict
        Speaker label of each utterance.
    data_folder, save_folder : str or Path
        Folder that ``$data_root`` stands for, and folder of the manifests.
    media_folder : str, Path or None
        See :func:`media_folder_for`.
    clip_seconds : float or None
        Use the first so many seconds of each video; None uses all.
    num_spks : int
        Speakers per mixture.
    workers, ray
        Who works, see :func:`avsep_sb.dataio.corpus_media.extract_corpus`.
    text_of : callable or None
        Tells what is said in an utterance, "" if it is not known.

    Returns
    -------
    None
        ``DataError`` is raised if a split would be empty, or if the folder
        of the media cannot be written.
    """
    whole = media_folder_for(data_folder, media_folder, None)
    media_folder = media_folder_for(data_folder, media_folder, clip_seconds)
    check_writable(media_folder)
    names = {
        name
        for mixtures in lists.values()
        for mixture in mixtures
        for name in mixture.utterances
    }
    logger.info(f"Audio and mouths of {len(names)} videos in {media_folder}")
    failures = extract_corpus(
        [videos[name] for name in sorted(names)],
        media_folder,
        clip_seconds,
        workers,
        ray=ray,
        whole_folder=whole,
    )
    if failures:
        logger.warning(
            f"{len(failures)} of {len(names)} videos cannot be used, see "
            f"{media_folder / 'failures.csv'}"
        )
    sources = {
        name: {
            **media_paths(media_folder, name),
            "spk": speakers[name],
            "text": text_of(name) if text_of else "",
        }
        for name in names
    }
    for split, mixtures in lists.items():
        usable = [m for m in mixtures if failures.keys().isdisjoint(m[0])]
        if not usable:
            name, reason = next(iter(failures.items()))
            raise DataError(
                f"no mixture of {split} is left, for its videos cannot be "
                f"used (first {videos[name].path}: {reason}); see "
                f"{media_folder / 'failures.csv'}"
            )
        if len(usable) < len(mixtures):
            effect = (
                ""
                if split == "train"
                else (
                    ": scores on it are not comparable with those of the whole"
                )
            )
            logger.warning(
                f"{len(mixtures) - len(usable)} of {len(mixtures)} mixtures "
                f"of {split} are left out{effect}"
            )
        rows = mixture_rows(
            usable, sources, lambda path: portable_path(path, data_folder)
        )
        write_manifest(Path(save_folder) / f"{split}.csv", rows, num_spks)


def check_writable(folder):
    """Makes the folder of the extracted media, or says that it cannot be.

    Arguments
    ---------
    folder : Path
        See :func:`media_folder_for`.

    Example
    -------
    >>> check_writable(Path(getfixture("tmpdir")) / "media")
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise DataError(
            f"the extracted audio and mouths cannot be written to {folder}: "
            'name another folder, --prepare_args "{media_folder: DIR}"'
        )
