"""Dynamic mixing: every epoch mixes each utterance with someone else.

A mixture is a function of (seed, epoch, utterance id) and of nothing else,
so it is the same for any number of workers and ranks, and after a restart.

Authors
 * avsep_sb contributors
"""

import multiprocessing
import zlib
from typing import NamedTuple

import numpy as np

from avsep_sb.errors import ConfigError, DataError

#: active level that sources are brought to, as RMS relative to full scale
REFERENCE_RMS = 10 ** (-25 / 20)
#: no mixture or source is louder, as in the published mixture lists
PEAK = 0.9


class Source(NamedTuple):
    """One voice of a mixture: its files, its gain and its speaker."""

    wav: str
    lips: str
    gain: float
    spk: str
    #: cut to the shorter source of a ready mixture, while its lips are whole
    cut: bool


class Draw(NamedTuple):
    """What a mixer decided: sources, levels in dB, and the generator."""

    sources: list
    level_db: np.ndarray
    rng: np.random.Generator


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


def item_rng(seed, epoch, utt_id):
    """The generator from which all choices for one item are drawn.

    Arguments
    ---------
    seed, epoch : int
        From 0 on.
    utt_id : str
        The ID of the mixture.

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
    return np.random.default_rng([int(seed), int(epoch), key])


def row_sources(row, num_spks):
    """The sources of a manifest row.

    Arguments
    ---------
    row : dict
        Row of :func:`avsep_sb.dataio.manifest.read_manifest`.
    num_spks : int
        Speakers in each mixture.

    Returns
    -------
    list of Source

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
        )
        for k in range(1, num_spks + 1)
    ]


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
        Speakers in each mixture.
    same_voice_ratio : float
        Probability that the first partner is another utterance of the same
        speaker, where there is one: then only the lips can tell.
    epoch : SharedEpoch, optional
        The clock; by default the mixer makes its own.

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
    ):
        self.seed = seed
        self.num_spks = num_spks
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
        rng = item_rng(self.seed, self.epoch.get(), utt_id)
        sources = [self._first[utt_id]]
        same_voice = rng.random() < self.same_voice_ratio
        if same_voice:
            sources += self._same_voice(rng, sources[0])
        while len(sources) < self.num_spks:
            sources.append(self._other_voice(rng, sources))
        below = rng.uniform(*self.gain_db, size=self.num_spks - 1)
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

    def _other_voice(self, rng, sources):
        """An utterance of a speaker who is not in the mixture yet."""
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


def active_rms(wave, frame=400, range_db=30.0):
    """The RMS of the frames in which someone speaks.

    Arguments
    ---------
    wave : np.ndarray
        [T] samples.
    frame : int
        Samples per frame; 400 are 25 ms at 16 kHz.
    range_db : float
        Frames this far below the loudest count as pauses.

    Returns
    -------
    float
        Relative to full scale; 0.0 for silence.

    Example
    -------
    >>> speech = np.concatenate([np.full(800, 0.5), np.zeros(8000)])
    >>> active_rms(speech)
    0.5
    """
    wave = np.asarray(wave, dtype=np.float64)
    whole = wave[: len(wave) // frame * frame].reshape(-1, frame)
    if len(whole) == 0:
        whole = wave[None]
    power = np.mean(whole**2, axis=1)
    active = power > power.max() * 10 ** (-range_db / 10)
    return float(np.sqrt(power[active].mean())) if active.any() else 0.0


def mix_sources(waves, rms, level_db):
    """Brings sources to their levels and adds them.

    Arguments
    ---------
    waves : np.ndarray
        [T, S] float32.
    rms : sequence of float
        [S] active RMS of the whole utterances; a silent one (0) stays as is.
    level_db : sequence of float
        [S] levels over the reference level, in dB.

    Returns
    -------
    (np.ndarray, np.ndarray)
        The mixture [T] and the scaled sources [T, S], float32; they are
        lowered together if one would exceed 0.9 of full scale.

    Example
    -------
    >>> mix, sources = mix_sources(np.ones((4, 2), np.float32), [1, 1], [0, 0])
    >>> bool(np.allclose(mix, sources.sum(axis=1)))
    True
    """
    gains = [
        REFERENCE_RMS * 10 ** (level / 20) / value if value > 0 else 1.0
        for value, level in zip(rms, level_db, strict=True)
    ]
    sources = waves * np.asarray(gains, dtype=np.float32)
    mix = sources.sum(axis=1)
    peak = max(np.abs(mix).max(), np.abs(sources).max())
    if peak > PEAK:
        mix, sources = mix * (PEAK / peak), sources * (PEAK / peak)
    return mix.astype(np.float32), sources.astype(np.float32)
