"""Mixtures of different numbers of speakers in one training run.

``num_spks`` is then the most and ``min_spks`` the fewest. How many a mixture
has depends on it alone, so that items stay the same for any batch size,
number of workers and number of processes; batches are then made of mixtures
of one number, and nothing is padded with faces that are not there.

Authors
 * avsep_sb contributors
"""

import numpy as np
from torch.utils.data import Sampler

from avsep_sb.errors import ConfigError, DataError


class SameCountBatches(Sampler):
    """Batches whose items have one number of speakers each.

    The items are shuffled by (seed, epoch), then dealt to one batch for each
    number of speakers, and a batch that is full goes out. The last batches of
    an epoch may be smaller. Every epoch has as many batches as the least even
    one could need, so that schedulers, progress bars and processes know the
    length: some batches are halved to come to it.

    Arguments
    ---------
    ids : list of str
        The items, in the order of the dataset.
    count_of : callable
        Takes an ID; the number of speakers of that item in the present epoch.
    counts : int
        How many different numbers of speakers there are.
    batch_size : int
        Items in a batch.
    seed : int
        From 0 on.
    epoch : SharedEpoch
        The clock.
    shuffle : bool
        False keeps the order of the dataset within each number of speakers.

    Example
    -------
    >>> from avsep_sb.dataio.draws import SharedEpoch
    >>> batches = SameCountBatches(
    ...     ["a2", "b3", "c2", "d3", "e2"], lambda name: int(name[1]), 2, 2,
    ...     seed=1, epoch=SharedEpoch(), shuffle=False)
    >>> list(batches), len(batches)
    ([[0, 2], [1, 3], [4]], 3)
    """

    def __init__(
        self, ids, count_of, counts, batch_size, seed, epoch, shuffle=True
    ):
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size} but must be > 0.")
        self.ids = list(ids)
        self.count_of = count_of
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.shuffle = shuffle
        total, spare = len(self.ids), counts * (batch_size - 1)
        self._length = min(total, (total + spare) // batch_size)

    def __len__(self):
        return self._length

    def __iter__(self):
        order = np.arange(len(self.ids))
        if self.shuffle:
            order = np.random.default_rng(
                [self.seed, self.epoch.get(), len(order)]
            ).permutation(order)
        batches, growing = [], {}
        for index in order.tolist():
            count = self.count_of(self.ids[index])
            batch = growing.setdefault(count, [])
            batch.append(index)
            if len(batch) == self.batch_size:
                batches.append(growing.pop(count))
        batches += [growing[count] for count in sorted(growing)]
        while len(batches) < self._length:
            place = max(range(len(batches)), key=lambda i: len(batches[i]))
            whole, half = batches[place], len(batches[place]) // 2
            batches[place : place + 1] = [whole[:half], whole[half:]]
        return iter(batches)


def read_min_spks(hparams):
    """The key ``min_spks``.

    Arguments
    ---------
    hparams : dict
        ``num_spks`` and, if present, ``min_spks``.

    Returns
    -------
    int or None
        None if all mixtures have ``num_spks``. ``ConfigError`` is raised
        unless it is from 1 to ``num_spks``.

    Example
    -------
    >>> read_min_spks({"num_spks": 4, "min_spks": 2})
    2
    """
    fewest, most = hparams.get("min_spks"), hparams["num_spks"]
    if fewest is None:
        return None
    whole = isinstance(fewest, int) and not isinstance(fewest, bool)
    if not whole or not 1 <= fewest <= most:
        raise ConfigError(
            f"min_spks is {fewest!r} but must be a whole number from 1 to "
            f"num_spks, which is {most}; null for mixtures of {most} alone."
        )
    return fewest


def check_speakers(row, num_spks, min_spks, path):
    """Only the last speakers of a row are absent, and not too many.

    Arguments
    ---------
    row : dict
        Row of a manifest with all columns.
    num_spks, min_spks : int
        The most and the fewest.
    path : str or Path
        The manifest, for the message of the ``DataError``.

    Example
    -------
    >>> row = {"ID": "a", "s1_wav": "a.wav", "s2_wav": "b.wav", "s3_wav": ""}
    >>> check_speakers(row, num_spks=3, min_spks=2, path="train.csv")
    """
    there = [bool(row[f"s{k}_wav"]) for k in range(1, num_spks + 1)]
    count = sum(there)
    if not all(there[:count]) or count < min_spks:
        raise DataError(
            f"the mixture {row['ID']} of {path} has the speakers "
            f"{[k for k, here in enumerate(there, start=1) if here]}, but "
            f"needs the first {min_spks} and no gap: prepare the data again, "
            "or change min_spks."
        )


def is_absent(row, name):
    """Whether a column belongs to a speaker who is not in the mixture.

    Arguments
    ---------
    row : dict
        Row of a manifest.
    name : str
        The column.

    Returns
    -------
    bool

    Example
    -------
    >>> row = {"s2_wav": "", "s2_lips": "", "s2_spk": "", "s2_gain": ""}
    >>> is_absent(row, "s2_gain")
    True
    """
    first = name.split("_")[0]
    if not first[1:].isdigit() or first == "s1":
        return False
    return not any(row[f"{first}_{part}"] for part in ("wav", "lips", "spk"))
