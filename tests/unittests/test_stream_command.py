"""Videos that still come in: files that grow, pipes, and what is written."""

import io
import os
import sys
import threading
import time

import av
import numpy as np
import pytest
import soundfile
import torch

from avsep_sb.cli import main
from avsep_sb.errors import ConfigError, VideoError
from avsep_sb.inference.growing_wav import GrowingWav
from avsep_sb.inference.live import separate_live
from avsep_sb.inference.streaming import StreamingSeparation
from avsep_sb.lobes.causal_iianet import CausalIIANet
from avsep_sb.lobes.causal_lip import CausalLightLipNet
from avsep_sb.vision.faces import Face
from avsep_sb.vision.growing import GrowingFile
from avsep_sb.vision.live import live_events
from avsep_sb.vision.mouth import MEAN_FACE

RATE, FPS = 16000, 25
FOLDER = """\
sample_rate: 16000
video_fps: 25
visual_frontend: !new:avsep_sb.lobes.causal_lip.CausalLightLipNet
    out_channels: 6
    channels: [4, 4, 8, 8]
    frozen: true
separator: !new:avsep_sb.lobes.causal_iianet.CausalIIANet
    out_channels: 8
    in_channels: 12
    vpre_channels: 6
    vin_channels: 4
    num_av_cycles: 1
    num_audio_cycles: 1
    depth: 2
modules:
    visual_frontend: !ref <visual_frontend>
    separator: !ref <separator>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        visual_frontend: !ref <visual_frontend>
        separator: !ref <separator>
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A toy model whose separation passes the mixture on."""
    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    net = CausalIIANet(8, 12, 6, 4, 1, 1, depth=2)
    torch.nn.init.zeros_(net.mask_conv.weight)
    torch.nn.init.ones_(net.mask_conv.bias)
    lips = CausalLightLipNet(6, channels=(4, 4, 8, 8))
    torch.save(net.state_dict(), path / "separator.ckpt")
    torch.save(lips.state_dict(), path / "visual_frontend.ckpt")
    (path / "hyperparams.yaml").write_text(FOLDER)
    return path


class Detector:
    """Sees a face in the left half, and from a time on one in the right."""

    def __init__(self, second_from):
        self.second_from, self.count = second_from, -1

    def detect(self, frame):
        """All faces of a frame."""
        return [self._face(0), self._face(160)][: 1 + self._both()]

    def follow(self, frame, faces):
        """The faces of the frame before."""
        self.count += 1
        return faces

    def _both(self):
        return self.count >= self.second_from

    def _face(self, left):
        points = MEAN_FACE / 2 + np.float32([left, 20])
        box = np.float32([left + 30, 40, left + 100, 120])
        return Face(0.99, box, points)


