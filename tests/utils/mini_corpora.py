"""Miniature corpora of real video files, in the exact layout of the real ones.

The speakers come from SynthAV, so the tests need no corpus and no network.
"""

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

FPS = 25
SAMPLE_RATE = 16000


def talking_face(index, number=0, frames=25):
    """Frames [N, H, W, 3] uint8 RGB and audio [T] of one synthetic face."""
    from avsep_sb.synth.scene import write_scene
    from avsep_sb.synth.utterance import make_utterance
    from avsep_sb.synth.voices import all_speakers
    from avsep_sb.vision.decode import read_frames

    utterance = make_utterance(7, all_speakers()[index], number)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.mp4"
        write_scene(path, [utterance])
        video = np.stack(list(read_frames(path)))
    # From the middle, where somebody speaks.
    start = (len(video) - frames) // 2
    spf = SAMPLE_RATE // FPS
    audio = utterance.audio[start * spf : (start + frames) * spf]
    return video[start : start + frames], audio


def write_clip(path, video, audio, size, codecs, rate, channels):
    """Writes a video file; ``size`` is (width, height), ``rate`` in Hz."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if rate != SAMPLE_RATE:
        from scipy.signal import resample_poly

        divisor = np.gcd(rate, SAMPLE_RATE)
        audio = resample_poly(audio, rate // divisor, SAMPLE_RATE // divisor)
    with av.open(str(path), "w") as container:
        # As in synth/scene.py: the same bytes each time. Otherwise crops of
        # the same clip, encoded twice, differ by 2 grey levels.
        options = {"threads": "1"}
        if codecs[0] == "h264":
            options["mbtree"] = "0"
        picture = container.add_stream(codecs[0], rate=FPS, options=options)
        picture.width, picture.height = size
        picture.pix_fmt = "yuv420p"
        picture.bit_rate = 1_000_000
        layout = "stereo" if channels == 2 else "mono"
        sound = container.add_stream(codecs[1], rate=rate, layout=layout)
        for k, image in enumerate(video):
            image = _fit(image, size)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        samples = np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)
        samples = np.repeat(samples, channels)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(
            sound.format, layout, rate, frame_size=sound.frame_size or 1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))


def _fit(image, size):
    """The whole picture, centred on a grey wall."""
    width, height = size
    scale = min(height / image.shape[0], width / image.shape[1])
    image = cv2.resize(image, None, fx=scale, fy=scale)[:height, :width]
    wall = np.full((height, width, 3), 120, dtype=np.uint8)
    top = (height - image.shape[0]) // 2
    left = (width - image.shape[1]) // 2
    wall[top : top + image.shape[0], left : left + image.shape[1]] = image
    return wall


def make_lrs2(root):
    """``mvlrs_v1`` (160x160 h264, mono aac) and lists, six programmes."""
    root = Path(root)
    programmes = {
        "tr": ("5999202588566552094", "5954958412463581171"),
        "cv": ("6326553828952690654", "6303167732026041278"),
        "tt": ("6360322579951237696", "6335305254315087182"),
    }
    (root / "lists").mkdir(parents=True)
    index = 0
    for split, names in programmes.items():
        for name in names:
            # One of the six lies in the other part of the corpus.
            part = "pretrain" if index == 1 else "main"
            path = root / "mvlrs_v1" / part / name / "00004.mp4"
            clip = talking_face(index)
            write_clip(path, *clip, (160, 160), ("h264", "aac"), 16000, 1)
            index += 1
        folder = {"tr": "train", "cv": "val", "tt": "test"}[split]
        one, two = (f"../raw_audio/{folder}/{n}_00004.wav" for n in names)
        lines = [f"{one} 2.53196 {two} -2.53196\n"]
        if split == "tr":
            lines.append(f"{two} 0.06817 {one} -0.06817\n")
        path = root / "lists" / f"mix_2_spk_{split}.scp"
        path.write_text("".join(lines))
    return root


def make_grid(root):
    """``s<k>/*.mpg`` (360x288 mpeg1, stereo mp2 at 44.1 kHz), three speakers
    of each split."""
    root = Path(root)
    speakers = ("s1", "s2", "s3", "s4", "s5", "s34", "s6", "s20", "s30")
    for index, speaker in enumerate(speakers):
        names = ["bbaf2n"] if speaker != "s5" else ["bbaf2n", "swiz3n"]
        for number, name in enumerate(names):
            write_clip(
                root / speaker / f"{name}.mpg",
                *talking_face(index % 6, number),
                (360, 288),
                ("mpeg1video", "mp2"),
                44100,
                2,
            )
    return root


def make_nothing(root):
    """SynthAV generates its own data."""
    Path(root).mkdir(parents=True)
    return root


MAKERS = {"LRS2": make_lrs2, "GRID": make_grid, "SynthAV": make_nothing}
