"""Manifests: one CSV row per mixture, with paths that travel with the data.

The columns are ``ID, duration, mix_wav`` and, for each speaker k,
``s{k}_wav, s{k}_gain, s{k}_lips, s{k}_spk``. Paths start with
``$data_root/``, which readers replace by the folder of the data. The gain is
a linear multiplier of the source file. Without ``mix_wav`` the mixture is
the sum of gain times source; with it, the ready mixture is read.

Noisy mixtures have three more columns, ``noise_wav, noise_start,
noise_gain``: from ``noise_start`` seconds on, the noise times its linear
gain is added to the sum. They are empty in the row of a mixture without it.

Where it is known what is said, the last columns are ``s{k}_text``, empty for
a source of which it is not.

A manifest may hold mixtures of different numbers of speakers: the columns of
the last speakers are then empty where they are absent.

Authors
 * avsep_sb contributors
"""

import csv
import math
import os
import tempfile
from pathlib import Path

from avsep_sb.dataio.audio import num_samples
from avsep_sb.dataio.noise import check_noise_length
from avsep_sb.dataio.speakers import check_speakers, is_absent
from avsep_sb.dataio.texts import text_columns
from avsep_sb.errors import DataError

DATA_ROOT = "$data_root"
#: seconds by which a stated duration may differ: one frame at 25 fps
TOLERANCE = 0.04
NOISE_COLUMNS = ("noise_wav", "noise_start", "noise_gain")
_SHOWN = 5


def columns(num_spks, noise=False, texts=False):
    """The column names of a manifest for ``num_spks`` speakers.

    Arguments
    ---------
    num_spks : int
        Speakers in each mixture.
    noise : bool
        Whether noise is added to the mixtures.
    texts : bool
        Whether it is known what is said.

    Returns
    -------
    list of str

    Example
    -------
    >>> columns(1)
    ['ID', 'duration', 'mix_wav', 's1_wav', 's1_gain', 's1_lips', 's1_spk']
    """
    names = ["ID", "duration", "mix_wav"]
    for k in range(1, num_spks + 1):
        names += [f"s{k}_wav", f"s{k}_gain", f"s{k}_lips", f"s{k}_spk"]
    names += list(NOISE_COLUMNS) if noise else []
    return names + text_columns(num_spks) if texts else names


