"""Proves that a pretrained folder loads whole and right, or not at all.

A folder that is missing, torn, of another model or of a newer format ends in
one sentence, at once; a run exports the checkpoint that was best.
"""

import pytest
import torch

from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.inference.export import export_pretrained
from avsep_sb.inference.folder import yaml_object
from avsep_sb.inference.load import strict_load
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.shipped import shipped_model
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet
from tests.utils.toy_model import FRONTEND, SEPARATOR, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("av") / "model")


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


def test_weights_of_another_model(folder, tmp_path):
    broken = change(folder, tmp_path / "m", "#", "#")
    other = (broken / "visual_frontend.ckpt").read_bytes()
    (broken / "separator.ckpt").write_bytes(other)
    with pytest.raises(CheckpointError, match="does not fit IIANet: missing"):
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


@pytest.mark.parametrize("name", ["iianet-synthav", "bin-synthav"])
@pytest.mark.parametrize("faces", [1, 3])
def test_what_ships_loads_and_separates(name, faces):
    model = AVSeparation.from_hparams(str(shipped_model(name)))
    mix = 0.1 * torch.randn(1, 4000)
    lips = torch.randint(0, 255, (1, faces, 7, 96, 96)).to(torch.uint8)
    sources = model.separate_batch(mix, lips)
    assert sources.shape == (1, 4000, faces)
    assert sources.isfinite().all() and sources.abs().max() > 0
