"""LRW: the corpus is prepared once, and a front end learns to read words.

The training is the YAML's own, with a light net in place of the ResNet and
mouths that are bright either above or below in place of words.
"""

import csv
import importlib.util

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from avsep_sb.dataio import lrw
from avsep_sb.dataio.draws import item_rng
from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.lobes.lip_resnet import LipResNet
from avsep_sb.word_reading import (
    WordReadingBrain,
    make_word_dataset,
    mixup_draw,
    train_word_reader,
    word_window,
)

WORDS = ("ABOUT", "AFTER")


@pytest.fixture(scope="module")
def recipe(repo):
    path = repo / "recipes" / "LRW" / "prepare.py"
    spec = importlib.util.spec_from_file_location("prepare_of_lrw", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fake_tree(root, counts=None):
    """Videos without a picture: what is prepared of them is in media."""
    for number, word in enumerate(WORDS):
        for split, folder in lrw.FOLDERS.items():
            for k in range((counts or {}).get(split, 1)):
                path = root / "lipread_mp4" / word / folder
                path.mkdir(parents=True, exist_ok=True)
                path = path / f"{word}_{k + 1:05d}.mp4"
                path.write_bytes(b"torn")
                path.with_suffix(".txt").write_text("Duration: 0.4 seconds\n")
                clip = lrw.Clip(path.stem, word, split, path)
                rng = np.random.default_rng([number, k])
                roi = rng.integers(0, 99, (29, 40, 40)).astype(np.uint8)
                rows = slice(0, 20) if number else slice(20, 40)
                roi[:, rows] += 150
                lips = lrw.lips_path(root / "avsep_sb" / "words", clip)
                lips.parent.mkdir(parents=True, exist_ok=True)
                np.savez(lips, data=roi)
    return root


def hparams_for(repo, root, output, **changed):
    """The YAML of CTCNet-Lip, made small."""
    text = (repo / "hparams" / "lrw_resnet.yaml").read_text()
    options = {
        "data_folder": str(root),
        "dataset": "LRW",
        "output_folder": str(output),
        "manifest_folder": str(root / "lists"),
        "num_words": 2,
        "N_epochs": 3,
        "batch_size": 4,
        "lr": 0.01,
        "embedding_dim": 8,
        "crop_size": [32, 32],
        **changed,
    }
    lines = "".join(f"{key}: {value}\n" for key, value in options.items())
    net = "\n    ".join(
        [
            "visual_frontend: !new:avsep_sb.lobes.light_lip.LightLipNet",
            "out_channels: !ref <embedding_dim>",
            "crop: !ref <crop_size>",
            "channels: [4, 4, 4, 4]",
        ]
    )
    start = text.index("visual_frontend: !new")
    end = text.index("# The mean over time")
    text = f"{text[:start]}{net}\n\n{text[end:]}"
    text = text.replace("num_workers: 4", "num_workers: 0")
    return load_hyperpyyaml(text, lines)


@pytest.fixture
def corpus(tmp_path, recipe):
    root = fake_tree(tmp_path / "LRW", {"train": 4, "valid": 2})
    recipe.prepare_lrw(root, root / "lists", workers=0)
    return root


def run(hparams):
    return train_word_reader(hparams, {"device": "cpu", "noprogressbar": True})


def log_of(folder):
    return (folder / "train_log.txt").read_text().splitlines()


def test_lists(corpus, recipe):
    rows = lrw.read_clips(corpus / "lists" / "train.csv", corpus)
    assert len(rows) == 8
    row = rows["AFTER_00002"]
    assert row["word"] == "AFTER" and row["word_seconds"] == 0.4
    assert row["lips"].endswith(
        "LRW/avsep_sb/words/AFTER/train/AFTER_00002.npz"
    )
    with pytest.raises(ConfigError, match="clips_per_word None, now 1"):
        recipe.prepare_lrw(corpus, corpus / "lists", clips_per_word=1)
    recipe.prepare_lrw(corpus, corpus / "few", clips_per_word=1, workers=0)
    assert len(lrw.read_clips(corpus / "few" / "train.csv", corpus)) == 2


def test_what_failed_is_listed_and_tried_again(tmp_path, recipe):
    root = fake_tree(tmp_path / "LRW", {"train": 2})
    media = root / "avsep_sb" / "words"
    lost = media / "ABOUT" / "train" / "ABOUT_00002.npz"
    roi = lost.read_bytes()
    lost.unlink()
    recipe.prepare_lrw(root, root / "lists", workers=0)
    with open(media / "failures.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file"].endswith("ABOUT_00002.mp4") and row["reason"]
    rows = lrw.read_clips(root / "lists" / "train.csv", root)
    assert "ABOUT_00002" not in rows and len(rows) == 3
    lost.write_bytes(roi)
    recipe.prepare_lrw(root, root / "again", workers=0)
    assert not (media / "failures.csv").exists()
    assert len(lrw.read_clips(root / "again" / "train.csv", root)) == 4


def test_wrong_folders_are_one_sentence(tmp_path, recipe):
    with pytest.raises(DataError, match="holds no words of LRW"):
        recipe.prepare_lrw(tmp_path, tmp_path / "lists")
    root = fake_tree(tmp_path / "LRW")
    (root / "lipread_mp4" / "ABOUT" / "val" / "ABOUT_00001.mp4").unlink()
    with pytest.raises(DataError, match="unpack all of its parts"):
        recipe.prepare_lrw(root, tmp_path / "lists", workers=0)
    with pytest.raises(DataError, match="run the preparation"):
        lrw.read_clips(tmp_path / "lists" / "train.csv", root)


def test_command_prepares_without_training(tmp_path, recipe, capsys):
    root = fake_tree(tmp_path / "LRW")
    recipe.main([str(root), "--save_folder", str(tmp_path / "lists"), "-j0"])
    assert (tmp_path / "lists" / "test.csv").is_file()
    with pytest.raises(SystemExit):
        recipe.main(["--help"])
    assert "--ray" in capsys.readouterr().out


def test_window_holds_the_word():
    cuts = [
        word_window(29, 10.0, item_rng(1, epoch, "ABOUT_00001"))
        for epoch in range(200)
    ]
    assert {cut.start for cut in cuts} == set(range(10))
    assert {cut.stop for cut in cuts} == set(range(20, 30))
    assert word_window(29, 0, None) == slice(0, 29)
    assert word_window(5, 40.0, item_rng(1, 1, "a")) == slice(0, 5)


def test_items_are_drawn_by_epoch_and_whole_in_tests(corpus, repo, tmp_path):
    hparams = hparams_for(repo, corpus, tmp_path / "out")
    clips = lrw.read_clips(corpus / "lists" / "train.csv", corpus)
    train = make_word_dataset(clips, WORDS, hparams, training=True)
    test = make_word_dataset(clips, WORDS, hparams, training=False)
    train.set_epoch(1)
    first = [train[k]["roi"] for k in range(8)]
    assert all(torch.equal(first[k], train[k]["roi"]) for k in range(8))
    train.set_epoch(2)
    assert any(len(first[k]) != len(train[k]["roi"]) for k in range(8))
    assert all(test[k]["roi"].shape == (29, 1, 32, 32) for k in range(8))
    assert [test[k]["label"] for k in range(8)] == [0] * 4 + [1] * 4
    hparams["variable_length"] = False
    whole = make_word_dataset(clips, WORDS, hparams, training=True)
    assert all(len(whole[k]["roi"]) == 29 for k in range(8))


def test_front_end_learns_and_is_exported(recipe, repo, tmp_path):
    # Steps enough for the running statistics to follow.
    root = fake_tree(tmp_path / "LRW", {"train": 24, "valid": 2, "test": 4})
    recipe.prepare_lrw(root, root / "lists", workers=0)
    hparams = hparams_for(repo, root, tmp_path, N_epochs=4, mixup_alpha=0.1)
    brain = run(hparams)
    last = log_of(tmp_path)[-1]
    assert "test accuracy: 1.00" in last, last
    saved = torch.load(tmp_path / "visual_frontend.ckpt", weights_only=True)
    for name, value in brain.modules.visual_frontend.state_dict().items():
        assert torch.equal(saved[name], value), name


def test_interrupted_run_goes_on_alike(corpus, repo, tmp_path, monkeypatch):
    run(hparams_for(repo, corpus, tmp_path / "whole"))

    def stop(self, stage, epoch=None):
        if epoch == 3:
            raise KeyboardInterrupt
        original(self, stage, epoch)

    original = WordReadingBrain.on_stage_start
    with monkeypatch.context() as patched:
        patched.setattr(WordReadingBrain, "on_stage_start", stop)
        with pytest.raises(KeyboardInterrupt):
            run(hparams_for(repo, corpus, tmp_path / "stopped"))
    assert not (tmp_path / "stopped" / "visual_frontend.ckpt").exists()
    run(hparams_for(repo, corpus, tmp_path / "stopped"))
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "stopped")


