"""Proves that data, model, loss and Brain fit: four mixtures are learnt.

On real GRID clips, through the project's own face pipeline, where they lie
beside the checkout; else on SynthAV, so that the proof stands without them.
"""

from pathlib import Path

import numpy as np
import soundfile
from hyperpyyaml import load_hyperpyyaml

from avsep_sb.dataio.corpus_media import Video, extract_video, media_paths
from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.experiment import train_and_evaluate
from avsep_sb.inference.shipped import shipped_model

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 1.6
CLIPS = "brbk7n lbax4n lbbc2a lrwp9a lwbsza sbia1a sbwe5n swiz3n".split()


def grid_sources(folder, clips):
    """The first seconds of eight clips, one speaker each."""
    for name in CLIPS:
        video = Video(name, clips / f"{name}.mpg")
        extract_video(video, folder, clip_seconds=SECONDS)
    return [media_paths(folder, name) for name in CLIPS]


def synthetic_sources(folder):
    """The middle of an utterance of eight speakers of SynthAV."""
    from avsep_sb.synth.utterance import make_utterance, render_roi
    from avsep_sb.synth.voices import all_speakers

    frames = round(SECONDS * 25)
    paths = []
    for k in range(8):
        one = make_utterance(5, all_speakers()[6 * k], 0)
        start = len(one.tracks) // 4
        cut = slice(start, start + frames)
        wav, lips = folder / f"{k}.flac", folder / f"{k}.npz"
        sound = one.audio[start * 640 : (start + frames) * 640]
        soundfile.write(wav, sound, 16000)
        np.savez(lips, data=render_roi(one)[cut])
        paths.append({"wav": wav, "lips": lips})
    return paths


def overfit(folder, sources, repeats=40):
    """SI-SNRi in dB after training on four mixtures of eight sources."""
    rows = []
    for i in range(4):
        row = {"ID": f"mix{i}", "duration": SECONDS, "mix_wav": ""}
        for k, source in ((1, sources[2 * i]), (2, sources[2 * i + 1])):
            row[f"s{k}_wav"] = str(source["wav"])
            row[f"s{k}_lips"] = str(source["lips"])
            row[f"s{k}_gain"] = 1.0
            row[f"s{k}_spk"] = f"spk{2 * i + k}"
        rows.append(row)
    copies = [
        {**row, "ID": f"{row['ID']}_{n:02d}"}
        for n in range(repeats)
        for row in rows
    ]
    for name, listed in (("train", copies), ("valid", rows), ("test", rows)):
        write_manifest(folder / f"{name}.csv", listed, 2)
    overrides = {
        "data_folder": str(folder),
        "dataset": "overfit",
        "output_folder": str(folder / "run"),
        "manifest_folder": str(folder),
        # A lip net that reads: from a random one all faces look alike.
        "frontend_weights": str(shipped_model() / "visual_frontend.ckpt"),
        # Half the width of what ships: enough for four mixtures.
        "in_channels": 160,
        "out_channels": 96,
        "video_channels": 32,
        "N_epochs": 8,
        "lr": 0.003,
        "training_signal_len": round(SECONDS * 16000),
        "dynamic_mixing": False,
        "random_crop": False,
        "horizontal_flip": False,
        "save_audio": False,
        "test_metrics": ["si-snr"],
    }
    with open(ROOT / "hparams" / "iianet_synthav.yaml") as fin:
        hparams = load_hyperpyyaml(fin, overrides)
    brain = train_and_evaluate(
        hparams, {"device": "cpu", "noprogressbar": True, "debug": False}
    )
    return sum(brain.gains) / len(brain.gains)


def test_four_mixtures_are_learnt(tmp_path, repo, monkeypatch):
    # The run is judged by its scores; what it leaves is test_training's.
    monkeypatch.setattr("avsep_sb.experiment.finish_run", lambda *a: None)
    clips = repo.parent / "shared" / "media" / "grid"
    if clips.is_dir():
        sources = grid_sources(tmp_path, clips)
    else:
        sources = synthetic_sources(tmp_path)
    assert overfit(tmp_path, sources) > 10
