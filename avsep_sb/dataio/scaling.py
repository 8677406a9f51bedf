"""Levels of freely mixed sources and of noise, and their sum.

Levels here come from frame energies. The published lists use ITU-T P.56
(:mod:`avsep_sb.dataio.levels`), which costs a hundred times more: too much
for a loader, and a random level needs no standard.

Authors
 * avsep_sb contributors
"""

import numpy as np

#: active level that sources are brought to, as RMS relative to full scale
REFERENCE_RMS = 10 ** (-25 / 20)
#: no mixture or source is louder, as in the published mixture lists
PEAK = 0.9


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


def mix_sources(waves, rms, level_db, heard=None):
    """Brings sources to their levels and adds them.

    Arguments
    ---------
    waves : np.ndarray
        [T, S] float32.
    rms : sequence of float
        [S] active RMS of the whole utterances; a silent one (0) stays as is.
    level_db : sequence of float
        [S] levels over the reference level, in dB.
    heard : np.ndarray, optional
        [T, S] float32: the sources as they are in the mixture, in a room, at
        the gains of ``waves``; by default ``waves`` themselves.

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
    gains = np.asarray(gains, dtype=np.float32)
    heard = waves if heard is None else heard
    return _limit((heard * gains).sum(axis=1), waves * gains)


def noise_gain(mix, noise, snr_db, frame=400):
    """The gain that brings noise to its level below a mixture of speech.

    The ratio is that of the active level of the mixture of all voices
    (:func:`active_rms`) to the RMS of the noise, pauses and all, both over the
    same samples: beside a window of silence there is no noise either.

    Arguments
    ---------
    mix : np.ndarray
        [T] the voices together.
    noise : np.ndarray
        [T] samples.
    snr_db : float
        Level of the mixture over the noise, in dB.
    frame : int
        Samples per frame of the active level; 400 are 25 ms at 16 kHz.

    Returns
    -------
    float
        Linear; 0.0 where the mixture or the noise is silent.

    Example
    -------
    >>> round(noise_gain(np.full(800, 0.5), np.full(800, 0.1), 20), 6)
    0.5
    """
    level = float(np.sqrt(np.mean(np.asarray(noise, np.float64) ** 2)))
    if level == 0:
        return 0.0
    return active_rms(mix, frame) / level * 10 ** (-snr_db / 20)


def add_noise(mix, sources, noise, snr_db, frame=400):
    """Adds noise to a mixture; the sources stay clean.

    Arguments
    ---------
    mix : np.ndarray
        [T] float32.
    sources : np.ndarray
        [T, S] float32.
    noise : np.ndarray
        [T] float32, of any level.
    snr_db : float
        As in :func:`noise_gain`.
    frame : int
        As in :func:`noise_gain`.

    Returns
    -------
    (np.ndarray, np.ndarray)
        The noisy mixture [T] and the sources [T, S], float32; they are
        lowered together if one would exceed 0.9 of full scale.

    Example
    -------
    >>> ones = np.full((800, 1), 0.1, np.float32)
    >>> mix, sources = add_noise(ones[:, 0], ones, ones[:, 0], snr_db=0)
    >>> float(mix[0]), float(sources[0, 0])
    (0.20000000298023224, 0.10000000149011612)
    """
    gain = np.float32(noise_gain(mix, noise, snr_db, frame))
    return _limit(mix + noise * gain, sources)


def _limit(mix, sources):
    """Lowers mixture and sources together below the peak."""
    peak = max(np.abs(mix).max(), np.abs(sources).max())
    if peak > PEAK:
        mix, sources = mix * (PEAK / peak), sources * (PEAK / peak)
    return mix.astype(np.float32), sources.astype(np.float32)
