"""Proves that onnxruntime separates an exported folder as torch does.

The folder that the command writes is loaded as any pretrained one.
"""

import shutil
import sys

import numpy as np
import pytest
import torch

from avsep_sb.commands.models import load_separator
from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.export.write import export_model
from avsep_sb.inference.fingerprint import fingerprint
from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet
from tests.utils.toy_model import FRONTEND, SEPARATOR, toy_batch

CONSISTENCY = "avsep_sb.lobes.mixture_consistency.MixtureConsistency"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A toy model that adds up to the mixture, and its export."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("backend")
    torch.manual_seed(0)
    separator = IIANet(**SEPARATOR)
    torch.nn.init.ones_(separator.mask_conv.bias)
    write_pretrained_folder(
        folder / "source",
        separator,
        LightLipNet(**FRONTEND),
        yaml_object("avsep_sb.lobes.iianet.IIANet", SEPARATOR),
        yaml_object("avsep_sb.lobes.light_lip.LightLipNet", FRONTEND),
        "# Toy\n",
        video_fps=20,
        consistency_yaml=yaml_object(
            CONSISTENCY, {"kernel_size": 64, "stride": 16}
        ),
    )
    export_model(load_separator(folder / "source"), folder / "made")
    return folder / "source", folder / "made"


@pytest.fixture(scope="module")
def models(folders):
    """The model, by torch and by onnxruntime."""
    return [AVSeparation.from_hparams(folder) for folder in folders]


@pytest.mark.parametrize("consistent", [None, True, False])
def test_separates_as_torch_does(models, consistent):
    mix, lips = toy_batch(frames=9, faces=3)
    seen = torch.rand(2, 3, 8) > 0.3
    options = {
        "lips_mask": seen,
        "wav_lens": torch.tensor([1.0, 0.8]),
        "consistent": consistent,
    }
    mix, lips = mix[:, : 8 * 800 - 77], lips[:, :, :8]
    wanted, found = (m.separate_batch(mix, lips, **options) for m in models)
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    left = (found.sum(-1) - mix)[0].abs().max()
    assert (left > 1e-3) == (consistent is False)


def test_one_face_and_silence(models):
    mix, lips = toy_batch(frames=4, batch=1, faces=1)
    wanted, found = (m.separate_batch(mix, lips[:, :, :3]) for m in models)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert not models[1].separate_batch(0 * mix, lips[:, :, :3]).any()


def test_the_command_line_takes_the_folder(folders):
    model = load_separator(folders[1])
    assert model.sees and model.hparams.video_fps == 20
    assert "mixture_consistency" in model.mods


def test_files_of_other_rates_are_resampled(models, tmp_path):
    import soundfile

    noise = 0.1 * np.random.default_rng(0).standard_normal(8000)
    soundfile.write(tmp_path / "mix.wav", noise, 8000)
    mouths = np.random.default_rng(1).integers(0, 256, (20, 96, 96), np.uint8)
    wanted, found = (
        m.separate_file(tmp_path / "mix.wav", [mouths]) for m in models
    )
    assert found.shape == (1, 16000, 1)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_other_mouths_and_devices_are_refused(models):
    mix, lips = toy_batch(frames=5, batch=1)
    lips, model = lips[:, :, :4], models[1]
    for other in (lips[..., :88, :88], lips.float()):
        with pytest.raises(DataError, match="96 x 96 pixels .uint8., not"):
            model.separate_batch(mix, other)
    with pytest.raises(DataError, match="needs the mouths"):
        model.separate_batch(mix)
    with pytest.raises(ConfigError, match="runs on the CPU"):
        model.mods.separator(mix.to("meta"), lips)


def test_spoilt_folders_are_refused(folders, tmp_path, monkeypatch):
    before = fingerprint(folders[1])
    folder = tmp_path / "made"
    shutil.copytree(folders[1], folder)
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    assert fingerprint(folder) != before
    with pytest.raises(CheckpointError, match="cannot be read as an ONNX"):
        AVSeparation.from_hparams(folder)
    graph.unlink()
    with pytest.raises(CheckpointError, match="model.onnx' is missing"):
        AVSeparation.from_hparams(folder)
    shutil.copy(folders[1] / "model.json", graph)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"avsep_sb\[onnx\]"):
        AVSeparation.from_hparams(folder)


def test_a_graph_that_is_no_separator_is_refused(folders, tmp_path):
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path / "made"
    shutil.copytree(folders[1], folder)
    sizes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])
        for name in ("mix", "voices")
    ]
    node = helper.make_node("Abs", ["mix"], ["voices"])
    graph = helper.make_graph([node], "g", sizes[:1], sizes[1:])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    with pytest.raises(CheckpointError, match="not a separator that avsep"):
        AVSeparation.from_hparams(folder)
