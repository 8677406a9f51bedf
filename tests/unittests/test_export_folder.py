"""Proves that the folder of an ONNX model can be used.

``AVSeparation`` takes it as any pretrained folder; the script in it runs where
neither torch nor SpeechBrain can be imported.
"""

import json
import shutil
import subprocess
import sys
import wave

import numpy as np
import pytest
import torch

from avsep_sb import cli
from avsep_sb.commands.models import load_separator
from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.inference.fingerprint import fingerprint
from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet
from tests.utils.toy_model import FRONTEND, SEPARATOR, toy_batch

CONSISTENCY = "avsep_sb.lobes.mixture_consistency.MixtureConsistency"


# The standard library, numpy and onnxruntime: nothing else can be imported.
ALONE = """
import runpy, sys
for name in ("torch", "speechbrain", "avsep_sb", "onnx", "scipy", "soundfile"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_script(*arguments):
    """Runs the script of a folder in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def write_wav(path, samples, rate=16000):
    """A wav of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A toy that adds up to the mixture, exported by the command.

    It has the filters that are learned; a wav and two mouths lie beside it.
    """
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("export")
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
        consistency_yaml=yaml_object(
            CONSISTENCY, {"kernel_size": 64, "stride": 16}
        ),
    )
    source, made = str(folder / "source"), str(folder / "made")
    assert cli.main(["export", source, "--to", made]) == 0
    rng = np.random.default_rng(0)
    write_wav(folder / "mix.wav", 0.2 * rng.standard_normal(9001).clip(-2, 2))
    for name, frames, fps in (("a", 15, 25.0), ("b", 18, 30.0)):
        mouths = rng.integers(0, 256, (frames, 96, 96), np.uint8)
        np.savez(folder / f"{name}.npz", data=mouths, fps=fps)
    return folder


@pytest.fixture(scope="module")
def models(exported):
    """The model, by torch and by onnxruntime."""
    names = ("source", "made")
    return [AVSeparation.from_hparams(exported / name) for name in names]


@pytest.mark.parametrize("consistent", [None, True, False])
def test_separates_as_torch_does(models, consistent):
    mix, lips = toy_batch(frames=9, faces=3)
    seen = torch.ones(2, 3, 9, dtype=torch.bool)
    seen[0, 1, 4:] = seen[1, :, 2] = False
    options = {
        "lips_mask": seen,
        "wav_lens": torch.tensor([1.0, 0.8]),
        "consistent": consistent,
    }
    mix = mix[:, :-77]
    wanted, found = (m.separate_batch(mix, lips, **options) for m in models)
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    left = (found.sum(-1) - mix)[0].abs().max()
    assert (left > 1e-3) == (consistent is False)


def test_one_face_and_silence(models):
    mix, lips = toy_batch(frames=4, batch=1, faces=1)
    wanted, found = (m.separate_batch(mix, lips) for m in models)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert not models[1].separate_batch(0 * mix, lips).any()


def test_the_command_line_takes_the_folder(exported):
    model = load_separator(exported / "made")
    assert model.sees and model.hparams.num_spks == 2
    assert "mixture_consistency" in model.mods


def test_files_of_other_rates_are_resampled(models, tmp_path):
    import soundfile

    noise = 0.1 * np.random.default_rng(0).standard_normal(8000)
    soundfile.write(tmp_path / "mix.wav", noise, 8000)
    mouths = np.random.default_rng(1).integers(0, 256, (25, 96, 96), np.uint8)
    wanted, found = (
        m.separate_file(tmp_path / "mix.wav", [mouths]) for m in models
    )
    assert found.shape == (1, 16000, 1)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_other_mouths_and_devices_are_refused(models):
    mix, lips = toy_batch(frames=5, batch=1)
    model = models[1]
    for other in (lips[..., :88, :88], lips.float()):
        with pytest.raises(DataError, match="96 x 96 pixels .uint8., not"):
            model.separate_batch(mix, other)
    with pytest.raises(DataError, match="needs the mouths"):
        model.separate_batch(mix)
    with pytest.raises(ConfigError, match="runs on the CPU"):
        model.mods.separator(mix.to("meta"), lips)


