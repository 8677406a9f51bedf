"""SyncNet: what it embeds, what it learns, and what it is asked in the end.

Authors
 * avsep_sb contributors
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from speechbrain.core import Stage

from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.inference.lip_sync import LipSync, export_sync
from avsep_sb.inference.shipped import shipped_model
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.inference.sync import LEAST_AGREEMENT, estimate_offset
from avsep_sb.inference.video_sync import find_offsets, offset_finder
from avsep_sb.lobes.sync_net import SyncNet, agreement_by_delay, mel_filters
from avsep_sb.sync_training import SyncBrain, make_sync_dataset, overlaid
from avsep_sb.synth.utterance import make_utterance, render_roi
from avsep_sb.synth.voices import speakers_of

FRAME = 640


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SyncNet(vpre_channels=6, channels=8, embedding_dim=4).eval()


@pytest.mark.parametrize("samples", [640, 1279, 6400, 16000])
def test_a_frame_of_sound_is_a_row(net, samples):
    sound = net.embed_sound(torch.randn(2, samples))
    assert sound.shape == (2, samples // FRAME, 4)
    norm = sound.norm(dim=-1)
    assert torch.allclose(norm, torch.ones_like(norm), atol=1e-5)


def test_level_does_not_matter_and_silence_is_finite(net):
    wave = torch.randn(1, 6400)
    first, second = net.embed_sound(wave), net.embed_sound(0.01 * wave)
    assert torch.allclose(first, second, atol=1e-5)
    assert torch.isfinite(net.embed_sound(torch.zeros(1, 6400))).all()


def test_what_is_too_short_or_of_odd_rates_is_refused(net):
    with pytest.raises(ValueError, match="less than a video frame"):
        net.embed_sound(torch.randn(1, 639))
    with pytest.raises(ValueError, match="whole quarter"):
        SyncNet(sample_rate=16000, video_fps=30)
    with pytest.raises(ValueError, match="too few"):
        agreement_by_delay(torch.rand(1, 8, 4), torch.rand(1, 8, 4), 4)


def test_mel_filters_cover_the_band_evenly():
    filters = mel_filters(16000, 512, 40)
    assert (filters.sum(1) > 0).all() and filters.max() <= 1
    peaks = filters.argmax(1)
    assert (peaks.diff() > 0).all()
    # Between the first and the last peak they add up to one.
    inner = filters[:, peaks[0] + 1 : peaks[-1]].sum(0)
    assert torch.allclose(inner, torch.ones_like(inner), atol=1e-4)


@pytest.mark.parametrize("late", [-5, 0, 3])
def test_delay_is_positive_where_lips_are_late(late):
    torch.manual_seed(1)
    sound = torch.nn.functional.normalize(torch.randn(2, 40, 8), dim=-1)
    scores = agreement_by_delay(sound, sound.roll(late, 1), 6)
    assert scores.shape == (2, 2, 13)
    for k in range(2):
        assert int(scores[k, k].argmax()) - 6 == late
        assert scores[k, k].max() > 0.9 > scores[k, 1 - k].max() + 0.2


def test_overlaid_is_at_the_ratio_asked():
    torch.manual_seed(2)
    waves = torch.randn(3, 4000) * torch.tensor([[1.0], [0.1], [5.0]])
    over = overlaid(waves, torch.tensor([[0.0], [10.0], [-5.0]])) - waves
    ratio = waves.square().mean(1) / over.square().mean(1)
    expected = torch.tensor([0.0, 10.0, -5.0])
    assert torch.allclose(10 * ratio.log10(), expected, atol=1e-3)


def test_a_few_steps_learn_which_and_when():
    """On made-up speech that lips show; a net that cannot learn fails."""
    torch.manual_seed(3)
    count, frames = 6, 40
    states = torch.randint(0, 3, (count, frames // 2)).repeat_interleave(2, 1)
    tones = 300 * 3 ** states.repeat_interleave(FRAME, 1)
    waves = torch.sin(torch.cumsum(2 * torch.pi * tones / 16000, 1))
    visual = torch.nn.functional.one_hot(states, 3).float()
    net = SyncNet(vpre_channels=3, channels=16, embedding_dim=8, num_blocks=1)
    brain = SyncBrain(
        {"sync_net": net},
        lambda params: torch.optim.Adam(params, 0.01),
        {"max_shift": 6, "sir_db": [20, 20]},
    )
    batch = SimpleNamespace(
        sig=SimpleNamespace(data=waves), visual=SimpleNamespace(data=visual)
    )
    batch.to = lambda device: batch
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(40):
        scores = brain.compute_forward(batch, Stage.TRAIN)
        loss = brain.compute_objectives(scores, batch, Stage.TRAIN)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    brain.right = brain.seen = 0
    scores = brain.compute_forward(batch, Stage.VALID)
    brain.compute_objectives(scores, batch, Stage.VALID)
    assert brain.seen == count and brain.right >= count - 1


def test_no_utterance_long_enough_is_said():
    rows = {"a": {"npz": "a.npz", "duration": 1.0}}
    keys = {"visual_frontend": None, "window_frames": 50, "crop_size": None}
    with pytest.raises(DataError, match="no utterance lasts 2 s"):
        make_sync_dataset(
            rows, {**keys, "seed": 1, "sample_rate": 16000, "video_fps": 25}, 1
        )


class Flicker:
    """A LipSync without weights: sound and lips agree by their brightness."""

    hparams = SimpleNamespace(sample_rate=16000, video_fps=25)

    def agreement(self, sounds, lips, max_shift=0):
        count = min(lips.shape[1], sounds.shape[1] // FRAME)
        loud = sounds[:, : count * FRAME].unflatten(1, (count, -1))
        loud = loud.square().mean(2)
        bright = lips[:, :count].float().mean((2, 3)) / 255
        pair = [
            torch.stack([x, 1 - x], -1)
            / (x.square() + (1 - x) ** 2).sqrt()[..., None]
            for x in (loud, bright)
        ]
        return agreement_by_delay(*pair, max_shift)

    delays = LipSync.delays


def scene(seconds=3, late=4):
    speaks = np.random.default_rng(0).random(25 * seconds) < 0.4
    lips = np.zeros((2, 25 * seconds, 8, 8), np.uint8)
    lips[0, np.roll(speaks, late)] = lips[1, speaks] = 255
    return np.repeat(speaks, FRAME).astype(np.float32), lips


def test_offsets_of_a_short_clip_are_found():
    sound, lips = scene()
    found = find_offsets(Flicker(), ArrayFaces(lips), [sound])
    assert [estimate.frames for estimate in found] == [4, 0]
    assert all(estimate.trusted for estimate in found)
    assert found[0].least == LEAST_AGREEMENT
    # Too short even for a SyncNet.
    few = find_offsets(
        Flicker(), ArrayFaces(lips[:, :40]), [sound[: 40 * FRAME]]
    )
    assert few == [None, None]


def test_silence_has_no_offset():
    sound, lips = scene()
    found = estimate_offset(Flicker(), [(0 * sound, lips[0])])
    assert found.frames == 0 and not found.trusted


@pytest.fixture(scope="module")
def spoken():
    """Sound [T] and mouths [Tv, 96, 96] of two held-out speakers."""
    speakers = speakers_of("test")[:2]
    made = [make_utterance(7, speaker, 11) for speaker in speakers]
    frames = min(len(utterance.audio) // FRAME for utterance in made)
    frames = min([frames, *(len(render_roi(u)) for u in made)])
    return [(u.audio[: frames * FRAME], render_roi(u)[:frames]) for u in made]


@pytest.mark.parametrize("late", [-5, 0, 5])
def test_the_shipped_one_finds_late_lips_in_a_mixture(spoken, late):
    sync = LipSync.from_hparams(shipped_model("syncnet-synthav"))
    (one, mouths), (other, _) = spoken
    mix = (one + other)[8 * FRAME : -8 * FRAME]
    found = estimate_offset(sync, [(mix, np.roll(mouths, late, 0)[8:-8])])
    assert abs(found.frames - late) <= 1 and found.trusted


def test_the_shipped_one_knows_whose_voice_it_is(spoken):
    sync = LipSync.from_hparams(shipped_model("syncnet-synthav"))
    sounds = torch.from_numpy(np.stack([sound for sound, _ in spoken]))
    lips = torch.from_numpy(np.stack([mouths for _, mouths in spoken]))
    scores = sync.agreement(sounds, lips)[..., 0]
    assert scores.diag().min() > scores.flip(1).diag().max() + 0.1


def test_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="hyperparams.yaml"):
        export_sync(tmp_path, {})
    with pytest.raises(CheckpointError):
        offset_finder(SimpleNamespace(device="cpu"), "no-such-model")


def test_other_rates_are_refused():
    separator = SimpleNamespace(
        device="cpu", hparams=SimpleNamespace(sample_rate=8000, video_fps=25)
    )
    with pytest.raises(ConfigError, match="different rates"):
        offset_finder(separator, "syncnet-synthav")
