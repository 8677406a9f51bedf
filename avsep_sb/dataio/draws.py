"""Random choices as a function of (seed, epoch, utterance id).

No global generator takes part, so the choices are the same for any number of
workers and ranks, and after a restart.

Authors
 * avsep_sb contributors
"""

import multiprocessing
import zlib
from typing import NamedTuple

import numpy as np


class SharedEpoch:
    """The epoch, seen at once by worker processes that are already running.

    Copies share the number: SpeechBrain deep-copies the pipeline of a
    filtered dataset, and both must follow one clock.

    Example
    -------
    >>> epoch = SharedEpoch()
    >>> epoch.set(3)
    >>> epoch.get()
    3
    """

    def __init__(self):
        self._value = multiprocessing.Value("q", 0, lock=False)

    def __deepcopy__(self, memo):
        return self

    def get(self):
        """Returns the epoch, an int."""
        return self._value.value

    def set(self, epoch):
        """Sets the epoch, an int from 0 on, for all processes."""
        self._value.value = int(epoch)


def item_rng(seed, epoch, utt_id, stream=0):
    """The generator from which all choices for one item are drawn.

    Arguments
    ---------
    seed, epoch : int
        From 0 on.
    utt_id : str
        The ID of the mixture.
    stream : int
        Choices of one stream leave those of the others as they are: 0 for
        mixtures, windows and crops, 1 for noise, 2 for silent targets and
        off-screen voices, 3 for what is wrong with the faces, 4 for the
        number of speakers, 5 for rooms.

    Returns
    -------
    np.random.Generator

    Example
    -------
    >>> a, b = item_rng(1, 2, "x"), item_rng(1, 2, "x")
    >>> a.random() == b.random()
    True
    """
    key = zlib.crc32(str(utt_id).encode("utf-8"))
    streams = [int(stream)] if stream else []
    return np.random.default_rng([int(seed), int(epoch), key, *streams])


class Source(NamedTuple):
    """One voice of a mixture: its files, its gain and its speaker."""

    wav: str
    lips: str
    gain: float
    spk: str
    #: cut to the shorter source of a ready mixture, while its lips are whole
    cut: bool
    #: what is said in all of it; None where the manifest does not tell
    text: str | None = None


def row_sources(row, num_spks):
    """The sources of a manifest row.

    Arguments
    ---------
    row : dict
        Row of :func:`avsep_sb.dataio.manifest.read_manifest`.
    num_spks : int
        Speakers in each mixture, at most.

    Returns
    -------
    list of Source
        Those that are there: fewer where the last columns are empty.

    Example
    -------
    >>> row = dict(mix_wav="", s1_wav="a.wav", s1_lips="a.npz", s1_gain=0.5,
    ...     s1_spk="p1")
    >>> row_sources(row, 1)[0].gain
    0.5
    """
    return [
        Source(
            row[f"s{k}_wav"],
            row[f"s{k}_lips"],
            row[f"s{k}_gain"],
            row[f"s{k}_spk"],
            bool(row["mix_wav"]),
            row.get(f"s{k}_text") or None,
        )
        for k in range(1, num_spks + 1)
        if row.get(f"s{k}_wav")
    ]
