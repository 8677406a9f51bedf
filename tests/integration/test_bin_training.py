"""Proves that the autoencoder's run feeds BIN's, by the real recipe script.

Both trainings run on a toy corpus in processes of their own; what the second
leaves separates other lengths and numbers of faces than it was trained on.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

from avsep_sb.inference.separation import AVSeparation
from tests.utils.toy_corpus import make_toy_corpus

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "recipes" / "SynthAV" / "train.py"


def run(yaml, cwd, **options):
    flags = [f"--{key}={value}" for key, value in options.items()]
    return subprocess.run(
        [sys.executable, str(SCRIPT), f"hparams/{yaml}.yaml", *flags]
        + ["--device=cpu", "--noprogressbar", "--skip_prep=True"],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_autoencoder_then_bin(tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    manifests = make_toy_corpus(folder, mixtures=4)
    common = {
        "data_folder": folder,
        "manifest_folder": manifests,
        "batch_size": 2,
        "frame_size": [32, 32],
        "dataloader_opts": "{num_workers: 0}",
    }
    frames = tmp_path / "frames"
    done = run(
        "frame_autoencoder",
        tmp_path,
        **common,
        output_folder=frames,
        N_epochs=2,
        pixel_scale=255,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    weights = frames / "visual_frontend.ckpt"
    assert weights.is_file()

    small = {
        "embedding_dim": 256,
        "num_iterations": 2,
        "fusion_channels": 6,
        "bottleneck_channels": 8,
        "audio_channels": 16,
        "video_channels": 8,
        "num_filters": 24,
        "training_signal_len": 12800,
        "valid_dataloader_opts": "{num_workers: 0}",
        "test_metrics": ["si-snr"],
        "n_audio_to_save": 0,
        "N_epochs": 2,
    }
    small = {**common, **small, "output_folder": tmp_path / "bin"}
    refused = run("bin", tmp_path, **small)
    assert refused.returncode == 2 and "has no weights" in refused.stderr
    done = run("bin", tmp_path, **small, frontend_weights=weights)
    assert done.returncode == 0, done.stderr[-3000:]

    model = AVSeparation.from_hparams(tmp_path / "bin" / "pretrained")
    ours = model.mods.visual_frontend.state_dict()
    for name, value in torch.load(weights, weights_only=True).items():
        assert torch.equal(ours[name], value), name
    for faces, seconds in ((1, 0.4), (3, 1.2)):
        mix = 0.1 * torch.randn(1, round(16000 * seconds))
        shape = (1, faces, round(25 * seconds), 96, 96)
        roi = torch.randint(0, 256, shape, dtype=torch.uint8)
        sources = model.separate_batch(mix, roi)
        assert sources.shape == (1, mix.shape[1], faces)
        assert torch.isfinite(sources).all() and float(sources.std()) > 0
