"""Real faces: two GRID clips side by side, from the file to the results.

Proves that the detector finds both faces in every frame, that the crops show
mouths (they correlate with those of the clips alone), that the voices come in
the order of the faces, and that the results are complete, on one clock, and
overwritten only when asked. The separator is a stand-in of two lines: what is
tested is the way to it and from it.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb.cli import main
from avsep_sb.commands import separate as separate_command
from avsep_sb.errors import ConfigError
from avsep_sb.inference.video import save_results, separate_video
from avsep_sb.vision.decode import read_audio, read_frames
from avsep_sb.vision.encode import write_video
from avsep_sb.vision.mouth import mouth_rois

CLIPS = ("brbk7n.mpg", "swiz3n.mpg")


class PlaceSeparator:
    """Gives each face the mixture times its place from the left."""

    hparams = SimpleNamespace(sample_rate=16000, video_fps=25)

    def separate_batch(self, mix, lips):
        assert lips.dtype == torch.uint8 and lips.shape[-2:] == (96, 96)
        assert mix.shape[1] == lips.shape[2] * 640
        gains = torch.arange(1, lips.shape[1] + 1) / lips.shape[1]
        return mix[:, :, None] * gains


@pytest.fixture(scope="module")
def clips(shared):
    paths = [shared / "media" / "grid" / name for name in CLIPS]
    if not all(path.is_file() for path in paths):
        pytest.skip("the GRID clips beside the checkout are absent")
    return paths


@pytest.fixture(scope="module")
def composite(clips, tmp_path_factory):
    """One second of both, side by side, with mixed sound."""
    frames = [
        np.concatenate(pair, axis=1)
        for pair, _ in zip(
            zip(*map(read_frames, clips), strict=False),
            range(25),
            strict=False,
        )
    ]
    audio = sum(read_audio(path)[:16000] for path in clips) / 2
    path = tmp_path_factory.mktemp("composite") / "two.mp4"
    return write_video(path, audio, 16000, frames)


@pytest.fixture(scope="module")
def result(composite):
    return separate_video(PlaceSeparator(), composite)


def test_both_faces_are_found_and_cropped_as_when_alone(result, clips):
    assert result.rois.shape == (2, 25, 96, 96)
    assert all(track.seen.all() for track in result.tracks)
    assert result.tracks[0].mean_x < 360 < result.tracks[1].mean_x
    alone = mouth_rois(clips[1], max_faces=1)[0][0]
    for k in (0, 12, 20):
        same, other = (
            np.corrcoef(alone[k].ravel(), result.rois[face, k].ravel())[0, 1]
            for face in (1, 0)
        )
        assert same > 0.95 > other


def test_what_moves_is_in_the_middle(result):
    """In an aligned crop of somebody who speaks, the lips move most."""
    for roi in result.rois:
        motion = roi.astype(float).std(0)
        rows, columns = np.nonzero(motion > np.quantile(motion, 0.95))
        assert abs(np.median(rows) - 47.5) < 10
        assert abs(np.median(columns) - 47.5) < 8


def test_results_are_complete_and_in_order(result, tmp_path):
    out = tmp_path / "out"
    files = save_results(result, out)
    assert sorted(p.name for p in out.iterdir()) == [
        "face1.mp4",
        "face1.png",
        "face1.wav",
        "face2.mp4",
        "face2.png",
        "face2.wav",
        "faces.json",
        "mouths.png",
        "spectrogram.png",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    for face, (wav, video) in enumerate(
        zip(files["wavs"], files["videos"], strict=True)
    ):
        voice, rate = soundfile.read(wav, dtype="float32")
        assert rate == 16000 and len(voice) == 16000
        wanted = result.sources[:, face].numpy()
        assert voice == pytest.approx(wanted, abs=2e-4)
        # In the video too: this voice, and at its place.
        heard = read_audio(video)[:16000]
        lag = np.correlate(heard, voice[200:-200]).argmax() - 200
        assert abs(lag) <= 16
        assert sum(1 for _ in read_frames(video)) == 25
    table = json.loads((out / "faces.json").read_text())
    assert [face["seen"] for face in table["faces"]] == [1.0, 1.0]
    assert len(table["faces"][0]["boxes"]) == 25


def test_earlier_results_are_safe_unless_told(result, tmp_path):
    own = tmp_path / "notes.txt"
    own.write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        save_results(result, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "faces.json").write_text(
        '{"faces": [{"files": ["face7.wav", "../face8.wav"]}]}'
    )
    (tmp_path / "face7.wav").touch()
    save_results(result, tmp_path, overwrite=True)
    assert own.read_text() == "mine"
    assert not (tmp_path / "face7.wav").exists(), "a face of another run"
    assert (tmp_path / "face2.wav").exists()


def test_command_separates_good_videos_and_names_bad_ones(
    composite, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        separate_command, "load_separator", lambda *_: PlaceSeparator()
    )
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    out = tmp_path / "out"
    argv = ["separate", str(bad), str(composite), "--out", str(out)]
    assert main([*argv, "--faces", "1"]) == 2
    printed = capsys.readouterr()
    assert f"error: {bad}" in printed.err and printed.err.count("\n") == 1
    assert "1 face(s), 1.0 s" in printed.out
    assert [p.name for p in out.iterdir()] == ["two"]
    assert not (out / "two" / "face2.wav").exists()
    # A second run refuses before it does any work; --overwrite is told.
    assert main(argv) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["separate", str(composite), *argv[3:], "--overwrite"]) == 0
    assert (out / "two" / "face2.wav").exists()


@pytest.mark.parametrize(
    "options, word",
    [
        (["--faces", "0"], "--faces"),
        (["--source", "no/such/folder"], "no/such/folder"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_command_explains_wrong_options(tmp_path, capsys, options, word):
    out = tmp_path / "out"
    assert main(["separate", "a.mp4", "--out", str(out), *options]) == 2
    err = capsys.readouterr().err
    assert word in err and err.startswith("error: ")
    assert not out.exists()
