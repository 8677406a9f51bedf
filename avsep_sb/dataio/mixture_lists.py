"""Lists that say which utterances are mixed, and how loud each one is.

A list has one mixture per line: ``path1 g1 path2 g2 ...``, where g is the
level of a source in dB. Public lists of this form exist for LRS2, LRS3 and
VoxCeleb2 (`mix_2_spk_{tr,cv,tt}.scp`); :func:`make_mixture_list` draws new
ones.

Authors
 * avsep_sb contributors
"""

import os
from collections import namedtuple
from functools import cache
from pathlib import Path

import numpy as np

from avsep_sb.dataio.mixture_names import utterance_of
from avsep_sb.errors import DataError

ListedMixture = namedtuple("ListedMixture", ["utterances", "gains_db"])
ListedMixture.__doc__ = """One line of a list: utterance names, levels in dB."""

# Levels of each source as multiples of the drawn level: the two-speaker
# form of the public lists, and the four-speaker form of the same authors. One
# voice, for enhancement, stays as loud as it is: the noise has the level.
GAIN_PATTERNS = {1: (0,), 2: (1, -1), 3: (1, 0, -1), 4: (1, 0, -0.5, -1)}

MAX_GAIN_DB = 5.0

#: mixtures of the published sets, train / valid / test: App. F of the IIANet
#: paper has 300 test mixtures of three and of four speakers; of one voice in
#: noise there are as many as of two
LIST_COUNTS = {
    1: (20000, 5000, 3000),
    2: (20000, 5000, 3000),
    3: (20000, 5000, 300),
    4: (20000, 5000, 300),
}


def read_mixture_list(path):
    """Reads a list of mixtures of any number of speakers.

    Arguments
    ---------
    path : str or Path
        Text file, one ``path1 g1 path2 g2 ...`` per line; empty lines are
        passed over. Folders and suffixes of the paths are dropped, for they
        are those of the machine the list was made on.

    Returns
    -------
    list of ListedMixture

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".scp") as file:
    ...     _ = file.write("x/a_1.wav 1.5 x/b_2.wav -1.5\\n")
    ...     file.flush()
    ...     read_mixture_list(file.name)
    [ListedMixture(utterances=('a_1', 'b_2'), gains_db=(1.5, -1.5))]
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"cannot read the mixture list {path}: {err}") from err
    mixtures = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            if len(fields) < 2 or len(fields) % 2:
                raise ValueError
            gains = tuple(float(field) for field in fields[1::2])
            if not np.isfinite(gains).all():
                raise ValueError
        except ValueError:
            raise DataError(
                f"{path}, line {number}: expected `path1 g1 path2 g2 ...` "
                f"with levels in dB, found {line[:80]!r}"
            ) from None
        names = tuple(utterance_of(field) for field in fields[::2])
        mixtures.append(ListedMixture(names, gains))
    if not mixtures:
        raise DataError(f"the mixture list {path} is empty")
    sizes = {len(mixture.utterances) for mixture in mixtures}
    if len(sizes) > 1:
        raise DataError(
            f"{path} mixes lines of {sorted(sizes)} speakers; split it into "
            "one list per number of speakers"
        )
    return mixtures


def write_mixture_list(path, mixtures):
    """Writes a list in the public format.

    Arguments
    ---------
    path : str or Path
        The file to write, replaced in one step.
    mixtures : list of ListedMixture
        What to write.

    Example
    -------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "mix_2_spk_tr.scp")
    >>> write_mixture_list(path, [ListedMixture(("a", "b"), (2.0, -2.0))])
    >>> print(open(path).read().strip())
    a.wav 2.00000 b.wav -2.00000
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(part, "w", encoding="utf-8") as file:
        for names, gains in mixtures:
            pairs = zip(names, gains, strict=True)
            line = " ".join(f"{name}.wav {gain:.5f}" for name, gain in pairs)
            file.write(line + "\n")
    os.replace(part, path)


