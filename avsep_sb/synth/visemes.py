"""From phonemes with times to the smooth motion of a mouth.

Each phoneme belongs to one of 24 visemes, a viseme is a target of seven
mouth parameters, and neighbouring targets are blended by dominance functions
(Cohen and Massaro, 1993), so that a vowel's shape reaches into its
consonants, while lips that must close do close.

Authors
 * avsep_sb contributors
"""

import numpy as np

PARAMETERS = (
    "open", "width", "round", "teeth", "tongue", "tuck", "press"
)  # fmt: skip
_TARGETS = {
    #       open width round teeth tongue tuck press
    "sil": (0.03, 0.00, 0.00, 0.0, 0.0, 0.0, 0.15),
    "PBM": (0.00, 0.05, 0.10, 0.0, 0.0, 0.0, 1.00),
    "FV": (0.16, 0.10, 0.00, 0.8, 0.0, 1.0, 0.00),
    "TH": (0.24, 0.10, 0.00, 0.6, 1.0, 0.0, 0.00),
    "TDN": (0.22, 0.12, 0.00, 0.7, 0.5, 0.0, 0.00),
    "L": (0.34, 0.10, 0.00, 0.5, 0.8, 0.0, 0.00),
    "SZ": (0.16, 0.35, 0.00, 1.0, 0.0, 0.0, 0.00),
    "SH": (0.24, -0.10, 0.60, 0.9, 0.0, 0.0, 0.00),
    "KG": (0.30, 0.05, 0.00, 0.3, 0.1, 0.0, 0.00),
    "H": (0.35, 0.00, 0.00, 0.3, 0.0, 0.0, 0.00),
    "R": (0.24, -0.10, 0.50, 0.4, 0.0, 0.0, 0.00),
    "W": (0.12, -0.30, 1.00, 0.0, 0.0, 0.0, 0.00),
    "Y": (0.20, 0.40, 0.00, 0.6, 0.0, 0.0, 0.00),
    "i": (0.26, 0.75, 0.00, 0.7, 0.0, 0.0, 0.00),
    "I": (0.34, 0.40, 0.00, 0.5, 0.0, 0.0, 0.00),
    "E": (0.55, 0.40, 0.00, 0.5, 0.1, 0.0, 0.00),
    "AE": (0.82, 0.40, 0.00, 0.5, 0.2, 0.0, 0.00),
    "A": (1.00, 0.05, 0.00, 0.3, 0.2, 0.0, 0.00),
    "V": (0.62, 0.00, 0.00, 0.3, 0.1, 0.0, 0.00),
    "@": (0.36, 0.00, 0.05, 0.3, 0.1, 0.0, 0.00),
    "ER": (0.36, -0.10, 0.40, 0.4, 0.0, 0.0, 0.00),
    "O": (0.66, -0.20, 0.75, 0.0, 0.0, 0.0, 0.00),
    "U": (0.24, -0.30, 1.00, 0.0, 0.0, 0.0, 0.00),
    "u": (0.32, -0.20, 0.65, 0.0, 0.0, 0.0, 0.00),
}
VISEMES = tuple(_TARGETS)
_TABLE = np.array([_TARGETS[name] for name in VISEMES])
_PHONES = {
    "PBM": "pbm",
    "FV": "fv",
    "TH": "θð",
    "TDN": "tdnɾʔ",
    "L": "lɫ",
    "SZ": "sz",
    "SH": "ʃʒ",
    "KG": "kɡgŋxc",
    "H": "h",
    "R": "ɹrɻ",
    "W": "wʍ",
    "Y": "jʲ",
    "i": "i",
    "I": "ɪᵻɨ",
    "E": "eɛ",
    "AE": "æ",
    "A": "aɑɒ",
    "V": "ʌɐ",
    "@": "ə",
    "ER": "ɜɚɝ",
    "O": "ɔo",
    "U": "uʉ",
    "u": "ʊɵ",
}
_VISEME_OF = {
    phone: VISEMES.index(name)
    for name, phones in _PHONES.items()
    for phone in phones
}
_SILENCE = VISEMES.index("sil")
# Seconds within which a target's influence falls; vowels take the default.
_REACH = {
    "PBM": 0.032, "FV": 0.04, "TH": 0.045, "SZ": 0.045, "SH": 0.05,
    "TDN": 0.045, "L": 0.045,
}  # fmt: skip
_STRENGTH = {"PBM": 5.0, "FV": 4.0, "KG": 0.6, "H": 0.6}
_REACH_OF = np.array([_REACH.get(name, 0.06) for name in VISEMES])
_STRENGTH_OF = np.array([_STRENGTH.get(name, 1.0) for name in VISEMES])


