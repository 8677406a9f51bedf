"""Crops of the mouth keep still on the head, and keep up with it.

Proves that speech does not move the crop up and down, on drawn points and on
real clips, where the head's own movement is measured by optical flow on brow,
nose and cheeks; and that a head that moves, turns or nods is followed at once.
"""

import cv2
import numpy as np
import pytest

from avsep_sb.vision.decode import read_frames
from avsep_sb.vision.faces import find_faces
from avsep_sb.vision.mouth import MEAN_FACE, mouth_transforms
from avsep_sb.vision.smoothing import follow, smooth
from avsep_sb.vision.tracks import build_tracks

#: depth of eyes, nose and mouth before an axis in the neck, in pixels
DEPTH = np.array([40, 40, 66, 49, 49.0])
TIMES = np.arange(150) / 25


def places(transforms, points):
    """Where a point of each frame comes to lie in the ROI."""
    turned = (transforms[:, :, :2] @ points[:, :, None])[..., 0]
    return turned + transforms[:, :, 2]


def rms(away):
    return float(np.sqrt((away**2).sum(1).mean()))


def test_words_do_not_move_the_crop():
    rng = np.random.default_rng(0)
    jaw = smooth(rng.normal(0, 1, len(TIMES)), 9)
    points = MEAN_FACE[None] + rng.normal(0, 0.4, (len(TIMES), 5, 2))
    points[:, 3:, 1] += (3 * jaw / jaw.std())[:, None]
    mouth = np.repeat(MEAN_FACE[None, 3:].mean(1), len(TIMES), 0)
    place = places(mouth_transforms(points), mouth)
    assert rms(place - place.mean(0)) <= 0.7
    # With a short window, as for the place, the crop goes with the jaw.
    place = places(mouth_transforms(points, (13, 9, 9)), mouth)
    assert rms(place - place.mean(0)) > 1.5


def turned(yaw=0.0, pitch=0.0, right=0.0):
    """Points of a head that turns about its neck."""
    yaw, pitch, right = np.broadcast_arrays(yaw, pitch, right, TIMES)[:3]
    middle = MEAN_FACE.mean(0)
    x, y = (MEAN_FACE - middle).T
    turned_x = x * np.cos(yaw)[:, None] + DEPTH * np.sin(yaw)[:, None]
    depth = DEPTH * np.cos(yaw)[:, None] - x * np.sin(yaw)[:, None]
    nodded = y * np.cos(pitch)[:, None] + depth * np.sin(pitch)[:, None]
    return np.stack([turned_x + right[:, None], nodded], -1) + middle


@pytest.mark.parametrize(
    "movement, most",
    [
        ({"right": 20 * np.sin(2 * np.pi * TIMES)}, 0.2),
        ({"right": 80 * np.clip(TIMES - 3, 0, 1)}, 0.8),
        ({"yaw": np.radians(25) * np.sin(np.pi * TIMES)}, 0.6),
        ({"yaw": np.radians(40) * np.clip((TIMES - 3) / 0.4, 0, 1)}, 1.0),
        ({"pitch": np.radians(10) * np.sin(2 * np.pi * TIMES)}, 1.5),
    ],
)
def test_a_head_that_moves_is_followed(movement, most):
    points = turned(**movement)
    mouth = points[:, 3:].mean(1)
    away = (places(mouth_transforms(points), mouth) - 47.5)[10:-10]
    assert rms(away) <= most
    # Behind by one frame it would be off by as much as the head moves in it.
    ((_, step),) = [max(movement.items())]
    speed = np.gradient(step)[10:-10]
    late = [np.dot(axis, speed) / np.dot(speed, speed) for axis in away.T]
    one_frame = np.ptp(mouth, 0).max() / np.ptp(step)
    assert np.abs(late).max() <= 0.25 * one_frame


def test_a_parabola_is_kept_and_a_line_up_to_the_ends():
    values = np.stack([3 * TIMES + 1, TIMES**2], 1)
    kept = follow(values, 9)
    assert kept[:, 0] == pytest.approx(values[:, 0])
    assert kept[4:-4, 1] == pytest.approx(values[4:-4, 1])
    for length in range(1, 12):
        assert follow(values[:length], 9)[:, 0] == pytest.approx(
            values[:length, 0]
        )


def head_movement(frames, points):
    """Similarity of each frame, [T, 2, 3], from the first: optical flow."""
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    eyes, side = points[:2].mean(0), (points[1] - points[0]).astype(float)
    up = np.array([side[1], -side[0]])
    # Brow, nose and cheeks: neither lids nor mouth.
    mask = np.zeros_like(greys[0])
    for x0, x1, y0, y1 in (
        (-0.9, 0.9, 0.3, 0.9),
        (-0.35, 0.35, -0.6, 0.3),
        (-0.8, 0.8, -0.6, -0.25),
    ):
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        area = [eyes + a * side + b * up for a, b in corners]
        cv2.fillConvexPoly(mask, np.int32(area), 255)
    strength = cv2.cornerMinEigenVal(greys[0], 7) * (mask > 0)
    y, x = np.mgrid[4 : mask.shape[0] - 4 : 4, 4 : mask.shape[1] - 4 : 4]
    best = np.argsort(-strength[y, x].ravel())[:80]
    spots = np.stack([x.ravel()[best], y.ravel()[best]], 1).astype(np.float32)
    moves, now = [np.eye(2, 3)], spots[:, None]
    for before, grey in zip(greys, greys[1:], strict=False):
        near, _, _ = cv2.calcOpticalFlowPyrLK(
            before, grey, now, None, winSize=(15, 15), maxLevel=2
        )
        # Against the first frame, so that errors do not add up.
        exact, _, _ = cv2.calcOpticalFlowPyrLK(
            greys[0],
            grey,
            spots[:, None],
            near.copy(),
            winSize=(21, 21),
            maxLevel=0,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        move, _ = cv2.estimateAffinePartial2D(
            spots, exact[:, 0], ransacReprojThreshold=1.5
        )
        moves.append(move)
        now = (spots @ move[:, :2].T + move[:, 2])[:, None].astype(np.float32)
    return np.stack(moves)


@pytest.mark.parametrize("clip", ["brbk7n", "s1_lriyzn", "id2_vcd_swwp2s"])
def test_mouths_of_real_still_heads_are_still(shared, clip):
    frames = list(read_frames(shared / "media" / "grid" / f"{clip}.mpg"))
    (track,) = build_tracks(find_faces(frames), 1)
    moves = head_movement(frames, track.points[0])
    lips = track.points[:5, 3:].mean((0, 1))
    lips = moves[:, :, :2] @ lips + moves[:, :, 2]
    assert rms(lips - lips.mean(0)) < 1.3, "the head is still"
    place = places(mouth_transforms(track.points), lips)
    assert rms(place - place.mean(0)) <= 1.0
