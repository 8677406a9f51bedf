"""A folder of videos on a Ray cluster: a worker killed in the middle loses
nothing.

A local Ray with two workers separates four copies of a scene with a toy
model, and a file that is no video. The process that works on one of them is
killed with SIGKILL when its wavs are written: all results must be whole, and
their wavs those that the command writes without Ray, byte by byte.
"""

import importlib.util
import json
import os
import shutil
import signal
import sys

import cv2
import pytest
import torch

from avsep_sb.cli import main
from avsep_sb.commands import separate_ray
from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.inference.video_options import VideoOptions
from tests.utils.toy_model import write_model

#: the video whose process is killed on its first try
FATAL = "clip3"
# Taken before the test puts its own in this place.
separate_one = separate_ray.separate_one


def separate_and_die_once(job):
    """What a worker does instead: SIGKILL when the wavs are written."""
    trace = job.video.parent / f"{FATAL}.killed"
    if job.video.stem == FATAL and not trace.exists():
        from avsep_sb.inference import video

        def die(path, *_):
            trace.write_text(" ".join(sorted(os.listdir(path.parent))))
            os.kill(os.getpid(), signal.SIGKILL)

        # After the wavs and before faces.json.
        video.write_rttm = die
    return separate_one(job)


@pytest.fixture
def ray():
    """Ray with two workers on this machine."""
    ray = pytest.importorskip("ray")
    # Workers know this package, but not this file.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init("local", num_cpus=2, include_dashboard=False)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four copies of a scene, and a text."""
    pytest.importorskip("espeakng_loader")
    from avsep_sb.synth.scene import write_scene
    from avsep_sb.synth.utterance import make_utterance
    from avsep_sb.synth.voices import all_speakers

    folder = tmp_path_factory.mktemp("videos")
    voice = make_utterance(1, all_speakers()[0], 0)
    write_scene(folder / "clip1.mp4", [voice], size=128)
    for number in (2, 3, 4):
        shutil.copy(folder / "clip1.mp4", folder / f"clip{number}.mp4")
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture
def one_thread():
    """As many threads as a worker has: sums may depend on it."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_a_killed_worker_loses_nothing(
    ray, folder, one_thread, tmp_path, monkeypatch, capsys
):
    model = write_model(tmp_path / "toy")
    plain, out = tmp_path / "plain", tmp_path / "out"
    options = ["--source", str(model), "--no-video"]
    clip = str(folder / "clip1.mp4")
    assert main(["separate", clip, "--out", str(plain), *options]) == 0
    monkeypatch.setattr(separate_ray, "separate_one", separate_and_die_once)

    argv = ["separate", str(folder), "--out", str(out), *options, "--ray"]
    assert main(argv) == 2  # of the text alone
    said = capsys.readouterr()
    # The process died in the middle, with the voices half-way there.
    assert "face1.wav" in (folder / f"{FATAL}.killed").read_text().split()

    clips = [f"clip{number}" for number in (1, 2, 3, 4)]
    assert sorted(os.listdir(out)) == ["avsep_failures.csv", *clips]
    wavs = {path.name: path.read_bytes() for path in plain.glob("clip1/*.wav")}
    assert set(wavs) == {"face1.wav", "residual.wav"}
    for name in clips:
        files = set(os.listdir(out / name))
        assert files == set(os.listdir(plain / "clip1"))
        assert files == set(
            json.loads((out / name / "faces.json").read_text())["files"]
        )
        for wav, content in wavs.items():
            assert (out / name / wav).read_bytes() == content, (name, wav)
        assert f"{out / name / 'face1.wav'}" in said.out

    # A bad file is one sentence, told once; the table has it too.
    text = str(folder / "text.mp4")
    errors = [x for x in said.err.splitlines() if x.startswith("error: ")]
    assert len(errors) == 1 and text in errors[0]
    assert "1 of 5 videos failed" in said.err and "Traceback" not in said.err
    table = (out / "avsep_failures.csv").read_text().splitlines()
    assert table[0] == "file,reason" and table[1].startswith(text)

    # Given once more, all is there already; without the text, so is no table.
    os.remove(text)
    assert main(argv) == 0
    assert capsys.readouterr().out.count("already separated") == len(clips)
    assert sorted(os.listdir(out)) == clips


def test_what_is_no_cluster_is_one_sentence(folder, tmp_path, capsys):
    argv = ["separate", str(folder), "--out", str(tmp_path / "out"), "--ray"]
    assert main([*argv, str(tmp_path)]) == 2
    assert "write --ray after the videos" in capsys.readouterr().err


def test_a_machine_with_other_weights_separates_nothing(one_thread, tmp_path):
    job = separate_ray.SeparationJob(
        tmp_path / "a.mp4",
        tmp_path / "a",
        source=str(write_model(tmp_path / "toy")),
        audio_source=None,
        device="cpu",
        options=VideoOptions(weights="of the machine that began"),
    )
    try:
        with pytest.raises(CheckpointError, match="other weights"):
            separate_one(job)
    finally:
        separate_ray._loaded.cache_clear()
    assert not job.folder.exists()


def test_without_ray_a_sentence_says_what_to_install(monkeypatch):
    from avsep_sb.dataio.cluster import connected

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'avsep_sb\[ray\]'"):
        with connected():
            pass


def test_nobody_answers():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    from avsep_sb.dataio.cluster import connected

    with pytest.raises(ConfigError, match="nobody answers at '127.0.0.1:1'"):
        with connected("127.0.0.1:1"):
            pass
