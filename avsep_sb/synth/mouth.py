"""Draws a talking mouth: lips, teeth and tongue, and the mouth ROI.

Only what moves is drawn per frame, as a few anti-aliased polygons on the
painted head of :mod:`avsep_sb.synth.look`; 96 ROI units are 96 pixels of the
region of interest (ROI), before framing.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass

import cv2
import numpy as np

from avsep_sb.synth.look import JAW_LEVELS, paint_head

FPS = 25
ROI_SIZE = 96
_HALF = 68.0  # ROI units painted each side, so that framing stays inside
_SCALE = 1.75  # pixels per ROI unit while drawing
_GREY = np.array([0.114, 0.587, 0.299])  # weights of blue, green, red
_X = np.linspace(-1, 1, 25)
_ARCH = 1 - _X**2
_SHIFT = 4  # fractional bits of polygon corners


def _lips(look, state):
    """Returns the shapes of the mouth in one state, in ROI units.

    A dictionary of curves [25] (half width ``hw``, outer and inner contours
    of the upper and lower lip, corner lift), and the ``gap``.
    """
    opening, width, rounding, _, _, tuck, press = state
    gap = max(0.0, look.jaw * opening * (1 - press) * (1 - 0.2 * rounding))
    hw = look.width * (
        1 + 0.17 * width - 0.42 * rounding - 0.06 * max(opening, 0)
    )
    thick_up = look.upper * (1 - 0.55 * press + 0.3 * rounding)
    thick_lo = look.lower * (1 - 0.5 * press + 0.35 * rounding)
    thick_lo *= 1 - 0.6 * tuck
    inner = np.clip(1 - np.abs(_X / 0.95) ** (2.4 - 0.8 * rounding), 0, None)
    up = look.rest - 0.25 * gap * inner
    lo = look.rest + 0.75 * gap * inner
    # A tucked lower lip rises to the upper teeth (f, v).
    lo = lo * (1 - 0.75 * tuck) + look.rest * 0.75 * tuck
    cupid = look.bow * np.exp(-((_X / 0.16) ** 2))
    cupid = cupid * (1 - press) * (1 - 0.5 * rounding)
    return {
        "hw": hw,
        "gap": gap,
        "up": up,
        "lo": lo,
        "top": up - thick_up * _ARCH**0.6 + cupid,
        "bottom": lo + thick_lo * _ARCH**0.55,
        "thick": thick_lo,
        "corner": look.asymmetry * _X - 1.8 * width * _X**2,
    }


def draw_mouth(image, look, state, left, top, scale):
    """Draws the mouth onto a painted head, in place.

    Arguments
    ---------
    image : numpy.ndarray
        uint8 [H, W] (grey) or [H, W, 3] (blue-green-red).
    look : Look
        The speaker.
    state : numpy.ndarray
        The seven mouth parameters, see ``visemes.PARAMETERS``.
    left, top : float
        Corner of the image, ROI units.
    scale : float
        Pixels per ROI unit.

    Example
    -------
    >>> from avsep_sb.synth.look import draw_look
    >>> image = np.full((96, 96), 128, np.uint8)
    >>> draw_mouth(image, draw_look(0), np.eye(7)[0], -48, -48, 1)
    >>> bool(image.min() < 60)
    True
    """
    s = _lips(look, state)
    _, _, _, teeth, tongue, _, _ = state
    hw, gap, up, lo = s["hw"], s["gap"], s["up"], s["lo"]
    grey = image.ndim == 2

    def points(x, y):
        at = np.empty((len(x), 2))
        at[:, 0] = (x * hw - left) * scale - 0.5
        at[:, 1] = (y + np.interp(x, _X, s["corner"]) - top) * scale - 0.5
        return np.round(at * (1 << _SHIFT)).astype(np.int32)

    def fill(x, y_top, y_bottom, colour):
        outline = np.vstack([points(x, y_top), points(x, y_bottom)[::-1]])
        colour = float(colour @ _GREY) if grey else tuple(map(float, colour))
        cv2.fillPoly(image, [outline], colour, cv2.LINE_AA, _SHIFT)

    if gap > 0.4:
        # Back to front; every shape stays between the inner lip contours.
        fill(_X, up - 0.5, lo + 0.5, np.array([24.0, 20, 36]))
        if tongue > 0.05:
            x = _X * 0.62
            a, b = np.interp(x, _X, up), np.interp(x, _X, lo)
            crown = b - (b - a) * (0.25 + 0.6 * tongue) * _ARCH**0.5
            fill(x, crown, b + 0.5, look.lip * [0.8, 0.72, 0.9])
        ivory = look.teeth * np.array([0.86, 0.94, 1.0])
        if teeth > 0.05:
            x = _X * 0.8
            a, b = np.interp(x, _X, up), np.interp(x, _X, lo)
            edge = np.minimum(a + min(0.6 * gap, 4.6) * teeth, b)
            fill(x, a - 0.5, edge, ivory)
            if gap > 9:
                x = _X * 0.6
                b = np.interp(x, _X, lo)
                fill(x, b - 1.7 * teeth, b + 0.5, ivory * 0.75)
    fill(_X, s["top"], up, look.lip * 0.86)
    fill(_X, lo, s["bottom"], look.lip * 1.04)
    x = _X * 0.6
    ridge = np.interp(x, _X, lo) + s["thick"] * 0.3
    shine = 0.22 * s["thick"] * _ARCH
    fill(x, ridge, ridge + shine, np.minimum(look.lip * 1.25 + 8, 245))
    if gap <= 0.4:
        fill(_X, up - 0.35, lo + 0.35, look.lip * 0.42)


@dataclass(frozen=True)
class Framing:
    """How one utterance is cropped and filmed.

    ``dx``, ``dy`` (pixels), ``angle`` (degrees) and ``scale`` are [Tv] each:
    a constant error of the crop plus a slow sway; ``contrast``,
    ``brightness`` (grey levels), ``blur`` and ``noise`` (sigma in pixels and
    grey levels) are constants.
    """

    dx: np.ndarray
    dy: np.ndarray
    angle: np.ndarray
    scale: np.ndarray
    contrast: float
    brightness: float
    blur: float
    noise: float


def slow_sway(rng, frames, amount):
    """Draws a slow movement.

    Arguments
    ---------
    rng : numpy.random.Generator
        The source of chance.
    frames : int
        Length at 25 fps.
    amount : float
        Typical size.

    Returns
    -------
    numpy.ndarray
        [frames].

    Example
    -------
    >>> slow_sway(np.random.default_rng(0), 50, 1.0).shape
    (50,)
    """
    t = np.arange(frames) / FPS
    total = np.zeros(frames)
    for _ in range(3):
        size, speed = rng.normal(), rng.uniform(0.1, 0.9)
        phase = rng.uniform(0, 2 * np.pi)
        total += size * np.sin(2 * np.pi * speed * t + phase)
    return amount * np.clip(total / 1.7, -2.5, 2.5)


def draw_framing(rng, frames):
    """Draws the framing of one utterance, as imperfect as real crops are.

    Arguments
    ---------
    rng : numpy.random.Generator
        The source of chance.
    frames : int
        Length at 25 fps.

    Returns
    -------
    Framing
        Shift up to 4 pixels, scale 0.88 to 1.12, rotation up to 5 degrees,
        plus a slow sway.

    Example
    -------
    >>> draw_framing(np.random.default_rng(0), 50).scale.shape
    (50,)
    """
    u = rng.uniform
    sway = u(0.1, 0.8)
    return Framing(
        dx=u(-4, 4) + slow_sway(rng, frames, sway),
        dy=u(-4, 4) + slow_sway(rng, frames, sway),
        angle=u(-5, 5) + slow_sway(rng, frames, sway),
        scale=u(0.88, 1.12) + slow_sway(rng, frames, 0.01 * sway),
        contrast=u(0.75, 1.2),
        brightness=u(-22, 22),
        blur=u(0.3, 1.1),
        noise=u(0.5, 4.0),
    )


class MouthRenderer:
    """Renders mouth ROIs of one speaker.

    Arguments
    ---------
    look : Look
        The speaker; the head is painted when the renderer is made.

    Example
    -------
    >>> from avsep_sb.synth.look import draw_look
    >>> renderer = MouthRenderer(draw_look(0))
    >>> rng = np.random.default_rng(0)
    >>> renderer.render(np.zeros((2, 7)), rng).shape
    (2, 96, 96)
    """

    def __init__(self, look):
        self.look = look
        self.bases = [
            cv2.cvtColor(
                paint_head(look, level, -_HALF, -_HALF, 2 * _HALF, _SCALE),
                cv2.COLOR_BGR2GRAY,
            )
            for level in JAW_LEVELS
        ]

    def render(self, tracks, rng, framing=None):
        """Renders the frames of one utterance.

        Arguments
        ---------
        tracks : numpy.ndarray
            Mouth parameters, [Tv, 7].
        rng : numpy.random.Generator
            Source of framing and noise.
        framing : Framing
            Drawn from ``rng`` when None.

        Returns
        -------
        numpy.ndarray
            uint8 [Tv, 96, 96].
        """
        frames = len(tracks)
        if framing is None:
            framing = draw_framing(rng, frames)
        out = np.empty((frames, ROI_SIZE, ROI_SIZE), np.uint8)
        centre = _HALF * _SCALE - 0.5
        for i, state in enumerate(tracks):
            image = blend_bases(self.bases, state[0])
            draw_mouth(image, self.look, state, -_HALF, -_HALF, _SCALE)
            zoom = framing.scale[i] / _SCALE
            warp = cv2.getRotationMatrix2D(
                (centre, centre), framing.angle[i], zoom
            )
            middle = (ROI_SIZE - 1) / 2 - centre
            warp[:, 2] += (middle + framing.dx[i], middle + framing.dy[i])
            sigma = np.hypot(framing.blur * _SCALE, 0.5)
            image = cv2.GaussianBlur(image, (0, 0), sigma)
            crop = cv2.warpAffine(
                image,
                warp,
                (ROI_SIZE, ROI_SIZE),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            grain = rng.standard_normal(crop.shape, np.float32)
            grain *= framing.noise
            grain += 128 + framing.brightness
            grain += framing.contrast * (crop.astype(np.float32) - 128)
            out[i] = np.clip(grain, 0, 255, out=grain)
        return out


def blend_bases(bases, opening):
    """Mixes the two painted heads nearest to an opening.

    Arguments
    ---------
    bases : list
        Pictures at ``look.JAW_LEVELS``.
    opening : float
        Opening of the mouth.

    Returns
    -------
    numpy.ndarray
        A new picture.

    Example
    -------
    >>> dark, light = np.uint8([[0]]), np.uint8([[100]])
    >>> int(blend_bases([dark] * 4 + [light] * 4, 0.65)[0, 0])
    50
    """
    step = JAW_LEVELS[1] - JAW_LEVELS[0]
    place = float(np.clip(opening / step, 0, len(bases) - 1.001))
    k = int(place)
    share = place - k
    return cv2.addWeighted(bases[k], 1 - share, bases[k + 1], share, 0)
