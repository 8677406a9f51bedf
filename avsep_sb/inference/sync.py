"""By how much the lips of a face are late.

A SyncNet (:class:`avsep_sb.inference.lip_sync.LipSync`) tells how well lips
and sound agree at each delay. Without one, a separator does: the lips are
shifted against the sound, and the face is separated at each shift. Where both
agree it finds the voice and gives most of its energy back; where they do not,
it finds little that fits. That needs no other network, and is far slower and
less sure. Where no delay stands out, the confidence says so;
``benchmarks/sync_report.py`` measures how far it can be trusted.

Offsets are positive where the lips are late, as when the sound was recorded
by another device than the picture.

Authors
 * avsep_sb contributors
"""

import logging
from typing import NamedTuple

import numpy as np
import torch

from avsep_sb.errors import DataError
from avsep_sb.inference.fallback import as_batch
from avsep_sb.inference.overlap import cut_windows
from avsep_sb.inference.stays import USABLE, ArrayPerson, Stay

logger = logging.getLogger(__name__)

#: shifts that are tried, in frames either way
MAX_SHIFT = 10
#: what can be seen, and is worth a warning
NOTICEABLE_MS = 80.0
#: below, the best shift is no better than others: as a part of the energy of
#: the voice, and as a difference of cosines
LEAST_CONFIDENCE = 0.15
LEAST_AGREEMENT = 0.1


class OffsetEstimate(NamedTuple):
    """How late the lips of a face are.

    Arguments
    ---------
    ms : float
        Milliseconds; below 0 they are early.
    confidence : float
        From 0 to 1: by which part the energy of the voice, or by how much
        the agreement, falls from the best shift to the best one that is more
        than 80 ms away from it.
    frames : int
        The best whole number of frames: what :class:`ShiftedFaces` takes.
    least : float
        The confidence from which on it is to be believed.

    Example
    -------
    >>> OffsetEstimate(120.0, 0.6, 3).trusted
    True
    """

    ms: float
    confidence: float
    frames: int
    least: float = LEAST_CONFIDENCE

    @property
    def trusted(self):
        """Whether the best shift stands out."""
        return self.confidence >= self.least


def estimate_offset(model, windows, max_shift=MAX_SHIFT):
    """Estimates how late the lips of a face are.

    Arguments
    ---------
    model : LipSync or AVSeparation
        A SyncNet, or an audio-visual separator.
    windows : list of (np.ndarray, np.ndarray)
        Mixture [T] and mouth ROIs uint8 [Tv, H, W] of the face, of the same
        time; the more seconds in all, the better. Each must be longer than
        ``2 * max_shift`` frames: as many are kept free for the shifts.
    max_shift : int
        Largest shift tried, in frames.

    Returns
    -------
    OffsetEstimate
        With confidence 0 where nothing is heard. ``DataError`` is raised for
        windows that are too short.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> class Model:  # gives what sounds while the mouth is bright
    ...     hparams = SimpleNamespace(sample_rate=16000, video_fps=25)
    ...     def separate_batch(self, mix, lips):
    ...         gate = lips.float().mean((3, 4)).repeat_interleave(640, 2)
    ...         return mix[:, :, None] * gate.transpose(1, 2) / 255
    >>> speaks = np.random.default_rng(0).random(40).repeat(3) < 0.3
    >>> lips = np.repeat(255 * np.roll(speaks, 3), 64).reshape(120, 8, 8)
    >>> sound = np.repeat(speaks, 640)
    >>> estimate_offset(Model(), [(sound, lips.astype(np.uint8))]).frames
    3
    """
    fps = int(model.hparams.video_fps)
    if hasattr(model, "delays"):
        return _agreed(model.delays(windows, max_shift), fps)
    frame = int(model.hparams.sample_rate) // fps
    cut = [_inner(mix, rois, frame, max_shift) for mix, rois in windows]
    energies = {}

    def hear(shifts):
        for shift in shifts:
            if abs(shift) <= max_shift and shift not in energies:
                energies[shift] = sum(
                    _share(model, mix, rois[max_shift + shift :], frame)
                    for mix, rois in cut
                )

    # Neighbours differ little: every second shift shows where to look.
    hear(range(-max_shift, max_shift + 1, 2))
    best = max(energies, key=energies.get)
    hear([best - 1, best + 1])
    best = max(energies, key=energies.get)
    hear([best - 1, best + 1])
    return _peak(energies, best, fps)


