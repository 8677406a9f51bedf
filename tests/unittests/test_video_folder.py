"""A video in, a folder of voices out: whole, in time, and never in the way.

Proves, on a film of two synthetic speakers of whom one comes late, that the
voices are as long as the sound and in step with it to the millisecond, that
they and the residual are the mixture, that a second run keeps what is there,
that nothing which is not ours is replaced, and that an error leaves nothing.
The separators are stand-ins of two lines.
"""

import json

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb.cli import main
from avsep_sb.commands import separate as separate_command
from avsep_sb.errors import AVSepError, ConfigError, DataError, VideoError
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.inference.video import separate_to_folder, separate_video
from avsep_sb.inference.video_files import all_or_nothing
from avsep_sb.inference.video_options import VideoOptions
from avsep_sb.inference.video_sync import find_offsets, settle_offsets
from avsep_sb.vision.decode import read_audio, read_frames
from avsep_sb.vision.encode import write_video
from avsep_sb.vision.watch import watch
from tests.utils.gate_model import GatedMixture, write_gate_model
from tests.utils.stand_in_models import FixedShares, SharedMixture

pytest.importorskip("espeakng_loader")

#: the frame in which the right face comes
LATE = 30
FRAMES = 62
RATE = 16000
CUT = VideoOptions(window_seconds=1.0, videos=False)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Two faces, the right one black at first; the sound ends early."""
    from avsep_sb.commands.demo import draw_utterances
    from avsep_sb.synth.scene import write_scene

    folder = tmp_path_factory.mktemp("film")
    mix, _ = write_scene(folder / "scene.mp4", draw_utterances(0))
    frames = [
        f.copy()
        for f, _ in zip(
            read_frames(folder / "scene.mp4"), range(FRAMES), strict=False
        )
    ]
    for frame in frames[:LATE]:
        frame[:, frame.shape[1] // 2 :] = 0
    return write_video(
        folder / "Zwei Köpfe.mp4", mix[: FRAMES * 640 - 3000], RATE, frames
    )


@pytest.fixture(scope="module")
def result(film, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "film"
    options = VideoOptions(window_seconds=1.0)
    return separate_to_folder(SharedMixture(), None, film, folder, options)


def lag_ms(late, early):
    """By how much a sound comes after another, by cross-correlation."""
    size = 2 * max(len(late), len(early))
    spectrum = np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size))
    lag = int(np.fft.irfft(spectrum).argmax())
    return 1000 * (lag - size if lag > size // 2 else lag) / RATE


def test_voices_last_as_long_as_the_sound_and_sum_to_it(film, result):
    heard = read_audio(film, RATE)
    wavs = [*result.wavs, result.residual_wav]
    voices = [soundfile.read(wav)[0] for wav in wavs]
    assert {len(voice) for voice in voices} == {len(heard)}
    assert len(heard) < result.table["frames"] * 640, "it ends with the sound"
    assert result.table["gain"] == 1.0
    assert sum(voices) == pytest.approx(heard, abs=1e-4)
    assert result.mixture.numpy() == pytest.approx(heard, abs=1e-4)
    assert result.sources.shape == (len(heard), 2)
    assert sum(len(block) for block in result.blocks(0.7)) == len(heard)


def test_a_face_that_comes_late_is_heard_at_its_time(film, result):
    heard = read_audio(film, RATE)
    voice = result.voice(1).numpy()
    begin = round(result.table["faces"][1]["spans"][0][0] * RATE)
    assert abs(begin / 640 - LATE) <= 8
    # Silence before the fade, then its half of what both say.
    assert not voice[: begin - 6 * 640].any() and voice[begin:].any()
    there = voice[begin + RATE // 2 :]
    assert there == pytest.approx(heard[begin + RATE // 2 :] / 2, abs=1e-3)
    assert abs(lag_ms(voice, heard)) <= 1.0
    rungs = result.table["faces"][1]["rungs"]
    assert rungs[0][0] == 0 and rungs[0][2] == "absent"
    assert rungs[-1][1:] == [round(len(heard) / RATE, 3), "lips"]


def test_each_video_has_its_voice_and_the_whole_picture(film, result):
    assert len(result.videos) == 2
    for path, number in zip(result.videos, (0, 1), strict=True):
        assert sum(1 for _ in read_frames(path)) == FRAMES
        heard = read_audio(path, RATE)
        assert abs(lag_ms(heard, result.voice(number).numpy())) <= 1.0


def test_the_folder_holds_what_its_table_says(result):
    names = sorted(path.name for path in result.folder.iterdir())
    table = json.loads((result.folder / "faces.json").read_text("utf-8"))
    assert table == result.table and table["files"] == names
    assert [face["name"] for face in table["faces"]] == ["face1", "face2"]
    for face in table["faces"]:
        for key in ("wav", "mp4", "thumbnail", "sheet"):
            assert face[key] in names
        assert sum(face["quality"].values()) == pytest.approx(1, abs=1e-3)
        assert face["boxes"][0][0] == face["spans"][0][0]
    lines = (result.folder / "faces.rttm").read_text("utf-8").splitlines()
    assert lines and all(line.startswith("SPEAKER Zwei_K") for line in lines)
    assert [p.name for p in result.folder.parent.iterdir()] == ["film"]


def test_a_second_run_keeps_the_result_and_other_options_are_refused(
    film, result
):
    class Never:
        sees = True

    options = VideoOptions(window_seconds=1.0)
    again = separate_to_folder(Never(), None, film, result.folder, options)
    assert again.skipped and again.table == result.table
    with pytest.raises(ConfigError, match="--overwrite"):
        separate_to_folder(Never(), None, film, result.folder, CUT)


def test_overwriting_replaces_our_files_and_no_others(tmp_path):
    folder = tmp_path / "a"
    with all_or_nothing(folder) as part:
        (part / "face7.wav").touch()
        (part / "faces.json").write_text(
            '{"faces": [], "files": ["face7.wav", "../keep.wav"]}'
        )
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "keep.wav").touch()
    left = tmp_path / ".a.avsep-part"
    left.mkdir()
    (left / "half.wav").touch()
    with all_or_nothing(folder) as part:
        assert not any(part.iterdir()), "left by a run that was killed"
        (part / "face1.wav").touch()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["face1.wav", "notes.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "keep.wav"]
    with pytest.raises(RuntimeError), all_or_nothing(folder) as part:
        (part / "face2.wav").touch()
        raise RuntimeError
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_folder_of_others_is_never_replaced(film, tmp_path):
    (tmp_path / "mine.txt").touch()
    options = VideoOptions(overwrite=True)
    with pytest.raises(ConfigError, match="no result of avsep"):
        separate_to_folder(SharedMixture(), None, film, tmp_path, options)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def sound_alone(path):
    """A second of noise."""
    noise = np.random.default_rng(0).normal(0, 0.1, (44100, 2))
    soundfile.write(path, noise, 44100)
    return path


def test_each_frame_is_searched_before_a_video_is_refused(film, tmp_path):
    """A face in four frames between two searches, too small for a cut."""
    faces = list(read_frames(film))
    shown = [np.full((480, 720, 3), 90, np.uint8) for _ in range(20)]
    for k in range(9, 13):
        half = faces[k][:, : faces[k].shape[1] // 2]
        shown[k][60 : 60 + half.shape[0], 90 : 90 + half.shape[1]] = half
    video = tmp_path / "moment.mp4"
    write_video(video, read_audio(film, RATE)[:12800], RATE, shown)
    with watch(video) as timeline:
        assert not timeline.people
    result = separate_video(SharedMixture(), video)
    assert result.names == ["face1"]


def test_without_a_face_the_sound_alone_is_separated(tmp_path):
    path = sound_alone(tmp_path / "talk.wav")
    grey = [np.full((64, 64, 3), 99, np.uint8)] * 20
    video = tmp_path / "grey.mp4"
    write_video(video, read_noise(path), RATE, grey)
    for source, length in ((path, RATE), (video, None)):
        with pytest.raises(VideoError, match="--speakers") as told:
            separate_video(SharedMixture(), source, audio_model=FixedShares())
        seen = "in 20 frames of 64 x 64; add" in str(told.value)
        assert seen == (source == video)
        result = separate_video(
            SharedMixture(), source, audio_model=FixedShares(), speakers=2
        )
        assert result.names == ["speaker1", "speaker2"]
        length = length or len(read_audio(source, RATE))
        assert result.sources.shape == (length, 2)
        quarter, rest = result.sources.numpy().T
        assert rest == pytest.approx(3 * quarter, abs=2e-4)
        assert result.table["faces"][0]["rungs"] == [
            [0.0, round(length / RATE, 3), "audio"]
        ]
        folder = result.folder
        assert (folder / "residual.wav").is_file()
        del result
        assert not folder.exists(), "a temporary folder lives with its result"


def read_noise(path):
    """The sound of a file without a picture, at 16 kHz."""
    from avsep_sb.vision.audio_stream import stream_audio

    return np.concatenate(list(stream_audio(path, RATE, picture=False)))


def test_an_error_on_the_way_leaves_nothing(film, tmp_path):
    class Breaks(SharedMixture):
        def separate_batch(self, mix, lips, lips_mask=None):
            raise DataError("it breaks; mend it.")

    with pytest.raises(AVSepError, match="breaks"):
        separate_to_folder(Breaks(), None, film, tmp_path / "out" / "a", CUT)
    assert not any((tmp_path / "out").iterdir())


def test_separation_from_python(film, tmp_path):
    write_gate_model(tmp_path / "model", leak=0.1)
    model = AVSeparation.from_hparams(tmp_path / "model")
    result = model.separate_video(film, tmp_path / "voices", max_faces=1)
    assert result.names == ["face1"] and len(result.videos) == 1
    assert result.folder == tmp_path / "voices"
    again = model.separate_video(film, tmp_path / "voices", max_faces=1)
    assert again.skipped


def test_lips_that_are_late_are_found_and_put_right(caplog):
    class Gate:
        hparams = SharedMixture.hparams
        net = GatedMixture(0.0)

        def separate_batch(self, mix, lips):
            visual = (lips.float().mean((-1, -2)) > 100).float()[..., None]
            with torch.no_grad():
                return self.net(mix, visual)

    speaks = np.random.default_rng(0).random(150) < 0.3
    lips = np.zeros((2, 150, 8, 8), np.uint8)
    lips[0, np.roll(speaks, 4)] = lips[1, speaks] = 255
    faces = ArrayFaces(lips)
    sound = [np.repeat(speaks, 640).astype(np.float32)]
    found = find_offsets(Gate(), faces, sound)
    assert [estimate.frames for estimate in found] == [4, 0]
    names = ["a.mp4, face1", "a.mp4, face2"]
    kept, taken = settle_offsets(faces, names, found[1:] * 2)
    assert kept is faces and taken == [0, 0] and not caplog.text
    right, taken = settle_offsets(faces, names, found)
    assert "face1: the lips are" in caplog.text
    assert "--fix-sync" in caplog.text and "face2" not in caplog.text
    assert taken == [160, 0]
    assert (right.rois(0, 0, 140) == lips[1, :140]).all()
    # Nothing is said of a face that is never long enough to be seen.
    assert find_offsets(Gate(), ArrayFaces(lips[:, :90]), sound) == [None] * 2


def test_command_takes_folders_goes_on_after_bad_ones_and_resumes(
    film, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        separate_command,
        "load_models",
        lambda *_: (SharedMixture(), FixedShares()),
    )
    videos, out = tmp_path / "videos", tmp_path / "videos" / "out"
    (videos / "b").mkdir(parents=True)
    (videos / "b" / "good.mp4").write_bytes(film.read_bytes())
    (videos / "a.mp4").write_bytes(b"no video")
    argv = ["separate", str(videos), "--out", str(out), "--no-video"]
    assert main([*argv, "--faces", "1"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {videos / 'a.mp4'}")
    assert printed.err.count("\n") == 1, "no progress bar without a terminal"
    assert "1 face(s), 2.3 s" in printed.out
    assert [p.name for p in out.iterdir()] == ["b"]
    made = (out / "b" / "good" / "face1.wav").stat().st_mtime_ns
    (videos / "a.mp4").unlink()
    # What was written is not taken for a video, and not made again.
    assert main([*argv, "--faces", "1"]) == 0
    assert "already separated" in capsys.readouterr().out
    assert (out / "b" / "good" / "face1.wav").stat().st_mtime_ns == made
    assert main(argv) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, word",
    [
        (["--faces", "0"], "--faces"),
        (["--speakers", "0"], "--speakers"),
        (["--chunk", "0.2"], "--chunk"),
        (["--source", "no/such/folder"], "no/such/folder"),
        (["--audio-source", "no/such/folder"], "no/such/folder"),
        (["--speakers", "7"], "separates 2 voices"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_command_explains_wrong_options(tmp_path, capsys, options, word):
    out = tmp_path / "out"
    assert main(["separate", "a.mp4", "--out", str(out), *options]) == 2
    err = capsys.readouterr().err
    assert word in err and err.startswith("error: ")
    assert not out.exists()
