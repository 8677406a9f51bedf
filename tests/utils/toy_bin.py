"""Small BIN and inputs of its size, for its tests."""

import torch

from avsep_sb.lobes.bin import BIN

TOY = {
    "num_iterations": 2,
    "fusion_channels": 3,
    "token_length": 11,
    "embedding_dim": 7,
    "bottleneck_channels": 4,
    "audio_channels": 8,
    "video_channels": 6,
    "depth": 3,
    "num_filters": 10,
}


def build(**changes):
    """A small model with fixed weights, in evaluation mode."""
    torch.manual_seed(0)
    return BIN(**{**TOY, **changes}).eval()


def toy_input(num_batch=2, num_samples=600, faces=2, frames=5):
    """Mixtures [B, T] and faces [B, S, Tv, C] of the toy size."""
    generator = torch.Generator().manual_seed(1)
    mix = torch.randn(num_batch, num_samples, generator=generator)
    visual = torch.randn(num_batch, faces, frames, 7, generator=generator)
    return mix, visual
