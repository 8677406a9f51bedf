"""Proves what a user of ``AVSeparation`` relies on.

A tiny IIANet with a light lip net goes through the same doors as a shipped
model: written as a folder, loaded strictly, given batches and files. Bad
input of each kind ends in its one sentence; a run exports what it trained.
"""

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.inference.export import export_pretrained
from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.inference.load import strict_load
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.shipped import shipped_model
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet

RATE, FPS = 16000, 25
SEPARATOR = {
    "out_channels": 4,
    "in_channels": 8,
    "num_av_cycles": 1,
    "num_audio_cycles": 1,
    "kernel_size": 64,
    "stride": 32,
    "num_filters": 8,
    "depth": 2,
    "vpre_channels": 6,
    "vin_channels": 4,
}
FRONTEND = {"out_channels": 6, "channels": [2, 4, 4, 6], "temporal_blocks": 1}


def write_model(dest, audio_only=False, rate=RATE):
    """A folder of a tiny model with fixed random weights."""
    torch.manual_seed(0)
    arguments = dict(SEPARATOR)
    if audio_only:
        arguments.update(audio_only=True, num_sources=2)
    frontend = None if audio_only else LightLipNet(**FRONTEND)
    return write_pretrained_folder(
        dest,
        IIANet(**arguments),
        frontend,
        yaml_object("avsep_sb.lobes.iianet.IIANet", arguments),
        None
        if audio_only
        else yaml_object("avsep_sb.lobes.light_lip.LightLipNet", FRONTEND),
        "# Toy\n",
        sample_rate=rate,
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


def toy_batch(frames=6, batch=2, faces=2, seed=0):
    """Mixtures ``[B, T]`` and mouths ``[B, S, Tv, 96, 96]``."""
    rng = np.random.default_rng(seed)
    mix = 0.1 * rng.standard_normal((batch, frames * 640))
    lips = rng.integers(0, 256, (batch, faces, frames, 96, 96), np.uint8)
    return torch.tensor(mix, dtype=torch.float32), torch.from_numpy(lips)


def test_loads_frozen_and_separates(model):
    mix, lips = toy_batch()
    sources = model.separate_batch(mix, lips)
    assert sources.shape == (2, mix.shape[1], 2)
    assert sources.dtype == torch.float32 and not sources.requires_grad
    assert not model.mods.training
    assert not any(p.requires_grad for p in model.parameters())
    assert torch.equal(model(mix, lips), sources)


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
    (tmp_path / "voice1.wav").unlink()
    with pytest.raises(ConfigError, match="voice2.wav' exists"):
        model.save_sources(sources, tmp_path, "voice")
    assert [p.name for p in tmp_path.iterdir()] == ["voice2.wav"]


def test_a_source_that_is_not_there_is_told_at_once(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("looked up on a hub")

    monkeypatch.setattr("speechbrain.inference.interfaces.fetch", no_network)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    for source in (
        tmp_path / "typo",
        tmp_path,
        "./typo",
        "typo",
        "pretrained/typo",
        "a/b/c",
    ):
        with pytest.raises(CheckpointError, match="is not a folder with"):
            AVSeparation.from_hparams(source)


def test_a_failed_download_is_one_sentence(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise OSError("no route to host\nmore")

    monkeypatch.setattr("speechbrain.inference.interfaces.fetch", offline)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"\(no route to host\)"):
        AVSeparation.from_hparams("owner/name")


def change(folder, dest, old, new):
    """A copy of a model's folder with another text in its YAML."""
    dest.mkdir()
    for path in folder.iterdir():
        (dest / path.name).write_bytes(path.read_bytes())
    text = (dest / "hyperparams.yaml").read_text()
    assert old in text
    (dest / "hyperparams.yaml").write_text(text.replace(old, new))
    return dest


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("video_fps: 25\n", "", "no key video_fps"),
        ("    separator: !ref", "    other: !ref", "no module separator"),
        ("format_version: 1", "format_version: 9", "up to 1"),
        ("out_channels: 4", "out_channels: 5", "does not fit IIANet"),
    ],
)
def test_a_folder_that_does_not_fit(folder, tmp_path, old, new, message):
    broken = change(folder, tmp_path / "m", old, new)
    if "separator" in message:
        # Only in `modules`: the pretrainer's lines are indented deeper.
        text = (broken / "hyperparams.yaml").read_text()
        text = text.replace("        other:", "        separator:")
        (broken / "hyperparams.yaml").write_text(
            text.replace("\n    other: !ref", "\n    another: !ref")
        )
    with pytest.raises(CheckpointError, match=message):
        AVSeparation.from_hparams(broken)


def test_missing_and_torn_weights(folder, tmp_path):
    broken = change(folder, tmp_path / "m", "#", "#")
    path = broken / "separator.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="separator.ckpt' cannot be"):
        AVSeparation.from_hparams(broken)
    path.unlink()
    with pytest.raises(CheckpointError, match="separator.ckpt' is missing"):
        AVSeparation.from_hparams(broken)


