"""Miniature corpora whose "videos" are small text files.

Only the decoding of video and the search for faces are replaced, so that the
preparation of a corpus can be tested in milliseconds.
"""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np

from avsep_sb.errors import VideoError


def load_prepare(repo, corpus):
    """The module ``recipes/<corpus>/prepare.py``."""
    path = repo / "recipes" / corpus / "prepare.py"
    spec = importlib.util.spec_from_file_location(f"prepare_{corpus}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_video(path, seed, seconds=3.0):
    """A fake video: noise of this seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{seed} {seconds}")


def _read(path):
    text = open(path).read().split()
    if len(text) != 2:
        raise VideoError(f"{path} is corrupt: replace it")
    return int(text[0]), float(text[1])


def fake_vision(monkeypatch):
    """Replaces decoding and detection; returns the paths seen, in order."""
    seen = []

    def read_audio(path, sample_rate):
        seed, seconds = _read(path)
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(round(seconds * sample_rate))
        return (0.1 * noise / (1 + seed % 3)).astype(np.float32)

    def mouth_rois(path, max_faces):
        assert max_faces == 1
        seed, seconds = _read(path)
        seen.append(path)
        frames = round(seconds * 25)
        track = SimpleNamespace(
            seen=np.arange(frames) > 0, points=np.ones((frames, 5, 2))
        )
        shape = (1, frames, 96, 96)
        return np.full(shape, seed % 256, dtype=np.uint8), [track]

    def stream_audio(path, sample_rate, picture):
        assert not picture  # of a file of sound alone
        yield read_audio(path, sample_rate)

    def probe(path):
        return SimpleNamespace(duration=_read(path)[1])

    for name, module in (
        ("audio_stream", SimpleNamespace(stream_audio=stream_audio)),
        ("decode", SimpleNamespace(read_audio=read_audio, probe=probe)),
        ("mouth", SimpleNamespace(mouth_rois=mouth_rois)),
    ):
        monkeypatch.setitem(sys.modules, f"avsep_sb.vision.{name}", module)
    return seen
