"""The lists and the files of NTCD-TIMIT mixtures, as published with BIN.

A list is a CSV of one mixture per row: two utterances of TCD-TIMIT (Harte,
Gillen, IEEE Trans. Multimedia 2015) and one noisy recording of NTCD-TIMIT
(Abdelaziz, Interspeech 2017), which is the first utterance with noise.

Authors
 * avsep_sb contributors
"""

import csv
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from avsep_sb.errors import DataError

LISTS = {"train": "train", "valid": "val", "test": "test"}
"""Names of the manifests, and of the same splits in ``<name>_mixture.csv``."""

REQUIRED = "spk1 spk1_fid spk2 spk2_fid noise_type noise_db noise_path".split()
IGNORED = {
    # numbers of rows, and paths of the machine the list was made on
    *("", "index", "Unnamed: 0", "spk1_path", "spk2_path", "mixture_path"),
    # lengths of the two signals in ms; both start at 0
    *("overlap_ms", "s1_silence_start_ms", "s1_silence_end_ms"),
}
SPEECH_FOLDERS = (
    "{spk}/straightcam",
    "volunteers/{spk}/straightcam",
    "{spk}/Clips/straightcam",
    "volunteers/{spk}/Clips/straightcam",
)


class Utterance(NamedTuple):
    """A sentence of TCD-TIMIT: speaker (``24M``) and sentence (``sa1``)."""

    spk: str
    fid: str

    @property
    def name(self):
        """``<spk>_<fid>``."""
        return f"{self.spk}_{self.fid}"


class NoisyRecording(NamedTuple):
    """A recording of NTCD-TIMIT: noise type, label in dB, utterance."""

    kind: str
    snr: str
    utterance: Utterance

    @property
    def name(self):
        """``<type>_<snr>_<spk>_<fid>``."""
        return f"{self.kind}_{self.snr}_{self.utterance.name}"

    @property
    def path(self):
        """Where it lies in the folder of the noise."""
        return PurePosixPath(
            self.kind,
            self.snr,
            "volunteers",
            self.utterance.spk,
            "straightcam",
            f"{self.utterance.fid}.wav",
        )


class NtcdMixture(NamedTuple):
    """A row of a list: two utterances and a noisy recording."""

    first: Utterance
    second: Utterance
    noisy: NoisyRecording

    @property
    def name(self):
        """ID, as the published mixtures are named."""
        return f"{self.first.name}_{self.second.name}"