def _inner(mix, rois, frame, max_shift):
    """Sound that has lips at all shifts, and all lips."""
    count = min(len(rois), len(mix) // frame)
    if count <= 2 * max_shift:
        raise DataError(
            f"An offset of up to {max_shift} frames cannot be found in "
            f"{count} frames; give more than {2 * max_shift}."
        )
    return mix[max_shift * frame : (count - max_shift) * frame], rois


def _share(model, mix, rois, frame):
    """Energy of the voice, relative to that of the mixture."""
    heard = float(np.square(mix, dtype=np.float64).sum())
    if heard == 0.0:
        return 0.0
    lips = np.ascontiguousarray(rois[: len(mix) // frame])[None, None]
    voice = model.separate_batch(as_batch(mix), torch.from_numpy(lips))
    return float(voice.double().square().sum()) / heard


def _peak(energies, best, fps):
    """The estimate from the energies of the voice."""
    top = energies[best] if energies else 0.0
    if top <= 0.0:
        return OffsetEstimate(0.0, 0.0, 0)
    second = _rival(energies, best, fps)
    place = _vertex(energies, best)
    return OffsetEstimate(place * 1000 / fps, 1 - second / top, best)


def _agreed(cosines, fps):
    """The estimate from cosines."""
    best = max(cosines, key=cosines.get)
    if cosines[best] <= 0.0:
        return OffsetEstimate(0.0, 0.0, 0, LEAST_AGREEMENT)
    margin = cosines[best] - _rival(cosines, best, fps)
    return OffsetEstimate(
        _vertex(cosines, best) * 1000 / fps,
        min(1.0, max(0.0, margin)),
        best,
        LEAST_AGREEMENT,
    )


def _rival(values, best, fps):
    """The best value that is noticeably away."""
    rivals = [
        value
        for shift, value in values.items()
        if abs(shift - best) * 1000 / fps > NOTICEABLE_MS
    ]
    return max(rivals, default=0.0)


def _vertex(values, best):
    """Where a parabola through the peak and its neighbours is highest."""
    if best - 1 not in values or best + 1 not in values:
        return float(best)
    left, right = values[best - 1], values[best + 1]
    bend = left - 2 * values[best] + right
    return best + (0.5 * (left - right) / bend if bend < 0 else 0.0)


def probe_windows(blocks, faces, samples_per_frame, count=3, seconds=5.0):
    """Picks the windows of each face that tell most about its offset.

    Those in which the lips can be read throughout, ranked by how much they
    move and how loud it is. One pass; only the windows picked are kept.

    Arguments
    ---------
    blocks : iterable of np.ndarray
        The sound, [t] each, from the first video frame on.
    faces : FaceTimeline or ArrayFaces
        The faces.
    samples_per_frame : int
        Samples in the time of one frame.
    count : int
        Most windows for each face.
    seconds : float
        Length of a window.

    Returns
    -------
    list of list of (np.ndarray, np.ndarray)
        For each person the windows that :func:`estimate_offset` takes; none
        for a person whose lips are never to be read for so long.

    Example
    -------
    >>> from avsep_sb.inference.stays import ArrayFaces
    >>> mouths = np.zeros((1, 30, 8, 8), np.uint8)
    >>> mouths[0, 10:20:2] = 9
    >>> sound = [np.ones(19200)]
    >>> windows = probe_windows(sound, ArrayFaces(mouths), 640, 1, seconds=0.4)
    >>> [(mix.shape, int(rois.max())) for mix, rois in windows[0]]
    [((6400,), 9)]
    """
    frames = max(1, round(seconds * faces.fps))
    size = frames * samples_per_frame
    picked = [[] for _ in faces.people]
    for first, mix, _ in cut_windows(blocks, size, size, samples_per_frame):
        start = first // samples_per_frame
        loud = float(np.sqrt(np.square(mix, dtype=np.float64).mean()))
        for person, best in enumerate(picked):
            codes = faces.quality(person, start, start + frames)
            if len(mix) < size or not np.isin(codes, USABLE).all():
                continue
            rois = np.asarray(faces.rois(person, start, start + frames))
            moved = np.abs(np.diff(rois.astype(np.int16), axis=0)).mean()
            # The number keeps equal ranks from comparing arrays.
            best.append((moved * loud, -first, np.array(mix), rois))
            best.sort(key=lambda window: window[:2], reverse=True)
            del best[count:]
    return [[window[2:] for window in best] for best in picked]


def warn_of_offset(name, estimate):
    """Warns of lips that are noticeably late or early.

    Arguments
    ---------
    name : str
        What the user calls the face.
    estimate : OffsetEstimate
        Its offset.

    Returns
    -------
    bool
        Whether there was reason to: the offset is trusted and beyond 80 ms.
    """
    if not estimate.trusted or abs(estimate.ms) <= NOTICEABLE_MS:
        return False
    logger.warning(
        "%s: the lips are %.0f ms %s than the sound (confidence %.2f); the "
        "voice allows for it, --fix-sync (fix_sync=True) puts its video right",
        name,
        abs(estimate.ms),
        "later" if estimate.ms > 0 else "earlier",
        estimate.confidence,
    )
    return True


class ShiftedFaces:
    """Faces on the clock of the sound, each with its own offset taken out.

    Arguments
    ---------
    faces : FaceTimeline or ArrayFaces
        The faces.
    frames : list of int
        By how many frames the lips of each person are late.

    Example
    -------
    >>> from avsep_sb.inference.stays import ArrayFaces
    >>> mouths = np.arange(6, dtype=np.uint8).reshape(1, 6, 1, 1)
    >>> shifted = ShiftedFaces(ArrayFaces(mouths), [2])
    >>> shifted.rois(0, 0, 4).ravel().tolist(), shifted.people[0].spans
    ([2, 3, 4, 5], [Stay(start=0, stop=4)])
    """

    def __init__(self, faces, frames):
        if len(frames) != len(faces.people):
            raise DataError(
                f"{len(faces.people)} faces need as many offsets, not "
                f"{len(frames)}."
            )
        self.source, self.late = faces, [int(late) for late in frames]
        self.fps, self.frames = faces.fps, faces.frames
        self.people = [
            ArrayPerson(
                [
                    Stay(max(0, span.start - late), span.stop - late)
                    for span in person.spans
                    if span.stop > late
                ]
            )
            for person, late in zip(faces.people, self.late, strict=True)
        ]

    def quality(self, person, start, stop):
        """Codes of a window, uint8 [stop - start]."""
        late = self.late[person]
        return self.source.quality(person, start + late, stop + late)

    def rois(self, person, start, stop):
        """Mouths of a window, uint8 [stop - start, H, W]."""
        late = self.late[person]
        return self.source.rois(person, start + late, stop + late)
