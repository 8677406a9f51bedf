"""Proves that scenes of a stream are scored by face, from where it begins."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from avsep_sb.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
RATE, LENGTH, LATE = 16000, 16000, 4000


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("stream_scenes")


@pytest.fixture
def scene(script, monkeypatch):
    """Two voices of noise; the second face comes late, or its voice is lost."""
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((LENGTH, 2)).astype(np.float32) / 10
    made = SimpleNamespace(voices=targets.copy(), faces=2)

    def write_scene(path, utterances):
        with av.open(path, "w") as out:
            stream = out.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 32
            stream.pix_fmt = "yuv420p"
            picture = np.zeros((32, 32, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture)
            out.mux(stream.encode(frame))
            out.mux(stream.encode())
        return targets.sum(1), targets

    def separate_live(model, source, folder, idle):
        with av.open(source) as film:
            assert film.format.name.startswith("matroska")
            assert sum(1 for _ in film.decode(video=0)) == 1
        folder.mkdir()
        faces = []
        for face in range(made.faces):
            voice = made.voices[:, face].copy()
            voice[: LATE * face] = 0
            name = f"face{face + 1}.wav"
            soundfile.write(folder / name, voice, RATE, "FLOAT")
            begin = LATE * face / RATE
            faces.append({"file": name, "from_seconds": begin})
        return {"faces": faces}

    model = SimpleNamespace(hparams=SimpleNamespace(sample_rate=RATE))
    made.model = model
    monkeypatch.setattr(script, "write_scene", write_scene)
    monkeypatch.setattr(script, "separate_live", separate_live)
    monkeypatch.setattr(script, "draw_utterances", lambda seed: [seed])
    loader = SimpleNamespace(from_hparams=lambda source: model)
    monkeypatch.setattr(script, "StreamingSeparation", loader)
    return made


def test_gains_begin_with_the_face(script, scene):
    noise = np.random.default_rng(1).standard_normal((LENGTH, 2)) / 100
    scene.voices += noise.astype(np.float32)
    rows = script.score_scene(scene.model, 0)
    # Noise 20 dB below either voice, which was as loud as the other.
    assert [row[0] for row in rows] == pytest.approx([20, 20], abs=0.5)
    assert [row[1:] for row in rows] == [(False, 0.0), (False, LATE / RATE)]


def test_the_report_counts_swaps_and_lost_faces(script, scene, tmp_path):
    scene.voices = scene.voices[:, ::-1] + 0.1 * scene.voices
    assert script.main(["m", "--scenes", "2", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "stream_scenes.md").read_text()
    assert "4 of 4 voices nearer to the other" in text
    assert "stream_scenes.py m --scenes 2" in text
    scene.faces = 1
    argv = ["m", "--scenes", "3", "--out", str(tmp_path / "b")]
    assert script.main(argv) == 0
    text = (tmp_path / "b" / "stream_scenes.md").read_text()
    assert text.count("a face was not found") == 3
    with pytest.raises(ConfigError, match="two --scenes"):
        script.main(["m", "--scenes", "1", "--out", str(tmp_path / "c")])
