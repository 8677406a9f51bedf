"""Miniature LRS3 and WHAM! noise, in the layouts in which they unpack."""

import csv
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import soundfile

from tests.utils.fake_corpora import fake_vision, write_video
from tests.utils.mini_corpora import talking_face, write_clip

LIST_FILE = "mix_2_spk_{}_fully_overlapped_only_full_wham.csv"

#: speakers of the fake corpus
IDS = {"train": ("aa", "b_b", "cc"), "val": ("dd", "ee"), "test": ("ff", "gg")}
CODES = {"train": "tr", "val": "cv", "test": "tt"}

#: the published columns, the first of which has no name
COLUMNS = (
    ",Unnamed: 0,speaker_1_dir,speaker_2_dir,mixture_dir,speaker_1_db,"
    "s1_start,s2_start,wham_id,wham_starttime,wham_endtime,noise_db,"
    "overlap_ms,s1_silence_start_ms,s1_silence_end_ms"
).split(",")


def write_list(path, rows):
    """A list in the published format; rows are (utt1, utt2, d, wham, t0, q)
    with utterances ``<spk>/<utt>``."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for n, (one, two, d, wham, start, q) in enumerate(rows):
            name = f"{one}_{two}".replace("/", "_")
            writer.writerow(
                [n, n]
                + [f"/elsewhere/LRS3/audio/{utt}.wav" for utt in (one, two)]
                + [f"/elsewhere/LRS3/audio_mixture/{name}.wav", d, 0, 0]
                + [wham, start, start + 2.0, q, 2000, 2000.0, 2000.0]
            )


def write_noise(path, seconds, seed, rate=16000):
    """Stereo noise whose two channels differ."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((round(seconds * rate), 2)) * (0.05, 0.02)
    soundfile.write(path, noise + 0.01, rate, subtype="PCM_16")


def make_lrs3_wham(root):
    """``{trainval,test}/<id>/<utt>.mp4`` (224x224 h264, aac), the noise in
    ``wham_noise``, and the test list: the one that is published whole."""
    root = Path(root)
    names = ("00j9bKdiOjk", "0Cu_BKlT2zQ", "0Amg53UuRqE", "0af00UcTOSc")
    for index, name in enumerate(names):
        path = root / "trainval" / name / "50001.mp4"
        clip = talking_face(index, frames=52)
        write_clip(path, *clip, (224, 224), ("h264", "aac"), 16000, 1)
    for index, name in enumerate(("0Fi83BHQsMA", "0FQXicAGy5U"), 4):
        path = root / "test" / name / "00002.mp4"
        clip = talking_face(index, frames=52)
        write_clip(path, *clip, (224, 224), ("h264", "aac"), 16000, 1)
    for seed, split in enumerate(("tr", "cv", "tt")):
        name = f"0{seed}0c0201_0.5_22gc0105_-0.5.wav"
        write_noise(root / "wham_noise" / split / name, 4.1, seed)
    one, two = "0Fi83BHQsMA/00002", "0FQXicAGy5U/00002"
    rows = [(one, two, 1.93, name, 0.0, -3.4)]
    write_list(root / "lists" / LIST_FILE.format("test"), rows)
    return root


def fake_clips(monkeypatch):
    """Replaces decoder and detector; lengths are those of the fake files.
    Returns the clips seen, in order."""
    seen = fake_vision(monkeypatch)

    def probe(path):
        return SimpleNamespace(duration=float(open(path).read().split()[1]))

    decode = sys.modules["avsep_sb.vision.decode"]
    monkeypatch.setattr(decode, "probe", probe, raising=False)
    return seen


def fake_lrs3_wham(root):
    """Fake videos as released, noise, and all three lists."""
    seed = 0
    for split, ids in IDS.items():
        part = "test" if split == "test" else "trainval"
        for one in ids:
            for utt in ("50001", "50002"):
                seed += 1
                write_video(root / part / one / f"{utt}.mp4", seed, 2.4)
        noise = root / "wham_noise" / CODES[split]
        write_noise(noise / "n1.wav", 6.0, seed)
        write_noise(noise / "n2.wav", 4.5, seed + 100)
        rows = []
        for k, two in enumerate(ids[1:]):
            for utt in ("50001", "50002"):
                pair = (f"{ids[0]}/{utt}", f"{two}/{utt}")
                level = 1.5 + k + 0.25 * len(rows)
                rows.append((*pair, level, f"n{k + 1}.wav", 2.0 * k, -3.0))
        write_list(root / "lists" / LIST_FILE.format(split), rows)
    return root


def prepare(module, tree, save="manifests", **kwargs):
    """As in results: a folder per protocol, and the manifests in it."""
    save = tree.parent / kwargs.get("protocol", "published") / save
    module.prepare_lrs3_wham(tree, save, **{"workers": 0, **kwargs})
    return save
