"""Renders the talking face of a synthetic speaker, in colour.

The head is painted once per speaker (:mod:`avsep_sb.synth.look`), the eyes
once per opening of the lids; a frame blends two heads of different jaw,
pastes the eyes, draws the mouth and moves the whole a little. The eyes are as
far apart, measured in mouth widths, as in the mean face, so that the mouth
that :mod:`avsep_sb.vision.mouth` cuts out looks like the ROI of the corpus.

Authors
 * avsep_sb contributors
"""

from functools import lru_cache

import cv2
import numpy as np

from avsep_sb.synth.look import JAW_LEVELS, draw_look, paint_head
from avsep_sb.synth.mouth import FPS, blend_bases, draw_mouth, slow_sway

FACE_SIZE = 224
_SIDE = 256.0  # ROI units that the picture shows
_LEFT, _TOP = -128.0, -170.0
_SUPER = 2  # pixels drawn per pixel shown, each way
_EYE_X, _EYE_Y = 27.2, -66.5
_EYE_TOP, _EYE_BOTTOM = -92.0, -50.0  # rows that change with a blink
_LIDS = (1.0, 0.8, 0.4, 0.05)  # openings of the eyes
_BLINK = (2, 3, 2, 1)  # the lids of one blink, frame by frame
_SHIFT = 4


def draw_blinks(rng, frames):
    """Draws when the eyes close: every 1.5 to 4 seconds, for 4 frames.

    Arguments
    ---------
    rng : numpy.random.Generator
        The source of chance.
    frames : int
        Length at 25 fps.

    Returns
    -------
    numpy.ndarray
        int [frames], number of the lid opening, 0 = open.

    Example
    -------
    >>> int(draw_blinks(np.random.default_rng(0), 200).max())
    3
    """
    lids = np.zeros(frames, int)
    start = rng.uniform(0.3, 3)
    while start * FPS < frames:
        first = int(start * FPS)
        part = lids[first : first + len(_BLINK)]
        part[:] = _BLINK[: len(part)]
        start += rng.uniform(1.5, 4)
    return lids


def _paint_eyes(picture, look, scale, lid):
    """Draws both eyes and brows onto a painted head, in place."""

    def corners(x, y):
        at = np.stack([x - _LEFT, y - _TOP], -1) * scale - 0.5
        return np.round(at * (1 << _SHIFT)).astype(np.int32)

    def disc(image, x, y, radius, colour):
        centre = tuple(map(int, corners(np.float64(x), np.float64(y))))
        radius = round(radius * scale * (1 << _SHIFT))
        cv2.circle(image, centre, radius, colour, -1, cv2.LINE_AA, _SHIFT)

    t = np.linspace(-1, 1, 21)
    arch = 1 - t**2
    thick = max(1, round(1.5 * scale))
    for side in (-1, 1):
        x = side * _EYE_X
        upper = _EYE_Y + 1.5 - (1.5 + 5.5 * lid) * arch**0.8
        lower = _EYE_Y + 1.5 + 3.5 * arch
        upper = np.minimum(upper + 3.5 * (1 - lid) * arch, lower - 0.2)
        ball = picture.copy()
        ball[:] = (200, 208, 212)
        disc(ball, x, _EYE_Y, 5.6, tuple(map(float, look.eye)))
        disc(ball, x, _EYE_Y, 2.5, (10.0, 10.0, 10.0))
        disc(ball, x + 1.6, _EYE_Y - 1.6, 1.0, (250.0, 250.0, 250.0))
        inside = np.zeros(picture.shape[:2], np.uint8)
        outline = np.vstack(
            [corners(x + 11 * t, upper), corners(x + 11 * t, lower)[::-1]]
        )
        cv2.fillPoly(inside, [outline], 255, cv2.LINE_AA, _SHIFT)
        share = inside[..., None] / np.float32(255)
        picture[:] = picture + share * (ball - picture.astype(np.float32))
        lash = tuple(map(float, look.skin * 0.28))
        lines = [corners(x + 11.5 * t, upper)]
        cv2.polylines(
            picture, lines, False, lash, thick + 1, cv2.LINE_AA, _SHIFT
        )
        below = tuple(map(float, look.skin * 0.62))
        lines = [corners(x + 11 * t, lower)]
        cv2.polylines(picture, lines, False, below, thick, cv2.LINE_AA, _SHIFT)
        high = _EYE_Y - 13 - 4.5 * arch
        outline = np.vstack(
            [
                corners(x + 15 * t, high),
                corners(x + 15 * t, high + look.brow * (0.5 + arch))[::-1],
            ]
        )
        brow = tuple(map(float, 0.8 * look.hair))
        cv2.fillPoly(picture, [outline], brow, cv2.LINE_AA, _SHIFT)


