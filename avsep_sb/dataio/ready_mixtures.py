"""Manifests of mixtures that others have already made and stored.

The layout is that of the published data sets:
``<root>/audio/wav16k/min/{tr,cv,tt}/{mix,s1,s2}/<name>.wav`` with
``<name> = <utt1>_<g1>_<utt2>_<g2>``, and ``<root>/mouths/<utt>.npz``.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from tqdm import tqdm

from avsep_sb.dataio.audio import num_samples
from avsep_sb.dataio.corpus import SPLITS, portable_path
from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.dataio.mixture_names import parse_mixture_name, speaker_of
from avsep_sb.errors import DataError

AUDIO = Path("audio", "wav16k", "min")


def has_ready_mixtures(folder):
    """Whether a folder holds ready mixtures.

    Arguments
    ---------
    folder : str or Path
        The ``<root>`` of the layout.

    Returns
    -------
    bool

    Example
    -------
    >>> has_ready_mixtures(".")
    False
    """
    return (Path(folder) / AUDIO).is_dir()


def ready_rows(folder, split, data_folder, num_spks=2, speaker=speaker_of):
    """Manifest rows of one split of ready mixtures.

    Arguments
    ---------
    folder : str or Path
        The ``<root>`` of the layout.
    split : str
        "train", "valid" or "test".
    data_folder : str or Path
        Folder that ``$data_root`` stands for.
    num_spks : int
        Speakers per mixture, with folders ``s1`` to ``s<num_spks>``.
    speaker : callable
        Speaker label of an utterance name.

    Returns
    -------
    list of dict
        Rows sorted by name. ``DataError`` is raised for a missing folder,
        a missing source or mouth, and files of different lengths.
    """
    folder = Path(folder)
    audio = folder / AUDIO / SPLITS[split]
    mouths = {path.stem for path in (folder / "mouths").glob("*.npz")}
    names = sorted(path.stem for path in (audio / "mix").glob("*.wav"))
    if not names or not mouths:
        empty = folder / "mouths" if names else audio / "mix"
        raise DataError(
            f"{empty} holds no {'npz' if names else 'wav'} files: check that "
            "data_folder is the folder that holds audio/ and mouths/"
        )
    utterances = {n: parse_mixture_name(n, mouths) for n in names}
    unknown = [n for n in names if len(utterances[n] or ()) != num_spks]
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(names)} mixtures in {audio / 'mix'} "
            f"have no {num_spks} mouths in {folder / 'mouths'}, first "
            f"{', '.join(unknown[:3])}; extract the missing mouths"
        )
    rows = []
    for name in tqdm(names, split):
        mix = audio / "mix" / f"{name}.wav"
        samples, rate = num_samples(mix, with_rate=True)
        row = {
            "ID": name,
            "duration": samples / rate,
            "mix_wav": portable_path(mix, data_folder),
        }
        for k, utterance in enumerate(utterances[name], start=1):
            wav = audio / f"s{k}" / f"{name}.wav"
            if num_samples(wav, rate) != samples:
                raise DataError(
                    f"{wav} and {mix} have different lengths: make the "
                    "mixtures again"
                )
            lips = folder / "mouths" / f"{utterance}.npz"
            row[f"s{k}_wav"] = portable_path(wav, data_folder)
            row[f"s{k}_gain"] = 1.0
            row[f"s{k}_lips"] = portable_path(lips, data_folder)
            row[f"s{k}_spk"] = speaker(utterance)
        rows.append(row)
    return rows


def write_ready_splits(
    folder,
    splits,
    data_folder,
    save_folder,
    num_spks=2,
    speaker=speaker_of,
):
    """Writes the manifests of ready mixtures.

    Arguments
    ---------
    folder : str or Path
        The ``<root>`` of the layout.
    splits : list of str
        Out of "train", "valid" and "test".
    data_folder, save_folder : str or Path
        Folder that ``$data_root`` stands for, and folder of the manifests.
    num_spks : int
        Speakers per mixture.
    speaker : callable
        Speaker label of an utterance name.

    Example
    -------
    >>> write_ready_splits("corpus", [], "corpus", "manifests")
    """
    for split in splits:
        rows = ready_rows(folder, split, data_folder, num_spks, speaker)
        write_manifest(Path(save_folder) / f"{split}.csv", rows, num_spks)
