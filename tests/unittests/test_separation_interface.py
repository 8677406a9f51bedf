"""Proves that pretrained separation gives what it promises, or one sentence.

Toy models in the real classes; the folders are written as exports are.
"""

import time

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet

LIP = {"out_channels": 8, "frozen": True}
SEEING = {
    "out_channels": 8,
    "in_channels": 12,
    "vpre_channels": 8,
    "vin_channels": 4,
    "num_av_cycles": 1,
    "num_audio_cycles": 1,
    "depth": 3,
}
HEARING = {
    "audio_only": True,
    "num_sources": 2,
    "num_av_cycles": 0,
    **{k: SEEING[k] for k in ("out_channels", "in_channels", "depth")},
    "num_audio_cycles": 2,
    "codec": "spectral",
    "kernel_size": 64,
    "stride": 16,
}


def write(folder, separator, frontend=None):
    torch.manual_seed(3)
    return write_pretrained_folder(
        folder,
        IIANet(**separator),
        LightLipNet(**frontend) if frontend else None,
        yaml_object("avsep_sb.lobes.iianet.IIANet", separator),
        yaml_object("avsep_sb.lobes.light_lip.LightLipNet", frontend)
        if frontend
        else None,
        "# toy",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("m") / "model", SEEING, LIP)


@pytest.fixture(scope="module")
def model(folder):
    return AVSeparation.from_hparams(folder)


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    return AVSeparation.from_hparams(
        write(tmp_path_factory.mktemp("m") / "audio", HEARING)
    )


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(0)
    mix = 0.1 * torch.randn(2, 9600, generator=rng)
    shape = (2, 2, 15, 96, 96)
    lips = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    return mix, lips


def test_loaded_weights_are_the_saved_ones(model, batch):
    torch.manual_seed(3)
    separator, frontend = IIANet(**SEEING), LightLipNet(**LIP)
    separator.eval()
    mix, lips = batch
    with torch.no_grad():
        wanted = separator(mix, frontend(lips))
    assert torch.equal(model.separate_batch(mix, lips), wanted)


def test_faces_swapped_swaps_voices(model, batch):
    mix, lips = batch
    straight = model.separate_batch(mix, lips)
    swapped = model.separate_batch(mix, lips.flip(1))
    assert not torch.allclose(straight, swapped, atol=1e-5)
    assert torch.allclose(straight, swapped.flip(-1), atol=1e-5)


def test_beyond_the_length_is_silence(model, batch):
    mix, lips = batch
    lengths = torch.tensor([1.0, 0.5])
    sources = model.separate_batch(mix, lips, lengths)
    assert sources[1, 4800:].abs().max() == 0
    assert sources[0, 4800:].abs().max() > 0


@pytest.mark.parametrize("name", ["model", "heard"])
def test_silence_gives_silence(name, request, batch):
    silent = torch.zeros_like(batch[0])
    sources = request.getfixturevalue(name).separate_batch(silent, batch[1])
    assert sources.shape == (2, 9600, 2)
    assert sources.abs().max() == 0


def test_file_equals_batch_and_stereo_is_averaged(model, batch, tmp_path):
    mix, lips = batch
    left, right = mix[0].numpy(), mix[1].numpy()
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([left, right], 1), 16000, "FLOAT")
    paths = []
    for k in range(2):
        paths.append(tmp_path / f"face{k}.npz")
        np.savez(paths[-1], data=lips[0, k].numpy())
    mono = mix.mean(0, keepdim=True)
    wanted = model.separate_batch(mono, lips[:1])
    found = model.separate_file(path, paths)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_other_rates_are_resampled_and_never_normalised(heard, tmp_path):
    time_axis = np.arange(8000) / 8000
    tone = 0.02 * np.sin(2 * np.pi * 300 * time_axis)
    soundfile.write(tmp_path / "a.wav", tone, 8000, "FLOAT")
    mix = heard.load_mixture(tmp_path / "a.wav")
    assert len(mix) == 16000
    assert 0.018 < mix.abs().max() < 0.022
    assert heard.separate_file(tmp_path / "a.wav").shape == (1, 16000, 2)


def test_two_frames_too_few_are_repeated_three_are_refused(model, batch):
    mix, lips = batch
    assert model.separate_batch(mix, lips[:, :, :13]).shape == (2, 9600, 2)
    with pytest.raises(DataError, match=r"0\.60 s but .*11"):
        model.separate_batch(mix, lips[:, :, :11])


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda m, v: (m * float("nan"), v), "NaN"),
        (lambda m, v: (m[0], v), r"\[B, T\]"),
        (lambda m, v: (m, None), "needs the mouths"),
        (lambda m, v: (m, v[:1]), "B = 2"),
        (lambda m, v: (m, v[:, 0]), r"\[B, S, Tv, H, W\]"),
    ],
)
def test_bad_input_is_one_sentence(model, batch, change, sentence):
    with pytest.raises(DataError, match=sentence):
        model.separate_batch(*change(*batch))


def test_missing_audio_file_is_named(model):
    with pytest.raises(DataError, match="nothing.wav"):
        model.separate_file("nothing.wav", [])


def test_missing_folder_is_told_at_once():
    before = time.monotonic()
    with pytest.raises(CheckpointError, match="not a folder"):
        AVSeparation.from_hparams("results/typo/pretrained")
    assert time.monotonic() - before < 5


def test_weights_of_another_model_are_refused(folder, tmp_path):
    import shutil

    bad = tmp_path / "bad"
    shutil.copytree(folder, bad)
    shutil.copy(bad / "visual_frontend.ckpt", bad / "separator.ckpt")
    with pytest.raises(CheckpointError, match="does not fit IIANet: missing"):
        AVSeparation.from_hparams(bad)
    (bad / "separator.ckpt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(CheckpointError, match="cannot be read"):
        AVSeparation.from_hparams(bad)


def test_saved_voices_keep_their_balance_and_are_not_overwritten(
    model, tmp_path
):
    voices = torch.stack([torch.full((100,), 2.0), torch.full((100,), 0.5)], 1)
    paths = model.save_sources(voices, tmp_path, "face")
    one, two = (soundfile.read(path)[0] for path in paths)
    assert one.max() < 1 and abs(one[0] / two[0] - 4) < 0.01
    with pytest.raises(ConfigError, match="exists"):
        model.save_sources(voices, tmp_path, "face")
