"""Voices of a separator without faces get the faces that say them.

Proves it with the shipped SyncNet on held-out speakers of SynthAV and true
voices at 8 kHz, over windows in which the separator changes its order and
lips freeze, and with a SepFormer of SpeechBrain from the command line.
"""

import importlib
import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
import torchaudio.functional
from speechbrain.inference.separation import SepformerSeparation

from avsep_sb.cli import main
from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.inference.audio_separation import (
    AudioOnlySeparation,
    SoundSeparator,
    load_sound_model,
)
from avsep_sb.inference.face_labels import assign_to_faces, label_faces
from avsep_sb.inference.lip_sync import LipSync
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.shipped import shipped_audio_model, shipped_model
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.synth.utterance import make_utterance, render_roi
from avsep_sb.synth.voices import speakers_of
from avsep_sb.vision.decode import read_audio, read_frames
from avsep_sb.vision.encode import write_video
from tests.utils.toy_sepformer import write_sepformer

FRAME = 640
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sync():
    return LipSync.from_hparams(shipped_model("syncnet-synthav"))


@pytest.fixture(scope="module")
def spoken():
    """True voices [T, 2] at 16 kHz and mouths [2, Tv, 96, 96]."""
    made = [make_utterance(7, name, 11) for name in speakers_of("test")[2:4]]
    mouths = [render_roi(utterance) for utterance in made]
    frames = min(
        *(len(m) for m in mouths), *(len(u.audio) // FRAME for u in made)
    )
    voices = np.stack([u.audio[: frames * FRAME] for u in made], 1)
    return voices, np.stack([m[:frames] for m in mouths])


class Known:
    """Separates by knowing the voices; at 8 kHz, in any order."""

    hparams = SimpleNamespace(sample_rate=8000, num_spks=2)

    def __init__(self, voices, orders=((1, 0),)):
        self.voices = torch.from_numpy(np.asarray(voices, np.float32))
        self.orders, self.calls = orders, 0
        self.low = self.down(self.voices)

    def down(self, voices):
        return torchaudio.functional.resample(voices.T, 16000, 8000).T

    def separate_batch(self, mix):
        # Where the mixture is: at which lag it fits best.
        total = self.low.sum(1)
        size = len(total) + mix.shape[1]
        found = torch.fft.irfft(
            torch.fft.rfft(total, size) * torch.fft.rfft(mix[0], size).conj(),
            size,
        )
        first = int(found[: len(total)].argmax())
        order = self.orders[self.calls % len(self.orders)]
        self.calls += 1
        return self.low[first : first + mix.shape[1], list(order)][None]


def as_lips(mouths):
    return torch.from_numpy(mouths)[None]


def test_voices_come_in_the_order_of_the_faces(spoken, sync):
    voices, mouths = spoken
    model = AudioOnlySeparation(SoundSeparator(Known(voices)), sync)
    mix = torch.from_numpy(voices.sum(1))[None]
    for order in ([0, 1], [1, 0]):
        lips = as_lips(mouths[order])
        found = model.separate_batch(mix, lips)[0].numpy()
        truth = voices[:, order]
        assert found.shape == truth.shape
        for k in range(2):
            likeness = np.corrcoef(found[:, k], truth[:, k])[0, 1]
            assert likeness > 0.9, "all below 4 kHz"
    _, (labels,) = model.label_batch(mix, as_lips(mouths))
    assert labels.voices == (1, 0) and min(labels.confidences) > 0.9


def test_faces_and_voices_need_not_be_as_many(spoken, sync):
    voices, mouths = spoken
    model = AudioOnlySeparation(SoundSeparator(Known(voices)), sync)
    mix = torch.from_numpy(voices.sum(1))[None]
    _, (labels,) = model.label_batch(mix, as_lips(mouths[1:]))
    assert labels.voices == (0,) and labels.rest == (1,)
    stranger = np.random.default_rng(0).integers(0, 255, mouths[:1].shape)
    three = np.concatenate([mouths, stranger.astype(np.uint8)])
    _, (labels,) = model.label_batch(mix, as_lips(three))
    assert labels.voices == (1, 0, None)
    assert math.isnan(labels.confidences[2])
    found = model.separate_batch(mix, as_lips(three))[0]
    assert found.shape[1] == 3 and not found[:, 2].any()


def test_what_lies_beyond_an_utterance_is_left_out(spoken, sync):
    voices, mouths = spoken
    half = len(voices) // 2 // FRAME * FRAME
    model = AudioOnlySeparation(SoundSeparator(Known(voices)), sync)
    mix = torch.from_numpy(voices.sum(1))[None]
    lens = torch.tensor([half / len(voices)])
    found = model.separate_batch(mix, as_lips(mouths), lens)[0]
    assert found[: half - FRAME].abs().sum(0).min() > 0
    assert not found[half:].any()


def test_hidden_lips_say_nothing(spoken, sync):
    voices, mouths = spoken
    mask = np.zeros(mouths.shape[:2], bool)
    labels = assign_to_faces(voices, mouths, sync, mask)
    assert labels.confidences == (0.5, 0.5)
    mask[:, 10:60] = True
    assert assign_to_faces(voices, mouths, sync, mask).voices == (0, 1)


def test_confidence_is_the_odds_of_two_deals():
    labels = label_faces([[1.0, 0.0], [0.5, 0.0]])
    assert labels.voices == (0, 1)
    expected = 1 / (1 + math.exp(-0.5))
    assert labels.confidences == pytest.approx((expected, expected))
    assert label_faces([[2.0]]).confidences == (1.0,)
    assert label_faces(np.zeros((0, 2))).rest == (0, 1)


def test_labels_last_while_lips_are_hidden(spoken, sync):
    """Orders change from window to window, and the last lips are frozen."""
    voices, mouths = spoken
    second = 25 * FRAME
    model = AudioOnlySeparation(
        SoundSeparator(Known(voices, ((1, 0), (0, 1)))), sync
    )
    frozen = mouths.copy()
    frozen[:, 40:] = frozen[:, 40:41]
    over_time = OverTime(
        model, ArrayFaces(frozen), model.voices, window_seconds=1.6
    )
    blocks = [b.voices for b in over_time.separate(voices.sum(1))]
    found = np.concatenate(blocks)
    assert len(over_time.notes) > 1
    for k in range(2):
        for part in (slice(0, second), slice(len(found) - second, None)):
            likeness = np.corrcoef(found[part, k], voices[part, k])[0, 1]
            assert likeness > 0.8
    first, *_, last = over_time.notes
    assert first.rungs == last.rungs == ("audio", "audio")
    assert min(first.confidences) > 0.9 and 0.5 < min(last.confidences)


def test_a_face_without_a_voice_is_marked(spoken, sync):
    voices, mouths = spoken
    one = SoundSeparator(Known(voices, ((1,),)))
    one.hparams.num_spks = 1
    over_time = OverTime(
        AudioOnlySeparation(one, sync), ArrayFaces(mouths), one
    )
    blocks = list(over_time.separate(voices.sum(1)))
    assert over_time.notes[0].rungs == ("no voice", "audio")
    assert not any(block.voices[:, 0].any() for block in blocks)
    assert any(block.voices[:, 1].any() for block in blocks)


@pytest.fixture(scope="module")
def sepformer(tmp_path_factory):
    return write_sepformer(tmp_path_factory.mktemp("toy") / "sepformer")


def test_a_sepformer_folder_is_loaded_and_runs_at_16_khz(sepformer):
    model = AudioOnlySeparation.from_hparams(sepformer)
    assert vars(model.hparams) == {
        "sample_rate": 16000,
        "video_fps": 25,
        "num_spks": 2,
    }
    torch.manual_seed(0)
    mix = torch.randn(2, 9601)
    mix[1] = 0
    lips = torch.randint(0, 255, (2, 2, 15, 96, 96), dtype=torch.uint8)
    voices, labels = model.label_batch(mix, lips)
    assert voices.shape == (2, 9601, 2) and len(labels) == 2
    low = torchaudio.functional.resample(mix[:1], 16000, 8000)
    own = SepformerSeparation.from_hparams(str(sepformer))
    expected = torchaudio.functional.resample(
        own.separate_batch(low)[0].T.contiguous(), 8000, 16000
    )[:, :9601]
    assert torch.allclose(voices[0].T, expected, atol=1e-5)
    assert voices[0].any() and not voices[1].any(), "silence stays silent"
    with pytest.raises(DataError, match="Faces are needed"):
        model.separate_batch(mix)
    with pytest.raises(ConfigError, match="add up"):
        model.separate_batch(mix, lips, consistent=True)
    with pytest.raises(DataError, match="NaN"):
        model.separate_batch(mix * float("nan"), lips)


def test_the_report_counts_right_faces(
    spoken, sepformer, tmp_path, monkeypatch
):
    voices, mouths = spoken
    row = {"ID": "m", "duration": len(voices) / 16000}
    for k in (1, 2):
        soundfile.write(tmp_path / f"{k}.wav", voices[:, k - 1], 16000)
        np.savez(tmp_path / f"{k}.npz", data=mouths[k - 1])
        row[f"s{k}_wav"] = f"$data_root/{k}.wav"
        row[f"s{k}_lips"] = f"$data_root/{k}.npz"
        row[f"s{k}_gain"], row[f"s{k}_spk"] = 1.0, str(k)
    write_manifest(tmp_path / "two.csv", [row], 2)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    report = importlib.import_module("assignment_report")
    options = ["--manifests", str(tmp_path / "two.csv"), "--data"]
    options += [str(tmp_path), "--out", str(tmp_path / "out")]
    report.main([*options, "--source", str(sepformer)])
    lines = (tmp_path / "out" / "report.md").read_text().splitlines()
    assert lines[2].startswith("| two | oracle | all | 1 | 100.0 % (20.7")
    assert any("| source | all | 1 |" in line for line in lines)
    # What is whose is told by SI-SNR, and by how much.
    swapped = torch.from_numpy(voices[:, ::-1].copy())
    deal, lead, _ = report.true_deal(swapped, torch.from_numpy(voices))
    assert deal == (1, 0) and lead > 20
    mixed = torch.from_numpy(voices.sum(1, keepdims=True).repeat(2, 1))
    assert report.true_deal(mixed, torch.from_numpy(voices))[1] < 1e-3


def test_our_audio_only_model_and_bad_folders(sepformer, tmp_path):
    assert load_sound_model(shipped_audio_model()).hparams.num_spks == 2
    with pytest.raises(ConfigError, match="sees faces itself"):
        load_sound_model(shipped_model())
    with pytest.raises(CheckpointError, match="is not a folder"):
        load_sound_model(tmp_path)
    (tmp_path / "hyperparams.yaml").write_text("sample_rate: 8000\n")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_sound_model(tmp_path)
    text = (sepformer / "hyperparams.yaml").read_text()
    bare = SimpleNamespace(hparams=SimpleNamespace(num_spks=2))
    assert "sample_rate" in text
    with pytest.raises(ConfigError, match="sample_rate"):
        SoundSeparator(bare)


def test_faces_of_a_video_are_labelled(sepformer, tmp_path, capsys):
    pytest.importorskip("espeakng_loader")
    from avsep_sb.commands.demo import draw_utterances
    from avsep_sb.synth.scene import write_scene

    scene = tmp_path / "scene.mp4"
    mix, _ = write_scene(scene, draw_utterances(0))
    shown = list(itertools.islice(read_frames(scene), 30))
    video = write_video(tmp_path / "two.mp4", mix[: 30 * 640], 16000, shown)
    options = ["--label-by-lips", "--no-video", "--out", str(tmp_path / "out")]
    source = ["--source", str(sepformer)]
    assert main(["separate", str(video), *options, *source]) == 0
    folder = tmp_path / "out" / "two"
    table = json.loads((folder / "faces.json").read_text("utf-8"))
    assert table["model"] == table["audio_model"] == "sepformer"
    assert [face["name"] for face in table["faces"]] == ["face1", "face2"]
    total = soundfile.read(folder / "residual.wav")[0]
    heard = read_audio(video, 16000)
    for face in table["faces"]:
        assert {state for *_, state in face["rungs"]} == {"audio"}
        assert all(0 <= sure <= 1 for *_, sure in face["label_confidence"])
        wave, rate = soundfile.read(folder / face["wav"])
        assert rate == 16000 and wave.any()
        total = total + wave
    assert total == pytest.approx(heard, abs=1e-3)
    capsys.readouterr()
    assert main(["separate", str(video), *options]) == 2
    assert "needs the model as --source" in capsys.readouterr().err
    assert main(["separate", str(video), *options, *source, "--ray"]) == 2
    assert "goes without --ray" in capsys.readouterr().err
