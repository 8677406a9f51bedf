"""Lips that lie: overruled by the ear, corrected, or counted as missing.

Proves that voices of lips are replaced just where they explain nothing, that
lips out of step are put right, that frozen and covered mouths are marked, and
that one voice without a face is what the others leave.
"""

import numpy as np
import pytest
import torch

from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.stays import ArrayFaces, Stay, look
from avsep_sb.vision.quality import Quality
from tests.utils.fake_models import (
    FRAME,
    FakeFaceModel,
    FakeSoundModel,
    bands,
    mouths,
    moving,
    run,
    tones,
)


class Misled(FakeFaceModel):
    """Gives both faces the whole mixture where pixels are odd."""

    def separate_batch(self, mix, lips, lips_mask=None, consistent=None):
        voices = super().separate_batch(mix, lips)
        odd = lips[0].float().mean((0, 2, 3)) > 240
        odd = odd.repeat_interleave(FRAME)[: mix.shape[1], None]
        return torch.where(odd, mix[0, :, None] / 2, voices[0])[None]


def test_lips_that_lie_are_overruled():
    """Where lips explain nothing the ear is believed, elsewhere the lips."""
    rois = moving(mouths(100))
    rois[:, 60:80] = moving(mouths(20)) // 100 + 250
    voices_in = tones(100)
    errors = []
    for believed in (False, True):
        over_time = OverTime(
            Misled(),
            ArrayFaces(rois),
            FakeSoundModel(),
            second_opinion=believed,
            doubt_seen=True,
        )
        voices, _, _ = run(over_time, voices_in.sum(1))
        errors.append(np.square(voices - voices_in)[FRAME * 64 : FRAME * 76])
        assert over_time.notes[0].rungs[0].value == "lips"
    assert errors[0].mean() > 0.2 and errors[1].mean() < 0.01


class Timed(FakeFaceModel):
    """Right where the first frame is a multiple of 40 grey levels."""

    def separate_batch(self, mix, lips, lips_mask=None, consistent=None):
        right = bands(mix[0].numpy())
        if int(lips[0, 0, 8, 0, 0]) % 40 != 8:
            right = [mix[0].numpy() / 2] * 2
        return torch.from_numpy(np.stack(right, 1))[None]


@pytest.mark.parametrize("late, found", [(0, 0), (5, 5), (-5, -5), (9, 0)])
def test_lips_out_of_step_are_corrected(late, found):
    frames = (np.arange(100) - late) % 240
    rois = np.tile(frames.astype(np.uint8)[None, :, None, None], (2, 1, 8, 8))
    over_time = OverTime(
        Timed(), ArrayFaces(rois), FakeSoundModel(), doubt_seen=True
    )
    voices, _, _ = run(over_time, tones(100).sum(1))
    assert over_time.ladder.late == found
    assert (np.square(voices - tones(100)).mean() < 0.01) == (late < 9)


def test_frozen_and_covered_mouths_count_as_missing():
    rng = np.random.default_rng(0)
    rois = rng.integers(0, 256, (1, 60, 96, 96), np.uint8)
    rois[0, 10:30] = rois[0, 10]
    rois[0, 40:50, 20:80, 10:90] = 90
    rois[0, 55, 20:80, 10:90] = 90  # too short to tell
    stays = [Stay(0, 60)]
    face = look(ArrayFaces(rois), 0, stays, 0, 60, 3, check=True)
    gone = set(range(11, 30)) | set(range(40, 50))
    assert set(np.flatnonzero(~face.mask).tolist()) == gone
    assert face.usable == pytest.approx(31 / 60)
    assert look(ArrayFaces(rois), 0, stays, 0, 60, 3).mask.all()


def test_one_voice_left_is_the_rest():
    """An unseen voice gains from what the seen one leaves of the mixture."""

    class Dull(FakeSoundModel):
        def separate_batch(self, mix):
            voices = super().separate_batch(mix)
            return voices + 0.2 * voices.flip(2)

    codes = np.full((2, 50), Quality.FOUND)
    codes[1] = Quality.MISSING
    faces = ArrayFaces(moving(mouths(50)), codes)
    over_time = OverTime(FakeFaceModel(), faces, Dull())
    voices, _, residual = run(over_time, tones(50).sum(1))
    assert [r.value for r in over_time.notes[0].rungs] == ["lips", "audio"]
    leak = voices[:, 1] @ tones(50)[:, 0] / (voices[:, 1] @ tones(50)[:, 1])
    assert abs(leak) < 0.15
