"""The plain scene, and the models, once for all rows."""

from dataclasses import replace

import pytest

from avsep_sb.commands import separate
from tests.torture.checks import read_voices
from tests.torture.films import Scene, write_film


def cut(utterance, first, frames):
    """A second or so from the middle of an utterance."""
    video = slice(first, first + frames)
    return replace(
        utterance,
        audio=utterance.audio[640 * first : 640 * (first + frames)],
        tracks=utterance.tracks[video],
        viseme=utterance.viseme[video],
    )


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """1.2 s of two synthetic people who speak at once."""
    pytest.importorskip("espeakng_loader")
    from avsep_sb.synth.scene import write_scene
    from avsep_sb.synth.utterance import make_utterance
    from avsep_sb.synth.voices import speakers_of
    from avsep_sb.vision.decode import read_frames

    pair = [
        cut(make_utterance(5, speaker, number), 15, 30)
        for number, speaker in enumerate(speakers_of("test")[:2])
    ]
    path = tmp_path_factory.mktemp("scene") / "scene.mp4"
    sound, _ = write_scene(path, pair, size=96)
    return Scene(list(read_frames(path)), sound)


@pytest.fixture(scope="session")
def models():
    """The models that ship, which all runs of the command share."""
    return separate.load_models(), separate.load_face_models()


@pytest.fixture
def quick(monkeypatch, models):
    """Lets the command take the models that are loaded already."""
    monkeypatch.setattr(separate, "load_models", lambda *_: models[0])
    monkeypatch.setattr(separate, "load_face_models", lambda *_: models[1])


@pytest.fixture(scope="session")
def plain(scene, models, tmp_path_factory):
    """What the command makes of the plain scene: name to samples."""
    folder = tmp_path_factory.mktemp("plain")
    given = write_film(folder / "plain.mp4", scene.frames, scene.sound)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separate, "load_models", lambda *_: models[0])
        patch.setattr(separate, "load_face_models", lambda *_: models[1])
        argv = ["separate", "--no-video", "--out", str(folder / "out")]
        from avsep_sb.cli import main

        assert main([*argv, *given.paths]) == 0
    return read_voices(folder / "out" / "plain")
