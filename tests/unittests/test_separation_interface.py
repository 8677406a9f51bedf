"""Proves what a user of ``AVSeparation`` relies on.

A tiny IIANet with a light lip net goes through the same doors as a shipped
model: written as a folder, loaded, given batches and files. Bad input of
each kind ends in its one sentence.
"""

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet
from tests.utils.toy_model import (
    FRONTEND,
    RATE,
    SEPARATOR,
    toy_batch,
    write_model,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("av") / "model")


@pytest.fixture(scope="module")
def model(folder):
    return AVSeparation.from_hparams(folder, run_opts={"device": "cpu"})


@pytest.fixture(scope="module")
def audio_model(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("a") / "model", True)
    return AVSeparation.from_hparams(str(folder), run_opts={"device": "cpu"})


def test_loads_frozen_and_separates(model):
    mix, lips = toy_batch()
    sources = model.separate_batch(mix, lips)
    assert sources.shape == (2, mix.shape[1], 2)
    assert sources.dtype == torch.float32 and not sources.requires_grad
    assert not model.mods.training
    assert not any(p.requires_grad for p in model.parameters())
    assert torch.equal(model(mix, lips), sources)


def test_loaded_weights_are_the_saved_ones(model):
    torch.manual_seed(0)
    frontend, separator = LightLipNet(**FRONTEND), IIANet(**SEPARATOR)
    mix, lips = toy_batch()
    with torch.no_grad():
        wanted = separator.eval()(mix, frontend.eval()(lips))
    assert torch.equal(model.separate_batch(mix, lips), wanted)


def test_order_of_the_voices_is_that_of_the_faces(model):
    mix, lips = toy_batch()
    sources = model.separate_batch(mix, lips)
    swapped = model.separate_batch(mix, lips.flip(1))
    assert torch.allclose(swapped, sources.flip(2), atol=1e-6)
    assert not torch.allclose(sources[..., 0], sources[..., 1], atol=1e-5)


def test_zero_beyond_the_relative_length(model):
    mix, lips = toy_batch()
    whole = model.separate_batch(mix, lips)
    cut = model.separate_batch(mix, lips, torch.tensor([1.0, 0.5]))
    half = mix.shape[1] // 2
    assert torch.equal(cut[0], whole[0])
    assert torch.equal(cut[1, :half], whole[1, :half])
    assert not cut[1, half:].any()


def test_silence_stays_silent_beside_a_loud_neighbour(model):
    mix, lips = toy_batch()
    mix[0] = 0
    sources = model.separate_batch(mix, lips)
    assert not sources[0].any()
    assert torch.isfinite(sources).all() and sources[1].any()


@pytest.mark.parametrize("name", ["model", "audio_model"])
def test_silence_gives_silence(name, request):
    mix, lips = toy_batch()
    silent = torch.zeros_like(mix)
    sources = request.getfixturevalue(name).separate_batch(silent, lips)
    assert sources.shape == (2, mix.shape[1], 2)
    assert torch.equal(sources, torch.zeros_like(sources))


class Hum(torch.nn.Module):
    """A separator that hears something in silence too."""

    def forward(self, mix, visual=None):
        return mix.unsqueeze(-1).expand(-1, -1, 2) + 0.1


def test_a_model_that_hums_is_kept_quiet_in_silence():
    hparams = {"sample_rate": RATE, "video_fps": 25, "num_spks": 2}
    model = AVSeparation(
        {"separator": Hum()}, hparams, run_opts={"device": "cpu"}
    )
    mix, _ = toy_batch()
    mix[0] = 0
    sources = model.separate_batch(mix)
    assert not sources[0].any()
    assert torch.equal(sources[1], Hum()(mix)[1])


def test_nan_is_refused(model):
    mix, lips = toy_batch()
    mix[1, 7] = float("nan")
    with pytest.raises(DataError, match="NaN"):
        model.separate_batch(mix, lips)
    mix[1, 7] = 0
    lips = lips.float()
    lips[0, 0, 0, 0, 0] = float("inf")
    with pytest.raises(DataError, match="mouth ROIs hold NaN"):
        model.separate_batch(mix, lips)


@pytest.mark.parametrize("missing", [1, 2, -2])
def test_two_frames_of_disagreement_are_mended(model, missing):
    mix, lips = toy_batch(frames=8)
    last = lips[:, :, -1:]
    if missing > 0:
        given = lips[:, :, :-missing]
        repeated = given[:, :, -1:].expand(-1, -1, missing, -1, -1)
        wanted = torch.cat([given, repeated], 2)
    else:
        given = torch.cat([lips, last, last], 2)
        wanted = lips
    result = model.separate_batch(mix, given)
    assert torch.equal(result, model.separate_batch(mix, wanted))


@pytest.mark.parametrize("frames", [5, 11])
def test_more_disagreement_is_refused_with_the_numbers(model, frames):
    mix, _ = toy_batch(frames=8)
    _, lips = toy_batch(frames=frames)
    seconds = f"0.32 s but the mouth ROIs are {frames} frames"
    with pytest.raises(DataError, match=seconds):
        model.separate_batch(mix, lips)


