"""A published checkpoint becomes a folder that from_hparams loads.

Every known layout of the file gives the same weights; a partial or wrong
file is refused with the keys named and leaves nothing behind. With the
reference material at hand, a file built from the release's key list gives
the stored output of the release after the whole way through a folder.
"""

import argparse
import hashlib
import importlib.util
import json

import numpy as np
import pytest
import torch
from torch.torch_version import TorchVersion

from avsep_sb.commands.import_official import add_arguments, run
from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.inference.iianet_keys import ours_to_official
from avsep_sb.inference.lip_keys import ours_to_official as lips_to_official
from avsep_sb.inference.official import load_official, read_official_file
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.lip_dctcn import LipDCTCN
from avsep_sb.lobes.lip_mstcn import LipMSTCN
from avsep_sb.lobes.lip_resnet import LipResNet

BLOCKS = 3


def options(*argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(a) for a in argv])


@pytest.fixture(scope="module")
def separator():
    torch.manual_seed(0)
    return IIANet(
        form="release",
        out_channels=8,
        in_channels=16,
        vin_channels=4,
        num_av_cycles=BLOCKS,
        num_audio_cycles=0,
        depth=3,
    ).eval()


@pytest.fixture(scope="module")
def lips():
    torch.manual_seed(1)
    net = LipResNet()
    for name, value in net.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
    return net


@pytest.fixture(scope="module")
def lip_file(lips, tmp_path_factory):
    """As lip readers are published: with a temporal net that goes unused."""
    path = tmp_path_factory.mktemp("lip") / "lip.pth"
    extra = {"tcn.tcn_output.weight": torch.ones(500, 768)}
    torch.save({"model_state_dict": {**lips.state_dict(), **extra}}, path)
    return path


@pytest.fixture
def official(separator):
    return ours_to_official(separator.state_dict())


def layouts(state, lips):
    older = {
        k.replace("InterA_T", "mlp_avfusion")
        .replace("InterA_B_A", "concat_block")
        .replace("InterA_B_V", "video_concat"): v
        for k, v in state.items()
    }
    assert sum(k not in state for k in older) > 10
    lightning = {f"audio_model.{k}": v for k, v in older.items()}
    lightning |= {f"video_model.{k}": v for k, v in lips.state_dict().items()}
    versions = {"torch_version": TorchVersion("2.1.0")}
    return {
        "released": {
            "model_name": "IIANet",
            "state_dict": state,
            "model_args": {"n_src": 2},
            "infos": {"software_versions": versions},
        },
        "bare": state,
        "old names": older,
        "lightning": {"state_dict": lightning, "epoch": 3},
    }


@pytest.mark.parametrize(
    "layout", ["released", "bare", "old names", "lightning"]
)
def test_every_layout_gives_the_same_weights(
    layout, official, separator, lips, tmp_path
):
    path = tmp_path / "ckpt.pth"
    torch.save(layouts(official, lips)[layout], path)
    net = load_official(read_official_file(path), {"num_blocks": BLOCKS})
    ours = separator.state_dict()
    assert net.state_dict().keys() == ours.keys()
    for name, value in net.state_dict().items():
        assert torch.equal(value, ours[name]), name
    mix, visual = torch.rand(1, 1300), torch.rand(1, 2, 3, 512)
    assert torch.equal(net(mix, visual), separator(mix, visual))


def test_folder_loads_and_separates_alike(
    official, separator, lips, lip_file, tmp_path
):
    path, dest = tmp_path / "best_model.pth", tmp_path / "deep" / "model"
    content = layouts(official, lips)["released"]
    content["model_args"] = {"num_blocks": BLOCKS}
    torch.save(content, path)
    assert run(options(path, "--to", dest, "--lip", lip_file)) == 0
    assert sorted(p.name for p in dest.iterdir()) == [
        "README.md",
        "hyperparams.yaml",
        "separator.ckpt",
        "visual_frontend.ckpt",
    ]
    card = (dest / "README.md").read_text()
    assert "best_model.pth" in card and "3 cycles" in card
    model = AVSeparation.from_hparams(dest)
    mix = 0.1 * torch.randn(1, 3200)
    roi = torch.randint(0, 256, (1, 2, 5, 96, 96), dtype=torch.uint8)
    ours = model.separate_batch(mix, roi)
    with torch.no_grad():
        expected = separator(mix, lips.eval()(roi))
    assert ours.shape == (1, 3200, 2)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)


def test_lightning_brings_its_own_lip_net(official, lips, tmp_path):
    path, dest = tmp_path / "epoch.ckpt", tmp_path / "model"
    torch.save(layouts(official, lips)["lightning"], path)
    run(options(path, "--to", dest, "--num-blocks", 2, "--crop", "50x88"))
    model = AVSeparation.from_hparams(dest)
    state = model.mods.visual_frontend.state_dict()
    for name, value in lips.state_dict().items():
        assert torch.equal(state[name], value), name
    assert model.mods.visual_frontend.input.rows == 50
    assert model.mods.separator.num_av_cycles == 2


def test_card_names_the_hash_of_the_sources(official, lips, lip_file, tmp_path):
    path, dest = tmp_path / "best_model.pth", tmp_path / "model"
    torch.save(official, path)
    run(options(path, "--to", dest, "--lip", lip_file, "--num-blocks", 1))
    card = (dest / "README.md").read_text()
    for source in (path, lip_file):
        assert hashlib.sha256(source.read_bytes()).hexdigest() in card


