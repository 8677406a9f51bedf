"""Whether the voices that lips gave can be true: a second opinion by ear.

Lips may lie: they are covered, out of step, or of a kind that the model does
not know. Then its voices leave much of the mixture unexplained, or are all the
same voice. A model without faces cannot say who speaks, but its voices explain
the mixture. Where all voices of the mixture have faces, the two are compared,
frame by frame, and the first is believed unless it is worse. No labels are
needed, and none of the reasons need be known.

Thresholds were measured with ``benchmarks/ladder_report.py``.

Authors
 * avsep_sb contributors
"""

import numpy as np

from avsep_sb.inference.levels import LevelMatch

#: dB by which lips may leave more of the mixture unexplained than the ear
WORSE_DB = 3.0
#: what is left below this level of the mixture (dB) is no fault of the ear
BEST_DB = -12.0
#: how alike two voices may be, 1 for one voice twice
ALIKE = 0.7
#: voices this far below the mixture (dB) are silent: nobody in sight speaks
SILENT_DB = -12.0
#: frames over which energies are averaged, about half a second
SMOOTH_FRAMES = 13
#: frames of a fade between the two
FADE_FRAMES = 5
#: where more than this part of a window is doubtful, all of it is
MOST = 0.6


def doubtful(voices, opinions, mix, samples_per_frame):
    """In which frames the voices of lips are worse than those of the ear.

    Arguments
    ---------
    voices : np.ndarray
        What lips gave, one voice per face, [t, P].
    opinions : np.ndarray
        What a model without faces gave, [t, N].
    mix : np.ndarray
        The mixture, [t].
    samples_per_frame : int
        Samples in the time of one frame.

    Returns
    -------
    np.ndarray
        bool, one for each whole or begun frame; all True where most are.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> true = rng.standard_normal((64000, 2))
    >>> mix = true.sum(1)
    >>> swaying = np.stack([mix / 2, mix / 2], axis=1)
    >>> bool(doubtful(true, true, mix, 640).any())
    False
    >>> bool(doubtful(swaying, true, mix, 640).all())
    True
    """
    size = samples_per_frame
    voices = LevelMatch()(voices, mix)
    opinions = LevelMatch()(opinions, mix)
    floor = 1e-6 * float(np.square(mix, dtype=np.float64).mean()) * size
    heard = _energy(mix, mix, size) + floor + 1e-20
    left, least = (
        _energy(mix - both.sum(1), mix - both.sum(1), size) / heard
        for both in (voices, opinions)
    )
    bar = np.maximum(least, 10 ** (BEST_DB / 10)) * 10 ** (WORSE_DB / 10)
    doubt = left > bar
    powers = [_energy(voice, voice, size) for voice in voices.T]
    for a in range(voices.shape[1]):
        for b in range(a):
            cross = _energy(voices[:, a], voices[:, b], size)
            doubt |= 2 * cross > ALIKE * (powers[a] + powers[b]) + floor
    doubt &= sum(powers) > heard * 10 ** (SILENT_DB / 10)
    return doubt | (doubt.mean() > MOST)


def fade(doubt, samples_per_frame, total):
    """Weight of the second opinion, sample by sample.

    Arguments
    ---------
    doubt : np.ndarray
        bool [Tv].
    samples_per_frame : int
        Samples in the time of one frame.
    total : int
        Samples wanted.

    Returns
    -------
    np.ndarray
        float32 [total], from 0 to 1, without a jump.

    Example
    -------
    >>> float(fade(np.array([False, True, True, True]), 2, 8)[-1])
    1.0
    """
    weight = _smooth(doubt.astype(float), FADE_FRAMES)
    middles = (np.arange(len(weight)) + 0.5) * samples_per_frame
    return np.interp(np.arange(total) + 0.5, middles, weight).astype(np.float32)


def trusted_samples(doubt, samples_per_frame, total):
    """Samples of the frames without doubt; all, where there are too few.

    Arguments
    ---------
    doubt : np.ndarray
        bool [Tv].
    samples_per_frame : int
        Samples in the time of one frame.
    total : int
        Samples wanted.

    Returns
    -------
    np.ndarray
        bool [total]

    Example
    -------
    >>> int(trusted_samples(np.array([False, True]), 5, 10).sum())
    5
    """
    trusted = np.repeat(~doubt, samples_per_frame)[:total]
    if 10 * trusted.sum() < total:
        trusted[:] = True
    return trusted


def _energy(a, b, size):
    """Products per frame, averaged over frames."""
    product = np.asarray(a, np.float64) * np.asarray(b, np.float64)
    product = np.pad(product, (0, -len(product) % size))
    return _smooth(product.reshape(-1, size).sum(1), SMOOTH_FRAMES)


def _smooth(values, count):
    """Average under a window of Hann, the ends continued."""
    kernel = np.hanning(count + 2)[1:-1]
    padded = np.pad(values, count // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")
