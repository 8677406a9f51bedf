"""Scripts a talk: who says what when, in turns with pauses and overlaps.

The script is drawn first, then performed: each person becomes one long
utterance, sound and mouth alike, which is rendered and filmed as a short one
is. What was spoken when, and what was said, is known to the sample, so a talk
is the reference of diarization and of transcripts.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass, replace

import numpy as np

from avsep_sb.errors import ConfigError
from avsep_sb.synth.mouth import FPS
from avsep_sb.synth.speech import SAMPLE_RATE
from avsep_sb.synth.utterance import (
    SAMPLES_PER_FRAME,
    Utterance,
    make_utterance,
)
from avsep_sb.synth.visemes import VISEMES, mouth_tracks

#: part of a turn before whose end the next one begins, where turns overlap
OVERLAPS = (0.3, 0.8)
#: bounds of a pause between turns, in seconds
PAUSES = (0.3, 1.5)
#: a person breathes so many frames between two turns, and after coming in
BREATH = 8
#: levels of people differ by up to so many dB either way
LEVEL_DB = 2.5
#: part of the talk in which people come who are late
LATE = (0.15, 0.4)
#: below that level of the clean voice, in dB of full scale, nobody speaks
#: (what the synthesizer says lies within 40 ms of its phonemes' times then)
SPOKEN_DB = -55.0
#: shorter pauses do not end a turn (NIST RT-09 evaluation plan)
SHORTEST_PAUSE = 0.3
_CLOSING = 4  # frames in which the mouth comes to rest


@dataclass(frozen=True)
class Turn:
    """One thing that one person says.

    Arguments
    ---------
    person : int
        Who says it.
    start : int
        Frame of the talk in which the utterance begins.
    utterance : Utterance
        What is said.
    """

    person: int
    start: int
    utterance: object

    @property
    def stop(self):
        """int: the frame after its last one."""
        return self.start + len(self.utterance.tracks)

    @property
    def spans(self):
        """list of (float, float): when it is spoken, seconds of the talk."""
        begin = self.start / FPS
        return [
            (round(begin + a, 3), round(begin + b, 3))
            for a, b in spoken_spans(self.utterance.audio)
        ]


@dataclass(frozen=True)
class Talk:
    """A performed script.

    Arguments
    ---------
    people : list of Utterance
        All that each person says, as one utterance of the talk's length.
    turns : list of Turn
        In the order of time.
    enters : list of int
        Frame in which each person comes into the picture.
    """

    people: list
    turns: list
    enters: list

    @property
    def frames(self):
        """int: length, at 25 frames per second."""
        return len(self.people[0].tracks)

    @property
    def sources(self):
        """np.ndarray: voices, float32 [T, S]; their sum is the sound."""
        return np.stack([person.audio for person in self.people], axis=1)

    @property
    def spoken(self):
        """list of list of (float, float): spans of each person, seconds."""
        found = [[] for _ in self.people]
        for turn in self.turns:
            found[turn.person] += turn.spans
        return [_joined(spans) for spans in found]

    @property
    def overlap(self):
        """float: time in which several speak, of that in which one does."""
        step = round(0.01 * SAMPLE_RATE) / SAMPLE_RATE
        count = np.zeros(round(self.frames / FPS / step))
        for spans in self.spoken:
            for a, b in spans:
                count[round(a / step) : round(b / step)] += 1
        return float((count > 1).sum() / max(1, (count > 0).sum()))


def spoken_spans(audio):
    """When a clean voice is spoken, from its level in 10 ms.

    Arguments
    ---------
    audio : np.ndarray
        The clean voice, [T] at 16 kHz.

    Returns
    -------
    list of (float, float)
        Seconds; pauses of less than 0.3 s are part of a span.

    Example
    -------
    >>> spoken_spans(np.r_[np.zeros(1600), np.ones(3200), np.zeros(1600)])
    [(0.1, 0.3)]
    """
    size = SAMPLE_RATE // 100
    whole = len(audio) // size * size
    power = np.square(audio[:whole], dtype=np.float64).reshape(-1, size)
    heard = power.mean(axis=1) > 10 ** (SPOKEN_DB / 10)
    edges = np.flatnonzero(np.diff(np.r_[0, heard.astype(np.int8), 0]))
    return _joined(
        [(a / 100, b / 100) for a, b in edges.reshape(-1, 2).tolist()]
    )


def _joined(spans):
    joined = []
    for start, stop in sorted(spans):
        if joined and start - joined[-1][1] < SHORTEST_PAUSE:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def draw_talk(speakers, seconds, overlap=0.0, late=0, seed=0):
    """Draws a talk and performs it.

    Arguments
    ---------
    speakers : sequence of Speaker
        One per face, from left to right.
    seconds : float
        Length of the talk.
    overlap : float
        Time in which several speak, as a part of that in which anybody does,
        0 to 0.6; about right for one talk, right for many.
    late : int
        How many people come into the picture late; the first one never does.
    seed : int
        Of all draws.

    Returns
    -------
    Talk
        ``ConfigError`` is raised for an overlap that cannot be had.

    Example
    -------
    >>> from avsep_sb.synth.voices import speakers_of
    >>> talk = draw_talk(speakers_of("test")[:2], 6.0, seed=1)
    >>> talk.frames, talk.sources.shape, talk.overlap
    (150, (96000, 2), 0.0)
    """
    if not 0 <= overlap <= 0.6 or (overlap and len(speakers) < 2):
        raise ConfigError(
            f"an overlap is from 0 to 0.6, of two people or more, not "
            f"{overlap:g} of {len(speakers)}."
        )
    if not 0 <= late < len(speakers):
        raise ConfigError("somebody must be there from the start: less late.")
    rng = np.random.default_rng([seed, 17])
    frames = round(seconds * FPS)
    enters = np.zeros(len(speakers), int)
    come = rng.choice(np.arange(1, len(speakers)), late, replace=False)
    enters[come] = (rng.uniform(*LATE, late) * frames).round()
    turns = _draw_turns(rng, speakers, frames, overlap, enters, seed)
    gains = 10 ** (rng.uniform(-LEVEL_DB, LEVEL_DB, len(speakers)) / 20)
    people = [
        _perform(
            speaker, [t for t in turns if t.person == k], frames, gain, seed
        )
        for k, (speaker, gain) in enumerate(zip(speakers, gains, strict=True))
    ]
    return Talk(people, turns, enters.tolist())


def _draw_turns(rng, speakers, frames, overlap, enters, seed):
    """Turns in the order of time; all of them end before the talk does."""
    turns, free = [], np.array(enters) + BREATH
    free[np.array(enters) == 0] = 0
    begin, last = int(rng.integers(FPS)), None
    numbers = iter(rng.permutation(100_000))
    while True:
        others = [k for k in range(len(speakers)) if k != last or len(free) < 2]
        ready = [k for k in others if free[k] <= begin]
        if not ready:
            ready = [min(others, key=lambda k: free[k])]
        person = int(rng.choice(ready))
        begin = max(begin, int(free[person]))
        utterance = _without_pauses(
            make_utterance(seed, speakers[person], int(next(numbers)))
        )
        length = len(utterance.tracks)
        if begin + length > frames:
            return turns
        turns.append(Turn(person, begin, utterance))
        free[person] = begin + length + BREATH
        last = person
        count = np.zeros(frames)
        for turn in turns:
            count[turn.start : turn.stop] += 1
        if (count > 1).sum() < overlap * (count > 0).sum():
            begin += round(length * (1 - rng.uniform(*OVERLAPS)))
        else:
            end = max(turn.stop for turn in turns)
            begin = end + round(rng.uniform(*PAUSES) * FPS)


def _without_pauses(utterance):
    """The frames of an utterance in which it is spoken."""
    spans = spoken_spans(utterance.audio)
    first = int(spans[0][0] * FPS)
    stop = min(len(utterance.tracks), int(np.ceil(spans[-1][1] * FPS)))
    sound = slice(first * SAMPLES_PER_FRAME, stop * SAMPLES_PER_FRAME)
    return replace(
        utterance,
        audio=utterance.audio[sound],
        tracks=utterance.tracks[first:stop],
        viseme=utterance.viseme[first:stop],
    )


def _perform(speaker, turns, frames, gain, seed):
    """All turns of a person as one utterance; between them the mouth rests."""
    silence = VISEMES.index("sil")
    rest = mouth_tracks([(silence, 0.0, 1.0)], np.array([0.5]))
    tracks = np.repeat(rest, frames, axis=0)
    viseme = np.full(frames, silence, np.int16)
    audio = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    for turn in turns:
        said = turn.utterance
        tracks[turn.start : turn.stop] = said.tracks
        viseme[turn.start : turn.stop] = said.viseme
        first = turn.start * SAMPLES_PER_FRAME
        audio[first : first + len(said.audio)] = said.audio * gain
        _blend(tracks, turn.start, turn.stop)
    return Utterance(
        name=f"{speaker.name}_talk",
        speaker=speaker,
        text=" ".join(turn.utterance.text for turn in turns),
        audio=audio,
        tracks=tracks,
        viseme=viseme,
        lead=0.0,
        key=(seed, speaker.face, 0),
    )


def _blend(tracks, start, stop):
    """Lets the mouth open and close in a few frames."""
    for k in range(1, _CLOSING + 1):
        share = 1 - k / (_CLOSING + 1)
        for inner, outer in ((start, start - k), (stop - 1, stop - 1 + k)):
            if 0 <= outer < len(tracks):
                tracks[outer] += share * (tracks[inner] - tracks[outer])
