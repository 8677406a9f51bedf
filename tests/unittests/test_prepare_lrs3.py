"""Proves that LRS3 is prepared from its tree, the public lists of validation
and test, and a training list that is drawn without their speakers."""

import json

import pytest

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.dataio.mixture_lists import read_mixture_list
from avsep_sb.errors import ConfigError, DataError
from tests.utils.fake_corpora import fake_vision, load_prepare, write_video

TRAINVAL = [f"tra_n{k:06d}" for k in range(8)]
TEST = ["test_00000A", "test-00000B", "testX00000C"]
COUNTS = {"num_train": 6, "num_valid": 2, "num_test": 2}


@pytest.fixture
def lrs3(repo, monkeypatch):
    module = load_prepare(repo, "LRS3")
    module.seen = fake_vision(monkeypatch)
    return module


@pytest.fixture
def tree(tmp_path):
    """Ids with underscores; a talk of the test also lies in pretrain, and
    each talk has a clip that is too short."""
    root = tmp_path / "corpus"
    for part, talks in (("trainval", TRAINVAL), ("test", TEST)):
        for k, talk in enumerate(talks):
            write_video(root / part / talk / "50001.mp4", k, 2.4)
            write_video(root / part / talk / "50002.mp4", 50 + k, 2.1)
            write_video(root / part / talk / "50003.mp4", 99, 1.9)
    write_video(root / "pretrain" / TEST[0] / "00009.mp4", 98)
    return root


def give(tree, split, one, two):
    path = tree / "lists" / f"mix_2_spk_{split}.scp"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"/x/{one}_50001.wav 2.5 /x/{two}_50002.wav -2.5\n")


def prepare(module, tree, save="manifests", **kwargs):
    save = tree.parent / save
    module.prepare_lrs3(tree, save, workers=0, **kwargs)
    return save


def speakers(rows, num_spks=2):
    return {row[f"s{k}_spk"] for row in rows for k in range(1, num_spks + 1)}


def test_given_lists_and_a_drawn_one(lrs3, tree):
    give(tree, "cv", TRAINVAL[0], TRAINVAL[1])
    give(tree, "tt", TEST[0], TEST[1])
    with pytest.raises(DataError, match="mix_2_spk_tr.scp is not in .*True"):
        prepare(lrs3, tree, "others")
    with pytest.raises(ConfigError, match="are for lists that are drawn"):
        prepare(lrs3, tree, "others", num_train=6)
    save = prepare(lrs3, tree, make_lists=True, num_train=6)
    rows = check_manifest(save / "test.csv", tree, num_spks=2)
    assert [row["ID"] for row in rows] == [
        "test_00000A_50001_2.5_test-00000B_50002_-2.5"
    ]
    assert (rows[0]["s1_spk"], rows[0]["duration"]) == ("test_00000A", 2.0)
    train = check_manifest(save / "train.csv", tree, num_spks=2)
    assert len(train) == 6
    assert speakers(train) <= set(TRAINVAL[2:])
    record = json.loads((save / "lists.json").read_text())
    assert record["valid"].startswith("the given mix_2_spk_cv.scp (SHA-256")
    # what is too short is never drawn, nor looked at
    assert record["train"] == (
        "drawn with seed 0: 6 mixtures of 18 utterances of trainval/"
    )
    assert not [path for path in lrs3.seen if "50003" in path]


@pytest.mark.parametrize("num_spks", [2, 3])
def test_all_drawn_no_speaker_in_two_splits(lrs3, tree, num_spks):
    save = prepare(lrs3, tree, num_spks=num_spks, make_lists=True, **COUNTS)
    rows = {
        split: check_manifest(save / f"{split}.csv", tree, num_spks=num_spks)
        for split in ("train", "valid", "test")
    }
    assert [len(rows[split]) for split in rows] == [6, 2, 2]
    found = {split: speakers(rows[split], num_spks) for split in rows}
    assert found["test"] <= set(TEST)
    assert found["train"] | found["valid"] <= set(TRAINVAL)
    assert not found["train"] & found["valid"]
    # the drawn lists serve as given ones, byte by byte
    again = prepare(
        lrs3, tree, "again", num_spks=num_spks, lists_folder=save / "lists"
    )
    for split in rows:
        name = f"{split}.csv"
        assert (again / name).read_bytes() == (save / name).read_bytes()


def test_three_speakers_of_the_two_speaker_protocol(lrs3, tree):
    """The utterances are those of the public lists, as far as they go."""
    path = tree / "lists" / "mix_2_spk_tt.scp"
    give(tree, "tt", TEST[0], TEST[1])
    path.write_text(
        path.read_text() + f"{TEST[2]}_50001.wav 1 {TEST[1]}_50001.wav -1\n"
    )
    give(tree, "cv", TRAINVAL[0], TRAINVAL[1])  # too few for three
    save = prepare(lrs3, tree, num_spks=3, **COUNTS)
    listed = read_mixture_list(save / "lists" / "mix_3_spk_tt.scp")
    names = {name for mixture in listed for name in mixture.utterances}
    assert names <= {
        f"{TEST[0]}_50001",
        f"{TEST[1]}_50002",
        f"{TEST[1]}_50001",
        f"{TEST[2]}_50001",
    }
    record = json.loads((save / "lists.json").read_text())
    assert record["test"].endswith("4 utterances of mix_2_spk_tt.scp")
    assert record["valid"].endswith("utterances of trainval/")
    for mixture in listed:
        gain = mixture.gains_db[0]
        assert 0 <= gain < 5 and mixture.gains_db == (gain, 0.0, -gain)


def test_a_manifest_that_is_gone_comes_back_the_same(lrs3, tree):
    save = prepare(lrs3, tree, num_spks=3, **COUNTS)
    lost = save / "valid.csv"
    text, count = lost.read_bytes(), len(lrs3.seen)
    lost.unlink()
    prepare(lrs3, tree, num_spks=3, **COUNTS)
    assert lost.read_bytes() == text and len(lrs3.seen) == count
    with pytest.raises(ConfigError, match="num_spks 3, now 4"):
        prepare(lrs3, tree, num_spks=4, **COUNTS)


def test_too_few_speakers_and_no_corpus(lrs3, tree, tmp_path):
    with pytest.raises(DataError, match="test split needs 4 .* of test/"):
        prepare(lrs3, tree, num_spks=4, **COUNTS)
    with pytest.raises(ConfigError, match="one of 1, 2, 3, 4"):
        prepare(lrs3, tree, num_spks=5)
    with pytest.raises(DataError, match=r"neither LRS3 \(test\) nor ready"):
        prepare(lrs3, tmp_path)
