"""Proves that a corpus is cropped once, whatever lists come later: resumed,
cut from whole clips without a look at the videos, failures kept."""

import csv

import numpy as np
import pytest
import soundfile

from avsep_sb.dataio import corpus_cluster
from avsep_sb.dataio.corpus_media import Video, extract_corpus, media_paths
from avsep_sb.dataio.parallel import CRASHED, Outcome
from tests.utils.fake_corpora import fake_vision, load_prepare, write_video


@pytest.fixture
def seen(monkeypatch):
    return fake_vision(monkeypatch)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "corpus"
    for k in range(4):
        for part in ("test", "trainval"):
            path = root / part / f"{part}{k}" / "00001.mp4"
            write_video(path, 10 * k, 2.2 + k / 10)
    # of the same name as one in trainval, which comes first
    write_video(root / "pretrain" / "trainval0" / "00001.mp4", 77)
    (root / "test" / "test0" / "00001.mp4").write_text("torn")
    return root


def crop(repo, tree, *options):
    module = load_prepare(repo, "LRS3")
    return module.crop_main([str(tree), "-j", "0", *options], module.LRS3)


def rows(path):
    with open(path, newline="") as file:
        return [row["file"] for row in csv.DictReader(file)]


def test_cropped_once_then_mixed(repo, tree, seen, capsys):
    assert crop(repo, tree, "--parts", "trainval") == 0
    assert "4 of 4 videos (100.00 %)" in capsys.readouterr().out
    assert crop(repo, tree) == 0
    said = capsys.readouterr().out
    assert "7 of 8 videos (87.50 %)" in said and "1 failed, see" in said
    assert len(seen) == 7
    save = tree.parent / "manifests"
    module = load_prepare(repo, "LRS3")
    module.prepare_lrs3(
        tree,
        save,
        make_lists=True,
        num_train=1,
        num_valid=1,
        num_test=1,
        workers=0,
    )
    # no video is opened again, and the torn one was not drawn
    assert len(seen) == 7
    assert "test0" not in (save / "test.csv").read_text()
    # its failure is still on record
    assert rows(tree / "avsep_sb/first_2s/failures.csv") == [
        str(tree / "test" / "test0" / "00001.mp4")
    ]


def test_whole_clips_are_cut_to_any_length(repo, tree, seen):
    videos = [
        Video(f"test{k}_1", tree / f"test/test{k}/00001.mp4") for k in (1, 2, 3)
    ]
    whole, cut, direct = (tree.parent / n for n in ("whole", "cut", "direct"))
    assert extract_corpus(videos, whole, None, 0, False) == {}
    count = len(seen)
    extract_corpus(videos, cut, 1.2, 0, False, whole_folder=whole)
    assert len(seen) == count
    extract_corpus(videos, direct, 1.2, 0, False)
    for video in videos:
        one, two = (media_paths(f, video.utterance) for f in (cut, direct))
        for paths in (one, two):
            assert soundfile.info(paths["wav"]).frames == 30 * 640
        first, second = (
            soundfile.read(paths["wav"], dtype="int16")[0]
            for paths in (one, two)
        )
        assert np.array_equal(first, second)
        with np.load(one["lips"]) as a, np.load(two["lips"]) as b:
            assert a["data"].shape == (30, 96, 96)
            assert np.array_equal(a["data"], b["data"])
            # what avsep evaluate tells frontal from side faces by
            points = a["landmarks"]
            assert points.shape == (30, 5, 2) and np.isnan(points[0]).all()
            assert np.array_equal(points, b["landmarks"], equal_nan=True)


def test_rows_of_other_videos_stay_in_the_list_of_failures(tmp_path, seen):
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").write_text("torn")
    one, two = (Video(n, tmp_path / f"{n}.mp4") for n in ("a", "b"))
    media = tmp_path / "media"
    assert set(extract_corpus([one], media, None, 0, False)) == {"a"}
    extract_corpus([two], media, None, 0, False)
    assert len(rows(media / "failures.csv")) == 2
    write_video(two.path, 1)
    assert extract_corpus([two], media, None, 0, False) == {}
    assert rows(media / "failures.csv") == [str(one.path)]


def test_a_task_that_was_lost_is_tried_job_by_job(monkeypatch):
    """One culprit among a million clips costs itself, not its neighbours."""
    tasks = []

    def cluster_outcomes(function, items, address):
        assert address == "auto"
        tasks.append([*items])
        for item in items:
            if 3 in item:
                yield Outcome(item, None, CRASHED)
            elif 20 in item:
                yield Outcome(item, None, "not there")
            else:
                yield Outcome(item, function(item), None)

    monkeypatch.setattr(corpus_cluster, "cluster_outcomes", cluster_outcomes)
    monkeypatch.setattr(corpus_cluster, "LEAST_TASKS", 2)
    monkeypatch.setattr(corpus_cluster, "CHUNK", 5)
    jobs = [*range(21), "x"]
    failures = corpus_cluster.run_on_cluster(int, jobs, "auto", progress=False)
    assert len(tasks) == 2 and tasks[1] == [(0,), (1,), (2,), (3,), (4,)]
    assert failures.pop(3) == CRASHED
    assert failures.pop(20) == "not there" and failures.pop("x") == "not there"
    assert failures == {}
