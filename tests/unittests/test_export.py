"""Proves that exported models separate as the originals do.

Tiny models of every kind are written as ONNX and as TorchScript, and run at
lengths and numbers of faces that they were not traced with.
"""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from avsep_sb.errors import ConfigError
from avsep_sb.export import check, write
from avsep_sb.export.operations import ExportableOperations
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN
from avsep_sb.lobes.frame_autoencoder import FrameAutoencoder
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet
from avsep_sb.lobes.mixture_consistency import MixtureConsistency
from avsep_sb.lobes.norms import GlobalLayerNorm
from tests.utils.toy_model import FRONTEND, SEPARATOR

SMALL = {"kernel_size": 64, "stride": 16}
SLOTS = {
    "embedding_dim": 6,
    "bottleneck_channels": 4,
    "audio_channels": 8,
    "video_channels": 6,
    "num_filters": 10,
    "depth": 3,
}
# As a batch of mixtures, faces, samples; the first is shorter than a window.
SIZES = ((1, 1, 33), (2, 2, 5003), (1, 3, 8000), (1, 4, 2561))


def iianet(**options):
    """A tiny IIANet whose faces talk to each other."""
    net = IIANet(**{**SEPARATOR, **SMALL, **options})
    if net.cross_face is not None:
        torch.nn.init.normal_(net.cross_face.out.weight)
    return net


def toy(kind):
    """A tiny model of one kind, with the front end that goes with it."""
    torch.manual_seed(0)
    frontend, consistency = LightLipNet(**FRONTEND), None
    if kind == "iianet-spectral":
        separator = iianet(codec="spectral", cross_face=3)
        consistency = MixtureConsistency(64, 16)
    elif kind == "iianet-audio":
        separator = iianet(audio_only=True, num_sources=2, codec="spectral")
        frontend, consistency = None, MixtureConsistency(64, 16)
    elif kind == "bin-learned":
        tokens = {"num_iterations": 2, "fusion_channels": 3, "token_length": 40}
        separator = BIN(**tokens, **SLOTS)
    elif kind == "bin-spectral":
        frontend = FrameAutoencoder(num_layers=3, base_channels=1)
        slots = {**SLOTS, "embedding_dim": frontend.out_channels}
        tokens = {"num_iterations": 1, "fusion_channels": 3, "token_length": 1}
        separator = BIN(**tokens, **slots, codec="spectral", **SMALL)
    else:
        separator = AVLiT(audio_blocks=2, video_blocks=1, **SLOTS)
    # Where every mask is 0, rounding errors alone would share the mixture.
    torch.nn.init.ones_(separator.mask_conv.bias)
    modules = {"separator": separator}
    if frontend is not None:
        modules["visual_frontend"] = frontend
    if consistency is not None:
        modules["mixture_consistency"] = consistency
    hparams = {"sample_rate": 16000, "video_fps": 25, "num_spks": 2}
    model = AVSeparation(modules, hparams, run_opts={"device": "cpu"})
    return model.eval()


