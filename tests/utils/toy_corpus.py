"""A corpus of hums whose mouths open with the sound, made in a moment.

Enough for a training run to read files, mix them and learn something; no
speech is involved.
"""

from pathlib import Path

import numpy as np
import soundfile
import torch

from avsep_sb.dataio.manifest import write_manifest

RATE, SPF = 16000, 640


def write_source(folder, name, pitch, seed, seconds=2.0):
    """One voice: a harmonic hum, gated, and a mouth that follows the gate."""
    rng = np.random.default_rng(seed)
    frames = int(seconds * 25)
    gate = np.repeat(rng.random(frames // 5 + 1) > 0.4, 5)[:frames]
    time = np.arange(frames * SPF) / RATE
    hum = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3))
    wave = 0.1 * hum * np.repeat(gate, SPF) + 1e-4 * rng.standard_normal(
        len(time)
    )
    soundfile.write(folder / f"{name}.wav", wave, RATE)
    lips = rng.integers(60, 90, (frames, 96, 96), dtype=np.uint8)
    lips[gate, 40:60, 30:66] += 120
    np.savez(folder / f"{name}.npz", data=lips)
    return len(wave) / RATE


def make_toy_corpus(folder, mixtures=8, sources=4, texts=()):
    """Writes sources and three manifests; returns the manifest folder.

    With ``texts`` [sources] the manifests tell what is said.
    """
    folder = Path(folder)
    manifests = folder / "manifests"
    manifests.mkdir(parents=True)
    seconds = [
        write_source(folder, f"u{k}", 110.0 * 1.31**k, seed=k)
        for k in range(sources)
    ]
    rows = []
    for i in range(mixtures):
        a, b = i % sources, (i + 1 + i // sources) % sources
        b = b if b != a else (a + 1) % sources
        row = {
            "ID": f"mix{i}",
            "duration": min(seconds[a], seconds[b]),
            "mix_wav": "",
        }
        for k, source in ((1, a), (2, b)):
            row[f"s{k}_wav"] = f"$data_root/u{source}.wav"
            row[f"s{k}_gain"] = 1.0
            row[f"s{k}_lips"] = f"$data_root/u{source}.npz"
            row[f"s{k}_spk"] = f"spk{source}"
            if texts:
                row[f"s{k}_text"] = texts[source]
        rows.append(row)
    write_manifest(manifests / "train.csv", rows, 2)
    write_manifest(manifests / "valid.csv", rows[:2], 2)
    write_manifest(manifests / "test.csv", rows[:2], 2)
    return manifests


def toy_options(folder, output, manifests, epochs=2):
    """Command line for a recipe on the toy corpus with a tiny model."""
    from avsep_sb.lobes.light_lip import LightLipNet

    weights = Path(folder) / "lips.ckpt"
    if not weights.exists():
        torch.manual_seed(0)
        torch.save(LightLipNet(out_channels=16).state_dict(), weights)
    options = {
        "data_folder": folder,
        "output_folder": output,
        "manifest_folder": manifests,
        "frontend_weights": weights,
        "skip_prep": True,
        "N_epochs": epochs,
        "batch_size": 2,
        "same_voice_ratio": 0.0,
        "training_signal_len": 16000,
        "embedding_dim": 16,
        "num_av_cycles": 1,
        "num_audio_cycles": 1,
        "out_channels": 8,
        "in_channels": 16,
        "video_channels": 8,
        "depth": 3,
        "n_audio_to_save": 1,
        "test_metrics": "[si-snr]",
    }
    return [f"--{key}={value}" for key, value in options.items()] + [
        "--device=cpu",
        "--noprogressbar",
    ]