class FaceRenderer:
    """Renders the face of one speaker.

    Arguments
    ---------
    look : Look
        The speaker; head and eyes are painted when the renderer is made.
    size : int
        Side of the picture in pixels.

    Example
    -------
    >>> from avsep_sb.synth.look import draw_look
    >>> renderer = FaceRenderer(draw_look(0), size=112)
    >>> rng = np.random.default_rng(0)
    >>> renderer.render(np.zeros((2, 7)), rng).shape
    (2, 112, 112, 3)
    """

    def __init__(self, look, size=FACE_SIZE):
        self.look = look
        self.size = size
        self.scale = size * _SUPER / _SIDE
        self.heads = [
            paint_head(look, level, _LEFT, _TOP, _SIDE, self.scale)
            for level in JAW_LEVELS
        ]
        self.rows = slice(
            round((_EYE_TOP - _TOP) * self.scale),
            round((_EYE_BOTTOM - _TOP) * self.scale),
        )
        self.eyes = []
        for lid in _LIDS:
            # The jaw moves nothing as high as the eyes.
            picture = self.heads[0].copy()
            _paint_eyes(picture, look, self.scale, lid)
            self.eyes.append(picture[self.rows])

    def render(self, tracks, rng):
        """Renders the frames of one utterance.

        Arguments
        ---------
        tracks : numpy.ndarray
            Mouth parameters, [Tv, 7].
        rng : numpy.random.Generator
            Source of head movement, blinks and camera noise.

        Returns
        -------
        numpy.ndarray
            uint8 [Tv, size, size, 3], red-green-blue.
        """
        frames = len(tracks)
        zoom = self.size / _SIDE
        sway = rng.uniform(0.3, 1.2)
        dx = slow_sway(rng, frames, sway) * zoom
        dy = slow_sway(rng, frames, sway) * zoom
        angle = rng.uniform(-2, 2) + slow_sway(rng, frames, sway)
        near = 1 + slow_sway(rng, frames, 0.008 * sway)
        lids = draw_blinks(rng, frames)
        noise = rng.uniform(0.5, 2.0)
        out = np.empty((frames, self.size, self.size, 3), np.uint8)
        whole = self.size * _SUPER
        middle = (whole - 1) / 2
        target = (self.size - 1) / 2
        for i, state in enumerate(tracks):
            image = blend_bases(self.heads, state[0])
            image[self.rows] = self.eyes[lids[i]]
            draw_mouth(image, self.look, state, _LEFT, _TOP, self.scale)
            warp = cv2.getRotationMatrix2D(
                (middle, middle), angle[i], near[i] / _SUPER
            )
            warp[:, 2] += (target - middle + dx[i], target - middle + dy[i])
            # A lens is not sharper than its pixels.
            image = cv2.GaussianBlur(image, (5, 5), 0.6 * _SUPER)
            shot = cv2.warpAffine(
                image,
                warp,
                (self.size, self.size),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            grain = rng.standard_normal(shot.shape[:2], np.float32) * noise
            grain = cv2.merge([grain, grain, grain])
            shot = cv2.add(shot, grain, dtype=cv2.CV_8U)
            out[i] = cv2.cvtColor(shot, cv2.COLOR_BGR2RGB)
        return out


@lru_cache(maxsize=4)
def _face_renderer(face, size):
    return FaceRenderer(draw_look(face), size)


def render_face(utterance, size=FACE_SIZE, seed=0, tracks=None):
    """Renders the face that says an utterance.

    Arguments
    ---------
    utterance : Utterance
        From :func:`avsep_sb.synth.utterance.make_utterance`.
    size : int
        Side of the picture in pixels.
    seed : int
        Another seed films the same utterance with other head movements.
    tracks : numpy.ndarray
        Mouth parameters [Tv, 7]; those of the utterance when None.

    Returns
    -------
    numpy.ndarray
        uint8 [Tv, size, size, 3], red-green-blue, 25 frames per second.

    Example
    -------
    >>> from avsep_sb.synth.utterance import make_utterance
    >>> from avsep_sb.synth.voices import all_speakers
    >>> one = make_utterance(1, all_speakers()[0], 0)
    >>> render_face(one, size=64, tracks=one.tracks[:3]).shape
    (3, 64, 64, 3)
    """
    rng = np.random.default_rng([*utterance.key, 3, seed])
    tracks = utterance.tracks if tracks is None else tracks
    return _face_renderer(utterance.speaker.face, size).render(tracks, rng)
