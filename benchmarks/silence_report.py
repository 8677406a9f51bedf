"""Tells how silent a face is that does not speak, and who is left over.

    python benchmarks/silence_report.py pretrained/iianet-synthav \
        --data DIR --manifest DIR/test.csv --out DIR

Each mixture of two voices is separated in several *cases*, over time
(:mod:`avsep_sb.inference.over_time`), without its silence gate and with it:

- *both speak*: what the gate costs. Pauses within the speech count as silent.
- *silent*: the second voice is not in the mixture. Its mouth moves all the
  same, or rests (a pause of its recording, played to and fro).
- *pauses*: the same, for the middle half of the mixture.
- *third voice off screen*: a voice of the next mixtures is added. The two
  faces are given, and the third voice belongs in the residual.
- *second voice off screen*: one face is given, the other voice belongs in the
  residual.

*Silent* is the energy of a voice over that of the mixture in the spans in
which its target is silent (:mod:`avsep_sb.silent_spans`), for those who do
not speak, or in their pauses; the aim is -30 dB. SI-SNR, and its improvement,
are of the voices that speak; where one speaks alone there is nothing to
improve. The last column is the SI-SNR improvement of the residual with
respect to the voice that is not to be seen.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from report import footer, new_files
from scoring import load_models, read_item, reader_for
from tqdm import tqdm

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.dataio.silence import quiet_passage, resting_frames
from avsep_sb.errors import ConfigError, DataError, run_or_explain
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.stays import ArrayFaces
from avsep_sb.losses import si_snr
from avsep_sb.results import ResultsTable, confidence95
from avsep_sb.silent_spans import silent_span_db

AIM_DB = -30.0
NONE = float("nan")
COLUMNS = ("silent_db", "si_snr", "si_snr_i", "residual_si_snr_i")


class Case(NamedTuple):
    """What is given to the model, and what is to come out.

    Arguments
    ---------
    targets : np.ndarray
        Voice of each face, zero where it does not speak, [T, S].
    lips : np.ndarray
        uint8 [S, Tv, H, W].
    silent : tuple of int
        Faces whose silence is measured.
    unseen : np.ndarray or None
        The voice without a face, [T].
    """

    targets: np.ndarray
    lips: np.ndarray
    silent: tuple
    unseen: np.ndarray | None = None


def cases_of(sources, lips, other, samples_per_frame):
    """The cases of one mixture.

    Arguments
    ---------
    sources : np.ndarray
        [T, 2]
    lips : np.ndarray
        [2, Tv, H, W]
    other : np.ndarray
        A third voice, [T].
    samples_per_frame : int
        Samples in the time of one frame.

    Returns
    -------
    dict
        Name to ``Case``.
    """
    frames = lips.shape[1]
    passage = quiet_passage(sources[:, 1], samples_per_frame)
    rest = resting_frames(lips[1], passage, frames, 0.0)
    first, stop = frames // 4, frames - frames // 4
    pausing = sources.copy()
    pausing[first * samples_per_frame : stop * samples_per_frame, 1] = 0.0
    resting = lips.copy()
    resting[1, first:stop] = rest[first:stop]
    alone = sources * [1, 0]
    return {
        "both speak": Case(sources, lips, (0, 1)),
        "silent, mouth rests": Case(alone, np.stack([lips[0], rest]), (1,)),
        "silent, mouth moves": Case(alone, lips, (1,)),
        "pauses, mouth rests": Case(pausing, resting, (1,)),
        "pauses, mouth moves": Case(pausing, lips, (1,)),
        "third voice off screen": Case(sources, lips, (), other),
        "second voice off screen": Case(
            sources[:, :1], lips[:1], (), sources[:, 1]
        ),
    }


class Replayed:
    """A model that separates what it is given once; then gives that again.

    All else is the model's own: what it is made of decides how it is used.
    """

    def __init__(self, model):
        self.model = model
        self._given, self._again = [], None

    def __getattr__(self, name):
        return getattr(self.model, name)

    def separate_batch(self, *args, **options):
        """Separates, or repeats."""
        if self._again is not None:
            return next(self._again)
        self._given.append(self.model.separate_batch(*args, **options))
        return self._given[-1]

    def rewind(self):
        """From now on, the same again in the same order."""
        self._again = iter(self._given)


def figures_of(case, mix, voices, residual, sample_rate):
    """Figures of a case.

    Arguments
    ---------
    case : Case
        What was to come out.
    mix, voices, residual : np.ndarray
        What went in, [T], and what came out, [T, S] and [T].
    sample_rate : int
        Hz.

    Returns
    -------
    dict
        Of ``COLUMNS``, dB, means over voices; NaN where there is nothing to
        be measured.
    """
    silent = [
        silent_span_db(mix, voices[:, k], case.targets[:, k], sample_rate)
        for k in case.silent
    ]
    speaks = case.targets.any(axis=0)
    scores = _si_snr(voices, case.targets)[speaks]
    # Where one speaks alone the mixture is that voice.
    before = _si_snr(mix[:, None], case.targets)[speaks]
    gains = scores - before if before.max(initial=-99.0) < 60 else [NONE]
    unseen = NONE
    if case.unseen is not None:
        target = case.unseen[:, None]
        unseen = _si_snr(residual[:, None], target) - _si_snr(
            mix[:, None], target
        )
    values = (_mean(silent), _mean(scores), _mean(gains), _mean(unseen))
    return dict(zip(COLUMNS, values, strict=True))


def _mean(values):
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else NONE


def _si_snr(estimate, target):
    """SI-SNR of each voice in dB, [S], of [T, 1] or [T, S]."""
    estimate = np.broadcast_to(estimate, target.shape)
    pair = [torch.from_numpy(x.astype(np.float64)) for x in (estimate, target)]
    return si_snr(*(x[None] for x in pair))[0].numpy()


@torch.no_grad()
def compare(model, case, gates):
    """Separates a case, once for all gates.

    Arguments
    ---------
    model : AVSeparation
        The model.
    case : Case
        The case.
    gates : list of float or None
        ``silence_db`` of each gate, None for none.

    Returns
    -------
    list of dict
        Figures with each of them.
    """
    mix = case.targets.sum(axis=1)
    if case.unseen is not None:
        mix = mix + case.unseen
    mix = mix.astype(np.float32)
    once = Replayed(model)
    results = []
    for silence_db in gates:
        faces = ArrayFaces(case.lips, fps=model.hparams.video_fps)
        over_time = OverTime(once, faces, silence_db=silence_db)
        blocks = list(over_time.separate(mix))
        voices = np.concatenate([block.voices for block in blocks])
        residual = np.concatenate([block.residual for block in blocks])
        total, rate = len(mix), int(model.hparams.sample_rate)
        results.append(
            figures_of(case, mix, voices[:total], residual[:total], rate)
        )
        once.rewind()
    return results


def third_voice(items, number, total, reader):
    """A voice of the next mixture that has one of another speaker, [T]."""
    own = {items[number][f"s{k}_spk"] for k in (1, 2)}
    for step in range(1, len(items)):
        item = items[(number + step) % len(items)]
        for k in (1, 2):
            if item[f"s{k}_spk"] not in own:
                voice = read_item(reader, item)[1][0, :, k - 1].numpy()
                return np.resize(voice, total)  # repeated if it is short
    raise DataError(
        "The manifest has no third speaker: give one with more speakers."
    )


def lines_of(found, gates):
    """Markdown of one model from figures by case, for each gate."""
    lines = [
        "| case | gate | silent, median | 95 % are below | at most "
        f"{AIM_DB:g} dB | SI-SNR | SI-SNRi | residual, SI-SNRi |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in found.items():
        for gate, rows in zip(gates, zip(*figures, strict=True), strict=True):
            silent = np.array([row["silent_db"] for row in rows])
            silent = silent[~np.isnan(silent)]
            cells = ["", "", ""]
            if len(silent):
                high = np.quantile(silent, 0.95)
                share = 100 * np.mean(silent <= AIM_DB)
                cells = [f"{np.median(silent):.1f}", f"{high:.1f}"]
                cells.append(f"{share:.0f} %")
            for column in COLUMNS[1:]:
                mean, half = confidence95([row[column] for row in rows])
                known = not np.isnan(mean)
                cells.append(f"{mean:.2f} ± {half:.2f}" if known else "")
            lines.append(f"| {name} | {_name(gate)} | {' | '.join(cells)} |")
    lines.append("")
    for number, gate in enumerate(gates[1:], start=1):
        cost = [
            rows[number]["si_snr_i"] - rows[0]["si_snr_i"]
            for rows in found["both speak"]
        ]
        mean, half = confidence95(cost)
        lines.append(
            f"Where both speak, the gate of {gate:g} dB changes SI-SNRi by "
            f"{mean:+.2f} ± {half:.2f} dB, {min(cost):+.2f} dB at worst."
        )
    return lines


def _name(gate):
    return "off" if gate is None else f"{gate:g}"


def main(argv):
    """Separates, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", help="pretrained folders")
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--limit", type=int, default=100, help="mixtures")
    parser.add_argument(
        "--gates", type=float, nargs="+", default=[20.0], help="silence_db"
    )
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    if min(args.limit, args.threads, *args.gates) <= 0:
        raise ConfigError("limit, threads and gates must be above 0.")
    torch.set_num_threads(args.threads)
    models = load_models(args.models)
    if not all(model.sees for model in models.values()):
        raise ConfigError("Give audio-visual models: they know who is seen.")
    names = [f"silence_{name.replace('/', '_')}.csv" for name in models]
    report, *csvs = new_files(args.out, ["silence_report.md", *names])
    model = next(iter(models.values()))
    reader = reader_for(model, num_spks=2)
    items = check_manifest(args.manifest, args.data, num_spks=2)
    per_frame = int(model.hparams.sample_rate // model.hparams.video_fps)
    gates = [None, *args.gates]
    found = {name: {} for name in models}
    tables = [ResultsTable(path) for path in csvs]
    count = min(args.limit, len(items))
    for number in tqdm(range(count), desc="mixtures"):
        _, sources, lips = read_item(reader, items[number])
        sources, lips = sources[0].numpy(), lips[0].numpy()
        other = third_voice(items, number, len(sources), reader)
        cases = cases_of(sources, lips, other, per_frame)
        for (name, model), table in zip(models.items(), tables, strict=True):
            for title, case in cases.items():
                figures = compare(model, case, gates)
                found[name].setdefault(title, []).append(figures)
                for gate, row in zip(gates, figures, strict=True):
                    label = f"{items[number]['ID']}: {title}: {_name(gate)}"
                    table.add(label, row)
    for table in tables:
        table.finish()
    lines = [
        f"{count} mixtures of {Path(args.manifest).name}; a gate closes so "
        "many dB below the mixture. All figures but shares in dB.",
    ]
    for name, figures in found.items():
        lines += ["", f"**{name}**", "", *lines_of(figures, gates)]
    lines += footer(__file__, argv)
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
