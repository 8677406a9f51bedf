"""Separators of two lines, where the way to them and from them is tested."""

from types import SimpleNamespace

import torch


class SharedMixture:
    """Audio-visual: each face gets the same share of the mixture."""

    sees = True
    hparams = SimpleNamespace(sample_rate=16000, video_fps=25, num_spks=2)

    def separate_batch(self, mix, lips, lips_mask=None, consistent=None):
        """Shares [B, T] among S faces."""
        assert lips.dtype == torch.uint8 and lips.shape[-2:] == (96, 96)
        assert 0 <= lips.shape[2] * 640 - mix.shape[1] < 640
        people = lips.shape[1]
        return (mix / people)[:, :, None].expand(-1, -1, people)


class FixedShares:
    """Audio-only: a quarter for one voice, three for the other."""

    sees = False
    hparams = SimpleNamespace(sample_rate=16000, video_fps=25, num_spks=2)

    def separate_batch(self, mix):
        """Shares [B, T] between two voices."""
        return torch.stack([mix / 4, 3 * mix / 4], 2)
