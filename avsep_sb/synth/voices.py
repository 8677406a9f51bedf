"""The fixed list of synthetic speakers: voices, faces and their split.

A speaker is the same person in every corpus, whatever its seed, so that a
checkpoint trained on one corpus has never met the test speakers of another.
Variants that whisper, croak or sound like a robot are left out, and so are
those whose sound depends on uninitialised memory of espeak-ng (Alicia,
Demonic, f2, f3, f5, sandro, victor: not the same bytes twice).

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SPLITS = ("train", "valid", "test")
LANGUAGES = (
    "en-us",
    "en-us",
    "en-us-nyc",
    "en-gb-x-rp",
    "en-gb-x-gbcwmd",
    "en-gb-scotland",
    "en-029",
)
# One speaker per line entry; a variant never occurs in two splits.
_HIGH = {
    "train": "Andrea Annie anika belinda f1 grandma shelby steph steph3 zac "
    "Andrea Annie belinda f1 grandma shelby",
    "valid": "linda aunty",
    "test": "f4 steph2 f4 steph2",
}
_LOW = {
    "train": "Alex Andy Denis Gene Henrique Hugo Mario Michael Mike Nguyen "
    "adam antonio boris david ed grandpa gustave ian iven2 kaukovalta klatt3 "
    "klatt4 m1 m3 m4 m5 m6 m7 marcelo max miguel norbert paul pedro",
    "valid": "Lee m2 robert klatt6",
    "test": "Reed m8 john michel pablo travis",
}
# Training speakers with the voice of another one, but of another height,
# pitch and accent: fifty voices alone are learnt by heart.
_MORE_TRAIN = 100


@dataclass(frozen=True)
class Speaker:
    """One synthetic speaker.

    Arguments
    ---------
    name : str
        ``spk00`` to ``spk165``.
    split : str
        ``train``, ``valid`` or ``test``.
    language, variant : str
        The espeak-ng voice.
    rate : int
        Usual speed in words per minute.
    pitch, pitch_range : int
        espeak-ng's pitch and range, 0 to 100.
    formant : float
        Factor on all frequencies.
    tilt : float
        Coefficient of the first-order filter that colours the voice;
        positive values dull it.
    face : int
        Seed of the appearance.
    """

    name: str
    split: str
    language: str
    variant: str
    rate: int
    pitch: int
    pitch_range: int
    formant: float
    tilt: float
    face: int


@lru_cache(maxsize=1)
def all_speakers():
    """Returns the speakers.

    Returns
    -------
    tuple
        166 :class:`Speaker`: 50 train, 6 valid, 10 test, 100 more train.

    Example
    -------
    >>> speakers = all_speakers()
    >>> [sum(s.split == name for s in speakers) for name in SPLITS]
    [150, 6, 10]
    >>> speakers[0].name
    'spk00'
    """
    speakers = []
    for split in SPLITS:
        seen = set()
        for variant in f"{_HIGH[split]} {_LOW[split]}".split():
            # The second speaker of a variant is clearly shorter or taller.
            span = (1.10, 1.16) if variant in seen else (0.95, 1.05)
            seen.add(variant)
            speakers.append(_speaker(len(speakers), split, variant, span))
    variants = f"{_HIGH['train']} {_LOW['train']}".split()
    for number in range(_MORE_TRAIN):
        variant = variants[number % len(variants)]
        speakers.append(_speaker(len(speakers), "train", variant, (0.87, 1.2)))
    return tuple(speakers)


def _speaker(index, split, variant, span):
    """One speaker; what the variant leaves open is drawn from the index."""
    rng = np.random.default_rng([806, index])
    return Speaker(
        name=f"spk{index:02d}",
        split=split,
        language=LANGUAGES[rng.integers(len(LANGUAGES))],
        variant=variant,
        rate=int(rng.integers(140, 181)),
        pitch=int(rng.integers(25, 76)),
        pitch_range=int(rng.integers(30, 76)),
        formant=round(float(rng.uniform(*span)), 3),
        tilt=round(float(rng.uniform(-0.35, 0.35)), 3),
        face=9000 + index,
    )


def speakers_of(split):
    """Returns the speakers of one split.

    Arguments
    ---------
    split : str
        ``train``, ``valid`` or ``test``.

    Returns
    -------
    tuple
        Of :class:`Speaker`.

    Example
    -------
    >>> speakers_of("test")[0].split
    'test'
    """
    return tuple(s for s in all_speakers() if s.split == split)
