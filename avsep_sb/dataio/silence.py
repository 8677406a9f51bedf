"""Faces that do not speak, and voices without a face, in dynamic mixtures.

A *silent target* is a face whose voice is not in the mixture: its target is
digital silence. Its mouth rests (a pause of the same recording, played to and
fro), or, for a share of them, moves to speech that nobody hears, as in a
muted or dubbed video. Then only sound and lips together tell. Some of them
only *pause*: they are silent for a part of the item, where their target is
digital silence.

An *off-screen voice* is in the mixture, but its face is not among the faces
and it is no target: it belongs to the residual, which is the mixture less all
targets.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import numpy as np

from avsep_sb.dataio.draws import Source, item_rng
from avsep_sb.dataio.visual_augment import check_share
from avsep_sb.errors import ConfigError

# A generator of its own: see avsep_sb.dataio.draws.item_rng.
_STREAM = 2
# Lips move before and after the sound that they make.
_MARGIN = 3
# A shorter pause is no rest, only a closure between two sounds.
_SHORTEST = 3
# How much of an item a pause takes.
_PAUSE = (0.3, 0.7)
_RANGE_DB = 30.0


class SilenceDraw(NamedTuple):
    """Who is silent and who is not seen, in one mixture."""

    #: index of the silent target, or None
    silent: int | None
    #: whether its mouth moves all the same
    moves: bool
    #: the voice without a face, or None
    offscreen: Source | None
    #: its level over the reference level, in dB
    level_db: float
    #: for further choices about these two
    rng: np.random.Generator
    #: the part in which the silent target is silent, from 0 to 1 each; None
    #: for all of it
    pause: tuple | None = None

    def span(self, frames):
        """Which frames of an item are silent.

        Arguments
        ---------
        frames : int
            Frames of the item.

        Returns
        -------
        (int, int) or None
            The first and the one after the last; None for all of them.
        """
        if self.pause is None:
            return None
        first = round(self.pause[0] * frames)
        return first, max(first + 1, round(self.pause[1] * frames))


class SilentTargets:
    """Draws silent targets and off-screen voices, by (seed, epoch, id) alone.

    Arguments
    ---------
    mixer : Mixer
        Draws the mixtures; seed, clock, levels and voices are those of it.
    silent_prob : float
        Probability that one target of a mixture is silent.
    moving_prob : float
        Share of the silent targets whose mouths move.
    offscreen_prob : float
        Probability that a mixture has an off-screen voice: of a speaker who
        is none of those with a face, at a level as theirs. A mixture whose
        only target is silent always has one.
    pausing_prob : float
        Share of the silent targets that speak for a part of the item.

    Example
    -------
    >>> from avsep_sb.dataio.mixing import Mixer
    >>> rows = [dict(ID=f"m{i}", mix_wav="", s1_wav=f"{i}.wav", s1_lips="",
    ...     s1_gain=1, s1_spk=f"p{i}", s2_wav="x.wav", s2_lips="", s2_gain=1,
    ...     s2_spk="px") for i in range(4)]
    >>> mixer = Mixer(rows, seed=1, gain_db=(-5, 5))
    >>> silence = SilentTargets(mixer, silent_prob=1, offscreen_prob=1)
    >>> sources = mixer.draw("m0").sources
    >>> draw = silence.draw("m0", sources)
    >>> draw.silent in (0, 1), draw.moves
    (True, False)
    >>> draw.offscreen.spk in {source.spk for source in sources}
    False
    """

    def __init__(
        self,
        mixer,
        silent_prob=0.0,
        moving_prob=0.0,
        offscreen_prob=0.0,
        pausing_prob=0.0,
    ):
        self.mixer = mixer
        self.pausing_prob = check_share("silent_pausing_prob", pausing_prob)
        self.silent_prob = check_share("silent_target_prob", silent_prob)
        self.moving_prob = check_share("silent_moving_prob", moving_prob)
        self.offscreen_prob = check_share(
            "offscreen_voice_prob", offscreen_prob
        )
        wants_voice = self.offscreen_prob or (
            self.silent_prob and mixer.min_spks == 1
        )
        if wants_voice and mixer.num_speakers <= mixer.num_spks:
            raise ConfigError(
                f"an off-screen voice beside {mixer.num_spks} faces needs "
                f"{mixer.num_spks + 1} speakers, but the manifest has "
                f"{mixer.num_speakers}: add speakers or set "
                "offscreen_voice_prob: 0."
            )

    def draw(self, utt_id, sources):
        """Draws for one mixture in the present epoch.

        Arguments
        ---------
        utt_id : str
            The ID of the mixture.
        sources : list of Source
            [S], those with a face.

        Returns
        -------
        SilenceDraw
        """
        rng = item_rng(self.mixer.seed, self.mixer.epoch.get(), utt_id, _STREAM)
        falls_silent, moves, unseen = rng.random(3)
        silent = int(rng.integers(len(sources)))
        level_db = -float(rng.uniform(*self.mixer.gain_db))
        if falls_silent >= self.silent_prob:
            silent = None
        offscreen = None
        if unseen < self.offscreen_prob or (
            silent is not None and len(sources) == 1
        ):
            offscreen = self.mixer.other_voice(rng, sources)
        moves = silent is not None and moves < self.moving_prob
        pause = None
        # Nothing is drawn where the key is off: items stay what they were.
        if silent is not None and self.pausing_prob > 0:
            share, where = rng.uniform(*_PAUSE), rng.random()
            if rng.random() < self.pausing_prob:
                first = float(where * (1 - share))
                pause = first, first + float(share)
        return SilenceDraw(silent, bool(moves), offscreen, level_db, rng, pause)


def make_silence(hparams, mixer):
    """Reads the keys of this module.

    Arguments
    ---------
    hparams : dict
        ``silent_target_prob``, ``silent_moving_prob``,
        ``offscreen_voice_prob`` and ``silent_pausing_prob``, each 0 if absent.
    mixer : Mixer or None
        Draws the mixtures.

    Returns
    -------
    SilentTargets or None
        None if nothing is asked for. ``ConfigError`` names an unusable key.

    Example
    -------
    >>> make_silence({"silent_target_prob": 0.2}, mixer=None)
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: silent_target_prob changes dynamic mixtures: \
set dynamic_mixing: True, or the key to null.
    """
    keys = (
        "silent_target_prob",
        "silent_moving_prob",
        "offscreen_voice_prob",
        "silent_pausing_prob",
    )
    shares = {key: check_share(key, hparams.get(key)) for key in keys}
    asked = [key for key in keys if shares[key] > 0]
    if not asked:
        return None
    if mixer is None:
        raise ConfigError(
            f"{asked[0]} changes dynamic mixtures: set dynamic_mixing: True, "
            "or the key to null."
        )
    shared = ("silent_moving_prob", "silent_pausing_prob")
    if asked[0] in shared or (asked[-1] in shared and asked[0] != keys[0]):
        name = next(key for key in asked if key in shared)
        raise ConfigError(
            f"{name} is a share of the silent targets: set "
            "silent_target_prob too."
        )
    return SilentTargets(mixer, *(shares[key] for key in keys))


def quiet_passage(wave, samples_per_frame):
    """Finds where a recording shows a mouth at rest.

    That is its longest pause, less three frames (120 ms) on the sides where
    speech goes on: lips move before the sound. A recording without such a
    pause has one still frame, its quietest.

    Arguments
    ---------
    wave : np.ndarray
        [T] samples of the whole recording.
    samples_per_frame : int
        Samples in the time of one frame.

    Returns
    -------
    (int, int)
        First frame and the frame after the last, at least one.

    Example
    -------
    >>> hum = np.ones(20 * 640)
    >>> quiet_passage(np.concatenate([hum, np.zeros(10 * 640)]), 640)
    (23, 30)
    """
    wave = np.asarray(wave, dtype=np.float64)
    wave = np.pad(wave, (0, -len(wave) % samples_per_frame))
    power = np.mean(wave.reshape(-1, samples_per_frame) ** 2, axis=1)
    speaks = power > power.max() * 10 ** (-_RANGE_DB / 10)
    # edges of the pauses: from each change to the next
    edges = np.flatnonzero(np.diff(np.r_[True, speaks, True].astype(int)))
    first, stop = edges[::2], edges[1::2]
    first = first + _MARGIN * (first > 0)
    stop = stop - _MARGIN * (stop < len(power))
    best = int(np.argmax(stop - first)) if len(first) else 0
    if len(first) and stop[best] - first[best] >= _SHORTEST:
        return int(first[best]), int(stop[best])
    quietest = int(power.argmin())
    return quietest, quietest + 1


def resting_frames(frames, passage, count, phase):
    """Plays a passage to and fro: a mouth at rest for as long as is needed.

    Arguments
    ---------
    frames : np.ndarray
        [Tv, ...], the whole recording.
    passage : (int, int)
        First frame and the frame after the last.
    count : int
        Frames wanted.
    phase : float
        From 0 to 1: where in a round trip to begin.

    Returns
    -------
    np.ndarray
        [count, ...], same type.

    Example
    -------
    >>> resting_frames(np.arange(9), (2, 5), 7, 0.0).tolist()
    [2, 3, 4, 3, 2, 3, 4]
    """
    last = len(frames) - 1
    first, stop = min(passage[0], last), min(passage[1] - 1, last)
    turn = max(1, 2 * (stop - first))
    place = (int(phase * turn) + np.arange(count)) % turn
    return frames[first + np.minimum(place, turn - place)]
