"""Levels of freely mixed sources, and their sum.

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
