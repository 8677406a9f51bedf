"""Whose face says which voice: how often audio-only voices get the right face.

    python benchmarks/assignment_report.py --data DIR \
        --manifests test.csv test_same.csv --out DIR \
        [--source pretrained/iianet-synthav-audio] [--sync-source NAME]

Each mixture is separated without faces, and its voices are dealt to the faces
by their lips (``avsep_sb.inference.face_labels``). A mixture is right if all
its voices are. Two separators: the true voices themselves (``oracle``), and
``--source``, a SepFormer of SpeechBrain or an audio-only model of avsep_sb.

Which deal of a separator's voices is right is said by SI-SNR: the deal with
the highest mean. Where it leads any other by less than 3 dB, the separator
mixed the voices up and there is no right one: such mixtures count in "all"
(the better deal is called right) and are left out of "clear". Rows go to
``<out>/<manifest>.csv``, the table to ``<out>/report.md``.

Authors
 * avsep_sb contributors
"""

import argparse
import csv
import itertools
import sys
from pathlib import Path

import numpy as np
import torch
from report import footer, new_files
from tqdm import tqdm

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import DataError, run_or_explain
from avsep_sb.evaluation.mixtures import read_item, reader_for, speakers_of
from avsep_sb.inference.audio_separation import AudioOnlySeparation
from avsep_sb.inference.face_labels import EVIDENCE, assign_to_faces
from avsep_sb.inference.shipped import SYNC_MODEL, shipped_audio_model
from avsep_sb.losses import pairwise, si_snr
from avsep_sb.results import rate95

COLUMNS = "ID separator right lead_db si_snri confidence margin".split()
#: dB by which one deal of voices must lead to be called the right one
CLEAR_DB = 3.0


def true_deal(voices, sources):
    """Which voice is whose, by SI-SNR.

    Arguments
    ---------
    voices : torch.Tensor
        [T, N].
    sources : torch.Tensor
        [T, S], N at least S.

    Returns
    -------
    (tuple of int, float, float)
        For each source its voice, the lead over the next best deal and the
        mean SI-SNR of the best, both in dB.
    """
    table = pairwise(si_snr, voices[None], sources[None])[0].numpy()
    deals = {
        deal: float(np.mean([table[n, s] for s, n in enumerate(deal)]))
        for deal in itertools.permutations(
            range(voices.shape[1]), sources.shape[1]
        )
    }
    ranked = sorted(deals, key=deals.get, reverse=True)
    best = deals[ranked[0]]
    lead = best - deals[ranked[1]] if len(ranked) > 1 else np.inf
    return ranked[0], lead, best


def row_of(name, separator, voices, mix, sources, lips, sync):
    """Figures of one mixture and separator.

    Arguments
    ---------
    name, separator : str
        IDs.
    voices, mix, sources, lips : torch.Tensor
        [T, N], [T], [T, S] and [S, Tv, H, W].
    sync : LipSync
        The judge.

    Returns
    -------
    dict
        Of ``COLUMNS``.
    """
    deal, lead, best = tuple(range(sources.shape[1])), np.inf, np.inf
    if separator != "oracle":
        deal, lead, best = true_deal(voices, sources)
    before = si_snr(mix[None, :, None].expand_as(sources[None]), sources[None])
    labels = assign_to_faces(voices, lips, sync)
    least = min(min(labels.confidences), 1 - 1e-12)
    return {
        "ID": name,
        "separator": separator,
        "right": int(labels.voices == deal),
        "lead_db": round(lead, 2),
        "si_snri": round(best - float(before.mean()), 2),
        "confidence": round(least, 4),
        # frames times cosine: what the steepness is fitted to
        "margin": round(float(np.log(least / (1 - least))) / EVIDENCE, 3),
    }


