"""Prepares SynthAV: generates the corpus and writes its mixtures.

Authors
 * avsep_sb contributors
"""

import os
from pathlib import Path

import numpy as np
from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.errors import DataError
from avsep_sb.synth.corpus import generate

logger = get_logger(__name__)


def prepare_synthav(
    data_folder,
    save_folder,
    num_spks=2,
    utts_per_speaker=80,
    corpus_seed=1234,
    num_train=2000,
    num_valid=40,
    num_test=200,
    same_voice_ratio=0.4,
    mix_gain_db=2.5,
    mix_seed=7,
    workers=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv``, ``test.csv``, ``test_same.csv``.

    Speakers are disjoint between the splits. ``test.csv`` mixes different
    speakers, ``test_same.csv`` a speaker with himself, where the voice tells
    nothing and only the lips can; training and validation hold both.

    Arguments
    ---------
    data_folder : str or Path
        Folder of the corpus; it is generated there if it is absent.
    save_folder : str or Path
        Folder of the manifests. A manifest that is there stays.
    num_spks : int
        Speakers per mixture.
    utts_per_speaker : int
        Size of the corpus.
    corpus_seed : int
        Seed of the corpus.
    num_train, num_valid, num_test : int
        Mixtures of each split.
    same_voice_ratio : float
        Share of mixtures of one voice with itself in training and validation.
    mix_gain_db : float
        Each voice is scaled by a gain from -g to g dB.
    mix_seed : int
        Seed of the mixtures; the seed of the training plays no part.
    workers : int or None
        Processes; None takes all cores.
    skip_prep : bool
        Do nothing.
    """
    if skip_prep:
        return
    if utts_per_speaker < num_spks:
        # One voice with itself needs as many utterances as there are faces.
        raise DataError(
            f"utts_per_speaker is {utts_per_speaker}, but a voice is mixed "
            f"with itself {num_spks} times over: give at least {num_spks}."
        )
    save_folder = Path(save_folder)
    plan = {
        "train": ("train", num_train, same_voice_ratio),
        "valid": ("valid", num_valid, same_voice_ratio),
        "test": ("test", num_test, 0.0),
        "test_same": ("test", num_test, 1.0),
    }
    if all((save_folder / f"{name}.csv").is_file() for name in plan):
        logger.info("The manifests in %s are there already.", save_folder)
        return
    rows = generate(
        data_folder,
        utts_per_speaker,
        corpus_seed,
        os.cpu_count() if workers is None else workers,
    )
    save_folder.mkdir(parents=True, exist_ok=True)
    for index, (name, (split, count, same)) in enumerate(plan.items()):
        rng = np.random.default_rng([mix_seed, index])
        pool = [row for row in rows if row["split"] == split]
        mixtures = [
            _mixture(f"{name}{i:05d}", pool, rng, num_spks, same, mix_gain_db)
            for i in range(count)
        ]
        write_manifest(save_folder / f"{name}.csv", mixtures, num_spks)


def _mixture(name, pool, rng, num_spks, same, gain_db):
    """One row: distinct utterances, of one speaker or of as many as faces."""
    chosen = [pool[rng.integers(len(pool))]]
    one_voice = rng.random() < same
    while len(chosen) < num_spks:
        partner = pool[rng.integers(len(pool))]
        speakers = {row["spk"] for row in chosen}
        if partner not in chosen and (partner["spk"] in speakers) == one_voice:
            chosen.append(partner)
    row = {
        "ID": name,
        "duration": min(float(source["duration"]) for source in chosen),
        "mix_wav": "",
    }
    for k, source in enumerate(chosen, start=1):
        path = f"$data_root/{source['split']}/{source['spk']}/{source['ID']}"
        row[f"s{k}_wav"] = f"{path}.flac"
        row[f"s{k}_gain"] = float(10 ** (rng.uniform(-gain_db, gain_db) / 20))
        row[f"s{k}_lips"] = f"{path}.npz"
        row[f"s{k}_spk"] = source["spk"]
    return row