def batch(sizes, sees):
    """Noise and mouths that flicker; some are not seen."""
    mixtures, faces, samples = sizes
    torch.manual_seed(samples)
    mix = 0.1 * torch.randn(mixtures, samples)
    if not sees:
        return (mix,)
    frames = -(-samples // 640)
    lips = torch.randint(0, 256, (mixtures, faces, frames, 96, 96))
    seen = torch.rand(mixtures, faces, frames) > 0.2
    return mix, lips.byte(), seen


def compare(run, model):
    """An exported model against the original."""
    with torch.no_grad():
        for sizes in SIZES:
            inputs = batch(sizes, model.sees)
            given = {"lips_mask": inputs[2]} if model.sees else {}
            wanted = model.separate_batch(*inputs[:2], **given)
            found = run(*inputs)
            assert found.shape == wanted.shape
            assert wanted.any() or sizes[2] < 100
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "kind",
    ["iianet-spectral", "iianet-audio", "bin-learned", "bin-spectral", "avlit"],
)
def test_onnx_separates_as_the_model(kind, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from avsep_sb.export.onnx_file import OnnxGraph

    model = toy(kind)
    facts = write.export_model(model, tmp_path / "made", source=kind)
    assert facts["largest_difference"] < 1e-4
    compare(OnnxGraph(tmp_path / "made" / "model.onnx", threads=1), model)
    if not model.sees:
        loaded = AVSeparation.from_hparams(tmp_path / "made")
        compare(loaded.separate_batch, model)


def test_torchscript_reloads_in_a_fresh_process(tmp_path):
    model = toy("iianet-spectral")
    facts = write.export_model(model, tmp_path / "made", "torchscript")
    assert facts["file"] == "model.pt" and "mix" in facts["dimensions"]
    path = tmp_path / "made" / "model.pt"
    inputs = batch(SIZES[2], True)
    np.savez(tmp_path / "in.npz", *[x.numpy() for x in inputs])
    code = (
        "import sys, numpy, torch\n"
        "sys.modules['avsep_sb'] = sys.modules['speechbrain'] = None\n"
        "given = numpy.load(sys.argv[2])\n"
        "given = [torch.from_numpy(given[k]) for k in given.files]\n"
        "numpy.save(sys.argv[3], torch.jit.load(sys.argv[1])(*given))\n"
    )
    files = [str(tmp_path / name) for name in ("in.npz", "out.npy")]
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), *files],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    wanted = model.separate_batch(*inputs[:2], lips_mask=inputs[2])
    found = torch.from_numpy(np.load(tmp_path / "out.npy"))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_other_models_are_refused(tmp_path):
    model = toy("avlit")
    model.mods.visual_frontend = LightLipNet(**FRONTEND, crop=(100, 100))
    with pytest.raises(ConfigError, match="smaller than the crop of 100"):
        write.export_model(model, tmp_path / "a", "torchscript")
    model.mods.separator = iianet(num_sources=2)
    with pytest.raises(ConfigError, match="several outputs"):
        write.export_model(model, tmp_path / "a", "torchscript")
    model.mods.separator = torch.nn.Identity()
    with pytest.raises(ConfigError, match="Identity cannot be exported"):
        write.export_model(model, tmp_path / "a", "torchscript")
    assert not list(tmp_path.iterdir())


def test_an_export_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    with pytest.raises(ConfigError, match="nothing was written"):
        write.export_model(toy("iianet-audio"), tmp_path / "a", "torchscript")
    assert not list(tmp_path.iterdir())


def test_replaced_operations_give_the_same_numbers():
    functional = torch.nn.functional
    lengths = [(1, 5), (126, 2014), (2014, 126), (33, 9), (7, 7), (9, 2)]
    for length, new_length in lengths:
        x = torch.rand(2, 3, length)
        nearest = functional.interpolate(x, size=new_length, mode="nearest")
        pooled = functional.adaptive_avg_pool1d(x, new_length)
        with ExportableOperations():
            same = functional.interpolate(x, size=new_length, mode="nearest")
            near = functional.adaptive_avg_pool1d(x, new_length)
        assert torch.equal(same, nearest)
        torch.testing.assert_close(near, pooled)
    picture = torch.rand(2, 3, 80, 80)
    area = functional.interpolate(picture, (64, 48), mode="area")
    with ExportableOperations():
        same = functional.interpolate(picture, (64, 48), mode="area")
    torch.testing.assert_close(same, area)
    norm = GlobalLayerNorm(3)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = 1 + 2 * torch.rand(2, 3, 50)
    normal = norm(x)
    total = x.sum((0, 2), keepdim=True), x.sum((-1, 0)), x.sum()
    with ExportableOperations():
        same = norm(x)
        by_turns = x.sum((0, 2), keepdim=True), x.sum((-1, 0)), x.sum()
    torch.testing.assert_close(same, normal)
    torch.testing.assert_close(by_turns, total)


class Exported(torch.nn.Module):
    """A norm as it goes into a graph, of frames that occur once or often."""

    def __init__(self, channels, repeats):
        super().__init__()
        self.norm = GlobalLayerNorm(channels)
        self.repeats = repeats

    def forward(self, x):
        repeats = 1 + x[0, 0].abs().round() if self.repeats else None
        with ExportableOperations():
            return self.norm(x, repeats)


@pytest.mark.parametrize("repeats", [False, True])
def test_norms_of_long_signals_keep_their_digits(repeats, tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    norm, path = Exported(256, repeats), str(tmp_path / "norm.onnx")
    x = 1 + 2 * torch.randn(1, 256, 26401)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            *(norm, (x[..., :100],), path),
            input_names=["x"],
            dynamic_axes={"x": {2: "frames"}},
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(None, {"x": x.numpy()})
    wanted = norm.double()(x.double())
    assert (torch.from_numpy(found) - wanted).abs().max() < 1e-5
