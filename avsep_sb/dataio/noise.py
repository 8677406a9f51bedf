"""Noise that is added to mixtures: of a listed file, or drawn from a folder.

Authors
 * avsep_sb contributors
"""

import os
from bisect import bisect_left
from pathlib import Path
from typing import NamedTuple

from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.audio import num_samples
from avsep_sb.dataio.draws import SharedEpoch, item_rng
from avsep_sb.errors import ConfigError, DataError

logger = get_logger(__name__)

#: kinds of file that can be read from any sample on
SUFFIXES = (".wav", ".flac", ".ogg")
# Noise has a generator of its own: without it, and without lips, all other
# choices are what they were.
_STREAM = 1


class NoiseDraw(NamedTuple):
    """A piece of noise: file, first sample, and the SNR in dB."""

    path: str
    start: int
    snr_db: float


class NoiseFolder:
    """Draws noise from a folder, by (seed, epoch, utterance id) alone.

    Arguments
    ---------
    folder : str or Path
        Searched recursively for ``.wav``, ``.flac`` and ``.ogg``. Files
        count alike, whatever their length.
    snr_db : (float, float)
        Bounds of the uniform ratio of speech to noise in dB, as
        :func:`avsep_sb.dataio.scaling.add_noise` defines it.
    seed : int
        From 0 on.
    epoch : SharedEpoch, optional
        The clock; by default the folder makes its own.
    probability : float
        Share of the mixtures that get noise; the noise of those is the same
        for every share.
    sample_rate : int
        Hz that every file must have.
    length : int, optional
        Samples of every item, where that is known: then it is said at once
        how many files are shorter, and never drawn.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> root = getfixture("tmpdir")
    >>> soundfile.write(str(root / "hiss.wav"), np.ones(900) / 9, 16000)
    >>> noise = NoiseFolder(root, snr_db=(-6, 3), seed=1)
    >>> draw = noise.draw("m0", 800)
    >>> Path(draw.path).name, draw.start <= 100, -6 <= draw.snr_db <= 3
    ('hiss.wav', True, True)
    """

    def __init__(
        self,
        folder,
        snr_db,
        seed,
        epoch=None,
        probability=1.0,
        sample_rate=16000,
        length=None,
    ):
        self.folder = Path(folder)
        self.snr_db = check_snr_range(snr_db)
        self.seed = seed
        self.epoch = SharedEpoch() if epoch is None else epoch
        self.probability = _check_share(probability)
        files = _find(self.folder)
        counts = [_count(path, sample_rate) for path in files]
        # sorted by length: the files that are long enough are one block,
        # and the draw does not depend on the order of the file system
        ordered = sorted(zip(counts, files, strict=True))
        self._counts = [count for count, _ in ordered]
        self._files = [path for _, path in ordered]
        if length:
            short = self._first(length)
            if short:
                logger.warning(
                    f"{short} of {len(files)} files in {folder} are shorter "
                    f"than {length} samples and are not used, for noise is "
                    "never repeated"
                )

    def draw(self, utt_id, count):
        """Draws the noise of one item in the present epoch.

        Arguments
        ---------
        utt_id : str
            The ID of the mixture.
        count : int
            Samples wanted.

        Returns
        -------
        NoiseDraw or None
            None for a mixture that gets no noise. ``DataError`` is raised if
            no file is as long.
        """
        rng = item_rng(self.seed, self.epoch.get(), utt_id, _STREAM)
        share = rng.random()
        snr_db = float(rng.uniform(*self.snr_db))
        if share >= self.probability:
            return None
        index = int(rng.integers(self._first(count), len(self._files)))
        start = int(rng.integers(self._counts[index] - count + 1))
        return NoiseDraw(self._files[index], start, snr_db)

    def _first(self, count):
        """The place from which on all files are long enough."""
        first = bisect_left(self._counts, count)
        if first == len(self._counts):
            raise DataError(
                f"no noise in {self.folder} has {count} samples (the longest, "
                f"{self._files[-1]}, has {self._counts[-1]}), and noise is "
                "never repeated: use longer files or a shorter "
                "training_signal_len."
            )
        return first


def check_noise_length(path, count, start, needed):
    """Refuses noise that ends before its mixture: it is never repeated.

    Arguments
    ---------
    path : str or Path
        The file, for the message.
    count : int
        Its length in samples.
    start : int
        First sample that is used.
    needed : int
        Samples wanted from there on.

    Returns
    -------
    None
        ``DataError`` is raised if there are fewer.

    Example
    -------
    >>> check_noise_length("noise.wav", 32000, 16000, 16000)
    """
    if count - start < needed:
        raise DataError(
            f"the noise {path} has {count} samples, but its mixture needs "
            f"{needed} from sample {start} on: choose a longer file or an "
            "earlier noise_start."
        )


def check_snr_range(snr_db, key="noise_snr_db"):
    """The bounds of a signal-to-noise ratio.

    Arguments
    ---------
    snr_db : sequence of float
        The lowest and the highest, in dB.
    key : str
        What the user calls them.

    Returns
    -------
    (float, float)
        ``ConfigError`` is raised if they are not two numbers in order.

    Example
    -------
    >>> check_snr_range([-6, 3])
    (-6.0, 3.0)
    """
    try:
        low, high = (float(value) for value in snr_db)
    except (TypeError, ValueError):
        low, high = float("nan"), float("nan")
    if not float("-inf") < low <= high < float("inf"):
        raise ConfigError(
            f"{key} is {snr_db} but must be two numbers [lowest, highest] in "
            "dB."
        )
    return low, high


def _find(folder):
    """Paths of all audio files, hidden ones left out."""
    if not folder.is_dir():
        raise DataError(
            f"the noise_folder {folder} is no folder: name one that holds "
            "audio files."
        )
    files = [
        os.path.join(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
    if not files:
        raise DataError(
            f"the noise_folder {folder} holds no audio file "
            f"({', '.join(SUFFIXES)}): name one that does."
        )
    return files


def _count(path, sample_rate):
    count, rate = num_samples(path, with_rate=True)
    if rate != sample_rate:
        raise DataError(
            f"the noise {path} has {rate} Hz but sample_rate is "
            f"{sample_rate}: resample the files of noise_folder."
        )
    return count


def _check_share(probability):
    number = isinstance(probability, (int, float))
    if not number or isinstance(probability, bool) or not 0 < probability <= 1:
        raise ConfigError(
            f"noise_probability is {probability!r} but must be above 0 and at "
            "most 1."
        )
    return float(probability)
