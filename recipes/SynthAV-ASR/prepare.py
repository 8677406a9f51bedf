"""Prepares SynthAV for recognisers: generates it and lists what is said.

Authors
 * avsep_sb contributors
"""

import os
from pathlib import Path

import soundfile
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from avsep_sb.dataio.corpus import open_splits, portable_path
from avsep_sb.dataio.parallel import outcomes
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.recogniser_lists import FIELDS, read_sayings, write_sayings
from avsep_sb.synth.corpus import generate
from avsep_sb.synth.utterance import SAMPLE_RATE, make_utterance
from avsep_sb.synth.voices import speakers_of

logger = get_logger(__name__)


def prepare_synthav_asr(
    data_folder,
    save_folder,
    num_spks=1,
    utts_per_speaker=40,
    corpus_seed=1234,
    train_speakers=None,
    more_per_speaker=0,
    separated=None,
    workers=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv``.

    Speakers are disjoint between the splits.

    Arguments
    ---------
    data_folder : str or Path
        Folder of the corpus; it is generated there if it is absent.
    save_folder : str or Path
        Folder of the lists. One that is there stays; ``ConfigError`` is
        raised if it was made with other settings.
    num_spks : int
        1: there is one voice in a recording.
    utts_per_speaker : int
        Size of the corpus.
    corpus_seed : int
        Seed of the corpus.
    train_speakers : int or None
        Only the first so many of the 150 training speakers.
    more_per_speaker : int
        So many more utterances of each training speaker, which a larger
        corpus would hold too; their sound alone, in ``save_folder``.
    separated : str, Path or None
        A list of ``separate_voices.py`` for the training split: its
        recordings are learnt from too.
    workers : int or None
        Processes; None takes one per processor, 0 works in this one.
    skip_prep : bool
        Whether to do nothing.
    """
    if skip_prep:
        return
    if num_spks != 1:
        raise ConfigError(
            f"A recogniser hears one voice, not {num_spks}: leave num_spks 1."
        )
    save_folder = Path(save_folder)
    workers = os.cpu_count() if workers is None else workers
    settings = {
        "utts_per_speaker": utts_per_speaker,
        "corpus_seed": corpus_seed,
        "train_speakers": train_speakers,
        "more_per_speaker": more_per_speaker,
        "separated": None if separated is None else str(separated),
    }
    if not open_splits(save_folder, settings):
        return
    heard = [] if separated is None else read_sayings(separated, FIELDS)
    rows = generate(
        data_folder,
        utts_per_speaker,
        corpus_seed,
        workers,
        train_speakers=train_speakers,
    )
    lists = {"train": [], "valid": [], "test": []}
    for row in rows:
        stem = Path(data_folder, row["split"], row["spk"], row["ID"])
        path = portable_path(f"{stem}.flac", data_folder)
        lists[row["split"]].append(
            _saying(row["ID"], row["duration"], path, row["spk"], row["text"])
        )
    strangers = {row["spk_id"] for row in heard}
    strangers -= {row["spk_id"] for row in lists["train"]}
    if strangers:
        raise DataError(
            f"'{separated}' holds voices that are not for training "
            f"({', '.join(sorted(strangers)[:3])}): separate the train split."
        )
    numbers = range(utts_per_speaker, utts_per_speaker + more_per_speaker)
    jobs = [
        (str(save_folder / "more"), corpus_seed, speaker, number)
        for speaker in speakers_of("train")[:train_speakers]
        for number in numbers
    ]
    done = outcomes(_speak, jobs, workers)
    for outcome in tqdm(done, total=len(jobs), desc="more speech"):
        if outcome.reason is not None:
            raise DataError(f"SynthAV stopped: {outcome.reason}")
        lists["train"].append(outcome.value)
    lists["train"].sort(key=lambda row: row["ID"])
    lists["train"] += heard
    for name, sayings in lists.items():
        write_sayings(save_folder / f"{name}.csv", sayings)


def _saying(name, duration, path, speaker, text):
    values = (name, duration, path, speaker, text)
    return dict(zip(FIELDS, values, strict=True))


def _speak(job):
    """Writes the sound of one utterance; its row."""
    folder, seed, speaker, number = job
    utterance = make_utterance(seed, speaker, number)
    path = Path(folder, speaker.name, f"{utterance.name}.flac")
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, utterance.audio, SAMPLE_RATE, "PCM_16")
    return _saying(
        utterance.name,
        len(utterance.audio) / SAMPLE_RATE,
        str(path.absolute()),
        speaker.name,
        utterance.text,
    )
