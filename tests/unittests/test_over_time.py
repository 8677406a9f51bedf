"""Separation over time: whole, in place, in little memory, on every rung.

Proves that one window is one pass and many windows equal ``stitch``; that
voices, residual and mixture add up and last as long as the input; that who is
not to be seen is exactly silent, fading at the ends of a stay; that missing
lips reach the model as in training; that voices without lips or faces keep
their owner from window to window; and that memory does not grow.
"""

import tracemalloc

import numpy as np
import pytest
import torch

from avsep_sb.dataio.lips import GREY, hold_missing
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.inference.stitching import stitch
from avsep_sb.vision.quality import Quality
from tests.utils.fake_models import (
    FRAME,
    FakeFaceModel,
    FakeSoundModel,
    mouths,
    moving,
    run,
    tones,
)
from tests.utils.toy_model import toy_batch, write_model


def speech(frames, surplus=0):
    rng = np.random.default_rng(frames)
    return 0.1 * rng.standard_normal(frames * FRAME + surplus).astype("f4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("av") / "model")
    return AVSeparation.from_hparams(folder, run_opts={"device": "cpu"})


@pytest.fixture(scope="module")
def audio_model(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("a") / "model", True)
    return AVSeparation.from_hparams(str(folder), run_opts={"device": "cpu"})


def test_one_window_is_one_pass(model):
    mix, lips = toy_batch(frames=20, batch=1)
    voices, _, _ = run(
        OverTime(model, ArrayFaces(lips[0]), match_level=False),
        mix[0].numpy(),
    )
    assert np.array_equal(voices, model.separate_batch(mix, lips)[0].numpy())


def test_windows_equal_stitch(model):
    mix, lips = toy_batch(frames=37, batch=1)
    over_time = OverTime(
        model,
        ArrayFaces(lips[0]),
        window_seconds=0.4,
        overlap=0.3,
        match_level=False,
    )
    voices, mixture, residual = run(over_time, mix[0].numpy())
    wanted = stitch(model.separate_batch, mix, lips, 10, 7)[0].numpy()
    assert np.allclose(voices, wanted, atol=1e-6)
    assert np.array_equal(mixture, mix[0].numpy())
    assert np.allclose(voices.sum(1) + residual, mixture, rtol=0, atol=1e-7)
    assert len(over_time.notes) == 5
    with pytest.raises(ConfigError, match="make another"):
        run(over_time, mix[0].numpy())


@pytest.mark.parametrize("frames, surplus", [(30, 77), (42, 0), (20, -13)])
def test_as_long_as_sound_and_video(frames, surplus):
    """Sound that goes on is kept, sound that ends early gets silence."""
    mix = speech(frames, surplus)
    over_time = OverTime(
        FakeFaceModel(), ArrayFaces(mouths(30)), window_seconds=0.4
    )
    voices, mixture, residual = run(over_time, mix)
    total = max(len(mix), 30 * FRAME)
    assert len(voices) == len(mixture) == len(residual) == total
    assert np.array_equal(mixture[: len(mix)], mix)
    assert not mixture[len(mix) :].any()
    if frames > 36:  # nobody is to be seen any more
        assert not voices[36 * FRAME :].any()
        assert np.array_equal(residual[36 * FRAME :], mix[36 * FRAME :])


def test_absent_people_are_exactly_silent():
    voices_in, frames = tones(200), 200
    stays = [[(0, 60), (150, 200)], [(100, 200)]]
    over_time = OverTime(
        FakeFaceModel(),
        ArrayFaces(mouths(frames), stays=stays),
        window_seconds=1.0,
        fade_frames=5,
    )
    voices, mixture, residual = run(over_time, voices_in.sum(1))
    assert not voices[65 * FRAME : 145 * FRAME, 0].any()
    assert not voices[: 95 * FRAME, 1].any()
    assert voices[97 * FRAME : 98 * FRAME, 1].any(), "no fade"
    jump = np.abs(np.diff(voices[:, 0])).max()
    assert jump <= np.abs(np.diff(voices_in[:, 0])).max() * 1.05
    # Each is who he was, after coming back as well; offset 0.
    inner = slice(155 * FRAME, 200 * FRAME)
    assert np.allclose(voices[inner], voices_in[inner], atol=0.05)
    assert np.allclose(residual, mixture - voices.sum(1), atol=1e-6)
    names = [tuple(r.value for r in note.rungs) for note in over_time.notes]
    assert names[0] == ("lips", "absent") and names[-1] == ("lips", "lips")


def test_short_absence_is_bridged_and_marked():
    fake = FakeFaceModel()
    faces = ArrayFaces(mouths(50, 1), stays=[[(0, 20), (30, 50)]])
    voices, _, _ = run(OverTime(fake, faces), tones(50)[:, 0])
    (lips, mask) = fake.calls[0]
    assert (~mask[0, 0]).nonzero()[:, 0].tolist() == list(range(20, 30))
    assert (lips == 50).all()  # the last frame seen is held
    assert np.abs(voices[20 * FRAME : 30 * FRAME]).max() > 0.9


def test_missing_frames_reach_the_model_as_in_training():
    rng = np.random.default_rng(0)
    rois = rng.integers(0, 256, (1, 40, 8, 8), np.uint8)
    codes = np.ones((1, 40), np.uint8)
    codes[0, 5:7] = Quality.MISSING  # short: held, and counted as seen
    codes[0, 18:26] = Quality.MISSING  # long, and cut by both windows
    fake = FakeFaceModel()
    over_time = OverTime(
        fake, ArrayFaces(rois, codes), window_seconds=0.8, overlap=0.5
    )
    run(over_time, speech(40))
    starts = [note.first // FRAME for note in over_time.notes]
    assert starts == [0, 10, 20]
    for start, (lips, mask) in zip(starts, fake.calls, strict=True):
        window = slice(start, start + 20)
        seen = codes[0, window] != Quality.MISSING
        assert np.array_equal(lips[0, 0], hold_missing(rois[0, window], seen))
        place = np.arange(start, start + 20)
        assert mask[0, 0].tolist() == ((place < 18) | (place >= 26)).tolist()


def test_nothing_seen_and_no_audio_model_is_held():
    fake = FakeFaceModel()
    codes = np.full((2, 20), Quality.FOUND)
    codes[1] = Quality.MISSING
    over_time = OverTime(fake, ArrayFaces(mouths(20), codes))
    run(over_time, speech(20))
    (lips, mask) = fake.calls[0]
    assert (lips[0, 1] == GREY).all() and not mask[0, 1].any()
    assert mask[0, 0].all()
    assert [r.value for r in over_time.notes[0].rungs] == ["lips", "held"]


@pytest.mark.parametrize("code", [Quality.MISSING, Quality.PROFILE])
@pytest.mark.parametrize("both", [False, True])
def test_voice_without_lips_keeps_its_owner(code, both):
    """Bright lips vanish: only sound tells whose the high voice is."""
    frames, codes = 200, np.full((2, 200), Quality.FOUND)
    codes[1 - both :, 60:160] = code
    over_time = OverTime(
        FakeFaceModel(),
        ArrayFaces(moving(mouths(frames)), codes),
        FakeSoundModel(),
        window_seconds=1.2,
        overlap=0.4,
    )
    voices_in = tones(frames)
    voices, _, residual = run(over_time, voices_in.sum(1))
    used = [note.rungs[1].value for note in over_time.notes]
    assert used[0] == "lips" and "held" not in used
    # Turned aside they are still seen, and the sound agrees with them.
    assert ("audio" in used) == (code is Quality.MISSING)
    error = np.square(voices - voices_in).mean(0)
    assert (error < 0.01).all(), "a voice changed its owner"
    assert np.square(residual).mean() < 0.01


def test_more_faces_than_outputs_hold_their_lips():
    codes = np.full((3, 25), Quality.FOUND)
    codes[2] = Quality.PROFILE
    rois = np.concatenate([mouths(25), mouths(25, 1)])
    fake = FakeFaceModel()
    over_time = OverTime(
        fake, ArrayFaces(moving(rois), codes), FakeSoundModel()
    )
    run(over_time, tones(25).sum(1))
    assert [r.value for r in over_time.notes[0].rungs] == (
        ["lips", "lips", "held"]
    )
    assert fake.calls[-1][0].shape[1] == 3


def test_without_a_face_voices_go_on():
    frames = 120
    voices_in = tones(frames)
    faces = ArrayFaces(np.zeros((0, frames, 8, 8), np.uint8))
    over_time = OverTime(
        FakeFaceModel(), faces, FakeSoundModel(), 2, window_seconds=0.8
    )
    voices, _, _ = run(over_time, voices_in.sum(1))
    assert not over_time.by_face and over_time.num_voices == 2
    assert len(over_time.notes) > 3
    assert np.allclose(voices, voices_in, atol=0.1)


def test_real_audio_model_without_faces(audio_model):
    mix = speech(12)
    voices, _, _ = run(OverTime(audio_model, match_level=False), mix)
    wanted = audio_model.separate_batch(torch.from_numpy(mix)[None])[0]
    assert np.array_equal(voices, wanted.numpy())


@pytest.mark.parametrize("gain", [0.1, 0.8, 8.0])
def test_levels_of_the_mixture_are_restored(gain):
    """The gain of one model, and another of the other, are taken out."""

    class LoudFaces(FakeFaceModel):
        def separate_batch(self, *args, **kwargs):
            return gain * super().separate_batch(*args, **kwargs)

    class LoudSound(FakeSoundModel):
        def separate_batch(self, mix):
            return 5 * super().separate_batch(mix)

    voices_in, codes = tones(100), np.full((2, 100), Quality.FOUND)
    codes[1, 50:] = Quality.MISSING
    voices_in[:, 0] *= 0.3
    over_time = OverTime(
        LoudFaces(),
        ArrayFaces(moving(mouths(100)), codes),
        LoudSound(),
        window_seconds=1.0,
    )
    voices, _, residual = run(over_time, voices_in.sum(1))
    assert "audio" in [note.rungs[1].value for note in over_time.notes]
    levels = np.sqrt(np.square(voices[: 40 * FRAME]).mean(0))
    wanted = np.sqrt(np.square(voices_in[: 40 * FRAME]).mean(0))
    left = 0.8 if gain == 0.8 else 1.0  # near enough is left alone
    assert np.allclose(levels / wanted, left, atol=0.05)
    if gain != 0.8:
        assert np.square(residual).mean() < 0.01


def test_faint_voice_becomes_silence():
    """A leak 26 dB down is silenced, speech as loud as others is not."""
    voices_in = tones(100)
    voices_in[: 50 * FRAME, 0] *= 0.05

    def voices_of(silence_db):
        over_time = OverTime(
            FakeFaceModel(),
            ArrayFaces(mouths(100)),
            window_seconds=1.6,
            silence_db=silence_db,
        )
        return run(over_time, voices_in.sum(1))

    plain, _, _ = voices_of(None)
    voices, mixture, residual = voices_of(20)
    assert not voices[3 * FRAME : 42 * FRAME, 0].any()
    assert plain[3 * FRAME : 42 * FRAME, 0].any()
    assert np.array_equal(voices[51 * FRAME :], plain[51 * FRAME :])
    assert np.array_equal(voices[:, 1], plain[:, 1])
    assert np.allclose(voices.sum(1) + residual, mixture, atol=1e-6)


def test_memory_does_not_grow():
    """The most that arrays take, for 20 s and 3 min in blocks of 1 s."""

    class Faces(ArrayFaces):
        longest = 0

        def rois(self, person, start, stop):
            Faces.longest = max(Faces.longest, stop - start)
            return np.zeros((stop - start, 8, 8), np.uint8)

    class Silent(FakeFaceModel):
        def separate_batch(self, mix, lips, lips_mask=None):
            return torch.zeros(1, mix.shape[1], lips.shape[1])

    def peak(seconds):
        faces = Faces(np.zeros((2, 25 * seconds, 1, 1), np.uint8))
        sound = (np.zeros(16000, np.float32) for _ in range(seconds))
        tracemalloc.start()
        total = sum(
            len(block.mixture)
            for block in OverTime(Silent(), faces).separate(sound)
        )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == seconds * 16000
        return most

    peak(5)  # what is loaded once
    short, long = peak(20), peak(180)
    assert long < 1.1 * short and long < 10e6
    assert Faces.longest <= 101


def test_mask_of_the_interface(model):
    mix, lips = toy_batch(frames=6, batch=1)
    mask = torch.ones(1, 2, 6, dtype=torch.bool)
    whole = model.separate_batch(mix, lips)
    assert torch.equal(model.separate_batch(mix, lips, lips_mask=mask), whole)
    mask[0, 1, 2:] = False
    masked = model.separate_batch(mix, lips, lips_mask=mask)
    assert torch.equal(masked[..., 0], whole[..., 0])
    assert not torch.allclose(masked[..., 1], whole[..., 1], atol=1e-6)
    with pytest.raises(DataError, match="mask"):
        model.separate_batch(mix, lips, lips_mask=mask[:, :1])


def test_unusable_input_is_explained(model, audio_model):
    faces = ArrayFaces(np.zeros((2, 10, 96, 96), np.uint8))
    with pytest.raises(DataError, match="no face"):
        OverTime(model)
    with pytest.raises(ConfigError, match="not 3"):
        OverTime(model, None, audio_model, speakers=3)
    with pytest.raises(ConfigError, match="audio-only form"):
        OverTime(model, faces, model)
    with pytest.raises(ConfigError, match="fps=25"):
        OverTime(model, ArrayFaces(np.zeros((1, 9, 8, 8), np.uint8), fps=30))
    with pytest.raises(ConfigError, match="overlap"):
        OverTime(model, faces, overlap=1.0)
    with pytest.raises(DataError, match="no sound"):
        run(OverTime(model, faces), [])
    with pytest.raises(DataError, match="NaN"):
        run(OverTime(model, faces), np.full(640, np.nan))
    with pytest.raises(DataError, match="average"):
        run(OverTime(model, faces), np.zeros((640, 2)))
