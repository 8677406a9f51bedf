"""From a mixture list to manifest rows: gain, duration and files per source.

Gains are those of the published data sets, so that a mixture made while
training equals the one their scripts write to disk, up to 16-bit rounding.

Authors
 * avsep_sb contributors
"""

import numpy as np
import soundfile
from tqdm import tqdm

from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.dataio.mixture_names import mixture_name
from avsep_sb.errors import DataError


def mixture_gains(sources, gains_db, levels, peak=0.9):
    """Linear gain of each source of a mixture, as in the published sets.

    Each source is brought to an active level of ``gains_db``; then mixture
    and sources share one factor that puts their largest sample at ``peak``.

    Arguments
    ---------
    sources : list of np.ndarray
        Audio of each source, shape [T_k]; counted up to the shortest.
    gains_db : sequence of float
        Level of each source in dB.
    levels : sequence of float
        Active speech level of each source (power), see
        :func:`avsep_sb.dataio.levels.active_speech_level`.
    peak : float
        Largest absolute sample of the mixture and the scaled sources.

    Returns
    -------
    np.ndarray
        Factor of each source file, shape [S]; zeros where all is silence.

    Example
    -------
    >>> ones = np.ones(4)
    >>> mixture_gains([ones, ones], [0.0, 0.0], [1.0, 1.0])
    array([0.45, 0.45])
    """
    length = min(len(source) for source in sources)
    levels = np.asarray(levels, dtype=np.float64)
    factors = 10.0 ** (np.asarray(gains_db, dtype=np.float64) / 20.0)
    # A silent source stays silent; its level of zero divides nothing.
    factors = np.divide(
        factors,
        np.sqrt(levels),
        out=np.zeros_like(factors),
        where=levels > 0,
    )
    scaled = np.stack([source[:length] for source in sources]).astype(
        np.float64
    )
    scaled *= factors[:, None]
    largest = max(np.abs(scaled).max(), np.abs(scaled.sum(axis=0)).max())
    return factors * (peak / largest) if largest > 0 else factors * 0.0


def mixture_rows(mixtures, sources, describe=None, progress=True):
    """Manifest rows of mixtures that are summed while they are read.

    Arguments
    ---------
    mixtures : list of ListedMixture
        What to mix.
    sources : dict
        For each utterance a dict with ``wav`` (path of its audio), ``lips``
        (path of its mouth ROI), ``spk`` and, where known, ``text``.
    describe : callable or None
        Turns a path into what the manifest holds, such as a path relative
        to ``$data_root``; None keeps it.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    list of dict
        Rows with the columns of :mod:`avsep_sb.dataio.manifest`. A mixture
        whose sources are all silent is left out.

    Example
    -------
    >>> import tempfile
    >>> from avsep_sb.dataio.mixture_lists import ListedMixture
    >>> folder = tempfile.TemporaryDirectory()
    >>> wav = folder.name + "/a.wav"
    >>> soundfile.write(wav, np.sin(np.arange(32000)), 16000)
    >>> source = {"wav": wav, "lips": "a.npz", "spk": "s"}
    >>> listed = [ListedMixture(("a", "b"), (1.0, -1.0))]
    >>> sources = {"a": source, "b": source}
    >>> row = mixture_rows(listed, sources, progress=False)[0]
    >>> row["ID"], row["duration"], row["s1_lips"]
    ('a_1_b_-1', '2.000000', 'a.npz')
    """
    describe = describe or str
    levels, rows = {}, []
    for mixture in tqdm(mixtures, desc="levels", disable=not progress):
        signals, rates = [], set()
        for name in mixture.utterances:
            signal, rate = _read(sources[name]["wav"])
            signals.append(signal)
            rates.add(rate)
            if name not in levels:
                levels[name] = active_speech_level(signal, rate)[0]
        if len(rates) > 1:
            raise DataError(
                f"{' and '.join(mixture.utterances)} have sample rates "
                f"{sorted(rates)}; mixtures need one rate"
            )
        gains = mixture_gains(
            signals,
            mixture.gains_db,
            [levels[name] for name in mixture.utterances],
        )
        if not gains.any():
            continue
        seconds = min(map(len, signals)) / rates.pop()
        row = {
            "ID": mixture_name(mixture),
            "duration": f"{seconds:.6f}",
            "mix_wav": "",
        }
        for k, name in enumerate(mixture.utterances, start=1):
            row[f"s{k}_wav"] = describe(sources[name]["wav"])
            row[f"s{k}_gain"] = f"{gains[k - 1]:.8g}"
            row[f"s{k}_lips"] = describe(sources[name]["lips"])
            row[f"s{k}_spk"] = sources[name]["spk"]
            if sources[name].get("text"):
                row[f"s{k}_text"] = sources[name]["text"]
        rows.append(row)
    return rows


def _read(path):
    """Audio and rate of a one-channel file, or a sentence that names it."""
    try:
        signal, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as err:
        raise DataError(f"cannot read the audio file {path}: {err}") from err
    if not len(signal):
        raise DataError(f"the audio file {path} is empty")
    return signal.mean(axis=1), rate