def test_spoilt_folders_are_refused(exported, tmp_path, monkeypatch):
    before = fingerprint(exported / "made")
    folder = tmp_path / "made"
    shutil.copytree(exported / "made", folder)
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    assert fingerprint(folder) != before
    with pytest.raises(CheckpointError, match="cannot be read as an ONNX"):
        AVSeparation.from_hparams(folder)
    graph.unlink()
    with pytest.raises(CheckpointError, match="model.onnx' is missing"):
        AVSeparation.from_hparams(folder)
    shutil.copy(exported / "made" / "model.json", graph)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"avsep_sb\[onnx\]"):
        AVSeparation.from_hparams(folder)


def test_a_graph_that_is_no_separator_is_refused(exported, tmp_path):
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path / "made"
    shutil.copytree(exported / "made", folder)
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


def test_script_needs_onnxruntime_and_numpy_alone(exported):
    script = exported / "made" / "separate_onnx.py"
    assert len(script.read_text().splitlines()) <= 60
    files = [exported / name for name in ("mix.wav", "a.npz", "b.npz")]
    out = exported / "voices"
    done = run_script(script, *files, out)
    assert done.returncode == 0, done.stderr
    model = AVSeparation.from_hparams(exported / "source")
    wanted = model.separate_file(files[0], files[1:])[0].numpy()
    wanted = wanted * min(1.0, 0.99 / np.abs(wanted).max())
    for number in (1, 2):
        with wave.open(str(out / f"voice{number}.wav")) as file:
            assert file.getframerate() == 16000
            data = np.frombuffer(file.readframes(9001), "<i2") / 32767
        assert np.abs(data - wanted[:, number - 1]).max() < 1e-4


def test_script_refuses_bad_input_in_one_sentence(exported):
    script, mix = exported / "made" / "separate_onnx.py", exported / "mix.wav"
    write_wav(exported / "slow.wav", np.zeros(9001), 8000)
    small = np.zeros((15, 64, 64), np.uint8)
    np.savez(exported / "small.npz", data=small)
    np.savez(exported / "short.npz", data=np.zeros((9, 96, 96), np.uint8))
    for files, text in (
        ((exported / "slow.wav", exported / "a.npz"), "at 16000 Hz"),
        ((mix, exported / "small.npz"), "uint8 [frames, *[96, 96]]"),
        ((mix, exported / "short.npz"), "must last 0.56 s"),
        ((mix,), "a mouth per face"),
        ((exported / "no.wav", exported / "a.npz"), "No such file"),
        ((mix, mix), "pickled"),
    ):
        done = run_script(script, *files, exported / "never")
        assert done.returncode == 1 and text in done.stderr, done.stderr
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1
        assert not (exported / "never").exists()


def test_record_tells_how_to_run_the_model(exported):
    facts = json.loads((exported / "made" / "model.json").read_text())
    assert facts["sample_rate"] == 16000 and facts["video_fps"] == 25
    assert facts["roi"]["shape"] == [96, 96] and facts["embedding"] == 6
    assert facts["dimensions"]["lips"][:3] == ["batch", "faces", "frames"]
    assert facts["roi"]["crop"] == [88, 88]
    assert facts["made_by"]["source"] == "source"


def test_command_refuses_bad_input(exported, tmp_path, capsys, monkeypatch):
    source = str(exported / "source")

    def refused(*arguments):
        assert cli.main(["export", *arguments]) == 2
        return capsys.readouterr().err

    assert "not empty" in refused(source, "--to", str(exported / "made"))
    assert "ships" in refused("no-such", "--to", str(tmp_path / "a"))
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "avsep_sb[onnx]" in refused(source, "--to", str(tmp_path / "a"))
    assert not list(tmp_path.iterdir())
