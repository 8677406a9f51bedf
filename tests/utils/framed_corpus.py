"""Voices of noise whose mouth frames state their number, for augmentations."""

import numpy as np
import soundfile

from avsep_sb.dataio.manifest import write_manifest

FRAMES = 40
WINDOW = 20
SIDE = 12


def write_corpus(folder, voices=5, num_spks=2):
    """``voices`` utterances of one speaker each; they pause in frames 20-33.

    All pixels of frame f are 5 f + 1.
    """
    rng = np.random.default_rng(0)
    for n in range(voices):
        wave = 0.1 * rng.standard_normal(FRAMES * 640)
        wave[20 * 640 : 34 * 640] = 0
        soundfile.write(folder / f"{n}.wav", wave, 16000, subtype="FLOAT")
        level = 5 * np.arange(FRAMES, dtype=np.uint8) + 1
        frames = np.tile(level[:, None, None], (1, SIDE, SIDE))
        np.savez(folder / f"{n}.npz", data=frames)
    rows = []
    for i in range(voices):
        row = {"ID": f"m{i}", "duration": FRAMES / 25, "mix_wav": ""}
        for k in range(num_spks):
            n = (i + k) % voices
            row[f"s{k + 1}_wav"] = f"$data_root/{n}.wav"
            row[f"s{k + 1}_lips"] = f"$data_root/{n}.npz"
            row[f"s{k + 1}_gain"], row[f"s{k + 1}_spk"] = 1.0, f"p{n}"
        rows.append(row)
    write_manifest(folder / "all.csv", rows, num_spks)


def hparams(folder, **changes):
    """What the pipeline reads; all augmentation off."""
    manifest = str(folder / "all.csv")
    base = {
        "data_folder": str(folder),
        "train_data": manifest,
        "valid_data": manifest,
        "test_data": manifest,
        "sample_rate": 16000,
        "video_fps": 25,
        "num_spks": 2,
        "training_signal_len": WINDOW * 640,
        "dynamic_mixing": True,
        "mix_gain_db": [-5, 5],
        "seed": 7,
        "crop_size": None,
        "random_crop": False,
        "horizontal_flip": False,
        "use_lips": True,
    }
    return {**base, **changes}


def number(lips):
    """The frame that each picture of [Tv, S, H, W] shows, by its corner,
    which no block over the mouth hides.
    """
    return (lips[:, :, 0, 0].long() - 1) // 5


def loaded(dataset, epoch, workers):
    """All items of an epoch as a loader of batches brings them."""
    from speechbrain.dataio.batch import PaddedBatch
    from torch.utils.data import DataLoader

    dataset.set_epoch(epoch)
    loader = DataLoader(dataset, 2, num_workers=workers, collate_fn=PaddedBatch)
    found = {}
    for batch in loader:
        for j, name in enumerate(batch.id):
            parts = [batch.mix_sig.data[j], batch.sources.data[j]]
            parts.append(batch.lips.data[j])
            if hasattr(batch, "lips_mask"):
                parts.append(batch.lips_mask.data[j])
            found[name] = parts
    return found