def read_ntcd_list(path):
    """Reads a published list of mixtures.

    Arguments
    ---------
    path : str or Path
        ``{train,val,test}_mixture.csv``, with at least the columns spk1,
        spk1_fid, spk2, spk2_fid, noise_type, noise_db and noise_path. Folders
        of the machine it was made on are dropped.

    Returns
    -------
    list of NtcdMixture
        ``DataError`` names a missing or unknown column, or the first line
        that cannot be used.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "test_mixture.csv"
    >>> _ = path.write_text(",".join(REQUIRED) + "\\n01M,sa1,02F,sx9,Car,-5,"
    ...     "/x/Car/-5/volunteers/01M/straightcam/sa1.wav\\n")
    >>> mixture = read_ntcd_list(path)[0]
    >>> mixture.name, str(mixture.noisy.path)
    ('01M_sa1_02F_sx9', 'Car/-5/volunteers/01M/straightcam/sa1.wav')
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise DataError(f"cannot read the list {path}: {err}") from err
    missing = [name for name in REQUIRED if name not in header]
    unknown = sorted(set(header) - set(REQUIRED) - IGNORED)
    if missing or unknown:
        problem = (
            f"lacks the columns {', '.join(missing)}"
            if missing
            else f"has the unknown columns {', '.join(unknown)}"
        )
        raise DataError(
            f"{path} {problem}: take {Path(path).name} as it was published, "
            "see recipes/NTCD-TIMIT/README.md"
        )
    mixtures = [
        _mixture(row, f"{path}, line {number}")
        for number, row in enumerate(rows, start=2)
    ]
    if not mixtures:
        raise DataError(f"the list {path} is empty: take the published one")
    return mixtures


def _mixture(row, where):
    """A row, after it is checked: its fields become parts of paths."""
    for name in REQUIRED[:-1]:
        pattern = r"-?\d+" if name == "noise_db" else r"\w+"
        if not re.fullmatch(pattern, row[name] or ""):
            raise DataError(
                f"{where}: {name} is {row[name]!r}, which is no "
                f"{'whole number' if name == 'noise_db' else 'name'}"
            )
    first = Utterance(row["spk1"], row["spk1_fid"])
    second = Utterance(row["spk2"], row["spk2_fid"])
    if first.spk == second.spk:
        raise DataError(
            f"{where}: {first.name} is mixed with its own speaker; two "
            "different ones are needed"
        )
    noisy = NoisyRecording(row["noise_type"], row["noise_db"], first)
    parts = PurePosixPath(row["noise_path"] or "").parts
    if parts[-len(noisy.path.parts) :] != noisy.path.parts:
        raise DataError(
            f"{where}: noise_path is {row['noise_path']!r}, expected "
            f".../{noisy.path}, the noisy recording of {first.name}"
        )
    return NtcdMixture(first, second, noisy)


def find_lists(data_folder, lists_folder=None):
    """Reads the three lists and checks that they share no speaker.

    Arguments
    ---------
    data_folder : str or Path
        Folder of TCD-TIMIT.
    lists_folder : str, Path or None
        Folder of the lists; None looks in ``<data_folder>/lists`` and in
        ``data_folder``.

    Returns
    -------
    dict
        ``{"train": [NtcdMixture, ...], "valid": ..., "test": ...}``.
        ``DataError`` names a missing list, or speakers of two splits.
    """
    folders = [Path(data_folder, "lists"), Path(data_folder)]
    if lists_folder is not None:
        folders = [Path(lists_folder)]
    lists = {}
    for split, published in LISTS.items():
        name = f"{published}_mixture.csv"
        paths = [folder / name for folder in folders]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise DataError(
                f"{name} is not in {' or '.join(map(str, folders))}: download "
                "it as recipes/NTCD-TIMIT/README.md says, and name its folder, "
                '--prepare_args "{lists_folder: DIR}"'
            )
        lists[split] = read_ntcd_list(path)
    check_disjoint(lists)
    return lists


def check_disjoint(lists):
    """Refuses lists in which a speaker is in two splits.

    Arguments
    ---------
    lists : dict
        ``{split: [NtcdMixture, ...]}``.

    Example
    -------
    >>> check_disjoint({"train": [], "test": []})
    """
    seen = {}
    for split, mixtures in lists.items():
        speakers = {one.spk for mixture in mixtures for one in mixture[:2]}
        shared = sorted(spk for spk in speakers if seen.get(spk))
        if shared:
            raise DataError(
                f"the speakers {', '.join(shared[:5])} are in the lists of "
                f"both {seen[shared[0]]} and {split}: scores would be those "
                "of known voices, so take the published lists"
            )
        seen.update(dict.fromkeys(speakers, split))


def find_speech(data_folder, utterances):
    """Finds the sound and the video of utterances.

    Arguments
    ---------
    data_folder : str or Path
        Folder of TCD-TIMIT, with ``<spk>/straightcam/<fid>.wav`` and
        ``.mp4``; ``volunteers/`` above and ``Clips/`` below the speaker may
        be there or not.
    utterances : collection of Utterance
        What is needed.

    Returns
    -------
    dict
        ``{Utterance: Path}`` of the wavs; the mp4 lies beside each.
        ``DataError`` says how many files are missing and names the first.
    """
    root, found, missing = Path(data_folder), {}, []
    for one in sorted(utterances):
        for folder in SPEECH_FOLDERS:
            wav = root / folder.format(spk=one.spk) / f"{one.fid}.wav"
            if wav.is_file():
                found[one] = wav
                break
        else:
            wav = root / one.spk / "straightcam" / f"{one.fid}.wav"
            missing.append(wav)
            continue
        if not wav.with_suffix(".mp4").is_file():
            missing.append(wav.with_suffix(".mp4"))
    if missing:
        raise DataError(
            f"{len(missing)} files of {len(utterances)} utterances are not in "
            f"{root}, first {missing[0]}: give the folder of TCD-TIMIT with "
            "--data_folder, and complete it"
        )
    return found


def find_noisy(noise_folder, recordings):
    """Finds noisy recordings.

    Arguments
    ---------
    noise_folder : str or Path
        Folder of NTCD-TIMIT, with
        ``<type>/<snr>/volunteers/<spk>/straightcam/<fid>.wav``.
    recordings : collection of NoisyRecording
        What is needed.

    Returns
    -------
    dict
        ``{NoisyRecording: Path}``. ``DataError`` says how many files are
        missing and names the first.
    """
    paths = {one: Path(noise_folder, one.path) for one in sorted(recordings)}
    missing = [one for one, path in paths.items() if not path.is_file()]
    if missing:
        archives = sorted({f"{one.kind}_{one.snr}" for one in missing})
        raise DataError(
            f"{len(missing)} of {len(paths)} noisy recordings are missing, "
            f"first {paths[missing[0]]}: unpack NTCD-TIMIT (of Zenodo record "
            f"1172064 at least {archives[0]}.tar.gz) there, or name its "
            'folder, --prepare_args "{noise_folder: DIR}"'
        )
    return paths