@pytest.mark.parametrize("kind", ["mstcn", "dctcn"])
def test_lip_reader_with_its_temporal_net(official, kind, tmp_path):
    """Published whole, without slopes: its trunk, with swish."""
    small = LipMSTCN("tcn", 6, 1, relu_type="swish")
    if kind == "dctcn":
        small = LipDCTCN("tcn", (1,), 3, 16)
    path, lip, dest = (tmp_path / name for name in ("a.pth", "l.pth", "model"))
    torch.save(official, path)
    state = lips_to_official(small.state_dict())
    torch.save({"model_state_dict": state}, lip)
    run(options(path, "--to", dest, "--lip", lip, "--num-blocks", 1))
    model = AVSeparation.from_hparams(dest)
    front_end = model.mods.visual_frontend
    assert "relu_type: swish" in (dest / "hyperparams.yaml").read_text()
    small.tcn = None
    roi = torch.randint(0, 256, (1, 1, 2, 96, 96), dtype=torch.uint8)
    assert torch.equal(front_end(roi), small.eval()(roi))


def test_lip_weights_have_to_be_given(official, tmp_path):
    path, dest = tmp_path / "best_model.pth", tmp_path / "model"
    torch.save(official, path)
    with pytest.raises(ConfigError, match="by --lip LIPCKPT"):
        run(options(path, "--to", dest, "--num-blocks", 1))
    assert [p.name for p in tmp_path.iterdir()] == ["best_model.pth"]


def test_partial_file_is_refused_with_the_keys(official, lip_file, tmp_path):
    path, dest = tmp_path / "part.pth", tmp_path / "model"
    lost = [k for k in official if ".InterA_T." in k]
    assert len(lost) > 5
    torch.save({k: v for k, v in official.items() if k not in lost}, path)
    with pytest.raises(CheckpointError) as err:
        run(options(path, "--to", dest, "--lip", lip_file))
    message = str(err.value)
    assert f"missing keys: {len(lost)} (" in message
    assert all(name in message for name in lost[:5])
    assert lost[5] not in message
    assert [p.name for p in tmp_path.iterdir()] == ["part.pth"]


def test_tiny_remainder_is_measured_against_the_release(official):
    with pytest.raises(CheckpointError, match="missing keys: 276 "):
        load_official({"ln.weight": official["ln.weight"]})


def test_wrong_shape_and_unexpected_key_are_named(official):
    wrong = {
        **official,
        "ln.weight": torch.ones(7),
        "head.weight": torch.ones(1),
    }
    with pytest.raises(CheckpointError) as err:
        load_official(wrong)
    assert "unexpected keys: 1 (head.weight)" in str(err.value)
    assert "ln.weight (7,) instead of (9,)" in str(err.value)


def test_another_models_file_is_refused(official, lips, lip_file, tmp_path):
    with pytest.raises(CheckpointError, match="missing keys: 277 "):
        load_official(lips.state_dict())
    with pytest.raises(CheckpointError, match="frontend3D|trunk"):
        load_official(official, model="lip_resnet")
    partial = dict(lips.state_dict())
    del partial["trunk.layer4.1.bn2.weight"]
    with pytest.raises(CheckpointError, match="layer4.1.bn2.weight"):
        load_official(partial, model="lip_resnet")
    with pytest.raises(ValueError, match="choose 'iianet'"):
        load_official(official, model="dprnn")


def test_unreadable_files_are_one_sentence(tmp_path):
    path = tmp_path / "a.pth"
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        read_official_file(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="no PyTorch checkpoint"):
        read_official_file(path)
    torch.save({"a": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(CheckpointError, match="download it again"):
        read_official_file(path)
    torch.save({"state_dict": argparse.Namespace(a=1)}, path)
    with pytest.raises(CheckpointError, match="could run code"):
        read_official_file(path)
    torch.save({"video_model.a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="no weights of iianet"):
        read_official_file(path)


def test_a_users_folder_is_never_lost(official, lips, tmp_path):
    path, dest = tmp_path / "epoch.ckpt", tmp_path / "model"
    torch.save(layouts(official, lips)["lightning"], path)
    run(options(path, "--to", dest, "--num-blocks", 1))
    with pytest.raises(ConfigError, match="holds a pretrained model already"):
        run(options(path, "--to", dest, "--num-blocks", 2))
    assert "1 cycles" in (dest / "README.md").read_text()
    run(options(path, "--to", dest, "--num-blocks", 2, "--overwrite"))
    assert "2 cycles" in (dest / "README.md").read_text()
    (dest / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="thesis.txt"):
        run(options(path, "--to", dest, "--num-blocks", 2, "--overwrite"))
    assert (dest / "thesis.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "epoch.ckpt",
        "model",
    ]


def test_release_parity_through_a_folder(shared, lip_file, tmp_path):
    parity = shared / "parity" / "iianet"
    spec = importlib.util.spec_from_file_location("rule", parity / "rule.py")
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    keys = json.loads((parity / "keys_release.json").read_text())
    salt = keys["salt"]
    state = {
        k["key"]: torch.from_numpy(
            rule.fill(salt, k["key"], k["shape"], k["kind"])
        )
        for k in keys["keys"]
    }
    path, dest = tmp_path / "best_model.pth", tmp_path / "model"
    torch.save({"model_name": "IIANet", "state_dict": state}, path)
    run(options(path, "--to", dest, "--lip", lip_file))
    model = AVSeparation.from_hparams(dest)

    mix = rule.make_input(salt, "tiny.wav", "wav", (1, 2000))
    visual = rule.make_input(salt, "tiny.emb", "emb", (1, 512, 3))
    # The reference has time last; one face.
    visual = torch.from_numpy(visual).mT.unsqueeze(1)
    out = model.mods.separator(torch.from_numpy(mix), visual)
    stored = np.load(parity / "iianet_release.npz")["release.tiny.out"]
    ours = out.mT.reshape(stored.shape).numpy()
    assert np.abs(ours - stored).max() <= 1e-5
