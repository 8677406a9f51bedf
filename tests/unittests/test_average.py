"""The mean of the weights of models, as a pretrained folder."""

import pytest
import torch

from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.inference.average import average_pretrained
from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet

TINY = {
    "out_channels": 8,
    "in_channels": 8,
    "vpre_channels": 16,
    "vin_channels": 8,
    "depth": 2,
    "num_av_cycles": 1,
    "num_audio_cycles": 0,
    "codec": "spectral",
    "kernel_size": 64,
    "stride": 16,
}


def folder(path, seed, **changed):
    torch.manual_seed(seed)
    size = {**TINY, **changed}
    lips = {"out_channels": size["vpre_channels"], "crop": [88, 88]}
    net, frontend = IIANet(**size), LightLipNet(**lips)
    for module in frontend.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.num_batches_tracked += seed
    return write_pretrained_folder(
        path,
        net,
        frontend,
        yaml_object("avsep_sb.lobes.iianet.IIANet", size),
        yaml_object("avsep_sb.lobes.light_lip.LightLipNet", lips),
        "# A card",
    )


def states(path):
    return {
        (name, key): value
        for name in ("separator", "visual_frontend")
        for key, value in torch.load(
            path / f"{name}.ckpt", weights_only=True
        ).items()
    }


def test_each_weight_is_the_mean_in_shares(tmp_path):
    one, two = folder(tmp_path / "one", 1), folder(tmp_path / "two", 2)
    mean = average_pretrained([one, two], tmp_path / "mean", shares=[3, 1])
    first, second, found = states(one), states(two), states(mean)
    assert found.keys() == first.keys()
    differ = 0
    for key, value in found.items():
        if value.is_floating_point():
            wanted = 0.75 * first[key] + 0.25 * second[key]
            assert torch.allclose(value, wanted, atol=1e-6), key
            differ += not torch.equal(first[key], second[key])
        else:
            assert torch.equal(value, second[key]), key
    assert differ > 20
    model = AVSeparation.from_hparams(mean)
    lips = torch.randint(0, 255, (1, 2, 5, 96, 96), dtype=torch.uint8)
    assert model.separate_batch(torch.randn(1, 3200), lips).shape[-1] == 2
    assert "0.75, 0.25" in (mean / "README.md").read_text()


def test_other_networks_and_shares_are_refused(tmp_path):
    one = folder(tmp_path / "one", 1)
    wide = folder(tmp_path / "wide", 1, out_channels=12)
    dest = tmp_path / "mean"
    with pytest.raises(CheckpointError, match="average runs of one YAML"):
        average_pretrained([one, wide], dest)
    with pytest.raises(ConfigError, match="positive number"):
        average_pretrained([one, one], dest, shares=[1, 0])
    assert not dest.exists()
    average_pretrained([one, one], dest)
    with pytest.raises(ConfigError, match="overwritten"):
        average_pretrained([one, one], dest)