def make_mixture_list(speakers, count, seed, num_spks=2, usable=None):
    """Draws mixtures of different speakers, no set of utterances twice.

    Arguments
    ---------
    speakers : dict
        Speaker label of each utterance, ``{utterance: speaker}``.
    count : int
        How many mixtures to draw.
    seed : int or list of int
        The same seed gives the same list, in whatever order the utterances
        come.
    num_spks : int
        2, 3 or 4. The drawn level g, uniform in [0, 5) dB with 5 decimals,
        becomes +g, -g for two speakers; +g, 0, -g for three; +g, 0, -g/2,
        -g for four.
    usable : callable or None
        Told the name of an utterance when it is drawn first; what it refuses
        is never drawn. Looking at the drawn ones only spares a look at all
        of a large corpus. None takes all.

    Returns
    -------
    list of ListedMixture

    Example
    -------
    >>> speakers = {"a1": "a", "a2": "a", "b1": "b"}
    >>> drawn = make_mixture_list(speakers, 2, seed=0)
    >>> sorted(sorted(mixture.utterances) for mixture in drawn)
    [['a1', 'b1'], ['a2', 'b1']]
    """
    if num_spks not in GAIN_PATTERNS:
        raise DataError(
            f"mixtures of {num_spks} speakers are not defined; choose one of "
            f"{sorted(GAIN_PATTERNS)}"
        )
    utterances = sorted(speakers)
    labels = {speakers[name] for name in utterances}
    if len(labels) < num_spks:
        raise DataError(
            f"mixtures of {num_spks} speakers need as many different "
            f"speakers, found {len(labels)}: {sorted(labels)[:5]}"
        )
    rng = np.random.default_rng(seed)
    accept = cache(usable) if usable is not None else None
    seen, drawn, queue = set(), [], []
    misses = 0
    while len(drawn) < count:
        # The first source walks through all utterances, so that each is
        # used about equally often; the others are drawn freely.
        if not queue:
            queue = list(rng.permutation(len(utterances)))
        names = [utterances[queue.pop()]]
        while len(names) < num_spks:
            name = utterances[rng.integers(len(utterances))]
            if speakers[name] not in {speakers[other] for other in names}:
                names.append(name)
        key = frozenset(names)
        if key in seen or (accept and not all(map(accept, names))):
            misses += 1
            if misses > 100 * count + 1000:
                raise DataError(
                    f"only {len(drawn)} of {count} different mixtures can be "
                    f"drawn from {len(utterances)} utterances; ask for fewer"
                )
            continue
        seen.add(key)
        # Cut, not rounded: rounding could reach 5.0 itself.
        gain = np.floor(rng.uniform(0.0, MAX_GAIN_DB) * 1e5) / 1e5
        gains = tuple(
            round(float(gain * part), 5) for part in GAIN_PATTERNS[num_spks]
        )
        drawn.append(ListedMixture(tuple(names), gains))
    return drawn


def check_known(mixtures, known, list_path, where):
    """Refuses a list that names utterances the corpus does not have.

    Arguments
    ---------
    mixtures : list of ListedMixture
        The list.
    known : collection of str
        Names of the utterances there are.
    list_path : str or Path
        Named in the message.
    where : str or Path
        The folder that was searched, named in the message.

    Example
    -------
    >>> listed = [ListedMixture(("a", "b"), (0.0, 0.0))]
    >>> check_known(listed, {"a", "b", "c"}, "list.scp", "corpus")
    """
    named = dict.fromkeys(name for mix in mixtures for name in mix.utterances)
    unknown = [name for name in named if name not in known]
    if unknown:
        raise DataError(
            f"{list_path} names {len(unknown)} of {len(named)} utterances "
            f"that are not in {where}, first {', '.join(unknown[:3])}; check "
            "that the corpus is complete and the list is for this corpus"
        )
