"""A miniature of TCD-TIMIT and NTCD-TIMIT: made-up sentences, real layout."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16000
CAMERA = Fraction(30000, 1001)
HEADER = (
    ",spk1,spk1_fid,spk1_path,spk2,spk2_fid,spk2_path,"
    "noise_type,noise_db,noise_path,mixture_path"
)
SPLITS = {
    "train": ("01M", "02F", "03M"),
    "val": ("04F", "05M"),
    "test": ("06F", "07M"),
}
NOISES = (("Car", -5), ("Babble", 20), ("LR", 10))
SENTENCES = ("sa1", "sx12")


def list_line(index, first, second, noise):
    """A line of a list; the folders are those of another machine."""
    (spk1, fid1), (spk2, fid2), (kind, snr) = first, second, noise
    where = "/elsewhere/TCD"
    return (
        f"{index},{spk1},{fid1},{where}/{spk1}/straightcam/{fid1}.wav,"
        f"{spk2},{fid2},{where}/{spk2}/straightcam/{fid2}.wav,{kind},{snr},"
        f"{where}_NOISE/{kind}/{snr}/volunteers/{spk1}/straightcam/{fid1}.wav,"
        f"/elsewhere/mix/{spk1}_{fid1}_{spk2}_{fid2}.wav"
    )


def make_lists(root, sentences=SENTENCES):
    """Every utterance once as the first, as in the published lists.

    Returns ``[(first, second, noise), ...]`` of all splits.
    """
    folder = Path(root) / "lists"
    folder.mkdir(parents=True, exist_ok=True)
    every = []
    for split, speakers in SPLITS.items():
        lines = [HEADER]
        for index, (spk, fid) in enumerate(
            (spk, fid) for spk in speakers for fid in sentences
        ):
            other = speakers[(speakers.index(spk) + 1) % len(speakers)]
            partner = sentences[(index + 1) % len(sentences)]
            row = ((spk, fid), (other, partner), NOISES[index % len(NOISES)])
            lines.append(list_line(index, *row))
            every.append(row)
        path = folder / f"{split}_mixture.csv"
        path.write_text("\n".join(lines) + "\n")
    return every


def speech_path(root, spk, fid):
    """Where the sound of an utterance lies."""
    return Path(root) / spk / "straightcam" / f"{fid}.wav"


def noisy_path(root, spk, fid, kind, snr):
    """Where its noisy recording lies."""
    folder = Path(root) / "NTCD-TIMIT" / kind / str(snr)
    return folder / "volunteers" / spk / "straightcam" / f"{fid}.wav"


def write_sound(path, wave, rate=SAMPLE_RATE):
    """A wav of 16 bit, as the corpora have them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype="PCM_16")


def syllables(seed, seconds):
    """Noise in bursts with pauses, which is speech enough for levels."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    burst = np.clip(np.sin(2 * np.pi * (2.1 + seed % 3) * time + seed), 0, 1)
    return 0.1 * burst * rng.standard_normal(len(time))


def make_sounds(root, seconds=None, sentences=SENTENCES, speech=syllables):
    """Lists, clean and noisy wavs; returns the rows of the lists.

    ``seconds`` is a length for all; by default some are shorter than 4 s.
    The noise is independent, at the ratio of the label, as a noisy recording
    has it: speech and noise under one gain.
    """
    rows = make_lists(root, sentences)
    for seed, ((spk, fid), _, (kind, snr)) in enumerate(rows):
        wave = speech(seed, seconds or (3.0, 4.5, 5.0)[seed % 3])
        noise = np.random.default_rng(100 + seed).standard_normal(len(wave))
        noise *= np.sqrt(np.mean(wave**2) / np.mean(noise**2))
        noisy = 0.5 * (wave + noise * 10 ** (-snr / 20))
        write_sound(speech_path(root, spk, fid), wave)
        write_sound(noisy_path(root, spk, fid, kind, snr), noisy)
    return rows


def make_ntcd(root):
    """Sounds of 1 s with videos of synthetic faces (29.97 fps, h264, aac)."""
    from avsep_sb.vision.encode import write_video
    from tests.utils.mini_corpora import talking_face

    faces = {}

    def speech(seed, seconds):
        faces[seed], audio = talking_face(seed)
        return audio

    rows = make_sounds(root, 1.0, ("sa1",), speech)
    for seed, ((spk, fid), _, _) in enumerate(rows):
        path = speech_path(root, spk, fid)
        wave, _ = soundfile.read(path)
        # The clock of the camera, with what the 25 fps of the face show.
        index = np.arange(len(wave) * CAMERA / SAMPLE_RATE) * 25 / float(CAMERA)
        video = faces[seed][np.minimum(index.astype(int), 24)]
        write_video(
            path.with_suffix(".mp4"), wave, SAMPLE_RATE, video, fps=CAMERA
        )
    return root
