"""Recognisers that tell how much of a voice can be understood.

Authors
 * avsep_sb contributors
"""

import csv
from pathlib import Path

import numpy as np
import torch

from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.evaluation import grid_judge
from avsep_sb.evaluation.wer import word_errors
from avsep_sb.inference.asr import transcribe_sources
from avsep_sb.inference.asr_load import load_asr
from avsep_sb.inference.levels import LevelMatch
from avsep_sb.inference.text import normalise_text

#: what is listened to: the true voices, the mixture, the voices of the model
#: and those of its audio-only twin
SOUNDS = ("clean", "mixture", "separated", "twin")


def load_judges(sources, device="cpu"):
    """Loads the recognisers that ``--asr`` names.

    Arguments
    ---------
    sources : list of str
        As of :func:`avsep_sb.inference.asr_load.load_asr`, or
        "pocketsphinx-grid" (:class:`GridJudge`).
    device : str
        Where those of SpeechBrain run.

    Returns
    -------
    dict
        What each is called, to the recogniser. ``ConfigError`` if one is
        given twice.

    Example
    -------
    >>> load_judges([])
    {}
    """
    judges = {}
    for source in sources:
        name = Path(source).resolve().name
        if name in judges:
            raise ConfigError(f"--asr names '{name}' twice; give it once.")
        if source == grid_judge.NAME:
            judges[name] = grid_judge.GridJudge()
        else:
            judges[name] = load_asr(source, device)
    return judges


def read_texts(path):
    """Reads what is said in utterances.

    Arguments
    ---------
    path : str or Path
        A CSV with the columns ``ID`` and ``text``; others do not matter.

    Returns
    -------
    dict
        ID to text. ``DataError`` is raised for a file that is none.

    Example
    -------
    >>> path = getfixture("tmp_path") / "utterances.csv"
    >>> _ = path.write_text("ID,spk,text\\na,p1,bin blue\\n")
    >>> read_texts(path)
    {'a': 'bin blue'}
    """
    try:
        with open(path, newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        return {row["ID"]: row["text"] or "" for row in rows}
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as err:
        raise DataError(
            f"'{path}' is no CSV with the columns ID and text; check --texts."
        ) from err


def with_texts(rows, texts, manifest):
    """Rows of a manifest that tell what is said.

    Arguments
    ---------
    rows : list of dict
        Of the manifest.
    texts : dict
        Name of a sound file without its ending, to its text: for voices of
        which the manifest does not tell.
    manifest : str or Path
        For the message.

    Returns
    -------
    list of dict
        ``DataError`` if it is known of no voice.

    Example
    -------
    >>> row = {"ID": "m", "s1_wav": "c/a.wav", "s1_lips": ""}
    >>> with_texts([row], {"a": "bin blue"}, "test.csv")[0]["s1_text"]
    'bin blue'
    """
    told = []
    for row in rows:
        row = dict(row)
        for name in [
            n for n in row if n.endswith("_wav") and n[1:-4].isdigit()
        ]:
            column = name.replace("_wav", "_text")
            stem = Path(row[name]).stem
            row[column] = row.get(column) or texts.get(stem, "")
        told.append(row)
    if not any(v for r in told for n, v in r.items() if n.endswith("_text")):
        raise DataError(
            f"'{manifest}' does not tell what is said (s1_text ...), which "
            "--asr needs: prepare it again, or give --texts CSV."
        )
    return told


def hear(judges, references, mix, sounds, sample_rate):
    """What the recognisers understand of one mixture.

    Arguments
    ---------
    judges : dict
        Of :func:`load_judges`.
    references : list of str or None
        What each voice says; None or "" where it is not known.
    mix : np.ndarray
        [T].
    sounds : dict
        "clean", "separated" and, if there is one, "twin" to voices [T, S] in
        the order of the references.
    sample_rate : int
        Hz.

    Returns
    -------
    list of dict
        ``judge``, ``voice`` (from 1), ``sound`` of ``SOUNDS``,
        ``reference``, ``text``, ``errors`` and ``words``. The text of the
        mixture stands beside each voice.

    Example
    -------
    >>> hear({}, [None], np.zeros(9), {"clean": np.zeros((9, 1))}, 8000)
    []
    """
    said = {k: r for k, r in enumerate(references) if r and normalise_text(r)}
    if not said:
        return []
    columns, places = [mix], {("mixture", k): 0 for k in said}
    for sound in (name for name in SOUNDS if name in sounds):
        voices = sounds[sound]
        if sound != "clean":
            # Of any level after SI-SNR, and what is faint counts as silent.
            voices = LevelMatch()(voices, mix)
        for k in said:
            places[sound, k] = len(columns)
            columns.append(voices[:, k])
    heard = torch.from_numpy(np.stack(columns, 1).astype(np.float32))[None]
    rows = []
    for judge, asr in judges.items():
        texts = transcribe_sources(asr, heard, sample_rate, mix=heard[:, :, 0])[
            0
        ]
        for k, reference in said.items():
            for sound in (name for name in SOUNDS if (name, k) in places):
                text = normalise_text(texts[places[sound, k]])
                errors, words = word_errors(reference, text)
                rows.append(
                    {
                        "judge": judge,
                        "voice": k + 1,
                        "sound": sound,
                        "reference": normalise_text(reference),
                        "text": text,
                        "errors": errors,
                        "words": words,
                    }
                )
    return rows


def judge_fingerprints(sources):
    """What tells recognisers from others, for tests that go on.

    Arguments
    ---------
    sources : list of str
        Of ``--asr``.

    Returns
    -------
    list of str

    Example
    -------
    >>> judge_fingerprints(["no-such-model"]) == judge_fingerprints(["other"])
    False
    """
    from avsep_sb.inference.fingerprint import fingerprint
    from avsep_sb.inference.shipped import find_model

    prints = []
    for source in sources:
        try:
            prints.append(fingerprint(find_model(source)))
        except CheckpointError:
            prints.append(fingerprint(source))
    return prints