def test_strict_load_names_the_keys(tmp_path):
    net = torch.nn.Linear(2, 3)
    path = tmp_path / "a.ckpt"
    state = {f"module.{k}": v for k, v in net.state_dict().items()}
    torch.save(state, path)
    with pytest.raises(
        CheckpointError,
        match="missing bias, weight; unexpected module.bias, module.weight",
    ):
        strict_load(net, path)
    torch.save(torch.nn.Linear(3, 3).state_dict(), path)
    with pytest.raises(CheckpointError, match="of another shape weight"):
        strict_load(net, path)
    # A pickle that would run code is not read.
    torch.save(net, path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        strict_load(net, path)
    torch.save({"epoch": 3, "model": net.state_dict()}, path)
    with pytest.raises(CheckpointError, match="import-official"):
        strict_load(net, path)


RUN = """\
experiment_name: toy
dataset: Toys
sample_rate: 16000
video_fps: 25
num_spks: 2
save_folder: elsewhere/save
lr: 0.001
visual_frontend: &id001 {frontend}
separator: &id002 {separator}
modules:
    visual_frontend: *id001
    separator: *id002
optimizer: !name:torch.optim.Adam
    lr: 0.001
"""


def write_run(folder, losses):
    """A run folder with one checkpoint per validation loss."""
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(
        RUN.format(
            frontend=yaml_object(
                "avsep_sb.lobes.light_lip.LightLipNet", FRONTEND
            ),
            separator=yaml_object("avsep_sb.lobes.iianet.IIANet", SEPARATOR),
        )
    )
    separators = []
    for k, loss in enumerate(losses):
        torch.manual_seed(k)
        separators.append(IIANet(**SEPARATOR))
        checkpoint = folder / "save" / f"CKPT+2020-01-01+00-00-0{k}+00"
        checkpoint.mkdir(parents=True)
        torch.save(separators[-1].state_dict(), checkpoint / "separator.ckpt")
        torch.save(
            LightLipNet(**FRONTEND).state_dict(),
            checkpoint / "visual_frontend.ckpt",
        )
        (checkpoint / "CKPT.yaml").write_text(
            f"end-of-epoch: true\nloss: {loss}\nunixtime: {k}\n"
        )
    return separators


@pytest.mark.parametrize(
    "keys, best", [({}, 1), ({"max_key": "loss"}, 0), ({"min_key": "loss"}, 1)]
)
def test_a_run_exports_its_best_checkpoint(tmp_path, keys, best):
    separators = write_run(tmp_path / "run", [3.0, -7.5, 2.0])
    # What a kill leaves: a folder with an empty meta file.
    torn = tmp_path / "run" / "save" / "CKPT+2020-01-01+00-00-09+00"
    torn.mkdir()
    (torn / "CKPT.yaml").touch()
    dest = export_pretrained(tmp_path / "run", tmp_path / "out", **keys)
    assert sorted(p.name for p in dest.iterdir()) == [
        "README.md",
        "hyperparams.yaml",
        "separator.ckpt",
        "visual_frontend.ckpt",
    ]
    text = (dest / "hyperparams.yaml").read_text()
    assert "optimizer" not in text and "frozen: true" in text
    model = AVSeparation.from_hparams(dest, run_opts={"device": "cpu"})
    wanted = separators[best].state_dict()
    for name, value in model.mods.separator.state_dict().items():
        assert torch.equal(value, wanted[name]), name


def test_export_refuses_what_it_cannot_do(tmp_path):
    with pytest.raises(CheckpointError, match="not the output folder"):
        export_pretrained(tmp_path, tmp_path / "out")
    write_run(tmp_path / "run", [1.0])
    with pytest.raises(CheckpointError, match="no 'pesq'|has a 'pesq'"):
        export_pretrained(tmp_path / "run", tmp_path / "out", min_key="pesq")
    with pytest.raises(ConfigError, match="not both"):
        export_pretrained(tmp_path / "run", "out", "loss", "loss")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="thesis.txt"):
        export_pretrained(tmp_path / "run", tmp_path / "out", overwrite=True)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_shipped_models_are_named(monkeypatch, tmp_path):
    package = tmp_path / "avsep_sb" / "inference"
    package.mkdir(parents=True)
    monkeypatch.setattr(
        "avsep_sb.inference.shipped.__file__", str(package / "shipped.py")
    )
    # In a checkout beside the package, installed inside it.
    for place in (tmp_path, tmp_path / "avsep_sb"):
        model = place / "pretrained" / "toy"
        model.mkdir(parents=True)
        (model / "hyperparams.yaml").touch()
        assert shipped_model("toy") == model
        with pytest.raises(CheckpointError, match="there are: toy"):
            shipped_model("typo")
        (model / "hyperparams.yaml").unlink()
