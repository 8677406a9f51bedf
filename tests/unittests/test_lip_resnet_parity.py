"""LipResNet and its input give the stored outputs of the reference.

Weights and inputs are drawn by the stated rule; the outputs were stored from
the reference's own run. Covers 88 x 88, the release's 50 x 88, one frame,
112 x 112, one pass in training mode with its running statistics, and the
preprocessing of uint8 pixels.
"""

import importlib.util
import json

import numpy as np
import pytest
import torch

from avsep_sb.lobes.lip_input import LipInput
from avsep_sb.lobes.lip_resnet import LipResNet

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def parity(shared):
    return shared / "parity" / "iianet"


@pytest.fixture(scope="module")
def rule(parity):
    spec = importlib.util.spec_from_file_location("rule", parity / "rule.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def keys(parity):
    return json.loads((parity / "keys_video.json").read_text())


@pytest.fixture(scope="module")
def stored(parity):
    return np.load(parity / "video_frontend.npz")


@pytest.fixture(scope="module")
def weights(rule, keys):
    return {
        k["key"]: torch.from_numpy(
            rule.fill(keys["salt"], k["key"], k["shape"], k["kind"])
        )
        for k in keys["keys"]
    }


def clip(rule, salt, name, shape):
    """Our layout [B, S=1, Tv, H, W] of the stored [B, 1, Tv, H, W]."""
    video = rule.make_input(salt, f"{name}.video", "video", shape)
    return torch.from_numpy(video)


def gap(ours, stored):
    return np.abs(ours.detach().numpy() - stored).max()


def test_key_list_is_the_nets_own(keys):
    ours = {k: list(v.shape) for k, v in LipResNet().state_dict().items()}
    assert ours == {k["key"]: k["shape"] for k in keys["keys"]}
    num_params = sum(p.numel() for p in LipResNet().parameters())
    assert num_params == keys["n_params"] == 11_186_688


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("v25", (1, 1, 25, 88, 88)),
        ("v50x88", (2, 1, 6, 50, 88)),
        ("v1", (1, 1, 1, 88, 88)),
        ("v112", (1, 1, 3, 112, 112)),
    ],
)
def test_output_in_eval_mode(rule, keys, stored, weights, name, shape):
    net = LipResNet().eval()
    net.load_state_dict(weights)
    roi = clip(rule, keys["salt"], name, shape)
    out = net(roi)[:, 0].transpose(1, 2)
    assert gap(out, stored[f"video.{name}.out"]) <= TOLERANCE
    stem = net.frontend3D(roi)[0, ::8, :, ::4, ::4]
    probe = stored[f"video.{name}.frontend3D[0,::8,:,::4,::4]"]
    assert gap(stem, probe) <= TOLERANCE


def test_output_and_statistics_in_train_mode(rule, keys, stored, weights):
    net = LipResNet(frozen=False).train()
    net.load_state_dict(weights)
    roi = clip(rule, keys["salt"], "vtrain", (2, 1, 6, 50, 88))
    out = net(roi)[:, 0].transpose(1, 2)
    assert gap(out, stored["video.vtrain.out"]) <= TOLERANCE
    state = net.state_dict()
    names = [k for k in stored.files if k.startswith("video.vtrain.")]
    names.remove("video.vtrain.out")
    assert len(names) == 4
    for name in names:
        ours = state[name.removeprefix("video.vtrain.")]
        assert gap(ours, stored[name]) <= TOLERANCE


@pytest.mark.parametrize("size", [(96, 96), (97, 99), (120, 120), (88, 88)])
def test_pixels_are_cropped_and_normalised_alike(parity, rule, keys, size):
    stored = np.load(parity / "transforms.npz")
    name = f"{size[0]}x{size[1]}"
    draw = rule.rng(keys["salt"], f"input:transform.{name}")
    pixels = draw.integers(0, 256, (3, *size)).astype(np.uint8)
    roi = torch.from_numpy(pixels)[None, None]
    ours = LipInput((88, 88))(roi)[0, 0]
    assert ours.shape == (3, 88, 88)
    reference = stored[f"val.{name}[:,::8,::8]"]
    assert gap(ours[:, ::8, ::8], reference) <= TOLERANCE
    mean_std = stored[f"val.{name}.meanstd"]
    assert abs(ours.mean().item() - mean_std[0]) <= TOLERANCE
    assert abs(ours.numpy().std() - mean_std[1]) <= TOLERANCE
