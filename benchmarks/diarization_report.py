"""Scores who speaks when in scripted talks of SynthAV's held-out speakers.

    python benchmarks/diarization_report.py pretrained/iianet-synthav \
        --audio-model pretrained/iianet-synthav-audio --out DIR

Talks of two to four people with pauses, with 0 to 60 % of the speech
overlapped and, in every second one, a face that comes late
(``avsep_sb.synth.script``) are separated by rendered mouths, diarized
(``avsep_sb.inference.diarization``) and scored by ``pyannote.metrics``,
overlaps included. What was measured of them is kept in ``OUT/measured``: to
score another rule, move the tables away and run it again. With ``--films N``
some are filmed as well, and go through detection, tracking and all else of
``avsep separate``.

*DER* is missed speech, false alarms and speech of somebody else, over all
speech, with the best mapping of names; *by face* demands that the name is
that of the face. A collar of 0.25 s leaves out as much on both sides of each
true boundary. Intervals of 95 % are of a bootstrap over talks. The truth are
the times of the clean voices, which are those of the phonemes within 40 ms;
pauses of less than 0.3 s are speech, as in NIST's evaluations.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diarization_scenes import draw_scene, measure, pooled_der
from diarization_scoring import read_rttm, score_speech
from report import footer, new_files
from scoring import load_models
from tqdm import tqdm

from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.inference.activity import write_rttm
from avsep_sb.inference.diarization import spans_of_products
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.video import separate_to_folder
from avsep_sb.inference.video_options import VideoOptions
from avsep_sb.results import ResultsTable
from avsep_sb.synth.mouth import FPS
from avsep_sb.synth.scene import write_scene

BAR = 5.0
COLLARS = (0.0, 0.25)


def diarize_film(model, audio_model, scene, number):
    """Truth and spans of a film; faces are numbered as they come."""
    order = sorted(
        range(scene.people),
        key=lambda k: (int(scene.talk.enters[k] / FPS), k),
    )
    spans = list(scene.truth.values())
    truth = {f"face{n + 1}": spans[k] for n, k in enumerate(order)}
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.mp4")
        write_scene(
            film, scene.talk.people, seed=number, enters=scene.talk.enters
        )
        separate_to_folder(
            model,
            audio_model,
            film,
            Path(folder, "voices"),
            VideoOptions(videos=False),
        )
        return truth, read_rttm(Path(folder, "voices", "faces.rttm"))


def row_of(truth, found):
    """Figures of a scene with each collar."""
    return [score_speech(truth, found, collar) for collar in COLLARS]


def cells(rows):
    """DER without a collar and with one, and its parts, of many scenes."""
    found = []
    for k in range(len(COLLARS)):
        rate, low, high = pooled_der([row[k] for row in rows])
        found.append(f"{rate:.2f} ({low:.2f} - {high:.2f})")
    total = sum(row[0]["total"] for row in rows)
    for kind in ("missed", "false alarm", "confusion"):
        found.append(f"{100 * sum(r[0][kind] for r in rows) / total:.2f}")
    # The rate by face is over the same speech.
    by_face = sum(row[0]["by_face"] * row[0]["total"] for row in rows)
    return [*found, f"{100 * by_face / total:.2f}"]


def lines_of(groups):
    """Markdown of groups of scenes: (name, rows)."""
    lines = [
        "| talks | | DER, no collar | DER, collar 0.25 s | missed | "
        "false alarm | somebody else | by face |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in groups:
        if rows:
            text = " | ".join(cells(rows))
            lines.append(f"| {name} | {len(rows)} | {text} |")
    return lines


def groups_of(scenes, rows):
    """All scenes, and those of each kind."""
    yield "all", rows
    for name, key in (
        ("{} people", lambda s: s.people),
        ("{:.0%} overlap", lambda s: s.overlap),
        ("{} late", lambda s: s.late),
    ):
        for value in sorted(set(map(key, scenes))):
            own = [
                row
                for scene, row in zip(scenes, rows, strict=True)
                if key(scene) == value
            ]
            yield name.format(value), own


def main(argv):
    """Separates, scores and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="pretrained folder")
    parser.add_argument("--audio-model", help="that of an audio-only model")
    parser.add_argument("--out", required=True)
    parser.add_argument("--split", default="test", choices=("valid", "test"))
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--films", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args(argv)
    if args.scenes < 1 or args.seconds < 10 or args.films > args.scenes:
        raise ConfigError(
            "scenes are at least 1, of 10 s or more, and as many as films."
        )
    torch.set_num_threads(1)
    ((name, model),) = load_models([args.model]).items()
    audio_model = None
    if args.audio_model is not None:
        audio_model = AVSeparation.from_hparams(args.audio_model)
    report, table_path = new_files(
        args.out, ["diarization_report.md", "diarization.csv"]
    )
    # Seven steps on, people and overlap are others.
    filmed = sorted((7 * k + 5) % args.scenes for k in range(args.films))
    scenes, rows, blind, films = [], [], [], []
    table = ResultsTable(table_path)
    for number in tqdm(range(args.scenes), desc="talks", disable=None):
        scene = draw_scene(args.split, number, args.seconds, args.seed)
        measured = measure(
            model, audio_model, scene, number, Path(args.out, "measured")
        )
        found = dict(
            zip(scene.truth, spans_of_products(**measured), strict=True)
        )
        measured.update(motion=None, stays=None)
        unseen = dict(
            zip(scene.truth, spans_of_products(**measured), strict=True)
        )
        scenes.append(scene)
        rows.append(row_of(scene.truth, found))
        blind.append(row_of(scene.truth, unseen))
        for kind, spans in (("truth", scene.truth), ("found", found)):
            path = Path(args.out, f"{args.split}{number}_{kind}.rttm")
            write_rttm(path, f"{args.split}{number}", spans)
        table.add(
            scene.name,
            {
                "overlap": scene.talk.overlap,
                "der": 100 * rows[-1][0]["der"],
                "der_collar": 100 * rows[-1][1]["der"],
                "by_face": 100 * rows[-1][0]["by_face"],
            },
        )
    table.finish()
    for number in tqdm(filmed, desc="films", disable=None):
        spans = diarize_film(model, audio_model, scenes[number], number)
        films.append(row_of(*spans))
    overlaps = [scene.talk.overlap for scene in scenes]
    lines = [
        f"{args.scenes} talks of {args.seconds:g} s, {args.split} speakers, "
        f"separated by {name}; of the speech {100 * np.mean(overlaps):.0f} % "
        f"is overlapped. All figures in %; the bar is DER <= {BAR:g} %.",
        "",
        *lines_of(groups_of(scenes, rows)),
        *lines_of(
            [
                ("without mouths", blind),
                ("the films", films),
                *(
                    (f"film of {scenes[n].name}", [film])
                    for n, film in zip(filmed, films, strict=True)
                ),
                ("mouths of the same talks", [rows[n] for n in filmed]),
            ]
        )[2:],
        *footer(__file__, argv),
    ]
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
