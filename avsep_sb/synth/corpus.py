"""Writes SynthAV, the corpus that avsep_sb generates: sounds and mouths.

Layout: ``<root>/<split>/<speaker>/<utterance>.flac`` and ``.npz`` beside it
(``data`` [Tv, 96, 96] uint8, ``viseme`` [Tv], ``opening`` [Tv]), and
``<root>/utterances.csv``. Any size by one number, the same bytes for the same
seed; a larger corpus contains the smaller one.

Authors
 * avsep_sb contributors
"""

import csv
import io
import os
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from avsep_sb.dataio.parallel import outcomes
from avsep_sb.errors import DataError
from avsep_sb.synth.utterance import (
    SAMPLE_RATE,
    make_utterance,
    render_roi,
    utterance_text,
)
from avsep_sb.synth.voices import all_speakers

FIELDS = ("ID", "split", "spk", "text", "duration")


def generate(
    out_dir,
    utts_per_speaker,
    seed=1234,
    workers=0,
    faces=False,
    train_speakers=None,
):
    """Generates the corpus; what is there already is kept.

    Arguments
    ---------
    out_dir : str or Path
        Folder of the corpus.
    utts_per_speaker : int
        Size: each speaker says this many utterances of 3 to 4.5 s.
    seed : int
        Seed of the corpus; the speakers are the same for all seeds.
    workers : int
        Processes; 0 works in this one.
    faces : bool
        Also write ``<utterance>.mp4``, the speaker's full face with sound.
    train_speakers : int or None
        Only the first so many of the 150 training speakers.

    Returns
    -------
    list of dict
        The rows of ``utterances.csv``. ``DataError`` if the folder holds a
        corpus of another seed, or if an utterance cannot be made.

    Example
    -------
    >>> generate("corpus", 0)
    Traceback (most recent call last):
    ...
    avsep_sb.errors.DataError: A corpus needs at least one utterance per...
    """
    if utts_per_speaker < 1:
        raise DataError(
            "A corpus needs at least one utterance per speaker, not "
            f"{utts_per_speaker}."
        )
    if train_speakers is not None and train_speakers < 1:
        raise DataError(
            f"A corpus needs at least one training speaker, not "
            f"{train_speakers}."
        )
    root = Path(out_dir)
    root.mkdir(parents=True, exist_ok=True)
    _claim(root, seed)
    speakers = list(enumerate(all_speakers()))
    train = [index for index, one in speakers if one.split == "train"]
    left_out = set() if train_speakers is None else set(train[train_speakers:])
    jobs = [
        (str(root), seed, index, number, faces)
        for index, _ in speakers
        if index not in left_out
        for number in range(utts_per_speaker)
    ]
    rows = []
    done = outcomes(write_utterance, jobs, workers)
    for outcome in tqdm(done, total=len(jobs), desc="SynthAV", unit="utt"):
        if outcome.reason is not None:
            raise DataError(
                f"SynthAV stopped: {outcome.reason} What is finished stays; "
                "run it again to go on."
            )
        rows.append(outcome.value)
    rows.sort(key=lambda row: row["ID"])
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write(root / "utterances.csv", text.getvalue().encode("utf-8"))
    return rows


def write_utterance(job):
    """Makes and writes one utterance, unless it is there.

    Arguments
    ---------
    job : (str, int, int, int, bool)
        Folder of the corpus, seed, index of the speaker, number of the
        utterance, and whether to write the face video.

    Returns
    -------
    dict
        Its row of ``utterances.csv``.
    """
    root, seed, index, number, faces = job
    speaker = all_speakers()[index]
    folder = Path(root) / speaker.split / speaker.name
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{speaker.name}_{number:03d}"
    flac, npz, video = (
        folder / f"{name}.{kind}" for kind in ("flac", "npz", "mp4")
    )
    wanted = [flac, npz, video] if faces else [flac, npz]
    if not all(path.exists() for path in wanted):
        utterance = make_utterance(seed, speaker, number)
        if not flac.exists():
            sound = io.BytesIO()
            soundfile.write(
                sound, utterance.audio, SAMPLE_RATE, "PCM_16", format="FLAC"
            )
            _write(flac, sound.getvalue())
        if not npz.exists():
            arrays = io.BytesIO()
            np.savez(
                arrays,
                data=render_roi(utterance),
                viseme=utterance.viseme,
                opening=utterance.tracks[:, 0].astype(np.float32),
            )
            _write(npz, arrays.getvalue())
        if faces and not video.exists():
            from avsep_sb.synth.scene import write_scene

            write_scene(video, [utterance])
    return {
        "ID": name,
        "split": speaker.split,
        "spk": speaker.name,
        "text": utterance_text(seed, speaker, number),
        "duration": f"{soundfile.info(flac).frames / SAMPLE_RATE:.6f}",
    }


def _claim(root, seed):
    """One folder holds one seed: mixed corpora would be irreproducible."""
    mark = root / "seed.txt"
    if not mark.exists():
        _write(mark, f"{seed}\n".encode())
    elif mark.read_text().strip() != str(seed):
        raise DataError(
            f"'{root}' holds a corpus of seed {mark.read_text().strip()}, "
            f"not {seed}; name another folder."
        )


def _write(path, data):
    """The whole file or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    os.replace(partial, path)
