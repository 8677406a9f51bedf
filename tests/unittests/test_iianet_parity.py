"""The separator equals the official release, number for number.

Stored outputs of the official code (eval mode, weights and inputs drawn by a
rule) are met within 1e-5 through our key map, and one gradient of the loss
within 1e-4 relative.
"""

import importlib.util
import json

import numpy as np
import pytest
import torch

from avsep_sb.inference.iianet_keys import infer_model_args, official_to_ours
from avsep_sb.lobes.iianet import IIANet

TOLERANCE = 5e-6
TOTAL = {"release": 16, "fast": 10}
MISC = {
    "2src": ("2src", 6),
    "nb1": ("release", 1),
    "nb3": ("release", 3),
    "ctor_defaults": ("ctor_defaults", 16),
    "small": ("small", 5),
}
CASES = [
    *[f"release.{case}" for case in ("1s", "odd", "batch2_rest16", "tiny")],
    *["release.one_d", "release.three_d", "fast.1s", "fast.odd"],
    *[f"misc.{case}" for case in MISC],
]


class Fixtures:
    """Weights, inputs and outputs of the official code."""

    def __init__(self, folder):
        self.folder = folder
        spec = importlib.util.spec_from_file_location(
            "rule", folder / "rule.py"
        )
        self.rule = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.rule)
        text = (folder / "manifest.json").read_text()
        self.manifest = json.loads(text)
        self.stored = {
            name: np.load(folder / f"iianet_{name}.npz")
            for name in ("release", "fast", "misc")
        }

    def weights(self, config):
        """The official state dict that the rule draws."""
        text = (self.folder / f"keys_{config}.json").read_text()
        self.keys = json.loads(text)
        return {
            row["key"]: torch.from_numpy(
                self.rule.fill(
                    self.keys["salt"], row["key"], row["shape"], row["kind"]
                )
            )
            for row in self.keys["keys"]
        }

    def model(self, config, total):
        """Our model with these weights; the first four cycles see lips."""
        official = self.weights(config)
        num_av = min(4, total)
        net = IIANet(
            num_av_cycles=num_av,
            num_audio_cycles=total - num_av,
            **infer_model_args(official),
        )
        net.load_state_dict(official_to_ours(official), strict=True)
        return net.eval()

    def input(self, described, kind=None):
        """One input from its line in the manifest."""
        name, shape = described.removeprefix("input:").split(" ", 1)
        shape = json.loads(
            shape.split("[")[0]
            .strip()
            .replace("(", "[")
            .replace(",)", "]")
            .replace(")", "]")
        )
        kind = kind or name.split(".")[1]
        salt = self.keys["salt"]
        return torch.from_numpy(self.rule.make_input(salt, name, kind, shape))


@pytest.fixture(scope="module")
def fixtures(shared):
    return Fixtures(shared / "parity" / "iianet")


@pytest.mark.parametrize("case", CASES)
def test_output_equals_official(fixtures, case):
    group, name = case.split(".")
    config, total = MISC.get(name, (group, TOTAL.get(group)))
    net = fixtures.model(config, total)
    row = fixtures.manifest[case]
    # Their inputs [T], [B, T] and [B, 1, T] are all our [B, T].
    wav = fixtures.input(row["wav"])
    mix = wav.reshape(-1, wav.shape[-1])
    visual = fixtures.input(row["emb"]).transpose(1, 2).unsqueeze(1)
    with torch.inference_mode():
        ours = net(mix, visual).transpose(1, 2)
    official = torch.from_numpy(fixtures.stored[group][f"{case}.out"])
    ours = ours.reshape(official.shape)
    difference = float((ours - official).abs().max())
    print(f"| {case} | {tuple(official.shape)} | {difference:.1e} |")
    assert difference < TOLERANCE


def test_gradient_equals_official(fixtures):
    net = fixtures.model("release", 6).double()
    row = fixtures.manifest["grad"]
    mix = fixtures.input(row["wav"]).double()
    visual = fixtures.input(row["emb"]).double()
    target = fixtures.input(row["target"], "wav").double().squeeze(1)
    estimate = net(mix, visual.transpose(1, 2).unsqueeze(1)).squeeze(-1)
    estimate = estimate - estimate.mean(-1, keepdim=True)
    target = target - target.mean(-1, keepdim=True)
    noise = (estimate - target).square().sum(-1)
    loss = -10 * torch.log10(target.square().sum(-1) / noise)
    loss.mean().backward()
    stored = fixtures.stored["misc"]
    assert abs(loss.mean().item() - stored["grad.loss64"]) < 1e-6

    gradients = {key: p.grad for key, p in net.named_parameters()}
    keys = [str(key) for key in stored["grad.keys"]]
    names = official_to_ours({key: key for key in keys})
    assert sorted(names) == sorted(gradients)
    ours_of = {official: ours for ours, official in names.items()}
    worst = 0.0
    for key, norm, total in zip(
        keys, stored["grad.l2norm64"], stored["grad.sum64"], strict=True
    ):
        gradient = gradients[ours_of[key]]
        worst = max(
            worst,
            abs(gradient.norm().item() - norm) / norm,
            # A sum may cancel to nothing: relative to what it sums.
            abs(gradient.sum().item() - total) / max(abs(total), norm),
        )
    print(f"| gradient, largest relative difference | {worst:.1e} |")
    assert worst < 1e-4
