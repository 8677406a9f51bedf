"""Usage: python separate_onnx.py MIXTURE.wav [MOUTH.npz ...] NEW_FOLDER

Authors
 * avsep_sb contributors
"""

import json
import sys
import wave
from pathlib import Path

import numpy as np


def _read_wav(path, rate):
    with wave.open(path) as wav:
        form, data = wav.getparams(), wav.readframes(wav.getnframes())
    if (form.sampwidth, form.framerate) != (2, rate) or not data:
        raise ValueError(f"{path} must be a wav of 16 bits at {rate} Hz")
    data = np.frombuffer(data, "<i2").reshape(-1, form.nchannels)
    return data.mean(1, dtype=np.float32) / 32768


def _read_mouth(path, seconds, fps, shape):
    with np.load(path) as npz:
        frames, own = npz["data"], float(npz["fps"]) if "fps" in npz else fps
    if frames.dtype != np.uint8 or list(frames.shape[1:]) != shape:
        raise ValueError(f"{path} must hold data, uint8 [frames, *{shape}]")
    if not len(frames) or abs(len(frames) / own - seconds) > 2 / fps:
        raise ValueError(f"{path} must last {seconds:.2f} s, as the sound does")
    times = np.floor(np.arange(np.ceil(seconds * fps)) * own / fps + 0.5)
    return frames[np.minimum(times, len(frames) - 1).astype(int)]


def _separate(here, mixture, *mouths):
    from onnxruntime import InferenceSession

    info = json.loads((here / "model.json").read_text(encoding="utf-8"))
    rate, fps, roi = info["sample_rate"], info["video_fps"], info.get("roi")
    if bool(mouths) != bool(roi):
        raise ValueError("give a mouth per face, to a model that takes faces")
    mix = _read_wav(mixture, rate)[None]
    feed, form = {"mix": mix}, roi and (mix.size / rate, fps, roi["shape"])
    if roi:
        lips = np.array([[_read_mouth(path, *form) for path in mouths]])
        feed.update(lips=lips, lips_mask=np.ones(lips.shape[:3], bool))
    return InferenceSession(here / "model.onnx").run(None, feed)[0][0], rate


if __name__ == "__main__":
    try:
        voices, hz = _separate(Path(__file__).parent, *sys.argv[1:-1])
        Path(sys.argv[-1]).mkdir(parents=True)
    except Exception as err:
        sys.exit(f"error: {err} ({__doc__.splitlines()[0]})")
    voices *= min(1.0, 0.99 / max(1e-9, np.abs(voices).max()))
    for number, pcm in enumerate((voices.T * 32767).round().astype("<i2"), 1):
        with wave.open(f"{sys.argv[-1]}/voice{number}.wav", "wb") as out:
            out.setparams((1, 2, hz, 0, "NONE", ""))
            out.writeframes(pcm.tobytes())