def recording(seconds=3.0, kind="matroska", sound=True, fps=FPS):
    """A video as bytes, and its sound."""
    file = io.BytesIO()
    rng = np.random.default_rng(1)
    count = round(seconds * RATE)
    wave = (rng.normal(0, 0.05, count) * 32768).astype(np.int16)
    with av.open(file, "w", format=kind) as out:
        picture = out.add_stream("mpeg4", rate=fps)
        picture.width, picture.height, picture.pix_fmt = 320, 160, "yuv420p"
        # MPEG-TS has no raw samples; its codec is a little late, and lossy.
        codec = "pcm_s16le" if kind == "matroska" else "mp2"
        track = out.add_stream(codec, rate=RATE, layout="mono")
        image = rng.integers(0, 255, (20, 40, 3), dtype=np.uint8)
        image = image.repeat(8, 0).repeat(8, 1)
        for index in range(round(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts = index
            out.mux(picture.encode(frame))
            begin, end = (round(i * RATE / fps) for i in (index, index + 1))
            part = av.AudioFrame.from_ndarray(
                wave[None, begin:end], format="s16", layout="mono"
            )
            part.sample_rate, part.pts = RATE, begin
            if sound or index == 0:
                out.mux(track.encode(part))
        out.mux(picture.encode(None))
        out.mux(track.encode(None))
    return file.getvalue(), wave / 32768


def events(path, idle=0.2):
    """Frames and sound of a recording."""
    with GrowingFile(path, idle) as file:
        found = list(live_events(file, RATE, FPS))
    frames = [value for kind, value in found if kind == "frame"]
    sound = [value for kind, value in found if kind == "sound"]
    return frames, np.concatenate(sound), found


@pytest.mark.parametrize("fps", [25, 30, 10])
def test_sound_and_frames_keep_their_time(tmp_path, fps):
    data, wave = recording(fps=fps)
    (tmp_path / "a.mkv").write_bytes(data)
    frames, sound, found = events(tmp_path / "a.mkv")
    assert abs(len(frames) - 75) <= (1 if fps >= 25 else 3)
    assert np.abs(sound - wave).max() < 1e-4
    # Neither waits for the other, but for blocks of the container.
    heard = seen = 0
    for kind, value in found:
        heard += len(value) if kind == "sound" else 0
        seen += kind == "frame"
        if seen > 5:
            assert abs(heard / RATE - seen / FPS) < 0.25


def test_a_transport_stream_is_read_too(tmp_path):
    data, wave = recording(kind="mpegts")
    (tmp_path / "a.ts").write_bytes(data)
    frames, sound, _ = events(tmp_path / "a.ts")
    assert abs(len(frames) - 75) <= 2
    assert abs(len(sound) - len(wave)) < 3000


def test_a_file_that_grows_is_read_to_its_end(tmp_path, folder):
    data, wave = recording()
    path = tmp_path / "growing.mkv"
    path.write_bytes(data[:1000])

    def grow():
        with path.open("ab") as file:
            for begin in range(1000, len(data), len(data) // 6):
                time.sleep(0.05)
                file.write(data[begin : begin + len(data) // 6])
                file.flush()

    thread = threading.Thread(target=grow)
    thread.start()
    model, out = StreamingSeparation.from_hparams(folder), tmp_path / "out"
    report = separate_live(
        model, path, out, idle=2.0, detector=Detector(second_from=30)
    )
    thread.join()
    assert [face["file"] for face in report["faces"]] == [
        "face1.wav",
        "face2.wav",
    ]
    begin = report["faces"][1]["from_seconds"]
    assert 1.0 < begin < 1.5
    assert report["seconds"] == 3.0
    most = report["latency_seconds"] + 2 / FPS + 0.25
    assert report["waiting_seconds_max"] < most
    for face in report["faces"]:
        found, rate = soundfile.read(out / face["file"])
        first = round(face["from_seconds"] * rate)
        assert (rate, len(found)) == (RATE, len(wave))
        assert not found[:first].any()
        # The model passes the mixture on: the voice is on its clock.
        assert np.abs(found[first:] - wave[first:]).max() < 1e-3
    with pytest.raises(ConfigError, match="--overwrite"):
        separate_live(model, path, out, idle=0.1, detector=Detector(99))


def test_a_fifo_ends_where_it_is_closed(tmp_path):
    data, wave = recording(seconds=1.0)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: path.write_bytes(data))
    thread.start()
    begin = time.monotonic()
    frames, sound, _ = events(path, idle=60)
    thread.join()
    assert (len(frames), len(sound)) == (25, len(wave))
    assert time.monotonic() - begin < 50


def test_what_is_piped_in(tmp_path, folder, monkeypatch):
    data, wave = recording(seconds=1.0)
    reader, writer = os.pipe()
    thread = threading.Thread(target=lambda: _send(writer, data))
    thread.start()
    model = StreamingSeparation.from_hparams(folder)
    with os.fdopen(reader) as piped:
        monkeypatch.setattr(sys, "stdin", piped)
        separate_live(model, "-", tmp_path / "out", detector=Detector(99))
    thread.join()
    found, _ = soundfile.read(tmp_path / "out" / "face1.wav")
    assert len(found) == len(wave)


def _send(writer, data):
    with os.fdopen(writer, "wb") as file:
        file.write(data)


def test_a_wav_is_whole_at_any_time(tmp_path):
    wav = GrowingWav(tmp_path / "a.wav", RATE, silence=100)
    for length in (100, 150, 150, 400):
        if length > wav.samples:
            wav.write(np.full(length - wav.samples, 0.25))
        found, rate = soundfile.read(tmp_path / "a.wav")
        assert (len(found), rate) == (length, RATE)
    wav.close()
    assert not found[:100].any() and np.allclose(found[100:], 0.25, atol=1e-4)


@pytest.mark.parametrize(
    "data, told",
    [
        (b"", "nothing came in"),
        (b"no video at all" * 99, "cannot be decoded"),
        (recording(0.5)[0][:600], "ended before|cannot be decoded"),
    ],
)
def test_what_is_no_video_leaves_nothing(tmp_path, folder, data, told):
    (tmp_path / "a.mkv").write_bytes(data)
    model = StreamingSeparation.from_hparams(folder)
    with pytest.raises(VideoError, match=told):
        separate_live(
            model,
            tmp_path / "a.mkv",
            tmp_path / "out",
            idle=0.1,
            detector=Detector(99),
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options, told",
    [
        (["a.mkv", "b.mkv"], "one video at a time"),
        (["a.mkv", "--chunk", "4"], "--stream goes without --chunk"),
        (["a.mkv", "--idle", "0"], "--idle must be above 0"),
        (["a.mkv", "--device", "cuda"], "runs on the CPU"),
        (["nowhere.mkv", "--source", "FOLDER"], "there is no such file"),
        (["a.mkv", "--source", "iianet-synthav"], "causal models"),
    ],
)
def test_what_cannot_be_streamed(tmp_path, folder, capsys, options, told):
    options = [str(folder) if o == "FOLDER" else o for o in options]
    argv = ["separate", "--stream", "--out", str(tmp_path / "o"), *options]
    assert main(argv) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
