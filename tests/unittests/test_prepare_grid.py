"""Proves that GRID is split by speaker and mixed by a seed of its own."""

import pytest

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.dataio.mixture_lists import read_mixture_list
from avsep_sb.errors import ConfigError, DataError
from tests.utils.fake_corpora import fake_vision, load_prepare, write_video

COUNTS = {"num_train": 6, "num_valid": 3, "num_test": 3}


@pytest.fixture
def grid(repo):
    return load_prepare(repo, "GRID")


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "corpus"
    for k, speaker in enumerate(("s1", "s2", "s3", "s4", "s5", "s33", "s34")):
        for m, name in enumerate(("bbaf2n", "lwwf9a", "swiz3n")):
            folder = root / speaker
            if speaker == "s33":
                # as the high quality archives unpack
                folder = folder / "video" / "mpg_6000"
            write_video(folder / f"{name}.mpg", 10 * k + m)
            (root / "alignments" / speaker).mkdir(parents=True, exist_ok=True)
            (root / "alignments" / speaker / f"{name}.align").write_text("")
    return root


def prepare(module, tree, save="manifests", **kwargs):
    save = tree.parent / save
    module.prepare_grid(tree, save, workers=0, **{**COUNTS, **kwargs})
    return save


def test_speakers_do_not_meet(grid, tree, monkeypatch):
    fake_vision(monkeypatch)
    save = prepare(grid, tree)
    expected = {
        "train": ({"s5", "s33", "s34"}, 6),
        "valid": ({"s3", "s4"}, 3),
        "test": ({"s1", "s2"}, 3),
    }
    for split, (speakers, count) in expected.items():
        rows = check_manifest(save / f"{split}.csv", tree, num_spks=2)
        assert len(rows) == count
        assert {r["s1_spk"] for r in rows} | {r["s2_spk"] for r in rows} <= (
            speakers
        )
        for row in rows:
            assert row["s1_spk"] != row["s2_spk"]
            assert row["duration"] == 3.0
            assert row["s1_wav"].startswith(f"{tree}/avsep_sb/whole/audio/s")
    listed = read_mixture_list(save / "lists" / "mix_2_spk_tt.scp")
    assert len(listed) == 3


def test_sentences_come_from_alignments_or_names(grid, tree, monkeypatch):
    fake_vision(monkeypatch)
    times = "0 9 sil\n9 20 bin\n20 21 sp\n21 31 BLUE\n"
    (tree / "alignments" / "s1" / "bbaf2n.align").write_text(times)
    (tree / "s2" / "align").mkdir()
    (tree / "s2" / "align" / "lwwf9a.align").write_text("0 9 again\n")
    rows = check_manifest(prepare(grid, tree) / "test.csv", tree)
    texts = {
        (row[f"s{k}_spk"], row[f"s{k}_wav"][-11:-5]): row[f"s{k}_text"]
        for row in rows
        for k in (1, 2)
    }
    expected = {
        ("s1", "bbaf2n"): "bin BLUE",
        ("s2", "lwwf9a"): "again",
        ("s2", "swiz3n"): "set white in z three now",
    }
    assert texts.keys() & expected.keys()
    for key in texts.keys() & expected.keys():
        assert texts[key] == expected[key]
    cut = prepare(grid, tree, "cut", clip_seconds=2.0) / "test.csv"
    assert "text" not in cut.read_text(encoding="utf-8")
    (tree / "alignments" / "s1" / "bbaf2n.align").write_text("bin blue\n")
    with pytest.raises(DataError, match="no file of word times"):
        grid.GRID(tree).text("s1_bbaf2n")


def test_same_seed_same_bytes(grid, tree, monkeypatch):
    fake_vision(monkeypatch)
    first, second, other = (
        (prepare(grid, tree, save, mix_seed=seed) / "train.csv").read_bytes()
        for save, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == second != other


@pytest.mark.parametrize("num_spks", [3, 4])
def test_more_speakers(grid, tree, num_spks, monkeypatch):
    fake_vision(monkeypatch)
    for k, speaker in enumerate(("s20", "s22", "s30", "s31", "s6")):
        write_video(tree / speaker / "bbaf2n.mpg", k)
    save = prepare(grid, tree, num_spks=num_spks)
    rows = check_manifest(save / "test.csv", tree, num_spks=num_spks)
    for row in rows:
        labels = {row[f"s{k}_spk"] for k in range(1, num_spks + 1)}
        assert len(labels) == num_spks


def test_second_run_does_nothing(grid, tree, monkeypatch):
    seen = fake_vision(monkeypatch)
    save = prepare(grid, tree)
    stamps = {f: f.stat().st_mtime_ns for f in save.rglob("*")}
    seen.clear()
    prepare(grid, tree)
    assert not seen
    assert {f: f.stat().st_mtime_ns for f in save.rglob("*")} == stamps
    with pytest.raises(ConfigError, match="mix_seed 0, now 5"):
        prepare(grid, tree, mix_seed=5)


def test_failing_video_is_listed(grid, tree, monkeypatch):
    fake_vision(monkeypatch)
    bad = tree / "s5" / "bbaf2n.mpg"
    bad.write_text("torn")
    save = prepare(grid, tree, num_train=20)
    text = (tree / "avsep_sb" / "whole" / "failures.csv").read_text()
    assert text.splitlines()[0] == "file,reason"
    assert str(bad) in text and "corrupt" in text
    assert "s5_bbaf2n" not in (save / "train.csv").read_text()


def test_missing_corpus_and_speakers(grid, tree, tmp_path):
    with pytest.raises(DataError, match="holds no videos s1/"):
        prepare(grid, tmp_path / "nowhere")
    for file in (tree / "s2").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="test split needs 2 .* has s1 of s1"):
        prepare(grid, tree)
    with pytest.raises(DataError, match="only 9 of 10 different"):
        write_video(tree / "s2" / "bbaf2n.mpg", 1)
        write_video(tree / "s2" / "bbaf3n.mpg", 2)
        write_video(tree / "s2" / "bbaf4n.mpg", 3)
        prepare(grid, tree, num_test=10)
