"""Dynamic mixing: every epoch mixes each utterance with someone else.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import numpy as np

from avsep_sb.dataio.draws import SharedEpoch, item_rng, row_sources
from avsep_sb.errors import ConfigError, DataError

# The number of speakers has a generator of its own: a mixture of two is the
# same whether or not others are of three.
_COUNT_STREAM = 4


class Draw(NamedTuple):
    """What a mixer decided: sources, levels in dB, and the generator."""

    sources: list
    level_db: np.ndarray
    rng: np.random.Generator


class Mixer:
    """Draws the partners of each row's first source and their levels.

    Arguments
    ---------
    rows : iterable of dict
        The manifest; each row has ``ID``. All sources of all rows form the
        pool of partners. One utterance is one mouth ROI file (one audio
        file where there is none), however many scaled copies are listed.
    seed : int
        From 0 on.
    gain_db : (float, float)
        Bounds of the uniform level of s1 over each partner, in dB, relative
        to equal active level (the paper's App. K states no bounds).
    num_spks : int
        Speakers in each mixture, or the most of them.
    same_voice_ratio : float
        Probability that the first partner is another utterance of the same
        speaker, where there is one: then only the lips can tell.
    epoch : SharedEpoch, optional
        The clock; by default the mixer makes its own.
    min_spks : int, optional
        Fewest speakers of a mixture: each count from there to ``num_spks``
        is equally frequent. By default all have ``num_spks``.

    Example
    -------
    >>> rows = [dict(ID=f"m{i}", mix_wav="", s1_wav=f"{i}.wav", s1_lips="",
    ...     s1_gain=1, s1_spk=f"p{i}", s2_wav="x.wav", s2_lips="", s2_gain=1,
    ...     s2_spk="px") for i in range(4)]
    >>> mixer = Mixer(rows, seed=1, gain_db=(-5, 5))
    >>> draw = mixer.draw("m0")
    >>> draw.sources[0].wav, len({s.spk for s in draw.sources})
    ('0.wav', 2)
    """

    def __init__(
        self,
        rows,
        seed,
        gain_db,
        num_spks=2,
        same_voice_ratio=0.0,
        epoch=None,
        min_spks=None,
    ):
        self.seed = seed
        self.num_spks = num_spks
        self.min_spks = num_spks if min_spks is None else min_spks
        self.epoch = SharedEpoch() if epoch is None else epoch
        self.gain_db = _check_range(gain_db)
        if not 0 <= same_voice_ratio <= 1:
            raise ConfigError(
                f"same_voice_ratio is {same_voice_ratio} but must be between "
                "0 and 1."
            )
        self.same_voice_ratio = same_voice_ratio
        self._first, pool = {}, {}
        for row in rows:
            sources = row_sources(row, num_spks)
            self._first[row["ID"]] = sources[0]
            for source in sources:
                if not source.spk:
                    raise DataError(
                        f"the mixture {row['ID']} names no speaker for "
                        f"{source.wav}: dynamic mixing needs the s*_spk "
                        "columns, so fill them or set dynamic_mixing: False."
                    )
                pool.setdefault(_utterance(source), source)
        # sorted: the draw must not depend on the order of the manifest, and
        # one speaker must be one block of the pool
        ordered = sorted(pool.items(), key=lambda kv: (kv[1].spk, kv[0]))
        self._pool = [source for _, source in ordered]
        self._place = {key: i for i, (key, _) in enumerate(ordered)}
        self._blocks = {}
        for i, source in enumerate(self._pool):
            start = self._blocks.get(source.spk, (i, i))[0]
            self._blocks[source.spk] = (start, i + 1)
        if len(self._blocks) < num_spks and same_voice_ratio < 1:
            raise DataError(
                f"dynamic mixing of {num_spks} voices needs as many speakers "
                f"but the manifest has {len(self._blocks)}: add speakers or "
                "set dynamic_mixing: False."
            )

    def set_epoch(self, epoch):
        """Sets the epoch (int) for all processes that share this mixer."""
        self.epoch.set(epoch)

    def count(self, utt_id):
        """How many speakers one row has in the present epoch.

        Arguments
        ---------
        utt_id : str
            The ID of the row.

        Returns
        -------
        int
        """
        if self.min_spks == self.num_spks:
            return self.num_spks
        rng = item_rng(self.seed, self.epoch.get(), utt_id, _COUNT_STREAM)
        return int(rng.integers(self.min_spks, self.num_spks + 1))

    def draw(self, utt_id):
        """Draws the mixture of one row in the present epoch.

        Arguments
        ---------
        utt_id : str
            The ID of the row.

        Returns
        -------
        Draw
            ``sources`` [S], no two of one utterance; ``level_db`` [S] with
            mean 0, the level of each over the reference level; ``rng`` for
            further choices about this item.
        """
        count = self.count(utt_id)
        rng = item_rng(self.seed, self.epoch.get(), utt_id)
        sources = [self._first[utt_id]]
        same_voice = rng.random() < self.same_voice_ratio
        if same_voice and count > 1:
            sources += self._same_voice(rng, sources[0])
        while len(sources) < count:
            sources.append(self.other_voice(rng, sources))
        below = rng.uniform(*self.gain_db, size=count - 1)
        level_db = -np.concatenate([[0.0], below])
        return Draw(sources, level_db - level_db.mean(), rng)

    def _same_voice(self, rng, source):
        """Another utterance of the speaker, or none if there is none."""
        start, stop = self._blocks[source.spk]
        if stop - start < 2:
            return []
        own = self._place[_utterance(source)]
        index = start + int(rng.integers(stop - start - 1))
        return [self._pool[index + (index >= own)]]

    @property
    def num_speakers(self):
        """int: speakers of the manifest."""
        return len(self._blocks)

    def other_voice(self, rng, sources):
        """Draws an utterance of a speaker who is not in the mixture yet.

        Arguments
        ---------
        rng : np.random.Generator
            Source of the draw.
        sources : list of Source
            Those in the mixture.

        Returns
        -------
        Source
            ``DataError`` is raised if there is no further speaker.
        """
        taken = sorted({self._blocks[source.spk] for source in sources})
        free = len(self._pool) - sum(stop - start for start, stop in taken)
        if free == 0:
            raise DataError(
                f"no further speaker can be mixed with {sources[0].wav}: add "
                "speakers or set dynamic_mixing: False."
            )
        index = int(rng.integers(free))
        for start, stop in taken:
            if index >= start:
                index += stop - start
        return self._pool[index]


def _utterance(source):
    return source.lips or source.wav


def _check_range(gain_db):
    """The bounds as two floats in order."""
    try:
        low, high = (float(value) for value in gain_db)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not -np.inf < low <= high < np.inf:
        raise ConfigError(
            f"mix_gain_db is {gain_db} but must be two numbers [lowest, "
            "highest] in dB."
        )
    return low, high
