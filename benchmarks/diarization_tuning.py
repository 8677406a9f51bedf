"""Varies the numbers of the diarization rule on validation speakers.

    python benchmarks/diarization_tuning.py pretrained/iianet-synthav \
        --audio-model pretrained/iianet-synthav-audio --out DIR

The talks are those of ``diarization_report.py``, of SynthAV's validation
speakers. They are separated once; then each number of
``avsep_sb.inference.diarization`` and ``avsep_sb.inference.activity`` is
varied while the others stay. Choose by this report, and tell the error by the
other one, on test speakers.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path

import torch
from diarization_scenes import draw_scene, measure, pooled_der
from diarization_scoring import score_speech
from report import footer, new_files
from scoring import load_models
from tqdm import tqdm

from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.inference.activity import spans_of_energy
from avsep_sb.inference.diarization import own_shares
from avsep_sb.inference.separation import AVSeparation

#: values that are tried, by the name of the option
OF_SHARES = {
    "copy_s": (0.06, 0.1, 0.2, 0.4),
    "clearly": (1.0, 1.5, 2.0, 3.0, 5.0),
}
OF_SPANS = {
    "below_mixture_db": (9.0, 10.5, 12.0, 13.5, 15.0),
    "below_active_db": (15.9, 18.0, 20.0, 22.0, 25.0),
    "bridge_s": (0.1, 0.2, 0.3, 0.4, 0.5),
    "shortest_s": (0.1, 0.2, 0.3, 0.4),
}


def diarize(measured, names, of_shares=None, of_spans=None):
    """Spans by face of what was measured, with options other than usual."""
    products = measured["products"]
    shares = own_shares(products, measured["motion"], **(of_shares or {}))
    return {
        name: spans_of_energy(
            products[k, k] * shares[k], measured["mixture"], **(of_spans or {})
        )
        for k, name in enumerate(names)
    }


def rows_of(measured, truths):
    """Yields (option, value, DER) for all, the usual values first."""

    def rate(**options):
        scores = [
            score_speech(truth, diarize(own, truth, **options))
            for own, truth in zip(measured, truths, strict=True)
        ]
        return pooled_der(scores)

    yield "as it is", "", rate()
    for kind, options in (("of_shares", OF_SHARES), ("of_spans", OF_SPANS)):
        for name, values in options.items():
            for value in values:
                yield name, f"{value:g}", rate(**{kind: {name: value}})


def main(argv):
    """Separates, varies and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="pretrained folder")
    parser.add_argument("--audio-model", help="that of an audio-only model")
    parser.add_argument("--out", required=True)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    if args.scenes < 1 or args.seconds < 10:
        raise ConfigError("Give at least 1 scene, of 10 s or more.")
    torch.set_num_threads(1)
    ((_, model),) = load_models([args.model]).items()
    audio_model = None
    if args.audio_model is not None:
        audio_model = AVSeparation.from_hparams(args.audio_model)
    (report,) = new_files(args.out, ["diarization_tuning.md"])
    measured, truths = [], []
    for number in tqdm(range(args.scenes), desc="talks", disable=None):
        scene = draw_scene("valid", number, args.seconds, args.seed)
        measured.append(
            measure(
                model, audio_model, scene, number, Path(args.out, "measured")
            )
        )
        truths.append(scene.truth)
    lines = ["| number | value | DER, % (95 %) |", "|---|---|---|"]
    for name, value, (rate, low, high) in rows_of(measured, truths):
        lines.append(
            f"| {name} | {value} | {rate:.2f} ({low:.2f} - {high:.2f}) |"
        )
    lines += footer(__file__, argv)
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