def to_visemes(phonemes):
    """Turns phonemes into visemes.

    Arguments
    ---------
    phonemes : list
        ``(ipa, start, end)`` in seconds; a diphthong or an affricate holds
        several characters and is divided evenly.

    Returns
    -------
    list
        ``(index into VISEMES, start, end)``.

    Example
    -------
    >>> [VISEMES[v] for v, _, _ in to_visemes([("tʃ", 0, .1), ("", .1, 1)])]
    ['TDN', 'SH', 'sil']
    """
    segments = []
    for ipa, start, end in phonemes:
        found = [_VISEME_OF[c] for c in ipa if c in _VISEME_OF]
        found = found or [_SILENCE]
        step = (end - start) / len(found)
        segments += [
            (v, start + k * step, start + (k + 1) * step)
            for k, v in enumerate(found)
        ]
    return segments


def viseme_at(segments, times):
    """Says which viseme is spoken at given times.

    Arguments
    ---------
    segments : list
        From :func:`to_visemes`.
    times : numpy.ndarray
        Seconds, [Tv].

    Returns
    -------
    numpy.ndarray
        int16 [Tv], indices into ``VISEMES``; silence outside.

    Example
    -------
    >>> viseme_at([(1, 0.0, 0.1)], np.array([0.05, 0.5]))
    array([1, 0], dtype=int16)
    """
    labels = np.full(len(times), _SILENCE, np.int16)
    for index, start, end in segments:
        labels[(times >= start) & (times < end)] = index
    return labels


def mouth_tracks(segments, times, sharpness=1.0, loudness=None):
    """Blends the targets of visemes into smooth parameter tracks.

    Arguments
    ---------
    segments : list
        From :func:`to_visemes`.
    times : numpy.ndarray
        Seconds at which the mouth is seen, [Tv]; add the lead of the lips
        over the sound here.
    sharpness : float
        Above 1, a crisper articulation.
    loudness : numpy.ndarray
        Level of the sound in 0..1, [Tv]: a loud syllable opens the mouth
        a little more (factor 0.85 to 1.05). None for no such coupling.

    Returns
    -------
    numpy.ndarray
        [Tv, 7] in the order of ``PARAMETERS``.

    Example
    -------
    >>> times = np.array([0.05, 0.25])
    >>> track = mouth_tracks([(1, 0.0, 0.1), (17, 0.1, 0.3)], times)
    >>> bool(track[0, 0] < 0.2 < 0.9 < track[1, 0])
    True
    """
    index = np.array([s[0] for s in segments], int)
    start = np.array([s[1] for s in segments])
    end = np.array([s[2] for s in segments])
    t = np.asarray(times)[:, None]
    away = np.maximum(np.maximum(start - t, t - end), 0)
    weight = np.exp(-((away * sharpness / _REACH_OF[index]) ** 1.5))
    # A short segment has less influence than a long one.
    weight *= _STRENGTH_OF[index] * np.minimum(1.0, (end - start) / 0.06 + 0.25)
    rest = 1e-4  # Far from any segment the mouth rests.
    total = weight.sum(1, keepdims=True) + rest
    tracks = (weight @ _TABLE[index] + rest * _TABLE[_SILENCE]) / total
    if loudness is not None:
        tracks[:, 0] *= 0.85 + 0.2 * np.asarray(loudness)
    return tracks
