"""Who speaks when: diarization by faces, from separated voices.

Separation has answered most of it: the voice of a face is loud where its
owner speaks (:mod:`avsep_sb.inference.activity`). What is left is a voice
that a separator gives to two faces, most often to one that rests beside the
one that speaks. Such *copies* are the same waveform, so they are found by
correlation: with the magnitude-squared coherence ``c`` of two voices in a
window, ``1 - c`` of the energy of one is no copy of the other. Among copies
the owner is the louder one, weighted by how much more than at rest the mouth
moves; where no claim is twice the other's, both speak. Last, nobody speaks
who is not to be seen, where faces are known.

Authors
 * avsep_sb contributors
"""

import numpy as np
from scipy.ndimage import uniform_filter1d

from avsep_sb.errors import DataError
from avsep_sb.inference.activity import (
    FRAME_S,
    FrameEnergy,
    FrameMeans,
    spans_of_energy,
)
from avsep_sb.inference.stays import bridged
from avsep_sb.inference.wav_blocks import sound_size, wav_blocks

# What follows is the best for speakers of SynthAV's validation set
# (benchmarks/diarization_tuning.py).
#: seconds over which voices are compared with each other
COPY_S = 0.1
#: how many times as much as its copy's the claim of an owner must be
CLEARLY = 2.0
#: seconds over which the motion of a mouth is measured, and averaged
STEP_S, MOTION_S = 0.16, 0.6
#: part of the time in which any mouth rests
AT_REST = 0.05
#: a face that is away for no longer may speak on, in seconds
AWAY_S = 2.0
# Mouths that are in memory at once, and pixels of a block.
_FRAMES, _BLOCK = 500, 8


class Covariance:
    """Products of voices, averaged per frame of 10 ms, that come in blocks.

    Arguments
    ---------
    sample_rate : int
        Hz.
    num_voices : int
        How many columns of a block are voices; the others are what the
        voices lack to be the mixture.

    Example
    -------
    >>> products = Covariance(1000, 2)
    >>> products.feed(np.tile([2.0, -1.0, 3.0], (20, 1)))
    >>> products.voices[0, 1].tolist(), products.mixture.tolist()
    ([-2.0, -2.0], [16.0, 16.0])
    """

    def __init__(self, sample_rate, num_voices):
        self._pairs = np.triu_indices(num_voices)
        self._shape = (num_voices, num_voices)
        self._products = FrameMeans(sample_rate, (len(self._pairs[0]),))
        self._heard = FrameEnergy(sample_rate)

    def feed(self, block):
        """Takes the next samples, [t, N]."""
        block = np.asarray(block, np.float64)
        self._heard.feed(block.sum(axis=1))
        first, second = self._pairs
        self._products.feed(block[:, first] * block[:, second])

    @property
    def mixture(self):
        """Energy of the mixture per frame, float32 [frames]."""
        return self._heard.values()

    @property
    def voices(self):
        """Products of all pairs, float32 [S, S, frames]."""
        found = self._products.values().T
        square = np.empty((*self._shape, found.shape[1]), np.float32)
        square[self._pairs] = found
        square[self._pairs[::-1]] = found
        return square


def own_shares(products, motion=None, copy_s=COPY_S, clearly=None):
    """How much of each voice is no copy of another one's.

    Arguments
    ---------
    products : np.ndarray
        Of :class:`Covariance`, [S, S, frames].
    motion : np.ndarray or None
        How much the mouth of each face moves, relative to when it rests,
        [S, frames]; None lets the louder one be the owner.
    copy_s : float
        Seconds over which voices are compared.
    clearly : float or None
        An owner's claim is more than so many times that of its copy; None
        takes 2, and 1 without motion, where nothing tells of two who speak.

    Returns
    -------
    np.ndarray
        From 0 to 1, [S, frames].

    Example
    -------
    >>> voice = np.ones(50)
    >>> products = np.array([[voice, voice / 2], [voice / 2, voice / 4]])
    >>> own_shares(products).round(3).max(axis=1).tolist()
    [1.0, 0.0]
    >>> still = np.array([voice, 9 * voice])
    >>> own_shares(products, still).round(3).max(axis=1).tolist()
    [0.0, 1.0]
    """
    width = 2 * round(copy_s / FRAME_S / 2) + 1
    products = uniform_filter1d(
        np.asarray(products, np.float64), width, mode="constant"
    )
    count = len(products)
    energy = products[range(count), range(count)]
    claim = energy if motion is None else energy * motion
    if clearly is None:
        clearly = 1.0 if motion is None else CLEARLY
    shares = np.ones_like(energy)
    for k in range(count):
        for j in range(count):
            if j == k:
                continue
            both = np.maximum(energy[k] * energy[j], 1e-20)
            unlike = np.clip(1 - products[k, j] ** 2 / both, 0.0, 1.0)
            least = np.minimum(shares[k], unlike)
            other = claim[j] > clearly * claim[k]
            shares[k] = np.where(other, least, shares[k])
    return shares


