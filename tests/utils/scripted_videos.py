"""Scripted videos: who is to be seen when is known, since a script says so.

A script is a list of shots; each shows a few people in regions of the
picture, cut out of portraits of them (frames of real clips, or of SynthAV).
Between shots the picture is cut; people change size, place and light, come
late, leave and return.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

WIDTH, HEIGHT = 640, 360


@dataclass
class Role:
    """One person in a shot.

    ``place`` is (left, top, width, height) in parts of the picture; ``on``
    says whether he or she is to be seen in frame k of n.
    """

    person: str
    place: tuple
    on: object = None


@dataclass
class Shot:
    """Some frames without a cut."""

    frames: int
    roles: list = field(default_factory=list)


FULL = (0.2, 0.0, 0.6, 1.0)
SMALL = (0.45, 0.2, 0.4, 0.7)
HALVES = ((0.0, 0.1, 0.5, 0.85), (0.5, 0.1, 0.5, 0.85))
THIRDS = (
    (0.0, 0.3, 0.34, 0.6),
    (0.34, 0.1, 0.33, 0.6),
    (0.67, 0.35, 0.33, 0.6),
)
QUARTERS = tuple((x, y, 0.32, 0.5) for y in (0.0, 0.5) for x in (0.1, 0.58))


def talk_show(people):
    """21 shots (20 cuts) of four people, 17 frames on average.

    Arguments
    ---------
    people : list of str
        Four names.

    Returns
    -------
    list of Shot
        With people who come late, leave, return, and stay for 6 frames.
    """
    a, b, c, d = people

    def late(k, n):
        return k >= n // 3

    def early(k, n):
        return k < 2 * n // 3

    def away(k, n):
        return not n // 3 <= k < n // 3 + 9

    def alone(person, place, frames, on=None):
        return Shot(frames, [Role(person, place, on)])

    def group(persons, places, frames, on=()):
        roles = [
            Role(person, place, on[k] if k < len(on) else None)
            for k, (person, place) in enumerate(
                zip(persons, places, strict=False)
            )
        ]
        return Shot(frames, roles)

    return [
        group((a, b), HALVES, 20),
        alone(a, FULL, 16),
        alone(b, SMALL, 16),
        alone(c, FULL, 18, late),
        Shot(10),
        group((c, a), HALVES, 20),
        group((a, b, c), THIRDS, 18),
        alone(d, FULL, 6),
        alone(d, SMALL, 18),
        alone(b, FULL, 14),
        group((b, d), HALVES, 20, (None, late)),
        alone(c, SMALL, 16),
        group((a, b, c, d), QUARTERS, 18),
        alone(a, SMALL, 26, away),
        group((d, c), HALVES, 20, (early,)),
        alone(b, FULL, 6),
        alone(a, FULL, 14),
        group((c, d, a), THIRDS, 16),
        alone(d, FULL, 18),
        group((d, b), HALVES, 18, (None, early)),
        alone(c, FULL, 14),
    ]


def film(script, portraits, seed=0):
    """Draws the frames of a script, and says who is where.

    Arguments
    ---------
    script : list of Shot
        The shots.
    portraits : dict
        Person to a list of frames, uint8 [h, w, 3], that show his or her
        face in the middle; other frames are taken each time.
    seed : int
        Of light and scenery.

    Returns
    -------
    frames : list of np.ndarray
        uint8 [360, 640, 3].
    truth : list of dict
        Of each frame: person to region (left, top, right, bottom).
    """
    rng = np.random.default_rng(seed)
    frames, truth, used = [], [], dict.fromkeys(portraits, 0)
    for shot in script:
        scenery = _scenery(rng)
        light = {
            role.person: rng.uniform(0.85, 1.15) * rng.uniform(0.97, 1.03, 3)
            for role in shot.roles
        }
        for k in range(shot.frames):
            frame, there = scenery.copy(), {}
            for role in shot.roles:
                if role.on is not None and not role.on(k, shot.frames):
                    continue
                region = _region(role.place)
                own = portraits[role.person]
                image = own[used[role.person] % len(own)]
                used[role.person] += 1
                _paste(frame, image * light[role.person], region)
                there[role.person] = region
            frames.append(frame)
            truth.append(there)
    return frames, truth


def _scenery(rng):
    """Blurred noise in two colours."""
    noise = cv2.GaussianBlur(
        rng.normal(0, 1, (HEIGHT // 8, WIDTH // 8)).astype(np.float32),
        (0, 0),
        3,
    )
    noise = cv2.resize(noise, (WIDTH, HEIGHT))[..., None] * 2 + 0.5
    first, second = rng.uniform(20, 220, (2, 3))
    picture = first + (second - first) * np.clip(noise, 0, 1)
    return picture.astype(np.uint8)


def _region(place):
    left, top, width, height = place
    return (
        round(left * WIDTH),
        round(top * HEIGHT),
        round((left + width) * WIDTH),
        round((top + height) * HEIGHT),
    )


def _paste(frame, image, region):
    """The middle of an image, of the shape of the region."""
    left, top, right, bottom = region
    height, width = image.shape[:2]
    shape = (right - left) / (bottom - top)
    if width / height > shape:
        cut = round(height * shape)
        begin = (width - cut) // 2
        image = image[:, begin : begin + cut]
    else:
        cut = round(width / shape)
        begin = (height - cut) // 2
        image = image[begin : begin + cut]
    image = cv2.resize(
        np.clip(image, 0, 255).astype(np.uint8),
        (right - left, bottom - top),
        interpolation=cv2.INTER_AREA,
    )
    frame[top:bottom, left:right] = image


def synthetic_portraits(numbers, frames=24, size=192, seed=1):
    """Frames of SynthAV speakers who talk.

    Arguments
    ---------
    numbers : iterable of int
        Numbers of the speakers.
    frames : int
        Frames of each.
    size : int
        Height and width in pixels.
    seed : int
        Of what they say.

    Returns
    -------
    dict
        Name to a list of uint8 [size, size, 3].
    """
    from avsep_sb.synth.face import render_face
    from avsep_sb.synth.utterance import make_utterance
    from avsep_sb.synth.voices import all_speakers

    portraits = {}
    for number in numbers:
        utterance = make_utterance(seed, all_speakers()[number], 0)
        portraits[f"synth{number}"] = list(
            render_face(utterance, size, seed, utterance.tracks[8 : 8 + frames])
        )
    return portraits


#: a GRID clip of each speaker but s1, of whom there are twenty
GRID_CLIPS = {
    "gA": ["brbk7n"],
    "gB": ["lbax4n"],
    "gC": ["lbbc2a"],
    "gD": ["lrwp9a"],
    "gE": ["lwbsza"],
    "gF": ["sbia1a"],
    "gG": ["sbwe5n"],
    "gH": ["swiz3n"],
    "s1": ["bbaf2n", "s1_bgin3a", "s1_lwwf9a"],
    "s2": ["pwij3p", "id2_vcd_swwp2s"],
}


def grid_portraits(folder, speakers):
    """Frames of real speakers.

    Arguments
    ---------
    folder : Path
        Where the clips of GRID are.
    speakers : iterable of str
        Keys of ``GRID_CLIPS``.

    Returns
    -------
    dict
        Speaker to a list of uint8 [288, 360, 3].
    """
    from avsep_sb.vision.decode import read_frames

    return {
        speaker: [
            frame
            for clip in GRID_CLIPS[speaker]
            for frame in read_frames(folder / f"{clip}.mpg")
        ]
        for speaker in speakers
    }
