"""Scripted talks for ``diarization_report.py``, separated by faces.

Mouth ROIs are rendered as SynthAV's are and given to the separation with the
times at which each face is in the picture, as ``avsep separate`` has them
after detection and tracking; what detection costs is measured on whole films.

Authors
 * avsep_sb contributors
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsep_sb.inference.diarization import Covariance, mouth_motion
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.inference.video_options import VideoOptions
from avsep_sb.synth.mouth import FPS
from avsep_sb.synth.script import draw_talk
from avsep_sb.synth.speech import SAMPLE_RATE
from avsep_sb.synth.utterance import render_roi
from avsep_sb.synth.voices import speakers_of

PEOPLE = (2, 3, 4)
OVERLAPS = (0.0, 0.2, 0.4, 0.6)
#: root mean square of the room's noise; the voices have 0.05
ROOM = 2e-4


class Scene(NamedTuple):
    """A talk and what was asked for when it was drawn.

    Arguments
    ---------
    name : str
        Such as ``test 3: 4 people, 40 %, 1 late``.
    talk : Talk
        Of :func:`avsep_sb.synth.script.draw_talk`.
    people : int
        How many.
    overlap : float
        Asked for; ``talk.overlap`` is what came of it.
    late : int
        How many people come late.
    """

    name: str
    talk: object
    people: int
    overlap: float
    late: int

    @property
    def truth(self):
        """dict: name of each face to the spans in which it speaks."""
        spans = self.talk.spoken
        return {f"face{k + 1}": own for k, own in enumerate(spans)}


def draw_scene(split, number, seconds, seed=0):
    """Draws a scene: all numbers of people with all overlaps in turn.

    Arguments
    ---------
    split : str
        Whose speakers: ``valid`` or ``test``.
    number : int
        Of the scene; every second one has a person who comes late.
    seconds : float
        Its length.
    seed : int
        Of all draws.

    Returns
    -------
    Scene
    """
    people = PEOPLE[number % len(PEOPLE)]
    overlap = OVERLAPS[number // len(PEOPLE) % len(OVERLAPS)]
    # With each number of people and each overlap, once in two rounds.
    row = number // len(PEOPLE)
    late = (number % len(PEOPLE) + row + row // len(OVERLAPS)) % 2
    rng = np.random.default_rng([seed, number, 5])
    pool = speakers_of(split)
    chosen = [pool[k] for k in rng.choice(len(pool), people, replace=False)]
    talk = draw_talk(chosen, seconds, overlap, late, 1000 * seed + number)
    name = f"{split} {number}: {people} people, {overlap:.0%}, {late} late"
    return Scene(name, talk, people, overlap, late)


def measure(model, audio_model, scene, number, folder):
    """Separates a scene by its mouths, as ``avsep separate`` would.

    Arguments
    ---------
    model, audio_model : AVSeparation
        The second may be None.
    scene : Scene
        The scene.
    number : int
        Seed of the room's noise.
    folder : str or Path
        Where what was measured is kept, so that a run that was stopped goes
        on, and another rule needs no other separation; made if missing.

    Returns
    -------
    dict
        What :func:`avsep_sb.inference.diarization.spans_of_products` takes.
    """
    name = "_".join(re.findall(r"\w+", scene.name))
    path = Path(folder, f"{name}.npz")
    stays = [[(e / FPS, scene.talk.frames / FPS)] for e in scene.talk.enters]
    if not path.is_file():
        measured = _separate(model, audio_model, scene.talk, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part.npz")
        np.savez(part, **measured)
        os.replace(part, path)
    with np.load(path) as kept:
        return {**kept, "stays": stays}


def _separate(model, audio_model, talk, seed):
    mouths = np.stack([render_roi(person) for person in talk.people])
    stays = [[(enter, talk.frames)] for enter in talk.enters]
    faces = ArrayFaces(mouths, stays=stays)
    sound = talk.sources.sum(axis=1)
    noise = np.random.default_rng(seed).standard_normal(len(sound))
    sound += (ROOM * noise).astype(np.float32)
    products = Covariance(SAMPLE_RATE, len(talk.people))
    silence_db = VideoOptions().silence_db
    over_time = OverTime(model, faces, audio_model, silence_db=silence_db)
    for block in over_time.separate(sound):
        products.feed(np.column_stack([block.voices, block.residual]))
    mixture = products.mixture
    return {
        "products": products.voices,
        "mixture": mixture,
        "motion": mouth_motion(faces, len(mixture)),
    }


def pooled_der(scores, seed=0):
    """DER of several scenes together, with a 95 % interval in per cent.

    Arguments
    ---------
    scores : list of dict
        Of ``diarization_scoring.score_speech``.
    seed : int
        Of the bootstrap over scenes, with 2000 draws.

    Returns
    -------
    (float, float, float)
        The errors of all over the speech of all, and the ends of the
        interval; NaN without scenes.
    """
    kinds = ("missed", "false alarm", "confusion")
    errors = np.array([sum(score[k] for k in kinds) for score in scores])
    totals = np.array([score["total"] for score in scores])
    if not len(scores):
        return (float("nan"),) * 3
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(scores), size=(2000, len(scores)))
    rates = 100 * errors[draws].sum(1) / totals[draws].sum(1)
    low, high = np.quantile(rates, [0.025, 0.975])
    return 100 * errors.sum() / totals.sum(), float(low), float(high)
