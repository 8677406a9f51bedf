"""Prepares SynthAV: generates the corpus and writes its mixtures.

Authors
 * avsep_sb contributors
"""

import os
from pathlib import Path

import numpy as np
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from avsep_sb.dataio.corpus import open_splits, portable_path
from avsep_sb.dataio.manifest import read_manifest, write_manifest
from avsep_sb.dataio.noise import check_snr_range
from avsep_sb.dataio.noise_rows import with_noise
from avsep_sb.dataio.speakers import read_min_spks
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.synth.corpus import generate
from avsep_sb.synth.noise import generate_noises

logger = get_logger(__name__)


def prepare_synthav(
    data_folder,
    save_folder,
    num_spks=2,
    utts_per_speaker=40,
    corpus_seed=1234,
    train_speakers=None,
    num_train=3000,
    num_valid=40,
    num_test=200,
    num_test_same=None,
    min_spks=None,
    same_voice_ratio=0.4,
    mix_gain_db=2.5,
    mix_seed=7,
    noise_db=None,
    num_noises=100,
    noise_seconds=30.0,
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
        Folder of the manifests. A manifest that is there stays;
        ``ConfigError`` is raised if it was made with other settings.
    num_spks : int
        Speakers per mixture; 1 is for speech enhancement, and then there is
        no ``test_same.csv``.
    utts_per_speaker : int
        Size of the corpus.
    corpus_seed : int
        Seed of the corpus.
    train_speakers : int or None
        Only the first so many of the 150 training speakers.
    num_train, num_valid, num_test : int
        Mixtures of each split.
    num_test_same : int or None
        Mixtures of ``test_same.csv``; None takes ``num_test``, 0 writes none.
    min_spks : int or None
        Fewest speakers per mixture: all numbers from there to ``num_spks``
        take turns, and each is as frequent as the others; the test mixtures
        of each number are in ``test_3spk.csv`` and so on, too. None has
        ``num_spks`` in all.
    same_voice_ratio : float
        Share of mixtures of one voice with itself in training and validation.
    mix_gain_db : float
        Each voice is scaled by a gain from -g to g dB.
    mix_seed : int
        Seed of the mixtures; the seed of the training plays no part.
    noise_db : (float, float) or None
        Adds noise to all mixtures, which the voices together exceed by a
        level drawn between these bounds, in dB (see
        :func:`avsep_sb.dataio.scaling.noise_gain`). The voices and their
        levels are those of the mixtures without noise. None adds none.
    num_noises : int
        Files of noise for training in ``<data_folder>/noise/train``; there
        are a fifth as many for validation and for test.
    noise_seconds : float
        Length of each.
    workers : int or None
        Processes; None takes all cores.
    skip_prep : bool
        Do nothing.
    """
    if skip_prep:
        return
    min_spks = read_min_spks({"num_spks": num_spks, "min_spks": min_spks})
    if num_spks == 1:
        num_test_same = 0
    same = num_test if num_test_same is None else num_test_same
    if utts_per_speaker < num_spks and (same or same_voice_ratio):
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
        "test_same": ("test", same, 1.0),
    }
    if not same:
        del plan["test_same"]
    settings = {
        "num_spks": num_spks,
        "utts_per_speaker": utts_per_speaker,
        "corpus_seed": corpus_seed,
        "num_train": num_train,
        "num_valid": num_valid,
        "num_test": num_test,
        "same_voice_ratio": same_voice_ratio,
        "mix_gain_db": mix_gain_db,
        "mix_seed": mix_seed,
    }
    # Folders of older settings stay as good as they were.
    if min_spks is not None:
        settings["min_spks"] = min_spks
    if num_test_same is not None:
        settings["num_test_same"] = num_test_same
    if train_speakers is not None:
        settings["train_speakers"] = train_speakers
    if noise_db is not None:
        noise_db = check_snr_range(noise_db, "noise_db")
        settings["noise_db"] = noise_db
        settings["num_noises"] = num_noises
        settings["noise_seconds"] = noise_seconds
    open_splits(save_folder, settings)
    if all((save_folder / f"{name}.csv").is_file() for name in plan):
        # Older folders hold no settings to compare.
        first = read_manifest(save_folder / "train.csv")[0]
        if ("noise_wav" in first) != (noise_db is not None):
            raise ConfigError(
                f"{save_folder} holds mixtures "
                f"{'without' if noise_db else 'with'} noise: choose another "
                "--manifest_folder or delete this one."
            )
        logger.info("The manifests in %s are there already.", save_folder)
        return
    rows = generate(
        data_folder,
        utts_per_speaker,
        corpus_seed,
        os.cpu_count() if workers is None else workers,
        train_speakers=train_speakers,
    )
    save_folder.mkdir(parents=True, exist_ok=True)
    counts = range(min_spks or num_spks, num_spks + 1)
    for index, (name, (split, count, same)) in enumerate(plan.items()):
        rng = np.random.default_rng([mix_seed, index])
        pool = [row for row in rows if row["split"] == split]
        mixtures = [
            _mixture(
                f"{name}{i:05d}",
                pool,
                rng,
                counts[i % len(counts)],
                same,
                mix_gain_db,
            )
            for i in range(count)
        ]
        if noise_db is not None:
            # A generator of its own: the voices stay as they are without it.
            rng = np.random.default_rng([mix_seed, index, 1])
            files = _noises(
                data_folder, split, num_noises, noise_seconds, corpus_seed
            )
            mixtures = [
                with_noise(row, files, noise_db, rng, data_folder)
                for row in tqdm(mixtures, desc=f"noise in {name}")
            ]
        write_manifest(
            save_folder / f"{name}.csv", mixtures, num_spks, min_spks
        )
        if name == "test" and len(counts) > 1:
            for number in counts:
                part = mixtures[number - counts[0] :: len(counts)]
                path = save_folder / f"test_{number}spk.csv"
                write_manifest(path, part, number)


def _noises(data_folder, split, count, seconds, seed):
    """Noises of one split, generated where they are not there yet."""
    if split != "train":
        count = max(1, count // 5)
    folder = Path(data_folder) / "noise"
    paths = generate_noises(folder, split, count, seconds, seed)
    return [portable_path(path, data_folder) for path in paths]


def _mixture(name, pool, rng, num_spks, same, gain_db):
    """One row: distinct utterances, of one speaker or of as many as faces."""
    chosen = [pool[rng.integers(len(pool))]]
    one_voice = rng.random() < same
    speakers = {row["spk"] for row in pool}
    if not one_voice and len(speakers) < num_spks:
        raise DataError(
            f"mixtures of {num_spks} speakers need as many, but the "
            f"{pool[0]['split']} split has {len(speakers)}: give more "
            "train_speakers."
        )
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
        row[f"s{k}_text"] = source.get("text", "")
    return row