def mouth_motion(faces, frames):
    """How much more than at rest each mouth moves.

    Arguments
    ---------
    faces : FaceTimeline or ArrayFaces
        The faces.
    frames : int
        How many frames of 10 ms are wanted.

    Returns
    -------
    np.ndarray
        [S, frames], near 1 for a mouth that rests and for a face that is not
        to be seen: the mean absolute difference of a picture of the mouth to
        the one 0.16 s before, averaged over 0.6 s, over that which is
        exceeded in 95 % of the time. Pictures are reduced to blocks of 8
        pixels, so that a camera's noise is no motion.

    Example
    -------
    >>> from avsep_sb.inference.stays import ArrayFaces
    >>> mouths = np.zeros((1, 100, 96, 96), np.uint8)
    >>> mouths[:, :, 0] = 1  # what is not near the lips does not count
    >>> mouths[0] += (np.arange(100) // 4 % 2).astype(np.uint8)[:, None, None]
    >>> mouths[0, 50:] *= 7
    >>> motion = mouth_motion(ArrayFaces(mouths), 400)
    >>> motion[0, [50, 350]].tolist()
    [1.0, 7.0]
    """
    found = np.ones((len(faces.people), frames))
    place = (np.arange(frames) * FRAME_S * faces.fps).astype(int)
    width = 2 * round(MOTION_S * faces.fps / 2) + 1
    step = max(1, round(STEP_S * faces.fps))
    for person, values in enumerate(found):
        moves = np.full(faces.frames, np.nan)
        for span in faces.people[person].spans:
            for start in range(span.start, span.stop, _FRAMES):
                stop = min(span.stop, start + _FRAMES)
                before = max(span.start, start - step)
                rois = faces.rois(person, before, stop)
                if len(rois) > step:
                    moves[before + step : stop] = _moves(rois, step)
                    if before == start:  # nothing before: as what follows
                        moves[start : start + step] = moves[start + step]
        seen = ~np.isnan(moves)
        if not seen.any():
            continue
        moves[~seen] = np.median(moves[seen])
        moves = uniform_filter1d(moves, width, mode="nearest")
        rest = float(np.quantile(moves[seen], AT_REST))
        moves[~seen] = rest
        values[:] = moves[np.minimum(place, len(moves) - 1)] / max(rest, 1e-6)
    return np.maximum(found, 1e-3)


def _moves(rois, step):
    """Mean absolute difference of each mouth to that some frames before."""
    height, width = (side // _BLOCK * _BLOCK for side in rois.shape[1:])
    blocks = rois[:, :height, :width].reshape(
        len(rois), height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK
    )
    blocks = blocks.mean(axis=(2, 4), dtype=np.float32)
    rows = slice(height // _BLOCK // 6, -(-height // _BLOCK * 5 // 6))
    columns = slice(width // _BLOCK // 6, -(-width // _BLOCK * 5 // 6))
    lips = blocks[:, rows, columns]
    return np.abs(lips[step:] - lips[:-step]).mean(axis=(1, 2))


def speech_of_faces(voices, rest=(), faces=None, **options):
    """When each of the separated voices of a recording speaks.

    Arguments
    ---------
    voices : dict
        Name to wav of a voice.
    rest : list of str or Path
        What the voices lack to be the mixture, such as the residual.
    faces : FaceTimeline, ArrayFaces or None
        Whose voices they are, in the same order. None for voices without
        faces, and where they are no longer at hand: then the louder one of
        two copies is taken to be the owner.
    **options
        Those of :func:`avsep_sb.inference.activity.spans_of_energy`.

    Returns
    -------
    dict
        Name to list of (start, stop) in seconds, in the order of time.
        ``DataError`` is raised for files that cannot be read or do not fit.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> loud = np.r_[np.zeros(16000), 0.1 * np.ones(16000)]
    >>> soundfile.write(folder / "a.wav", loud, 16000)
    >>> soundfile.write(folder / "b.wav", 0.7 * loud, 16000)
    >>> speech_of_faces({"a": folder / "a.wav", "b": folder / "b.wav"})
    {'a': [(0.98, 2.0)], 'b': []}
    """
    if not voices:
        return {}
    if faces is not None and len(faces.people) != len(voices):
        raise DataError(
            f"There are {len(voices)} voices of {len(faces.people)} faces: "
            "give one for each."
        )
    paths = [*voices.values(), *rest]
    _, rate = sound_size(paths)
    products = Covariance(rate, len(voices))
    for block in wav_blocks(paths):
        products.feed(block)
    mixture, seen = products.mixture, {}
    if faces is not None:
        seen = {
            "motion": mouth_motion(faces, len(mixture)),
            "stays": stays_of(faces),
        }
    found = spans_of_products(products.voices, mixture, **seen, **options)
    return dict(zip(voices, found, strict=True))


def stays_of(faces):
    """When each face is to be seen; who is away for 2 s is still there.

    Arguments
    ---------
    faces : FaceTimeline or ArrayFaces
        The faces.

    Returns
    -------
    list of list of (float, float)
        Start and stop in seconds, of each face.
    """
    away = round(AWAY_S * faces.fps)
    return [
        [
            (stay.start / faces.fps, stay.stop / faces.fps)
            for stay in bridged(person.spans, away)
        ]
        for person in faces.people
    ]


def spans_of_products(products, mixture, motion=None, stays=None, **options):
    """The same as :func:`speech_of_faces`, of what was measured already.

    Arguments
    ---------
    products, mixture : np.ndarray
        Of :class:`Covariance`, [S, S, frames] and [frames].
    motion : np.ndarray or None
        Of :func:`mouth_motion`; None for voices without faces.
    stays : list of list of (float, float) or None
        Of :func:`stays_of`; None for voices without faces.
    **options
        Those of :func:`avsep_sb.inference.activity.spans_of_energy`.

    Returns
    -------
    list of list of (float, float)
        Spans of each voice, in seconds.
    """
    shares = own_shares(products, motion)
    found = [
        spans_of_energy(products[k, k] * share, mixture, **options)
        for k, share in enumerate(shares)
    ]
    if stays is None:
        return found
    return [
        _within(spans, own) for spans, own in zip(found, stays, strict=True)
    ]


def _within(spans, stays):
    """The parts of spans in which a face is to be seen."""
    parts = [
        (round(max(start, come), 3), round(min(stop, go), 3))
        for start, stop in spans
        for come, go in stays
    ]
    return [(start, stop) for start, stop in parts if stop - start >= FRAME_S]