def steepness(rows):
    """The steepness of evidence that makes the deals most likely.

    Arguments
    ---------
    rows : list of dict
        Of :func:`row_of`.

    Returns
    -------
    float
        NaN where no deal is wrong: then there is no such value.
    """
    margin = np.array([row["margin"] for row in rows])
    sign = np.array([1 if row["right"] else -1 for row in rows])
    if (sign == 1).all():
        return float("nan")
    grid = np.geomspace(0.001, 10, 400)
    loss = [np.logaddexp(0, -b * margin * sign).sum() for b in grid]
    return float(grid[int(np.argmin(loss))])


def lines_of(title, rows):
    """Rows of the table for one manifest.

    Arguments
    ---------
    title : str
        Of the manifest.
    rows : list of dict
        Of :func:`row_of`.

    Returns
    -------
    list of str
    """
    lines = []
    for separator in ("oracle", "source"):
        own = [row for row in rows if row["separator"] == separator]
        for kind, some in (
            ("all", own),
            ("clear", [r for r in own if r["lead_db"] >= CLEAR_DB]),
            ("confident", [r for r in own if r["confidence"] >= 0.9]),
        ):
            if not some or (separator == "oracle" and kind == "clear"):
                continue
            rate, low, high = rate95([r["right"] for r in some])
            sure = np.mean([r["confidence"] for r in some])
            gain = np.mean([r["si_snri"] for r in some])
            gain = "–" if np.isinf(gain) else f"{gain:.1f} dB"
            lines.append(
                f"| {title} | {separator} | {kind} | {len(some)} "
                f"| {100 * rate:.1f} % ({100 * low:.1f} to {100 * high:.1f}) "
                f"| {100 * sure:.1f} % | {gain} |"
            )
    return lines


def main(argv):
    """Writes the report that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", help="separator without faces")
    parser.add_argument("--sync-source", default=SYNC_MODEL)
    parser.add_argument("--data", required=True, help="corpus folder")
    parser.add_argument("--manifests", nargs="+", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    manifests = [Path(path) for path in args.manifests]
    names = [f"{path.stem}.csv" for path in manifests]
    *tables, page = new_files(args.out, [*names, "report.md"])
    source = args.source or shipped_audio_model()
    model = AudioOnlySeparation.from_hparams(source, args.sync_source)
    lines = [
        "| manifest | separator | mixtures | number | right (95 %) "
        "| mean confidence | SI-SNRi |",
        "|---|---|---|---|---|---|---|",
    ]
    every = []
    for path, table in zip(manifests, tables, strict=True):
        rows = []
        listed = check_manifest(path, args.data)[: args.limit]
        count = speakers_of(listed[0])
        if count > model.hparams.num_spks:
            raise DataError(
                f"'{path}' mixes {count} voices, but the model separates "
                f"{model.hparams.num_spks}: give another of the two."
            )
        reader = reader_for(model, num_spks=count)
        for item in tqdm(listed, desc=path.stem):
            mix, sources, lips = read_item(reader, item)
            found = model.voices.separate_batch(mix)[0].cpu()
            parts = mix[0], sources[0], lips[0], model.sync
            for separator, voices in (
                ("oracle", sources[0]),
                ("source", found),
            ):
                rows.append(row_of(item["ID"], separator, voices, *parts))
        with open(table, "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        lines += lines_of(path.stem, rows)
        every += rows
    clear = [row for row in every if row["lead_db"] >= CLEAR_DB]
    lines += [
        "",
        f"oracle: the true voices; source: {Path(source).name}. clear: one "
        f"deal leads by {CLEAR_DB:g} dB of SI-SNR; confident: the lowest "
        "confidence of the mixture is 0.9 or more. Steepness of the evidence "
        f"in use: {EVIDENCE:g}; the most likely one for the clear mixtures "
        f"here: {steepness(clear):.3g}.",
    ]
    lines += footer(__file__, argv)
    text = "\n".join(lines) + "\n"
    page.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    sys.exit(run_or_explain(main, sys.argv[1:]))
