"""A corpus is cropped on a Ray cluster: a process that dies costs the clip
that kills it, a torn video is one line, the rest is as without Ray.

A local Ray with two workers crops four real clips and a torn one in tasks of
several; the process is killed with SIGKILL each time it meets one of them.
"""

import csv
import os
import shutil
import signal
import sys

import numpy as np
import pytest

from avsep_sb.dataio import cluster, corpus_cluster
from avsep_sb.dataio.corpus_media import Video, extract_corpus, media_paths
from avsep_sb.dataio.parallel import CRASHED
from tests.utils.mini_corpora import talking_face, write_clip

FATAL = "clip3"


def extract_or_die(video, **options):
    """What a worker does instead."""
    from avsep_sb.dataio.corpus_media import extract_missing

    if video.utterance == FATAL:
        os.kill(os.getpid(), signal.SIGKILL)
    extract_missing(video, **options)


@pytest.fixture
def ray():
    """Ray with two workers on this machine."""
    ray = pytest.importorskip("ray")
    # Workers know this package, but not this file.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init("local", num_cpus=2, include_dashboard=False)
    yield ray
    ray.shutdown()


def test_a_dying_process_costs_one_clip(ray, tmp_path, monkeypatch):
    pytest.importorskip("espeakng_loader")
    clip = talking_face(0)
    videos = [Video(f"clip{k}", tmp_path / f"clip{k}.mp4") for k in range(5)]
    write_clip(videos[0].path, *clip, (224, 224), ("h264", "aac"), 16000, 1)
    for video in videos[1:4]:
        shutil.copy(videos[0].path, video.path)
    videos[4].path.write_text("torn")
    # Tasks of two and three clips.
    monkeypatch.setattr(corpus_cluster, "LEAST_TASKS", 2)
    # Ray's own further tries would only take longer.
    monkeypatch.setattr(cluster, "MAX_RETRIES", 0)
    monkeypatch.setattr(
        "avsep_sb.dataio.corpus_media.extract_missing", extract_or_die
    )
    media = tmp_path / "media"
    failures = extract_corpus(videos, media, progress=False, ray="local")
    assert set(failures) == {FATAL, "clip4"}
    assert failures[FATAL] == CRASHED
    with open(media / "failures.csv", newline="") as file:
        rows = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert set(rows) == {str(tmp_path / f"clip{k}.mp4") for k in (3, 4)}
    monkeypatch.undo()
    # Given once more, on one machine: only what is missing is done.
    before = {p: p.stat().st_mtime_ns for p in media.rglob("*.npz")}
    assert len(before) == 3
    failures = extract_corpus(videos, media, workers=0, progress=False)
    assert set(failures) == {"clip4"}
    assert all(p.stat().st_mtime_ns == at for p, at in before.items())
    mouths = [np.load(media_paths(media, f"clip{k}")["lips"]) for k in (0, 3)]
    # The same bytes went in. Ray's worker has one thread, this process has all:
    # sums in another order round a few pixels the other way.
    first, last = (mouth["data"].astype(float) for mouth in mouths)
    assert first.shape == last.shape
    assert np.abs(first - last).max() <= 2
    assert first.std() > 10
    assert not [path for path in media.rglob("*") if ".part" in path.name]
