"""Checkpoints of BIN and AVLiT become folders that from_hparams loads.

Files that the tests make, in the layout of the reference, and, with the
reference material at hand, files filled by its rule, which must give the
stored outputs of the reference after the whole way through a folder.
"""

import argparse
import hashlib
import importlib.util
import json

import numpy as np
import pytest
import torch

from avsep_sb.commands.import_official import add_arguments, run
from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.inference.bin_keys import ours_to_official
from avsep_sb.inference.official import load_official, read_official_file
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN
from avsep_sb.lobes.frame_autoencoder import FrameAutoencoder

TOLERANCE = 1e-5
SIZES = {
    "embedding_dim": 256,
    "bottleneck_channels": 8,
    "audio_channels": 16,
    "video_channels": 8,
    "depth": 3,
    "num_filters": 24,
}


def options(*argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(a) for a in argv])


def make(kind, **args):
    torch.manual_seed(0)
    return kind(**SIZES, **args).eval()


def as_trained(net, **more):
    """What the trainer of the reference saves."""
    weights = ours_to_official(net.state_dict())
    return {
        "epoch": 7,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]},
        # A score as torchmetrics and NumPy leave it.
        "eval": {"val_loss": np.float64(-9.1), "val_performance": {}},
        "fusion_model": {**weights, **more},
    }


@pytest.fixture
def files(tmp_path):
    """An autoencoder of 256 values, and a folder for checkpoints."""
    torch.manual_seed(1)
    net = FrameAutoencoder(size=(32, 32))
    torch.save({"model": net.state_dict(), "epoch": 3}, tmp_path / "ae.pth.tar")
    return tmp_path, net.eval()


def inputs():
    draw = torch.Generator().manual_seed(2)
    mix = 0.1 * torch.randn(1, 3200, generator=draw)
    roi = torch.randint(
        0, 256, (1, 2, 5, 96, 96), dtype=torch.uint8, generator=draw
    )
    return mix, roi


def test_bin_through_a_folder(files):
    folder, autoencoder = files
    net = make(BIN, num_iterations=3, fusion_channels=5, token_length=33)
    path, dest = folder / "model.pth.tar", folder / "deep" / "model"
    torch.save(as_trained(net), path)
    args = ["--to", dest, "--model", "bin", "--num-blocks", 3]
    args += ["--lip", folder / "ae.pth.tar", "--frame-size", "32x32"]
    assert run(options(path, *args)) == 0
    card = (dest / "README.md").read_text()
    assert "num_iterations 3, token_policy mean" in card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    model = AVSeparation.from_hparams(dest)
    mix, roi = inputs()
    ours = model.separate_batch(mix, roi)
    with torch.no_grad():
        expected = net(mix, autoencoder(roi))
    assert ours.shape == (1, 3200, 2) and float(ours.std()) > 0
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
    # The number of iterations matters and is what was asked for.
    assert model.mods.separator.num_iterations == 3


def test_options_reach_the_folder(files):
    folder, _ = files
    net = make(BIN, fusion_channels=5, token_length=33)
    path, dest = folder / "model.pth.tar", folder / "model"
    torch.save(as_trained(net), path)
    args = ["--to", dest, "--model", "bin", "--token-policy", "audio"]
    args += ["--lip", folder / "ae.pth.tar", "--frame-size", "32x32"]
    run(options(path, *args, "--video-fps", "62.5", "--crop", "whole"))
    model = AVSeparation.from_hparams(dest)
    assert model.hparams.video_fps == 62.5
    assert model.mods.separator.token_policy == "audio"
    assert model.mods.separator.num_iterations == 20
    assert model.mods.visual_frontend.input.centre is None


def test_original_avlit_brings_its_autoencoder(tmp_path):
    net = make(AVLiT, audio_blocks=4, video_blocks=2, fusion_positions=[1])
    torch.manual_seed(1)
    frontend = FrameAutoencoder(num_layers=3, size=(16, 32)).eval()
    frames = {f"video_encoder.{k}": v for k, v in frontend.state_dict().items()}
    content = as_trained(net, **frames)["fusion_model"]
    # As data-parallel training saves it, and without a dictionary around.
    path, dest = tmp_path / "model.pth", tmp_path / "model"
    torch.save({f"module.{k}": v for k, v in content.items()}, path)
    args = ["--to", dest, "--model", "avlit", "--num-blocks", 4]
    args += ["--fusion-position", 1, "--frame-size", "16x32"]
    run(options(path, *args))
    model = AVSeparation.from_hparams(dest)
    assert model.mods.separator.audio_branch.block.residual
    mix, roi = inputs()
    with torch.no_grad():
        expected = net(mix, frontend(roi))
    ours = model.separate_batch(mix, roi)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
    baseline = load_official(
        ours_to_official(net.state_dict()), {"audio_blocks": 4}, "avlit"
    )
    assert not baseline.audio_branch.block.residual