def write_manifest(path, rows, num_spks, min_spks=None):
    """Writes rows in the given order; the file appears whole or not at all.

    Arguments
    ---------
    path : str or Path
        The CSV file; its folder is made, and an older file is replaced.
    rows : iterable of dict
        One per mixture, with the keys of :func:`columns`. ``mix_wav``,
        ``s{k}_lips``, the noise and ``s{k}_text`` may be left out; the
        columns of noise and of texts are written if any row has some.
        Durations are in seconds.
    num_spks : int
        Speakers in each mixture.
    min_spks : int, optional
        Fewest speakers in a mixture; rows then lack the columns of the last
        ones. By default all have ``num_spks``.

    Returns
    -------
    int
        The number of rows. ``DataError`` is raised for a missing or unknown
        column, for an ID that occurs twice, and for noise that cannot be.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "train.csv"
    >>> write_manifest(path, [dict(ID="a", duration=2, s1_wav="$data_root/a",
    ...     s1_gain=1.0, s1_spk="p1")], num_spks=1)
    1
    >>> print(path.read_text().splitlines()[1])
    a,2.000000,,$data_root/a,1,,p1
    """
    path = Path(path)
    rows = list(rows)
    noise = any(row.get("noise_wav") for row in rows)
    texts = any(row.get(n) for row in rows for n in text_columns(num_spks))
    names = columns(num_spks, noise, texts)
    lines, seen = [], set()
    for row in rows:
        if min_spks is not None:
            empty = dict.fromkeys(columns(num_spks)[3 + 4 * min_spks :], "")
            row = {**empty, **row}
        line = _format(row, num_spks, names, path)
        if min_spks is not None:
            check_speakers(line, num_spks, min_spks, path)
        if line["ID"] in seen:
            raise DataError(
                f"{path} would hold the ID {line['ID']} twice: give each "
                "mixture its own ID."
            )
        seen.add(line["ID"])
        lines.append(line)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}."
    )
    try:
        with open(handle, "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
        # mkstemp makes private files; a manifest is as readable as its folder
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return len(lines)


def _format(row, num_spks, names, path):
    """One row as text: microseconds for times, 9 digits for gains."""
    allowed = columns(num_spks, noise=True, texts=True)
    optional = {n for n in allowed if n.endswith(("_lips", "_text"))}
    optional.add("mix_wav")
    # a row names all of its noise or nothing of it
    if not set(row) & set(NOISE_COLUMNS):
        optional |= set(NOISE_COLUMNS)
    unknown = sorted(set(row) - set(allowed))
    missing = [n for n in allowed if n not in row and n not in optional]
    if unknown or missing:
        raise DataError(
            f"a row for {path} has the unknown columns {unknown} and lacks "
            f"{missing}: write the columns {names}."
        )
    noisy = bool(row.get("noise_wav"))
    line = {}
    for name in names:
        value = row.get(name, "")
        if name in NOISE_COLUMNS and not noisy:
            value = ""
        elif name in ("duration", "noise_start"):
            value = f"{float(value):.6f}"
        elif name.endswith("_gain") and value != "":
            # 9 significant digits carry a float32 there and back unchanged
            value = f"{float(value):.9g}"
        line[name] = "" if value is None else str(value)
    if noisy:
        _check_noise(line, f"the mixture {line['ID']} of {path}")
    return line


def _check_noise(row, where):
    """Start and gain are possible, and the mixture is not ready-made."""
    start, gain = float(row["noise_start"]), float(row["noise_gain"])
    if not (0 <= start < math.inf and math.isfinite(gain)):
        raise DataError(
            f"{where} adds {row['noise_wav']} from {start:g} s on with the "
            f"gain {gain:g}: give a start >= 0 and a finite gain."
        )
    if row["mix_wav"]:
        raise DataError(
            f"{where} has both a ready mix_wav and a noise_wav to add: leave "
            "one of them empty."
        )


def read_manifest(path, data_folder=None, num_spks=None, min_spks=None):
    """Reads a manifest; times and gains become floats.

    Arguments
    ---------
    path : str or Path
        The CSV file.
    data_folder : str or Path, optional
        Put in place of ``$data_root``; by default the placeholder stays.
    num_spks : int, optional
        The number of speakers that the manifest must have.
    min_spks : int, optional
        Fewest speakers in a mixture; with it ``num_spks`` is the most, and
        all rows get the columns of as many.

    Returns
    -------
    list of dict
        The rows in the order of the file; those of a manifest with noise
        or texts have their columns more. ``DataError`` is raised if the file
        is missing, empty or malformed, or repeats an ID.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "train.csv"
    >>> _ = write_manifest(path, [dict(ID="a", duration=2, s1_wav="$data_root"
    ...     "/a.wav", s1_gain=0.5, s1_spk="p1")], num_spks=1)
    >>> row = read_manifest(path, data_folder="corpus")[0]
    >>> row["s1_wav"], row["s1_gain"], row["duration"]
    ('corpus/a.wav', 0.5, 2.0)
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"the manifest {path} is missing: run the recipe's preparation."
        )
    try:
        with open(path, newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            header = reader.fieldnames or []
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as err:
        raise DataError(f"the manifest {path} is no CSV text: {err}.") from err
    _check_header(path, header, num_spks, min_spks)
    seen = set()
    for number, row in enumerate(rows, start=1):
        _parse(row, f"row {number} of the manifest {path}")
        if row["ID"] in seen:
            raise DataError(
                f"the manifest {path} holds the ID {row['ID']} twice: give "
                "each mixture its own ID."
            )
        seen.add(row["ID"])
        if min_spks is not None:
            for name in columns(num_spks)[len(columns(1)) :]:
                row.setdefault(name, 0.0 if name.endswith("_gain") else "")
            check_speakers(row, num_spks, min_spks, path)
        if data_folder is not None:
            for name, value in row.items():
                if name.endswith(("_wav", "_lips")):
                    row[name] = value.replace(DATA_ROOT, str(data_folder))
    if not rows:
        raise DataError(
            f"the manifest {path} holds no mixture: run the preparation again."
        )
    return rows


def _check_header(path, header, num_spks, min_spks=None):
    """The columns are exactly those of some number of speakers."""
    plain = [name for name in header if not name.endswith("_text")]
    found = max(1, (len(plain) - 3) // 4)
    texts = len(plain) < len(header)
    if header not in [columns(found, n, texts) for n in (False, True)]:
        raise DataError(
            f"the manifest {path} has the columns {header} but should have "
            f"{columns(num_spks or found)}: run the preparation again."
        )
    if min_spks is not None and min_spks <= found <= num_spks:
        return
    if num_spks is not None and found != num_spks:
        raise DataError(
            f"the manifest {path} mixes {found} speakers but num_spks is "
            f"{num_spks}: change num_spks or prepare the data again."
        )


def _parse(row, where):
    """Turns times and gains of one row into floats, in place."""
    if None in row or None in row.values():
        raise DataError(f"{where} has not as many fields as the header.")
    noisy = bool(row.get("noise_wav"))
    for name in row:
        if name in NOISE_COLUMNS[1:] and not noisy and not row[name]:
            row[name] = 0.0
        elif is_absent(row, name):
            row[name] = 0.0 if name.endswith("_gain") else ""
        elif name in ("duration", "noise_start") or name.endswith("_gain"):
            try:
                row[name] = float(row[name])
            except ValueError:
                raise DataError(
                    f"{where} has {row[name]!r} for {name}, not a number."
                ) from None
    if noisy:
        _check_noise(row, where)


def check_manifest(
    path,
    data_folder,
    use_lips=True,
    headers=True,
    num_spks=None,
    min_spks=None,
):
    """Checks that every file of a manifest is there and as long as stated.

    Arguments
    ---------
    path : str or Path
        The CSV file.
    data_folder : str or Path
        Put in place of ``$data_root``.
    use_lips : bool
        Whether every source needs a mouth ROI.
    headers : bool
        Whether to open every audio file and compare the durations, which
        takes about 0.1 ms per file; otherwise only existence is checked.
    num_spks : int, optional
        The number of speakers that the manifest must have.
    min_spks : int, optional
        Fewest speakers in a mixture, as in :func:`read_manifest`.

    Returns
    -------
    list of dict
        The rows, paths resolved. ``DataError`` names the first missing
        files, or the first mixture whose duration is not real or whose
        noise ends before it.

    Example
    -------
    >>> import numpy as np, soundfile as sf
    >>> root = Path(getfixture("tmpdir"))
    >>> sf.write(root / "a.wav", np.zeros(16000), 16000)
    >>> _ = write_manifest(root / "a.csv", [dict(ID="a", duration=1, s1_gain=1,
    ...     s1_wav="$data_root/a.wav", s1_spk="p1")], num_spks=1)
    >>> len(check_manifest(root / "a.csv", root, use_lips=False))
    1
    """
    rows = read_manifest(path, data_folder, num_spks, min_spks)
    known, missing = set(), []
    for row in rows:
        for name, file in row.items():
            if not name.endswith(("_wav", "_lips")):
                continue
            if min_spks is not None and is_absent(row, name):
                continue
            if not file and name.endswith("_lips") and use_lips:
                raise DataError(
                    f"the mixture {row['ID']} of {path} names no {name}: "
                    "prepare mouth ROIs, or set use_lips: False."
                )
            skipped = name.endswith("_lips") and not use_lips
            optional = name in ("mix_wav", "noise_wav")
            if not file and not optional and not skipped:
                raise DataError(
                    f"the mixture {row['ID']} of {path} names no {name}: run "
                    "the preparation again."
                )
            if not file or skipped or file in known:
                continue
            known.add(file)
            if not os.path.isfile(file):
                missing.append(file)
    if missing:
        more = len(missing) - _SHOWN
        raise DataError(
            f"{len(missing)} of {len(known)} files named by {path} are "
            f"missing: {', '.join(missing[:_SHOWN])}"
            f"{f' and {more} more' if more > 0 else ''}; check data_folder or "
            "run the preparation again."
        )
    if headers:
        for row in rows:
            _check_duration(row, path)
    return rows


def _check_duration(row, path):
    """The stated duration is that of the mixture or the shortest source."""
    noise = row.get("noise_wav")
    files = [
        file
        for name, file in row.items()
        if name.endswith("_wav") and name != "noise_wav" and file
    ]
    if row["mix_wav"]:
        files = [row["mix_wav"]]
    counts = [num_samples(file, with_rate=True) for file in files]
    real = min(count / rate for count, rate in counts)
    if abs(real - row["duration"]) > TOLERANCE:
        raise DataError(
            f"the mixture {row['ID']} of {path} is stated to last "
            f"{row['duration']:.3f} s but lasts {real:.3f} s: run the "
            "preparation again."
        )
    if noise:
        count, rate = num_samples(noise, with_rate=True)
        check_noise_length(
            noise, count, round(row["noise_start"] * rate), int(real * rate)
        )
