"""A separator whose scores are known, and a corpus that it fits.

Speakers take turns, frame by frame, and open their mouths when they speak. A
voice is the mixture while its mouth is open; of the rest a known share leaks
in, so that SI-SNR improves by exactly that many dB.
"""

import numpy as np
import soundfile
import torch
from torch import nn

from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.inference.folder import write_pretrained_folder, yaml_object

RATE, SPF = 16000, 640


class OpenMouth(nn.Module):
    """Front end: 1 where the mouth is bright, [B, S, Tv, 1]."""

    def forward(self, roi):
        """Look at [B, S, Tv, H, W]."""
        return (roi.float().mean((-1, -2)) > 100).float().unsqueeze(-1)


class GatedMixture(nn.Module):
    """Separator with one weight; a sample costs one multiply-accumulate.

    Arguments
    ---------
    leak : float
        Share of the other voice that stays, for inputs of 0.4 s.
    power : float
        For longer inputs it is divided by (duration / 0.4 s) to this power.
    """

    def __init__(self, leak, power=0.0):
        super().__init__()
        self.leak, self.power = leak, power
        self.scale = nn.Conv1d(1, 1, 1, bias=False)
        nn.init.ones_(self.scale.weight)

    def forward(self, mix, visual, visual_mask=None):
        """Separate [B, T] by [B, S, Tv, 1] into [B, T, S]."""
        if visual_mask is not None:
            visual = visual * visual_mask[..., None]
        length = mix.shape[1]
        leak = self.leak / (length / (0.4 * RATE)) ** self.power
        gate = visual[..., 0].repeat_interleave(SPF, 2)[..., :length]
        sound = self.scale(mix[:, None])
        return (sound * (gate + leak * (1 - gate))).transpose(1, 2)


def write_gate_model(dest, leak, power=0.0):
    """A pretrained folder."""
    here = __name__
    return write_pretrained_folder(
        dest,
        GatedMixture(leak, power),
        OpenMouth(),
        yaml_object(f"{here}.GatedMixture", {"leak": leak, "power": power}),
        yaml_object(f"{here}.OpenMouth"),
        "# Gate\n",
    )


def write_turns(folder, utterances=2, frames=30, mixtures=3):
    """Two speakers who speak in even and in odd frames; a manifest."""
    rng = np.random.default_rng(0)
    for speaker in (0, 1):
        speaks = np.arange(frames) % 2 == speaker
        for n in range(utterances):
            wave = 0.1 * rng.standard_normal(frames * SPF)
            # Every frame has zero mean: the voices are orthogonal in each.
            wave = wave.reshape(frames, SPF)
            wave = ((wave - wave.mean(1, keepdims=True)).T * speaks).T.ravel()
            lips = np.full((frames, 96, 96), 20, np.uint8)
            lips[speaks] = 220
            name = folder / f"{'ab'[speaker]}{n}"
            # Odd ends, which would shift what is joined to them.
            wave = np.concatenate([wave, np.zeros(77 * (n + 1))])
            soundfile.write(f"{name}.wav", wave, RATE, subtype="FLOAT")
            np.savez(f"{name}.npz", data=lips)
    rows = []
    for i in range(mixtures):
        samples = frames * SPF + 77 * (i % utterances + 1)
        row = {"ID": f"mix{i}", "duration": samples / RATE}
        for k, speaker in enumerate("ab", start=1):
            path = f"$data_root/{speaker}{i % utterances}"
            row[f"s{k}_wav"], row[f"s{k}_lips"] = f"{path}.wav", f"{path}.npz"
            row[f"s{k}_gain"], row[f"s{k}_spk"] = 0.5 * k, speaker
        rows.append(row)
    write_manifest(folder / "turns.csv", rows, 2)
    return folder / "turns.csv"


def known_signals():
    """Two orthogonal voices [1, T, 2] and their sum [1, T]."""
    sources = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1]]).T[None]
    return sources, sources.sum(-1)