@pytest.mark.parametrize("policy", ["mean", "audio", "none", "early"])
def test_sizes_and_policy_are_read(policy):
    net = make(BIN, num_iterations=2, fusion_channels=5, token_policy=policy)
    # Which of the policies with tokens was trained leaves no trace.
    given = {"num_iterations": 2}
    if policy in ("audio", "none"):
        given["token_policy"] = policy
    again = load_official(ours_to_official(net.state_dict()), given, "bin")
    assert again.token_policy == policy
    for name, weight in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name
    mix, visual = torch.rand(1, 900), torch.rand(1, 2, 4, 256)
    with torch.no_grad():
        torch.testing.assert_close(again(mix, visual), net(mix, visual))


def test_wrong_embedding_size_is_refused(files):
    folder, _ = files
    net = make(BIN, fusion_channels=5, token_length=33)
    state = ours_to_official(net.state_dict())
    with pytest.raises(CheckpointError) as err:
        load_official(state, {"embedding_dim": 512}, "bin")
    assert "video_bottleneck.weight (8, 512, 1) instead of (8, 1024, 1)" in str(
        err.value
    )
    module = load_official(state, {"num_iterations": 1}, "bin")
    with pytest.raises(ValueError, match="256"):
        module(torch.rand(1, 900), torch.rand(1, 2, 4, 128))
    # The autoencoder's 64 x 64 pixels give 1024 values and not 256.
    torch.save(as_trained(net), folder / "model.pth.tar")
    args = ["--to", folder / "model", "--model", "bin"]
    args += ["--lip", folder / "ae.pth.tar"]
    with pytest.raises(CheckpointError, match="takes 256 .* gives 1024"):
        run(options(folder / "model.pth.tar", *args))
    assert not (folder / "model").exists()


def test_partial_and_foreign_files_are_refused_with_names(files):
    folder, autoencoder = files
    net = make(BIN, fusion_channels=5, token_length=33)
    state = ours_to_official(net.state_dict())
    lost = [name for name in state if ".concat_layer.2." in name]
    assert len(lost) == 10
    part = {k: v for k, v in state.items() if k not in lost}
    torch.save({"fusion_model": part}, folder / "part.pth.tar")
    args = ["--model", "bin", "--lip", folder / "ae.pth.tar"]
    with pytest.raises(CheckpointError) as err:
        run(options(folder / "part.pth.tar", "--to", folder / "m", *args))
    assert f"missing keys: 10 ({lost[0]}, " in str(err.value)
    assert not (folder / "m").exists()
    # Too little to tell the sizes: measured against the reference's.
    with pytest.raises(CheckpointError, match="missing keys: 170 "):
        load_official({"audio_token": state["audio_token"]}, model="bin")
    with pytest.raises(CheckpointError, match="missing keys: 169 "):
        load_official({"x": torch.ones(1)}, model="avlit")
    with pytest.raises(CheckpointError, match="unexpected keys: 1 .head"):
        load_official({**state, "head": torch.ones(1)}, model="bin")
    with pytest.raises(CheckpointError, match="unexpected keys: 2 .audio_tok"):
        load_official(state, model="avlit")
    avlit = ours_to_official(make(AVLiT).state_dict())
    with pytest.raises(CheckpointError, match="give the model 'avlit'"):
        load_official(avlit, model="bin")
    half = dict(autoencoder.state_dict())
    del half["decoder.layers.3.norm.bias"]
    with pytest.raises(CheckpointError, match="decoder.layers.3.norm.bias"):
        load_official(half, {"size": [32, 32]}, "frame_autoencoder")
    with pytest.raises(CheckpointError, match="no weights of frame_autoenc"):
        read_official_file(folder / "part.pth.tar", "frame_autoencoder")


