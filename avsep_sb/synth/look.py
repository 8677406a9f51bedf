"""The appearance of a synthetic speaker, and the painting of its head.

Lengths are in ROI units: 96 units are the width of a mouth region of
interest, the origin is the middle of the mouth, y points down, and the eyes
are 56 units apart, as in a face aligned to the mean face. The head without
lips and eyes changes only with the jaw, so it is painted once per speaker.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass

import cv2
import numpy as np

JAW_LEVELS = np.linspace(0, 1.3, 8)
HEAD_CENTRE = -40.0


@dataclass(frozen=True)
class Look:
    """Everything about one speaker that is seen.

    Colours are blue-green-red arrays of 0..255, lengths ROI units, the
    amounts of beard, moustache and fold 0..1; ``jaw`` is how far the mouth
    opens at opening 1, ``gain`` and ``sharpness`` are habits of
    articulation, and ``seed`` fixes skin texture and stubble.
    """

    seed: int
    skin: np.ndarray
    lip: np.ndarray
    hair: np.ndarray
    cloth: np.ndarray
    back: np.ndarray
    eye: np.ndarray
    width: float
    upper: float
    lower: float
    bow: float
    asymmetry: float
    rest: float
    jaw: float
    gain: float
    sharpness: float
    teeth: float
    beard: float
    moustache: float
    fold: float
    light: float
    texture: float
    head_width: float
    head_height: float
    nose: float
    brow: float
    fringe: float


def draw_look(seed):
    """Draws an appearance.

    Arguments
    ---------
    seed : int
        The same seed gives the same person.

    Returns
    -------
    Look
        The appearance.

    Example
    -------
    >>> bool(draw_look(1).width != draw_look(2).width)
    True
    """
    rng = np.random.default_rng([77, seed])
    u = rng.uniform
    skin = u(85, 220) * np.array([u(0.58, 0.76), u(0.70, 0.84), 1.0])
    hairs = ([20, 22, 28], [30, 45, 75], [45, 80, 140], [90, 150, 190])
    hair = np.array(hairs[rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])], float)
    if u() < 0.15:
        hair = np.full(3, u(120, 190))
    return Look(
        seed=seed,
        skin=skin,
        lip=skin * np.array([u(0.6, 0.86), u(0.52, 0.78), u(0.78, 0.98)]),
        hair=hair * u(0.8, 1.2),
        cloth=np.array([u(30, 200), u(30, 200), u(30, 200)]),
        back=u(40, 190) * np.array([u(0.8, 1.1), u(0.9, 1.05), 1.0]),
        eye=np.array([u(20, 130), u(30, 100), u(20, 70)]),
        width=u(20, 29),
        upper=u(3.8, 7.5),
        lower=u(5.5, 10.5),
        bow=u(0.5, 2.2),
        asymmetry=u(-1.2, 1.2),
        rest=u(-0.4, 0.4),
        jaw=u(17, 25),
        gain=u(0.8, 1.2),
        sharpness=u(0.85, 1.25),
        teeth=u(165, 235),
        beard=max(0.0, u(-0.8, 0.8)),
        moustache=max(0.0, u(-1.0, 0.9)),
        fold=u(0.05, 0.35),
        light=u(-1, 1),
        texture=u(3, 10),
        head_width=u(62, 73),
        head_height=u(88, 99),
        nose=u(0.8, 1.25),
        brow=u(1.5, 3.2),
        fringe=u(0, 1),
    )


def _bump(x, y, x0, y0, sx, sy):
    """A Gaussian spot, as a cheap shade or highlight."""
    return np.exp(-(((x - x0) / sx) ** 2) - ((y - y0) / sy) ** 2)


def _inside(x, y, x0, y0, rx, ry, edge=0.03):
    """Soft mask of an ellipse."""
    r = np.sqrt(((x - x0) / rx) ** 2 + ((y - y0) / ry) ** 2)
    return np.clip((1 - r) / edge + 0.5, 0, 1)


def _skin_shade(look, x, y, jaw):
    """Returns the light on the face, 1 = plain skin."""
    ax = np.abs(x)
    shade = 1 + 0.0024 * look.light * x - 0.0012 * np.maximum(y, 0)
    rim = (x / look.head_width) ** 2
    rim = rim + ((y - HEAD_CENTRE) / look.head_height) ** 2
    shade -= 0.26 * np.clip(rim - 0.3, 0, 1)
    n = look.nose
    shade -= 0.38 * _bump(ax, y, 6.5 * n, -27, 3.6 * n, 2.6)  # nostrils
    shade -= 0.10 * _bump(x, y, 0, -23.5, 11 * n, 3.5)
    shade += 0.13 * _bump(x, y, 0, -44, 4.5 * n, 17)  # bridge of the nose
    shade -= 0.15 * _bump(ax, y, 10 * n, -44, 4, 18)
    shade -= 0.05 * _bump(x, y, 0, -15, 2.5, 6)  # philtrum
    shade -= 0.28 * _bump(ax, y, 28, -67, 16, 10)  # sockets
    shade += 0.06 * _bump(ax, y, 34, -32, 15, 13)  # cheeks
    shade -= 0.14 * _bump(x, y, 0, 15 + 0.85 * jaw, 15, 3.2)  # chin
    shade += 0.07 * _bump(x, y, 0, 27 + 0.8 * jaw, 17, 9)
    fold = 29 + 0.35 * (y + 20) + 0.012 * (y + 20) ** 2
    line = np.exp(-(((ax - fold) / 2.2) ** 2) - ((y + 12) / 15) ** 4)
    return shade - look.fold * 0.35 * line


def paint_head(look, opening, left, top, size, scale):
    """Paints a square of the picture, without lips and eyes.

    Arguments
    ---------
    look : Look
        The speaker.
    opening : float
        Opening of the mouth, 0..1.3; lowers jaw and chin.
    left, top : float
        Corner of the square, ROI units.
    size : float
        Side of the square, ROI units.
    scale : float
        Pixels per ROI unit.

    Returns
    -------
    numpy.ndarray
        uint8 [size * scale, size * scale, 3], blue-green-red.

    Example
    -------
    >>> paint_head(draw_look(0), 0.0, -48, -48, 96, 1).shape
    (96, 96, 3)
    """
    pixels = round(size * scale)
    axis = (np.arange(pixels, dtype=np.float32) + 0.5) / scale
    x, y = (axis + left)[None], (axis + top)[:, None]
    jaw = opening * look.jaw
    rng = np.random.default_rng([78, look.seed])
    # Texture is drawn for the whole head, so that a cut shows the same skin.
    grain = rng.normal(0, 1, (300, 300)).astype(np.float32)
    stubble = np.clip(rng.normal(0, 1, (300, 300)), -1, 1)
    fine = cv2.GaussianBlur(grain, (0, 0), 1.2) * 2.4 * look.texture
    cut = np.float32([[scale, 0, 0], [0, scale, 0]])
    cut[:, 2] = [-(left + 150) * scale, -(top + 190) * scale]

    def lay(values):
        values = values.astype(np.float32)
        return cv2.warpAffine(values, cut, (pixels, pixels))

    flat = np.zeros((pixels, pixels), np.float32)
    picture = look.back * (1 - 0.0012 * (y - HEAD_CENTRE) + flat)[..., None]

    def put(mask, colour):
        nonlocal picture
        mask = (mask + flat)[..., None]
        picture = picture * (1 - mask) + colour * mask

    w, h, c = look.head_width, look.head_height, HEAD_CENTRE
    put(_inside(x, y, 0, c - 13, w + 9, h + 11), look.hair)
    neck = np.clip(34 - np.abs(x), 0, 1) * np.clip(y - 20, 0, 1)
    put(neck, look.skin * 0.72)
    put(_inside(x, y, 0, 88, 102, 34), look.cloth)
    for side in (-1, 1):
        put(_inside(x, y, side * w, c - 2, 7, 16, 0.15), look.skin * 0.8)
    shade = _skin_shade(look, x, y, jaw)
    drop = np.where(y > c, 0.4 * jaw, 0.0)
    face = _inside(x, y, 0, c, w, h + drop)
    put(face, look.skin * shade[..., None])
    picture += (lay(fine) * face)[..., None]
    rough = 0.6 + 0.4 * lay(stubble)
    if look.beard:
        area = np.clip((y - 11) / 9, 0, 1) + np.clip(
            (np.abs(x) - 36) / 8, 0, 1
        ) * np.clip((y + 30) / 8, 0, 1)
        put(look.beard * np.clip(area, 0, 1) * face * rough, look.hair)
    if look.moustache:
        area = np.exp(-(((y + 13 - 0.012 * x**2) / 4.5) ** 2))
        area = area * np.clip((30 - np.abs(x)) / 8, 0, 1)
        put(look.moustache * area * rough, look.hair)
    put(_inside(x, y, 0, c - h + 4, w - 4, 14 + 14 * look.fringe), look.hair)
    return np.clip(picture, 0, 255).astype(np.uint8)
