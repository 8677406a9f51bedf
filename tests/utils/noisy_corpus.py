"""A few voices, their mixtures and a noise, for the tests of noise."""

import numpy as np
import soundfile

from avsep_sb.dataio.manifest import write_manifest

WINDOW = 12 * 640
SECONDS = [1.4, 2.0, 0.4, 1.7]  # the third is shorter than a window


def write_corpus(folder, noise=True):
    """Four voices that speak with pauses, four mixtures, one long noise."""
    rng = np.random.default_rng(0)
    for n, seconds in enumerate(SECONDS):
        count = round(seconds * 16000)
        pulse = np.sin(np.arange(count) / 2000 + n) > 0
        wave = 0.1 * pulse * rng.standard_normal(count)
        soundfile.write(folder / f"{n}.wav", wave, 16000, subtype="FLOAT")
        frames = np.zeros((-(-count // 640), 9, 9), np.uint8)
        np.savez(folder / f"{n}.npz", data=frames)
    hiss = 0.05 * rng.standard_normal(5 * 16000)
    soundfile.write(folder / "hiss.wav", hiss, 16000, subtype="FLOAT")
    rows = []
    for i in range(4):
        pair = (i, (i + 1) % 4)
        row = {"ID": f"m{i}", "duration": min(SECONDS[n] for n in pair)}
        for k, n in enumerate(pair, start=1):
            row[f"s{k}_wav"] = f"$data_root/{n}.wav"
            row[f"s{k}_lips"] = f"$data_root/{n}.npz"
            row[f"s{k}_gain"], row[f"s{k}_spk"] = 0.5 * k, f"p{n}"
        if noise:
            row["noise_wav"] = "$data_root/hiss.wav"
            row["noise_start"], row["noise_gain"] = 0.25 + i, 0.3 + 0.1 * i
        rows.append(row)
    write_manifest(folder / "all.csv", rows, 2)
    return rows


def hparams(folder, **changes):
    manifest = str(folder / "all.csv")
    base = {
        "data_folder": str(folder),
        "train_data": manifest,
        "valid_data": manifest,
        "test_data": manifest,
        "sample_rate": 16000,
        "video_fps": 25,
        "num_spks": 2,
        "training_signal_len": WINDOW,
        "dynamic_mixing": False,
        "mix_gain_db": [-5, 5],
        "seed": 7,
        "crop_size": None,
        "random_crop": False,
        "horizontal_flip": False,
        "use_lips": False,
    }
    return {**base, **changes}
