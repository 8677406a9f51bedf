#!/usr/bin/env python3
"""What a stream's voices are worth, with faces that are found as they come.

    python benchmarks/stream_scenes.py pretrained/iianet-causal-synthav \
        --scenes 12 --out OUT

Generated films of two test speakers go through ``avsep separate --stream``,
sound coding and face detection included. SI-SNRi is that of each face from the
second at which its file begins, against what the speaker on its place said; a
face is swapped if its voice is nearer to the other one.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile
from report import footer, new_files

from avsep_sb.commands.demo import draw_utterances
from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.inference.live import separate_live
from avsep_sb.inference.streaming import StreamingSeparation
from avsep_sb.metrics import score_utterance
from avsep_sb.synth.scene import write_scene

REPORT = "stream_scenes.md"
#: without a byte for so long a film, which is whole, is over
IDLE = 0.5


def as_stream(film, path):
    """Puts the packets of a film into a container that can be streamed."""
    with av.open(film) as source, av.open(path, "w", "matroska") as to:
        streams = {
            stream.index: to.add_stream_from_template(stream)
            for stream in source.streams
        }
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                to.mux(packet)


def voices_of(folder, report, length):
    """What was written for each face, [T, S], and where each begins."""
    voices = np.zeros((length, len(report["faces"])), np.float32)
    for column, face in enumerate(report["faces"]):
        sound, _ = soundfile.read(folder / face["file"], dtype="float32")
        sound = sound[:length]
        voices[: len(sound), column] = sound
    return voices, [face["from_seconds"] for face in report["faces"]]


def score_scene(model, seed):
    """A row for each face of a scene: SI-SNRi, swapped, first second."""
    rate = model.hparams.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        film, stream = str(folder / "scene.mp4"), str(folder / "scene.mkv")
        mix, targets = write_scene(film, draw_utterances(seed))
        as_stream(film, stream)
        report = separate_live(model, stream, folder / "out", idle=IDLE)
        voices, begins = voices_of(folder / "out", report, len(targets))
    if voices.shape[1] < targets.shape[1]:
        return None
    rows = []
    for face in range(targets.shape[1]):
        first = round(begins[face] * rate)
        own = [
            score_utterance(
                mix[first:],
                voices[first:, face : face + 1],
                targets[first:, other : other + 1],
                rate,
                metrics=("si-snr",),
            )
            for other in range(targets.shape[1])
        ]
        best = int(np.argmax([one["si-snr"] for one in own]))
        rows.append((own[face]["si-snr_i"], best != face, begins[face]))
    return rows


def interval(values):
    """Mean and half the width of its 95 % interval."""
    wide = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.2f} ± {wide:.2f}"


def main(argv):
    """Scores the scenes and writes a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", help="folder of a causal model")
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--out", required=True, help="folder of the report")
    args = parser.parse_args(argv)
    if args.scenes < 2:
        raise ConfigError("An interval takes two --scenes at least.")
    (path,) = new_files(args.out, [REPORT])
    model = StreamingSeparation.from_hparams(args.source)
    lines = ["| scene | face | SI-SNRi (dB) | swapped | from (s) |"]
    lines += ["|---|---|---|---|---|"]
    found, missed = [], 0
    for seed in range(args.scenes):
        rows = score_scene(model, seed)
        if rows is None:
            missed += 1
            lines.append(f"| {seed} | - | a face was not found | | |")
            continue
        for face, (gain, swapped, begin) in enumerate(rows, 1):
            lines.append(
                f"| {seed} | {face} | {gain:.1f} | "
                f"{'yes' if swapped else 'no'} | {begin:.2f} |"
            )
        found.append(rows)
        print(lines[-2], lines[-1], sep="\n", flush=True)
    if len(found) > 1:
        gains = [np.mean([row[0] for row in rows]) for rows in found]
        swaps = [row[1] for rows in found for row in rows]
        lines = [
            f"SI-SNRi {interval(gains)} dB (95 %, {len(found)} scenes of two "
            f"faces), {sum(swaps)} of {len(swaps)} voices nearer to the other "
            f"speaker; {missed} scenes in which a face was not found.",
            "",
            *lines,
        ]
        print(lines[0])
    text = "\n".join([*lines, *footer(__file__, argv)])
    path.write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
