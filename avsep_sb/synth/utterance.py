"""Makes one utterance of the synthetic corpus in memory: sound and mouth.

Everything is drawn from ``(seed, speaker, number)``, so an utterance does
not depend on which others were made before it.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.signal import lfilter

from avsep_sb.synth.look import draw_look
from avsep_sb.synth.mouth import FPS, MouthRenderer
from avsep_sb.synth.speech import SAMPLE_RATE, speak
from avsep_sb.synth.text import grid_sentence, open_sentence
from avsep_sb.synth.visemes import mouth_tracks, to_visemes, viseme_at

SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
SHORTEST, LONGEST = 3.0, 4.5  # seconds
_LEVEL = 0.05  # root mean square of the speech, pauses not counted


@dataclass(frozen=True)
class Utterance:
    """One utterance of one speaker.

    Arguments
    ---------
    name : str
        Such as ``spk00_003``.
    speaker : Speaker
        Who speaks.
    text : str
        What is said.
    audio : numpy.ndarray
        float32 [T] at 16 kHz, T = 640 Tv.
    tracks : numpy.ndarray
        Mouth parameters as seen (the lips lead the sound), [Tv, 7].
    viseme : numpy.ndarray
        int16 [Tv], the viseme heard at the middle of each frame.
    lead : float
        Seconds by which the lips lead the sound.
    key : tuple
        Seed of what is drawn later (framing, noise).
    """

    name: str
    speaker: object
    text: str
    audio: np.ndarray
    tracks: np.ndarray
    viseme: np.ndarray
    lead: float
    key: tuple


def frame_levels(audio):
    """Measures the level of each video frame.

    Arguments
    ---------
    audio : numpy.ndarray
        [T], T a multiple of 640.

    Returns
    -------
    numpy.ndarray
        Decibels [Tv], from a window of 40 ms.

    Example
    -------
    >>> frame_levels(np.ones(1280)).round(1)
    array([0., 0.])
    """
    power = (audio.reshape(-1, SAMPLES_PER_FRAME).astype(float) ** 2).mean(1)
    return 10 * np.log10(power + 1e-8)


def _say(speaker, text, rng):
    """Speaks for SHORTEST - 0.6 to LONGEST - 0.2 seconds."""
    voice = {
        "language": speaker.language,
        "variant": speaker.variant,
        "pitch": int(np.clip(speaker.pitch + rng.integers(-6, 7), 0, 99)),
        "pitch_range": speaker.pitch_range,
        "formant": speaker.formant,
    }
    rate = float(speaker.rate * rng.uniform(0.92, 1.08))
    low, high = SHORTEST - 0.6, LONGEST - 0.2
    audio, phonemes = speak(text, rate=round(rate), **voice)
    length = len(audio) / SAMPLE_RATE
    if not low <= length <= high:
        goal = rng.uniform(low, low + 0.5) if length < low else high - 0.2
        rate = float(np.clip(rate * length / goal, 90, 260))
        audio, phonemes = speak(text, rate=round(rate), **voice)
    return audio[: int(high * SAMPLE_RATE)], phonemes


def utterance_text(seed, speaker, number):
    """Draws what an utterance says: a GRID sentence, or open text.

    Arguments
    ---------
    seed : int
        Seed of the corpus.
    speaker : Speaker
        Who speaks.
    number : int
        Number of the utterance; even ones are GRID sentences.

    Returns
    -------
    str
        The sentence.

    Example
    -------
    >>> from avsep_sb.synth.voices import all_speakers
    >>> len(utterance_text(1, all_speakers()[0], 0).split())
    6
    """
    rng = np.random.default_rng([seed, speaker.face, number, 0])
    return open_sentence(rng) if number % 2 else grid_sentence(rng)


def make_utterance(seed, speaker, number, coupling=True):
    """Makes sound and mouth motion of one utterance.

    Arguments
    ---------
    seed : int
        Seed of the corpus.
    speaker : Speaker
        From :mod:`avsep_sb.synth.voices`.
    number : int
        Number of the utterance.
    coupling : bool
        Whether louder speech opens the mouth a little more.

    Returns
    -------
    Utterance
        3 to 4.5 seconds, a whole number of video frames.

    Raises
    ------
    DataError
        If the speech synthesizer is missing.

    Example
    -------
    >>> from avsep_sb.synth.voices import all_speakers
    >>> one = make_utterance(1, all_speakers()[0], 0)
    >>> len(one.audio) == 640 * len(one.tracks)
    True
    """
    text = utterance_text(seed, speaker, number)
    key = (seed, speaker.face, number)
    rng = np.random.default_rng([*key, 1])
    speech, phonemes = _say(speaker, text, rng)
    if speaker.tilt:
        tilt = speaker.tilt
        speech = lfilter([1 - abs(tilt)], [1, -tilt], speech)
    fade = min(len(speech), SAMPLE_RATE // 50)
    speech[len(speech) - fade :] *= np.linspace(1, 0, fade)
    loud = speech[np.abs(speech) > 0.02 * np.abs(speech).max()]
    speech = speech * (_LEVEL / max(float(np.sqrt((loud**2).mean())), 1e-6))
    speech *= min(1.0, 0.9 / float(np.abs(speech).max()))
    # Short pauses around the speech, of random length.
    spoken = len(speech) / SAMPLE_RATE
    total = spoken + rng.uniform(0.1, 0.5)
    total = float(np.clip(total, SHORTEST, LONGEST))
    before = (total - spoken) * rng.uniform(0.1, 0.9)
    frames = -(-round(total * SAMPLE_RATE) // SAMPLES_PER_FRAME)
    start = round(before * SAMPLE_RATE)
    audio = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    audio[start : start + len(speech)] = speech[: len(audio) - start]
    audio += rng.normal(0, 2e-4, len(audio)).astype(np.float32)
    # Whole steps of the 16-bit file, so that memory and disk agree.
    audio = (np.round(audio * 32768) / 32768).astype(np.float32)
    begin = start / SAMPLE_RATE
    segments = to_visemes([(p, a + begin, b + begin) for p, a, b in phonemes])
    middle = (np.arange(frames) + 0.5) / FPS
    lead = float(rng.uniform(0, 0.08))
    loudness = None
    if coupling:
        loudness = np.clip((frame_levels(audio) + 55) / 40, 0, 1)
    look = draw_look(speaker.face)
    tracks = mouth_tracks(segments, middle + lead, look.sharpness, loudness)
    tracks[:, 0] *= look.gain * rng.uniform(0.9, 1.1)
    return Utterance(
        name=f"{speaker.name}_{number:03d}",
        speaker=speaker,
        text=text,
        audio=audio,
        tracks=tracks,
        viseme=viseme_at(segments, middle),
        lead=lead,
        key=key,
    )


@lru_cache(maxsize=2)
def _mouth_renderer(face):
    return MouthRenderer(draw_look(face))


def render_roi(utterance):
    """Renders the mouth region of interest of an utterance.

    Arguments
    ---------
    utterance : Utterance
        From :func:`make_utterance`.

    Returns
    -------
    numpy.ndarray
        uint8 [Tv, 96, 96], 25 frames per second.

    Example
    -------
    >>> from avsep_sb.synth.voices import all_speakers
    >>> render_roi(make_utterance(1, all_speakers()[0], 0)).shape[1:]
    (96, 96)
    """
    rng = np.random.default_rng([*utterance.key, 2])
    renderer = _mouth_renderer(utterance.speaker.face)
    return renderer.render(utterance.tracks, rng)
