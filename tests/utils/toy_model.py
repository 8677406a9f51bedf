"""A tiny IIANet with a light lip net, as a pretrained folder."""

import numpy as np
import torch

from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet

RATE = 16000
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
        # The other codec too: it makes spectra, which silence must survive.
        arguments.update(audio_only=True, num_sources=2, codec="spectral")
    # Built in the order in which the test of the weights builds them.
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


def toy_batch(frames=6, batch=2, faces=2, seed=0):
    """Mixtures ``[B, T]`` and mouths ``[B, S, Tv, 96, 96]``."""
    rng = np.random.default_rng(seed)
    mix = 0.1 * rng.standard_normal((batch, frames * 640))
    lips = rng.integers(0, 256, (batch, faces, frames, 96, 96), np.uint8)
    return torch.tensor(mix, dtype=torch.float32), torch.from_numpy(lips)
