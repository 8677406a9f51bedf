"""Separates a video that still comes in: a voice for each face, as it speaks.

Authors
 * avsep_sb contributors
"""

import json
import time
from pathlib import Path

import numpy as np
import torch

from avsep_sb.errors import ConfigError
from avsep_sb.inference.growing_wav import GrowingWav
from avsep_sb.vision.growing import GrowingFile
from avsep_sb.vision.live import live_events
from avsep_sb.vision.live_faces import LiveFaces
from avsep_sb.vision.mouth import ROI_SIZE

TABLE = "stream.json"


def separate_live(
    model,
    source,
    folder,
    most_faces=4,
    idle=10.0,
    detector=None,
    overwrite=False,
    told=None,
):
    """Separates a growing file or a pipe until it ends.

    A face has its file from the moment it is sure (the third frame that shows
    it): silence before, on the clock of the input. It is held while it is not
    seen.

    Arguments
    ---------
    model : StreamingSeparation
        A causal model.
    source : str or Path
        A file that may still grow, a FIFO, or "-" for what is piped in.
    folder : str or Path
        Where ``face1.wav``, ``face2.wav``, ... and ``stream.json`` are
        written; the wavs are valid at any time.
    most_faces : int
        Further faces are left out.
    idle : float
        Seconds without a byte after which the recording counts as over.
    detector : FaceDetector or None
        None makes one with its defaults.
    overwrite : bool
        Whether earlier results may be replaced.
    told : callable or None
        Called with a sentence when a face is taken in.

    Returns
    -------
    dict
        What ``stream.json`` says: ``faces`` (file and first second of each),
        ``seconds`` of input, ``latency_seconds`` by the code,
        ``waiting_seconds_max`` between what came in and what was written,
        and how long the work took (``work_seconds``, and for the work of a
        video frame with its sound ``frame_ms_median``, ``frame_ms_p95``,
        ``separation_ms_p95``).
    """
    folder = Path(folder)
    _clear(folder, overwrite)
    rate, fps = model.hparams.sample_rate, model.hparams.video_fps
    live = _Live(model, folder, LiveFaces(detector, most=most_faces), told)
    with GrowingFile(source, idle) as file:
        try:
            for kind, value in live_events(file, rate, fps):
                live.take(kind, value)
        finally:
            # What was heard is separated to its end, whatever went wrong.
            live.finish()
            if live.faces.index:
                text = json.dumps(live.report, indent=1)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / TABLE).write_text(text + "\n", encoding="utf-8")
    return live.report


class _Live:
    """One recording under way."""

    def __init__(self, model, folder, faces, told):
        self.rate, self.fps = model.hparams.sample_rate, model.hparams.video_fps
        self.folder, self.faces, self.told = folder, faces, told
        self.stream = model.open(0, growing=True)
        self.latency = model.latency_seconds
        self.wavs, self.begins = [], []
        self.pending, self.heard = [], 0
        self.work, self.separating, self.waiting = [], [], 0
        self.spent = 0.0
        self.report = None

    def take(self, kind, value):
        """Take a frame, or sound."""
        begin = time.perf_counter()
        if kind == "sound":
            self.pending.append(value)
            self.heard += len(value)
            # Without a picture the sound goes on too.
            if sum(map(len, self.pending)) * self.fps >= 2 * self.rate:
                self.feed()
            self.spent += time.perf_counter() - begin
            return
        rois, seen = self.faces.step(value)
        while self.stream.faces < len(rois):
            self.begin()
        self.feed(rois, seen)
        took = time.perf_counter() - begin
        self.spent += took
        # The first ones find memory and plans; later ones count.
        self.work.append(took)

    def begin(self):
        """Take in a face."""
        number = self.stream.add_face() + 1
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"face{number}.wav"
        first = self.stream.given
        self.wavs.append(GrowingWav(path, self.rate, silence=first))
        self.begins.append(first / self.rate)
        if self.told is not None:
            self.told(f"face{number}.wav begins at {first / self.rate:.2f} s")

    def feed(self, rois=None, seen=None):
        """Separate the sound that waits, with a frame or without."""
        sound = np.concatenate(self.pending or [np.zeros(0, np.float32)])
        self.pending = []
        begin = time.perf_counter()
        lips = None, None
        if rois is not None:
            mouths = np.zeros((len(rois), 1, ROI_SIZE, ROI_SIZE), np.uint8)
            for row, roi in enumerate(rois):
                mouths[row, 0] = roi
            seen = torch.tensor(seen, dtype=torch.bool).reshape(-1, 1)
            lips = torch.from_numpy(mouths), seen
        voices = self.stream.feed(torch.from_numpy(sound), *lips)
        self.separating.append(time.perf_counter() - begin)
        self.waiting = max(self.waiting, self.heard - self.stream.given)
        self.write(voices)

    def write(self, voices):
        for wav, voice in zip(self.wavs, voices.T.numpy(), strict=True):
            if len(voice):
                wav.write(voice)

    def finish(self):
        """Separate the rest and close all files."""
        begin = time.perf_counter()
        waiting = self.waiting
        if self.pending:
            self.feed()
        self.write(self.stream.flush())
        for wav in self.wavs:
            wav.close()
        self.spent += time.perf_counter() - begin

        def ms(values, share):
            return round(1000 * float(np.quantile(values or [0], share)), 2)

        self.report = {
            "faces": [
                {"file": f"face{number}.wav", "from_seconds": round(at, 3)}
                for number, at in enumerate(self.begins, 1)
            ],
            "seconds": round(self.heard / self.rate, 3),
            "video_frames": self.faces.index,
            "latency_seconds": self.latency,
            "waiting_seconds_max": round(waiting / self.rate, 3),
            "work_seconds": round(self.spent, 3),
            "frame_ms_median": ms(self.work, 0.5),
            "frame_ms_p95": ms(self.work, 0.95),
            "separation_ms_p95": ms(self.separating, 0.95),
        }


def _clear(folder, overwrite):
    """Refuse earlier results, or remove them."""
    old = [*folder.glob("face*.wav"), *folder.glob(TABLE)]
    if old and not overwrite:
        raise ConfigError(
            f"'{folder}' holds results ('{old[0].name}'); name another folder "
            "or add --overwrite."
        )
    for path in old:
        path.unlink()
