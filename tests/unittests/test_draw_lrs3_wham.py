"""Proves that missing LRS3+WHAM! lists are drawn by the published rule, that
it is said, and that drawn lists serve as given ones."""

import json
import os

import pytest

from avsep_sb.dataio.manifest import check_manifest, read_manifest
from avsep_sb.dataio.wham_lists import read_wham_list
from avsep_sb.errors import ConfigError, DataError
from tests.utils.fake_corpora import load_prepare, write_video
from tests.utils.mini_lrs3_wham import (
    CODES,
    IDS,
    LIST_FILE,
    fake_clips,
    fake_lrs3_wham,
    prepare,
)

COUNTS = {"num_train": 5, "num_valid": 3, "num_test": 3}


@pytest.fixture
def wham(repo):
    return load_prepare(repo, "LRS3-WHAM")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    fake_clips(monkeypatch)
    return fake_lrs3_wham(tmp_path / "corpus")


def test_lists_are_drawn_from_the_tree(wham, tree):
    for split in ("train", "val"):
        (tree / "lists" / LIST_FILE.format(split)).unlink()
    # too short for a mixture: never drawn
    write_video(tree / "trainval" / "aa" / "50009.mp4", 77, 1.9)
    # a test speaker in trainval: never drawn for training or validation
    write_video(tree / "trainval" / "ff" / "50009.mp4", 78, 2.4)
    save = prepare(wham, tree, make_lists=True, **COUNTS)
    speakers = {}
    for split, count in (("train", 5), ("valid", 3), ("test", 2)):
        rows = check_manifest(save / f"{split}.csv", tree, num_spks=2)
        assert len(rows) == count
        speakers[split] = {row[f"s{k}_spk"] for row in rows for k in (1, 2)}
        assert not [row["ID"] for row in rows if "50009" in row["ID"]]
    assert len(speakers["valid"]) == 2 and speakers["test"] == {"ff", "gg"}
    assert not speakers["train"] & speakers["valid"]
    record = json.loads((save / "lists.json").read_text())
    assert record["protocol"] == "published"
    assert record["lists"]["test"].startswith("the given mix_2_spk_test")
    assert record["lists"]["train"] == (
        "drawn with seed 0: 5 mixtures of 6 utterances of trainval/, noise "
        "in the order of the file names"
    )
    drawn = read_wham_list(save / "lists" / LIST_FILE.format("train"))
    assert [(m.noise, m.start) for m in drawn] == [
        ("n1.wav", 0),
        ("n2.wav", 0),
        ("n1.wav", 32000),
        ("n2.wav", 32000),
        ("n1.wav", 64000),
    ]
    # the drawn lists serve as given ones
    again = tree.parent / "lists"
    os.rename(save / "lists", again)
    os.rename(
        tree / "lists" / LIST_FILE.format("test"),
        again / LIST_FILE.format("test"),
    )
    same = prepare(wham, tree, "same", lists_folder=again)
    assert (same / "train.csv").read_bytes() == (
        save / "train.csv"
    ).read_bytes()
    with pytest.raises(ConfigError, match="'train': 5.*'train': 6"):
        prepare(wham, tree, make_lists=True, **{**COUNTS, "num_train": 6})
    with pytest.raises(DataError, match="holds 5 windows .* but 6 mixtures"):
        prepare(
            wham, tree, "more", make_lists=True, **{**COUNTS, "num_train": 6}
        )


def test_lists_are_drawn_from_published_pools(wham, tree):
    """LRS3-2Mix lists name the utterances, WHAM!'s table orders the noise."""
    for split, ids in IDS.items():
        path = tree / "lists" / LIST_FILE.format(split)
        path.unlink()
        # validation and test share a speaker, as they do in public
        shared = ["ff"] if split == "val" else []
        pool = [f"{one}_50001" for one in [*ids, *shared]]
        path = tree / "lists" / f"mix_2_spk_{CODES[split]}.scp"
        path.write_text(
            "".join(
                f"/x/{one}.wav 1.5 /x/{two}.wav -1.5\n"
                for one, two in zip(pool, pool[1:], strict=False)
            )
        )
        path = tree / "lists" / f"mix_param_meta_{CODES[split]}.csv"
        path.write_text("utterance_id\nn2.wav\nn1.wav\n")
    counts = {"num_train": 3, "num_valid": 1, "num_test": 1}
    save = prepare(wham, tree, make_lists=True, **counts)
    rows = read_manifest(save / "valid.csv")
    assert {rows[0]["s1_spk"], rows[0]["s2_spk"]} == {"dd", "ee"}
    drawn = read_wham_list(save / "lists" / LIST_FILE.format("train"))
    assert [m.noise for m in drawn] == ["n2.wav", "n1.wav", "n2.wav"]
    assert all(name.endswith("_50001") for m in drawn for name in m.utterances)
    record = json.loads((save / "lists.json").read_text())["lists"]
    assert record["train"].endswith(
        "of mix_2_spk_tr.scp, noise in the order of mix_param_meta_tr.csv"
    )
