"""Rooms around voices: recorded or simulated impulse responses of a folder.

The direct path arrives at once, as if the speaker sat at the microphone:
sound, targets and lips stay in step, however far away the voice was.

Authors
 * avsep_sb contributors
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from scipy.signal import fftconvolve

from avsep_sb.dataio.draws import SharedEpoch, item_rng
from avsep_sb.dataio.noise import SUFFIXES
from avsep_sb.dataio.visual_augment import check_share
from avsep_sb.errors import ConfigError, DataError

EARLY_S = 0.05
"""Reflections up to so many seconds after the direct path are early: they
help to understand speech (ISO 3382-1)."""

TARGETS = ("clean", "early")
"""The voice as it was recorded, or with early reflections."""

# Rooms have a generator of their own: see avsep_sb.dataio.draws.item_rng.
_STREAM = 5
# What a filter rings before the direct path, in seconds.
_LEAD_S = 0.002
# The direct path is the first peak of at least this share of the largest;
# a reflection may be louder. It lies so close to where that is reached.
_ONSET = 0.5
_RISE_S = 0.0005


class Rir(NamedTuple):
    """An impulse response whose sample ``lead`` is the direct path, which is
    positive; ``early`` is its beginning. All [L] float32; the early part has
    unit energy."""

    full: np.ndarray
    early: np.ndarray
    lead: int

    @property
    def history(self):
        """int: samples before a window that are still heard in it."""
        return len(self.full) - 1 - self.lead

    def heard(self, wave, start, length):
        """The voice in the room, all of it and up to early reflections.

        Arguments
        ---------
        wave : np.ndarray
            [T] dry voice, from up to ``history`` samples before a window to
            ``lead`` samples after it.
        start : int
            Where in ``wave`` the window begins.
        length : int
            Its samples.

        Returns
        -------
        (np.ndarray, np.ndarray)
            [length] float32 each.
        """
        window = slice(start + self.lead, start + self.lead + length)
        return tuple(
            fftconvolve(wave, part)[window].astype(np.float32)
            for part in (self.full, self.early)
        )


def align_rir(wave, sample_rate=16000):
    """Cuts an impulse response at its direct path and sets its level.

    Arguments
    ---------
    wave : np.ndarray
        [L] samples.
    sample_rate : int
        In Hz.

    Returns
    -------
    Rir
        What is earlier than 2 ms before the direct path is gone.
        ``DataError`` is raised if it is silent.

    Example
    -------
    >>> wave = np.zeros(4000)
    >>> wave[[700, 1000, 3000]] = -0.5, 0.1, 0.1
    >>> rir = align_rir(wave)
    >>> rir.lead, np.flatnonzero(rir.full).tolist(), len(rir.early)
    (32, [32, 332, 2332], 833)
    """
    wave = np.asarray(wave, dtype=np.float64)
    size = np.abs(wave)
    if not size.size or not 0 < size.max() < np.inf:
        raise DataError(
            "an impulse response is silent or not finite: replace the file."
        )
    first = int(np.argmax(size >= _ONSET * size.max()))
    rise = size[first : first + max(1, round(_RISE_S * sample_rate))]
    direct = first + int(np.argmax(rise))
    lead = min(direct, round(_LEAD_S * sample_rate))
    wave = wave[direct - lead :] * np.sign(wave[direct])
    early = wave[: lead + 1 + round(EARLY_S * sample_rate)]
    gain = 1 / np.sqrt(np.sum(early**2))
    return Rir(
        (gain * wave).astype(np.float32),
        (gain * early).astype(np.float32),
        lead,
    )


class RirFolder:
    """Draws a room for each mixture, by (seed, epoch, utterance id) alone.

    A file of several channels is a room with one place per channel (one
    microphone, several places to speak from). The files of one channel in one
    folder are a room, too. All voices of a mixture are in one room, at
    different places; rooms with fewer places than voices are not drawn.

    Arguments
    ---------
    folder : str or Path
        Searched recursively for ``.wav``, ``.flac`` and ``.ogg``.
    seed : int
        From 0 on.
    epoch : SharedEpoch, optional
        The clock; by default the folder makes its own.
    probability : float
        Share of the mixtures that are in a room.
    target : str
        What the network should give: the ``clean`` voice, or the voice with
        ``early`` reflections, to 50 ms after the direct path.
    sample_rate : int
        Hz that every file must have.

    Example
    -------
    >>> root = getfixture("tmpdir")
    >>> soundfile.write(str(root / "hall.wav"), np.eye(9)[:, 3:6], 16000)
    >>> rirs = RirFolder(root, seed=1).draw("m0", 2)
    >>> [(rir.lead, rir.full.shape) for rir in rirs] == [
    ...     (lead, (9,)) for lead in (rirs[0].lead, rirs[1].lead)]
    True
    """

    def __init__(
        self,
        folder,
        seed,
        epoch=None,
        probability=1.0,
        target="clean",
        sample_rate=16000,
    ):
        if target not in TARGETS:
            raise ConfigError(
                f"reverb_target is {target!r} but must be 'clean' or 'early'."
            )
        self.folder = Path(folder)
        self.seed = seed
        self.epoch = SharedEpoch() if epoch is None else epoch
        self.probability = check_share("reverb_probability", probability)
        self.target = target
        self.sample_rate = sample_rate
        rooms = _find(self.folder, sample_rate)
        # sorted by places, so that those with enough of them are one block
        self._rooms = sorted(rooms, key=lambda places: (len(places), places))
        self._places = np.array([len(places) for places in self._rooms])

    def draw(self, utt_id, count):
        """Draws the room of one item in the present epoch.

        Arguments
        ---------
        utt_id : str
            The ID of the mixture.
        count : int
            Voices in it.

        Returns
        -------
        list
            [count] times :class:`Rir`, or None where there is no room.
            ``DataError`` is raised if no room has as many places.
        """
        rng = item_rng(self.seed, self.epoch.get(), utt_id, _STREAM)
        if rng.random() >= self.probability:
            return [None] * count
        first = int(np.searchsorted(self._places, count))
        if first == len(self._rooms):
            raise DataError(
                f"no room of {self.folder} has places for {count} voices (the "
                f"largest has {self._places[-1]}): use files of more "
                "channels, or folders of more files."
            )
        room = self._rooms[int(rng.integers(first, len(self._rooms)))]
        chosen = rng.permutation(len(room))[:count]
        return [self._read(*room[place]) for place in chosen]

    def _read(self, path, channel):
        try:
            wave, _ = soundfile.read(path, dtype="float64", always_2d=True)
            return align_rir(wave[:, channel], self.sample_rate)
        except (OSError, RuntimeError, DataError) as err:
            raise DataError(
                f"the impulse response {path} (channel {channel + 1}) cannot "
                "be used: it is torn, silent or not finite, so replace it."
            ) from err


def _find(folder, sample_rate):
    """Rooms as lists of (file, channel)."""
    if not folder.is_dir():
        raise DataError(
            f"the rir_folder {folder} is no folder: name one that holds "
            "impulse responses, such as avsep_sb.dataio.simulate_rooms makes."
        )
    rooms = []
    for place, _, names in os.walk(folder):
        singles = []
        for name in sorted(names):
            if name.startswith(".") or not name.lower().endswith(SUFFIXES):
                continue
            path = os.path.join(place, name)
            channels = _channels(path, sample_rate)
            if channels > 1:
                rooms.append([(path, k) for k in range(channels)])
            else:
                singles.append((path, 0))
        rooms += [singles] if singles else []
    if not rooms:
        raise DataError(
            f"the rir_folder {folder} holds no audio file "
            f"({', '.join(SUFFIXES)}): name one that does."
        )
    return rooms


def _channels(path, sample_rate):
    try:
        info = soundfile.info(path)
    except RuntimeError as err:
        raise DataError(
            f"the impulse response {path} cannot be read: replace it."
        ) from err
    if info.samplerate != sample_rate:
        raise DataError(
            f"the impulse response {path} has {info.samplerate} Hz but "
            f"sample_rate is {sample_rate}: resample the files of rir_folder."
        )
    return info.channels
