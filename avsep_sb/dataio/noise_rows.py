"""Lists noise for mixtures that are written to a manifest.

Authors
 * avsep_sb contributors
"""

import numpy as np

from avsep_sb.dataio.audio import num_samples, read_audio
from avsep_sb.dataio.manifest import DATA_ROOT
from avsep_sb.dataio.noise import check_noise_length
from avsep_sb.dataio.scaling import PEAK, noise_gain


def with_noise(row, files, snr_db, rng, data_folder, sample_rate=16000):
    """Chooses the noise of one mixture: file, start and level.

    Arguments
    ---------
    row : dict
        Row of a manifest without ``mix_wav``.
    files : list of str
        Noises to choose from, as a manifest names them.
    snr_db : (float, float)
        Bounds of the uniform ratio of speech to noise in dB, as
        :func:`avsep_sb.dataio.scaling.noise_gain` defines it, over the whole
        mixture.
    rng : np.random.Generator
        Source of the three draws.
    data_folder : str or Path
        Put in place of ``$data_root``.
    sample_rate : int
        Hz that all files must have.

    Returns
    -------
    dict
        The row with the columns of noise. All gains are lowered together if
        the noisy mixture would exceed 0.9 of full scale. ``DataError`` is
        raised if the noise ends before the mixture.

    Example
    -------
    >>> import soundfile
    >>> root = getfixture("tmpdir")
    >>> for name in "an":
    ...     soundfile.write(str(root / name), np.ones(900) / 9, 16000,
    ...         format="WAV")
    >>> row = dict(s1_wav="$data_root/a", s1_gain=0.5)
    >>> rng = np.random.default_rng(0)
    >>> row = with_noise(row, ["$data_root/n"], (0, 0), rng, root)
    >>> row["noise_wav"], round(float(row["noise_gain"]), 3)
    ('$data_root/n', 0.5)
    """
    names = [k for k in row if k.startswith("s") and k.endswith("_gain")]
    waves = []
    for name in names:
        path = row[name.replace("_gain", "_wav")]
        wave = read_audio(_resolve(path, data_folder), sample_rate=sample_rate)
        waves.append(wave * np.float32(row[name]))
    needed = min(len(wave) for wave in waves)
    speech = np.sum([wave[:needed] for wave in waves], axis=0)
    file = files[rng.integers(len(files))]
    path = _resolve(file, data_folder)
    count = num_samples(path, sample_rate)
    check_noise_length(path, count, 0, needed)
    start = int(rng.integers(count - needed + 1))
    noise = read_audio(path, start, start + needed, sample_rate)
    gain = noise_gain(
        speech, noise, float(rng.uniform(*snr_db)), sample_rate // 40
    )
    peak = float(np.abs(speech + noise * np.float32(gain)).max())
    lowered = min(1.0, PEAK / peak) if peak > 0 else 1.0
    return {
        **row,
        **{name: row[name] * lowered for name in names},
        "noise_wav": file,
        "noise_start": start / sample_rate,
        "noise_gain": gain * lowered,
    }


def _resolve(path, data_folder):
    return path.replace(DATA_ROOT, str(data_folder))
