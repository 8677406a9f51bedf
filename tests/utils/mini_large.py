"""Miniature LRS3 and VoxCeleb2, in the layouts in which they unpack.

Nine speakers each, three for every split, so that mixtures of three can be
drawn; and the lists of two-speaker mixtures that are published, of which
that of the training is missing.
"""

import tempfile
from functools import lru_cache
from pathlib import Path

import av

from tests.utils.mini_corpora import talking_face, write_clip

#: talks of LRS3; two of the ids hold an underscore
TALKS = ("00j9bKdiOjk", "0Cu_BKlT2zQ", "0Amg53UuRqE", "0af00UcTOSc")
TALKS += ("06M8qY7Q74Y", "hvStFIuhD8E")
TEST_TALKS = ("0Fi83BHQsMA", "0FQ_icAGy5U", "vhVWzkbAW4I")

DEV_SPEAKERS = ("id00012", "id00015", "id00016", "id00018", "id00019")
DEV_SPEAKERS += ("id00020",)
TEST_SPEAKERS = ("id00017", "id00061", "id08696")


@lru_cache
def _clip(index):
    """Three faces serve all, for making them takes most of the time."""
    return talking_face(index % 3)


def make_lrs3(root):
    """``{trainval,test,pretrain}/<id>/<utt>.mp4`` (224x224 h264, aac)."""
    root = Path(root)
    clips = [(f"trainval/{talk}/50001", k) for k, talk in enumerate(TALKS)]
    clips += [
        (f"test/{talk}/00002", 6 + k) for k, talk in enumerate(TEST_TALKS)
    ]
    clips.append((f"pretrain/{TALKS[0]}/00001", 0))
    for name, index in clips:
        path = root / f"{name}.mp4"
        write_clip(path, *_clip(index), (224, 224), ("h264", "aac"), 16000, 1)
        path.with_suffix(".txt").write_text("Text:  AND SO IT GOES\n")
    _write_lists(
        root,
        [f"{talk}_50001" for talk in TALKS[4:]],
        [f"{talk}_00002" for talk in TEST_TALKS[:2]],
    )
    return root


def make_voxceleb2(root):
    """``{dev,test}/mp4/<spk>/<video>/<utt>.mp4`` without sound, and the sound
    as ``m4a`` in the same place below ``aac``."""
    root = Path(root)
    names = {}
    for part, speakers in (("dev", DEV_SPEAKERS), ("test", TEST_SPEAKERS)):
        for speaker in speakers:
            index = len(names)
            inside = Path(speaker, f"5MkXg_drm{index:02d}", "00002")
            names[speaker] = "_".join(inside.parts)
            write_pair(
                root / part / "mp4" / f"{inside}.mp4",
                root / part / "aac" / f"{inside}.m4a",
                *_clip(index),
            )
    test = [names[speaker] for speaker in TEST_SPEAKERS]
    # As published: validation and test have speakers in common.
    _write_lists(root, test[1:], test[:2])
    return root


def write_pair(picture, sound, video, audio):
    """A video without sound, and its sound, of one and the same clip."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.mp4"
        write_clip(path, video, audio, (224, 224), ("h264", "aac"), 16000, 1)
        for kind, target in (("video", picture), ("audio", sound)):
            target.parent.mkdir(parents=True, exist_ok=True)
            with (
                av.open(str(path)) as source,
                av.open(str(target), "w", format="mp4") as copy,
            ):
                old = getattr(source.streams, kind)[0]
                new = copy.add_stream_from_template(old)
                for packet in source.demux(old):
                    if packet.dts is not None:
                        packet.stream = new
                        copy.mux(packet)


def _write_lists(root, valid, test):
    """Lists of one mixture, with the folders of another machine."""
    (root / "lists").mkdir()
    for split, (one, two) in (("cv", valid), ("tt", test)):
        path = root / "lists" / f"mix_2_spk_{split}.scp"
        path.write_text(
            f"/data/raw_audio/{one}.wav 2.66586 "
            f"/data/raw_audio/{two}.wav -2.66586\n"
        )