def test_options_that_would_do_nothing_are_refused(files):
    folder, _ = files
    path = folder / "model.pth.tar"
    torch.save(as_trained(make(BIN, fusion_channels=5)), path)
    to = ["--to", folder / "model"]
    for wrong in (
        ["--model", "iianet", "--fusion-position", 0],
        ["--model", "avlit", "--token-policy", "mean"],
        ["--model", "bin", "--swish"],
    ):
        with pytest.raises(ConfigError, match="is for --model"):
            run(options(path, *to, *wrong))
    with pytest.raises(ConfigError, match="by --lip LIPCKPT"):
        run(options(path, *to, "--model", "bin"))
    lip = ["--model", "bin", "--lip", folder / "ae.pth.tar"]
    for wrong in (
        ["--crop", "80"],
        ["--frame-size", "whole"],
        ["--video-fps", 0],
        ["--num-blocks", 0],
    ):
        with pytest.raises(ConfigError, match=wrong[0]):
            run(options(path, *to, *lip, *wrong))
    with pytest.raises(ConfigError, match="--crop is 80x80"):
        run(options(path, *to, "--crop", "80x80"))
    assert not (folder / "model").exists()


class Reference:
    """Weights and inputs by the rule, outputs as stored."""

    def __init__(self, folder):
        spec = importlib.util.spec_from_file_location(
            "rule", folder / "rule.py"
        )
        self.rule = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.rule)
        self.folder = folder
        self.cases = json.loads((folder / "cases.json").read_text())
        self.keys = json.loads((folder / "keys_shapes.json").read_text())

    def state(self, case):
        shapes = self.keys[self.cases[case]["keys"]]
        empty = {k: torch.empty(s) for k, s in shapes.items()}
        return self.rule.fill(empty, rule=self.cases[case]["rule"])

    def input(self, name, scale):
        shape = [int(n) for n in name.split(".")[-1].split("x")]
        return self.rule.mixture("", name, shape, scale)

    def difference(self, case, ours):
        row = self.cases[case]
        stored = np.load(self.folder / row["file"])[case]
        ours = ours.mT[..., :: row["stride"]].reshape(stored.shape).numpy()
        worst = np.abs(ours - stored).max()
        print(f"| {case} | {stored.shape} | {worst:.1e} |")
        return worst


@pytest.fixture(scope="module")
def reference(shared):
    return Reference(shared / "parity" / "bin")


def through_a_folder(reference, case, folder, *more, frontend=None):
    path = folder / "model.pth.tar"
    torch.save({"fusion_model": reference.state(case)}, path)
    if frontend is not None:
        torch.save(reference.state(frontend), folder / "ae.pth")
        more = (*more, "--lip", folder / "ae.pth")
    run(options(path, "--to", folder / "model", *more))
    return AVSeparation.from_hparams(folder / "model")


@pytest.mark.parametrize(
    ("case", "tokens"),
    [
        ("lrs3wham_b2_f256_B", (256, 1601)),
        ("ntcd_b2_f256_tok3201_B", (256, 3201)),
    ],
)
def test_bin_parity_through_a_folder(reference, case, tokens, tmp_path):
    model = through_a_folder(
        reference,
        case,
        tmp_path,
        *("--model", "bin", "--num-blocks", 2),
        frontend="frameae4_encode_B",
    )
    row = reference.cases[case]
    mix = reference.input(row["mixture_name"], 0.1)[:, 0]
    visual = reference.input(row["video_name"], 1.0)
    with torch.no_grad():
        out = model.mods.separator(mix, visual)
    assert reference.difference(case, out) < TOLERANCE
    assert tuple(model.mods.separator.audio_token.shape) == tokens
    # Its own front end gives what its own separator takes.
    roi = torch.randint(0, 256, (1, 2, 5, 96, 96), dtype=torch.uint8)
    assert model.separate_batch(mix[:, :3200], roi).shape == (1, 3200, 2)


def test_original_avlit_parity_from_pixels(reference, tmp_path):
    """Three layers of autoencoder and eight runs, from frames to voices."""
    case = "hmartelb_avlit8_32x64_fuse0_D"
    model = through_a_folder(reference, case, tmp_path, "--model", "avlit")
    row = reference.cases[case]
    mix = reference.input(row["mixture_name"], 0.1)[:, 0]
    frames = 127.5 + reference.input(row["frames_name"], 40.0)
    with torch.no_grad():
        visual = model.mods.visual_frontend(frames)
        out = model.mods.separator(mix, visual)
    assert visual.shape == (1, 2, 50, 1024)
    assert reference.difference(case, out) < TOLERANCE
