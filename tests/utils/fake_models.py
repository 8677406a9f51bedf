"""Models that separate two tones: by the brightness of mouths, and by ear."""

from types import SimpleNamespace

import numpy as np
import torch

FRAME = 640
HPARAMS = SimpleNamespace(sample_rate=16000, video_fps=25, num_spks=2)
LOW, HIGH = 300.0, 3000.0


class FakeFaceModel:
    """Gives the low voice to dark mouths, the high one to bright ones."""

    sees, hparams = True, HPARAMS

    def __init__(self):
        self.calls = []

    def separate_batch(self, mix, lips, lips_mask=None, consistent=None):
        self.calls.append((lips.numpy(), lips_mask))
        low, high = bands(mix[0].numpy())
        bright = lips[0].float().mean((1, 2, 3)) > 100
        voices = [high if b else low for b in bright]
        return torch.from_numpy(np.stack(voices, 1))[None]


class FakeSoundModel:
    """Gives both voices, in another order in every second window."""

    sees, hparams = False, HPARAMS

    def __init__(self):
        self.count = 0

    def separate_batch(self, mix):
        self.count += 1
        order = 1 if self.count % 2 else -1
        voices = np.stack(bands(mix[0].numpy())[::order], 1)
        return torch.from_numpy(voices)[None]


def bands(mix):
    """The sound below and above 1 kHz."""
    spectrum = np.fft.rfft(mix)
    low = spectrum * (np.fft.rfftfreq(len(mix), 1 / 16000) < 1000)
    parts = [np.fft.irfft(s, len(mix)) for s in (low, spectrum - low)]
    return [part.astype(np.float32) for part in parts]


def tones(frames):
    """Two voices, [T, 2]: a low one and a high one."""
    time = np.arange(frames * FRAME) / 16000
    return np.stack(
        [np.sin(2 * np.pi * f * time) for f in (LOW, HIGH)], 1
    ).astype(np.float32)


def mouths(frames, faces=2):
    """A dark face and a bright one, [S, Tv, 8, 8]."""
    levels = np.array([50, 200], np.uint8)[:faces, None, None, None]
    return np.tile(levels, (1, frames, 8, 8))


def moving(rois):
    """The same, but no frame is like the one before: nothing is frozen."""
    return rois + (np.arange(rois.shape[1]) % 2).astype(np.uint8)[:, None, None]


def run(over_time, sound):
    """Voices [T, P], mixture [T] and residual [T], having checked order."""
    done, parts = 0, []
    for block in over_time.separate(sound):
        assert block.first == done
        done += len(block.mixture)
        parts.append((block.voices, block.mixture, block.residual))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
