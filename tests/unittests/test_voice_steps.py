"""What is done to voices between the model and the joints.

Proves that a gate closes on leaks and cuts no speech, that outputs are dealt
to the voices that they continue, that levels are restored by one gain, and
that faces of a watched video are read as those in memory.
"""

import numpy as np

from avsep_sb.inference.assign import assign, likeness
from avsep_sb.inference.levels import LevelMatch
from avsep_sb.inference.silence_gate import silence_gains
from avsep_sb.inference.stays import ArrayFaces, bridged, look
from avsep_sb.vision.roi_store import RoiStore
from avsep_sb.vision.timeline import FaceTimeline, Person, Span


def test_silence_gate_holds_soft_ends():
    rng = np.random.default_rng(0)
    mixture = rng.standard_normal(32000)
    for close_db, wanted in ((-20.0, 0.0), (-40.0, 1.0)):
        gains = silence_gains(0.05 * mixture, mixture, 16000, close_db)
        assert (gains == wanted).all()
    burst = np.where(abs(np.arange(32000) - 16000) < 1600, mixture, 0.0)
    gains = silence_gains(burst, mixture, 16000)
    assert (gains[13600:18400] == 1).all(), "the burst was cut"
    assert not gains[:8000].any() and not gains[24000:].any()
    assert np.abs(np.diff(gains)).max() < 0.01, "it clicks"
    assert not silence_gains(0 * mixture, 0 * mixture, 16000).any()


def test_likeness_and_assignment():
    rng = np.random.default_rng(0)
    voices = rng.standard_normal((1000, 3))
    scores = [likeness(v, voices[:, [2, 0, 1]]) for v in voices.T]
    assert assign(scores) == [1, 2, 0]
    assert not likeness(np.zeros(1000), voices).any()
    assert likeness(-voices[:, 0], voices)[0] == 0


def test_level_is_one_gain_from_all_windows_so_far():
    rng = np.random.default_rng(0)
    voices = rng.standard_normal((2000, 2)).astype(np.float32) * [1.0, 0.01]
    mixture = voices.sum(1)
    match = LevelMatch()
    for _ in range(2):
        out = match(6 * voices, mixture)
        assert np.allclose(out, voices, rtol=1e-4)
    # A window of leaks alone is not turned up.
    faint = 6 * 0.001 * voices
    assert np.abs(match(faint, mixture)).max() < 0.01
    nothing = np.zeros((5, 2))
    assert LevelMatch()(nothing, np.ones(5)) is nothing


def test_watched_faces_are_read_as_those_in_memory():
    rng = np.random.default_rng(0)
    mouths = rng.integers(1, 256, (1, 40, 96, 96), np.uint8)
    codes = rng.integers(0, 5, 40).astype(np.uint8)
    stays = [(3, 17), (25, 40)]
    known = ArrayFaces(mouths, codes[None], stays=[stays])
    with RoiStore() as store:
        spans = []
        for start, stop in stays:
            first = store.append(mouths[0, start:stop])
            slots = np.arange(first, first + stop - start)
            slots[codes[start:stop] == 0] = -1
            boxes, points = (
                np.zeros((len(slots), 4)),
                np.zeros((len(slots), 5, 2)),
            )
            spans.append(
                Span(start, stop, boxes, points, codes[start:stop], slots)
            )
        faces = FaceTimeline(25, 40, (64, 48), [0], [Person(spans)], store)
        for most in (0, 8):
            own = bridged(faces.people[0].spans, most)
            assert own == bridged(known.people[0].spans, most)
            for start, stop in ((0, 40), (0, 10), (15, 30), (30, 50)):
                a = look(faces, 0, own, start, stop, held_frames=3)
                b = look(known, 0, own, start, stop, held_frames=3)
                assert np.array_equal(a.rois, b.rois)
                assert np.array_equal(a.mask, b.mask) and a.usable == b.usable