def test_nothing_to_test_and_wrong_counts(corpus, repo, tmp_path):
    hparams = hparams_for(repo, corpus, tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        train_word_reader(hparams, {"device": "cpu", "test_only": True})
    hparams = hparams_for(repo, corpus, tmp_path, num_words=500)
    with pytest.raises(ConfigError, match="give --num_words 2"):
        run(hparams)


class Batch:
    """A batch of two clips, one of them padded."""

    def __init__(self, lengths):
        draw = torch.Generator().manual_seed(0)
        self.clips = [
            torch.randint(0, 256, (n, 1, 32, 32), generator=draw).byte()
            for n in lengths
        ]
        self.id = [f"clip{n}" for n in lengths]
        longest = max(lengths)
        padded = torch.zeros(len(lengths), longest, 1, 32, 32).byte()
        for k, clip in enumerate(self.clips):
            padded[k, : len(clip)] = clip
        self.roi = padded, torch.tensor(lengths) / longest
        self.label = torch.arange(len(lengths))

    def to(self, device):
        return self


def brain_of(net, alpha):
    head = torch.nn.Linear(net.out_channels, 2)
    return WordReadingBrain(
        modules={"visual_frontend": net, "classifier": head},
        hparams={"visual_frontend": net, "mixup_alpha": alpha, "seed": 1},
        run_opts={"device": "cpu"},
    )


def test_padding_leaves_the_scores_and_mixup_is_a_mixture():
    from speechbrain.core import Stage

    torch.manual_seed(0)
    brain = brain_of(LipResNet(crop=None, frozen=True), 0.0)
    brain.right = brain.seen = brain.epoch = 0
    with torch.no_grad():
        both = brain.compute_forward(Batch([9, 4]), Stage.VALID)
        for k, clip in enumerate(Batch([9, 4]).clips):
            alone = Batch([9, 4])
            alone.roi = clip[None], torch.ones(1)
            alone = brain.compute_forward(alone, Stage.VALID)
            torch.testing.assert_close(
                both[k : k + 1], alone, atol=0.02, rtol=0
            )
        brain.hparams.mixup_alpha = 0.4
        batch = Batch([9, 9])
        scores = brain.compute_forward(batch, Stage.TRAIN)
        loss = brain.compute_objectives(scores, batch, Stage.TRAIN)
    index, kept = mixup_draw(1, 0, batch.id, 0.4)
    log = scores.log_softmax(-1)
    each = [-log[k, k] * kept - log[k, index[k]] * (1 - kept) for k in (0, 1)]
    torch.testing.assert_close(loss, sum(each) / 2)
    assert mixup_draw(1, 0, batch.id, 0.4)[1] == kept
    assert mixup_draw(1, 2, batch.id, 0.4)[1] != kept