def test_faces_are_needed_or_not(model, audio_model):
    mix, lips = toy_batch()
    with pytest.raises(DataError, match="needs the mouths"):
        model.separate_batch(mix)
    sources = audio_model.separate_batch(mix)
    assert sources.shape == (2, mix.shape[1], 2)
    assert not audio_model.sees and model.sees


@pytest.mark.parametrize("shape", [(640,), (1, 640, 1), (1, 0)])
def test_wrong_shapes_of_the_mixture(model, shape):
    with pytest.raises(DataError, match=r"\[B, T\]"):
        model.separate_batch(torch.zeros(shape), toy_batch()[1])


def test_wrong_shapes_of_the_lips(model):
    mix, lips = toy_batch()
    for bad in (lips[0], lips[:1], lips[:, :0]):
        with pytest.raises(DataError, match=r"\[B, S, Tv, H, W\]"):
            model.separate_batch(mix, bad)


def write_file(path, mix, channels=1, rate=RATE):
    soundfile.write(path, np.stack([mix] * channels, 1), rate, subtype="FLOAT")
    return path


def test_file_equals_batch_whatever_the_lips_are_given_as(model, tmp_path):
    mix, lips = toy_batch(batch=1)
    wav = write_file(tmp_path / "mix.wav", mix[0].numpy())
    paths = []
    for face, name in zip(lips[0].numpy(), ("a.npz", "b.npy"), strict=True):
        paths.append(tmp_path / name)
        if name.endswith("npz"):
            np.savez(paths[-1], data=face)
        else:
            np.save(paths[-1], face)
    wanted = model.separate_batch(mix, lips)
    for given in (paths, list(map(str, paths)), lips[0], list(lips[0])):
        assert torch.equal(model.separate_file(wav, given), wanted)
    one = model.separate_file(str(wav), str(paths[0]))
    assert torch.allclose(one[..., 0], wanted[..., 0], atol=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.npz",
        "b.npy",
        "mix.wav",
    ]


def test_stereo_is_averaged_and_nothing_is_normalised(audio_model, tmp_path):
    mix, _ = toy_batch(batch=1)
    left, right = mix[0].numpy(), np.roll(mix[0].numpy(), 5)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([left, right], 1), RATE, subtype="FLOAT")
    mono = torch.from_numpy((left + right) / 2)[None]
    result = audio_model.separate_file(path)
    assert result.shape == (1, len(left), 2)
    assert torch.allclose(result, audio_model(mono), atol=1e-6)


def test_another_rate_is_resampled(audio_model, tmp_path):
    time = np.arange(RATE) / 48000
    tone = np.sin(2 * np.pi * 440 * time)
    path = write_file(tmp_path / "a.wav", tone, 2, 48000)
    mix = audio_model.load_mixture(path)
    assert mix.ndim == 1 and abs(len(mix) - RATE / 3) <= 1
    wanted = np.sin(2 * np.pi * 440 * np.arange(len(mix)) / RATE)
    assert np.abs(mix.numpy() - wanted)[100:-100].max() < 0.01


def test_bad_files(model, tmp_path):
    lips = toy_batch()[1][0]
    with pytest.raises(DataError, match="does not exist"):
        model.separate_file(tmp_path / "no.wav", lips)
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(DataError, match="cannot be read as audio"):
        model.separate_file(tmp_path / "text.wav", lips)
    write_file(tmp_path / "empty.wav", np.zeros(0))
    with pytest.raises(DataError, match="no audio"):
        model.separate_file(tmp_path / "empty.wav", lips)
    wav = write_file(tmp_path / "mix.wav", np.ones(6 * 640))
    with pytest.raises(DataError, match="no.npz is missing"):
        model.separate_file(wav, [tmp_path / "no.npz"])
    with pytest.raises(DataError, match="one per face"):
        model.separate_file(wav, [])
    with pytest.raises(DataError, match="grey uint8"):
        model.separate_file(wav, [np.zeros((6, 96, 96))])
    with pytest.raises(DataError, match=r"\[6, 2\] frames"):
        model.separate_file(wav, [lips[0], lips[1][:2]])


def test_saved_voices_share_one_gain_and_replace_nothing(model, tmp_path):
    sources = torch.tensor([[[2.0, 0.5], [-1.0, 0.25]]])
    paths = model.save_sources(sources, tmp_path, "voice")
    read = [soundfile.read(path)[0] for path in paths]
    assert np.allclose(read[0], [0.99, -0.495], atol=1e-3)
    assert np.allclose(read[1], [0.2475, 0.12375], atol=1e-3)
    # What does not clip is left as it is, however quiet.
    (quiet,) = model.save_sources(torch.full((5, 1), 0.25), tmp_path, "quiet")
    assert np.allclose(soundfile.read(quiet)[0], 0.25)
    quiet.unlink()
    (tmp_path / "voice1.wav").unlink()
    with pytest.raises(ConfigError, match="voice2.wav' exists"):
        model.save_sources(sources, tmp_path, "voice")
    assert [p.name for p in tmp_path.iterdir()] == ["voice2.wav"]
