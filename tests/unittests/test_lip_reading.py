"""Viseme pretraining learns from labels of frames, and goes on after a stop.

Mouths that are bright above or below stand for two visemes.
"""

import numpy as np
import pytest
from hyperpyyaml import load_hyperpyyaml

from avsep_sb.errors import CheckpointError, DataError
from avsep_sb.lip_reading import (
    LipReadingBrain,
    make_viseme_dataset,
    read_utterances,
)

SPLITS = {"train": 32, "valid": 2, "test": 2}


@pytest.fixture
def corpus(tmp_path):
    lines = ["ID,split,spk,text,duration"]
    for split, count in SPLITS.items():
        (tmp_path / split / "spk00").mkdir(parents=True)
        for k in range(count):
            rng = np.random.default_rng([len(split), k])
            viseme = rng.integers(0, 2, 12).astype(np.int16)
            data = rng.integers(0, 99, (12, 40, 40)).astype(np.uint8)
            data[viseme == 0, :20] += 150
            data[viseme == 1, 20:] += 150
            name = f"{split}{k:03d}"
            path = tmp_path / split / "spk00" / f"{name}.npz"
            np.savez(path, data=data, viseme=viseme)
            lines.append(f"{name},{split},spk00,text,0.48")
    (tmp_path / "utterances.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def make(repo, corpus, **changed):
    text = (repo / "hparams" / "lips_synthav.yaml").read_text()
    options = {
        "data_folder": str(corpus),
        "dataset": "SynthAV",
        "output_folder": str(corpus / "out"),
        "N_epochs": 3,
        "lr": 0.01,
        "window_frames": 10,
        "crop_size": [32, 32],
        "embedding_dim": 8,
        "num_visemes": 2,
        **changed,
    }
    hparams = load_hyperpyyaml(text, options)
    brain = LipReadingBrain(
        modules=hparams["modules"],
        opt_class=hparams["optimizer"],
        hparams=hparams,
        run_opts={"device": "cpu", "noprogressbar": True},
        checkpointer=hparams["checkpointer"],
    )
    splits = read_utterances(corpus)
    sets = [
        make_viseme_dataset(splits[name], hparams, name == "train")
        for name in SPLITS
    ]
    brain.train_set = sets[0]
    return brain, hparams, sets


def fit(brain, hparams, sets):
    options = {"batch_size": 4}
    brain.fit(
        hparams["epoch_counter"],
        *sets[:2],
        train_loader_kwargs={"shuffle": True, **options},
        valid_loader_kwargs=dict(options),
    )


def test_learns_and_goes_on(repo, corpus):
    brain, hparams, sets = make(repo, corpus, N_epochs=1)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        brain.evaluate(sets[2], min_key="loss")
    fit(brain, hparams, sets)
    brain, hparams, sets = make(repo, corpus)
    fit(brain, hparams, sets)
    brain.evaluate(
        sets[2], min_key="loss", test_loader_kwargs={"batch_size": 2}
    )
    log = (corpus / "out" / "train_log.txt").read_text().splitlines()
    assert [line.split(",")[0] for line in log[:3]] == [
        f"epoch: {k}" for k in (1, 2, 3)
    ]
    assert float(log[-1].split("accuracy: ")[1]) > 0.9, log


def test_missing_list_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="avsep synth --out"):
        read_utterances(tmp_path)
