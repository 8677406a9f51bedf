"""Turns scores into tables, pictures and the page.

Authors
 * avsep_sb contributors
"""

import os
from dataclasses import dataclass

import torch

from avsep_sb import __version__
from avsep_sb.evaluation.evaluate import heard
from avsep_sb.evaluation.orientation import NO_SPLIT, orientation_of
from avsep_sb.evaluation.output import write_results
from avsep_sb.evaluation.page import Case, Report, render
from avsep_sb.evaluation.plots import gains, histograms, spectrograms
from avsep_sb.evaluation.summary import (
    LABELS,
    means,
    split,
    utterance_scores,
    worst,
)
from avsep_sb.evaluation.words import groups as groups_of_words
from avsep_sb.evaluation.words import word_lines, word_rows


@dataclass
class Run:
    """What the page says of a test beside its scores.

    Arguments
    ---------
    name, manifest : str
        Of the model and of the mixtures.
    device : str
        Where separation ran.
    factors : list of float
        Real-time factors.
    notes : list of str
        What is missing so far, and why.
    orientations : dict
        Path of a mouth ROI to "frontal" or "side"; other files are asked.
    worst : int
        How many mixtures are shown.
    command : str
        What was run.
    """

    name: str
    manifest: str
    device: str
    factors: list
    notes: list
    orientations: dict
    worst: int
    command: str


def make_report(out, tests, scores, run):
    """Writes all results of a test.

    Arguments
    ---------
    out : str or Path
        Where to.
    tests : MixtureSet
        What was scored; the worst mixtures are separated again.
    scores : dict
        ID to scores, of :func:`avsep_sb.evaluation.evaluate.score_set`.
    run : Run
        What else is told.

    Returns
    -------
    (list of Line, list of Path, list of str)
        Means, files, and notes on what is missing.
    """
    voices = [
        voice
        for row in tests.rows
        for voice in voices_of(row, scores[row["ID"]], run.orientations)
    ]
    utterances = {n: utterance_scores(entry) for n, entry in scores.items()}
    lines = means(utterances.values(), run.factors)
    groups = split(voices)
    notes = list(run.notes)
    if not groups and tests.model.sees:
        notes.append(NO_SPLIT)
    notes += _missing(utterances, lines)
    words = word_rows(tests.rows, scores)
    if tests.judges and not words:
        notes.append("No voice with a known text is heard whole: no WER.")
    rates = groups_of_words(words)
    lines = lines + word_lines(words)
    report = Report(
        title=f"{run.name} on {run.manifest}",
        facts=_facts(tests, run),
        lines=lines,
        groups=groups,
        histograms=histograms(voices),
        gains=gains(voices),
        cases=[
            _case(tests, row, scores[row["ID"]])
            for name in worst(utterances, run.worst)
            for row in tests.rows
            if row["ID"] == name
        ],
        notes=notes,
        rates=rates,
    )
    tables = (rates, words) if words else ()
    page = render(report)
    paths = write_results(out, utterances, voices, lines, page, tables)
    return lines, paths, notes


def voices_of(row, entry, orientations=None):
    """What the table of the voices holds of a mixture.

    Arguments
    ---------
    row : dict
        The manifest's.
    entry : dict
        Its scores.
    orientations : dict, optional
        Path of a mouth ROI to "frontal" or "side".

    Returns
    -------
    list of dict
        ``ID``, ``voice`` from 1, ``speaker``, ``orientation`` ("" if not
        known) and the scores.

    Example
    -------
    >>> row = {"ID": "a", "s1_spk": "p1", "s1_lips": ""}
    >>> voices_of(row, {"voices": [{"sdr": 8.0}]})[0]["speaker"]
    'p1'
    """
    table = []
    for k, voice in enumerate(entry["voices"], 1):
        lips = row[f"s{k}_lips"]
        where = (orientations or {}).get(lips, "")
        if lips and not where and os.path.isfile(lips):
            where = orientation_of(lips)
        table.append(
            {
                "ID": row["ID"],
                "voice": k,
                "speaker": row[f"s{k}_spk"],
                "orientation": where,
                **voice,
            }
        )
    return table


def _facts(tests, run):
    """Sentences on what was scored and how."""
    first = (
        f"{len(tests.rows)} mixtures, {tests.num_spks} voice(s) in each, at "
        f"{tests.sample_rate} Hz. A mixture counts with the mean over its "
        "voices. SI-SNRi and SDRi (BSS-eval, 512 taps) are improvements over "
        "the mixture; a wrong speaker is an estimate closer (SI-SNR) to "
        "another target than to its own."
    )
    facts = [first]
    if tests.swap:
        facts.append(
            "Voices follow exchanged faces if every voice is closest to the "
            "speaker of its face, with the faces in order and with each one "
            "moved to its neighbour."
        )
    if not tests.model.sees:
        facts.append(
            "The model sees no faces: of the orders of its voices the best "
            "one counts."
        )
    if tests.judges:
        facts.append(
            f"WER by {', '.join(tests.judges)}: wrong words over all words, "
            "of the voices whose utterance is heard whole, in lower case and "
            "without punctuation; its intervals are bootstraps over mixtures. "
            "The mixture is compared with each voice in turn."
        )
    where = f"{run.device}, threads: {torch.get_num_threads()}"
    facts.append(
        "Intervals: 95 %, Student's over mixtures, for shares Wilson's. The "
        f"real-time factor ({where}) is that of the first "
        f"{len(run.factors)} mixtures, one at a time, nothing else running "
        "in this program."
    )
    facts.append(f"avsep_sb {__version__}: {run.command}")
    return facts


def _missing(utterances, lines):
    """Sentences on scores that some mixtures lack."""
    notes = []
    for line in lines:
        if line.score == "rtf" or line.count == len(utterances):
            continue
        lacking = len(utterances) - line.count
        notes.append(
            f"{lacking} of {len(utterances)} mixtures have no "
            f"{LABELS[line.score][0]} and are left out of its mean."
        )
    return notes


def _case(tests, row, entry):
    """A mixture as the page shows it."""
    job = tests.job(row, alone=True)
    mix, estimate, target, note = heard(job)
    return Case(
        name=row["ID"],
        speakers=[row[f"s{k + 1}_spk"] for k in range(tests.num_spks)],
        voices=entry["voices"],
        picture=spectrograms(mix, estimate, target, tests.sample_rate),
        mix=mix,
        estimate=estimate,
        target=target,
        sample_rate=tests.sample_rate,
        note=note,
        words=entry.get("words", []),
    )
