#!/usr/bin/env python3
"""Separates mixtures of SynthAV, so that a recogniser can hear the result.

> python recipes/SynthAV-ASR/separate_voices.py --data_folder DATA --out SEP

Pairs of utterances of about the same length and of different speakers are
mixed and separated. The lists ``SEP/<split>_separated.csv``, ``_mixture.csv``
and ``_clean.csv`` name for each utterance what came out for it, the mixture,
and what went in, all with the same text.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from avsep_sb.dataio.audio import read_audio
from avsep_sb.dataio.lips import read_lips
from avsep_sb.errors import ConfigError, DataError, run_or_explain
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.shipped import find_model
from avsep_sb.recogniser_lists import read_sayings, write_sayings

KINDS = ("clean", "mixture", "separated")
#: seconds by which the two utterances of a mixture may differ
SLACK_S = 0.2


def pairs_of(rows, count, rng):
    """Draws pairs of utterances, each utterance in one pair at most.

    Arguments
    ---------
    rows : list of dict
        With ``spk`` and ``duration``.
    count : int
        Pairs wanted.
    rng : np.random.Generator
        Source of the draws.

    Returns
    -------
    list of (dict, dict)
        As many as there are, up to ``count``.
    """
    order = rng.permutation(len(rows))
    waiting, pairs = {}, []
    for row in (rows[index] for index in order):
        # Those of one length meet; of two in a bin neither waits for long.
        bin_of = round(float(row["duration"]) / SLACK_S)
        partner = waiting.get(bin_of)
        if partner is None:
            waiting[bin_of] = row
        elif partner["spk"] != row["spk"]:
            pairs.append((waiting.pop(bin_of), row))
    if not pairs:
        raise DataError(
            "No two utterances of different speakers are about as long as "
            "each other: make the corpus larger."
        )
    return pairs[:count]


def mix_pair(pair, data_folder, gain_db, model, rng):
    """Mixes and separates two utterances; what one has less is silence.

    Arguments
    ---------
    pair : (dict, dict)
        Rows of ``utterances.csv``.
    data_folder : str or Path
        The corpus.
    gain_db : float
        Each voice is made up to so much louder or softer.
    model : AVSeparation
        The separator.
    rng : np.random.Generator
        Source of the gains.

    Returns
    -------
    (np.ndarray, np.ndarray, np.ndarray)
        Voices [2, T], mixture [T], separated voices [2, T].
    """
    rate, fps = int(model.hparams.sample_rate), model.hparams.video_fps
    stems = [Path(data_folder, r["split"], r["spk"], r["ID"]) for r in pair]
    waves = [read_audio(f"{stem}.flac", sample_rate=rate) for stem in stems]
    lips = [read_lips(f"{stem}.npz", fps) for stem in stems]
    length = max(len(wave) for wave in waves)
    frames = max(len(roi) for roi in lips)
    gains = 10 ** (rng.uniform(-gain_db, gain_db, 2) / 20)
    voices = np.stack(
        [
            gain * np.pad(wave, (0, length - len(wave)))
            for gain, wave in zip(gains, waves, strict=True)
        ]
    ).astype(np.float32)
    mix = voices.sum(0)
    visual = None
    if model.sees:
        hold = [(0, frames - len(roi)) for roi in lips]
        lips = [
            np.pad(roi, (by, (0, 0), (0, 0)), mode="edge")
            for roi, by in zip(lips, hold, strict=True)
        ]
        visual = torch.from_numpy(np.stack(lips))[None]
    found = model.separate_batch(torch.from_numpy(mix)[None], visual)
    return voices, mix, found[0].T.cpu().numpy()


def main(argv):
    """Writes the recordings and the lists of one split."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_folder", required=True, help="the corpus")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--model", default="iianet-synthav")
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=1500, help="mixtures")
    parser.add_argument("--gain_db", type=float, default=2.5)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    out = Path(args.out)
    lists = {kind: out / f"{args.split}_{kind}.csv" for kind in KINDS}
    there = [str(path) for path in lists.values() if path.exists()]
    if there:
        raise ConfigError(f"{there[0]} is there: name another --out.")
    if args.count < 1:
        raise ConfigError(f"--count is at least 1, not {args.count}.")
    corpus = Path(args.data_folder) / "utterances.csv"
    rows = [r for r in read_sayings(corpus) if r["split"] == args.split]
    if not rows:
        raise DataError(f"'{corpus}' has no split '{args.split}'.")
    rng = np.random.default_rng([args.seed, len(rows)])
    model = AVSeparation.from_hparams(
        find_model(args.model), run_opts={"device": args.device}
    )
    rate = int(model.hparams.sample_rate)
    (out / args.split).mkdir(parents=True, exist_ok=True)
    told = {kind: [] for kind in KINDS}
    for pair in tqdm(pairs_of(rows, args.count, rng), desc="separating"):
        voices, mix, found = mix_pair(
            pair, args.data_folder, args.gain_db, model, rng
        )
        stem = f"{pair[0]['ID']}_{pair[1]['ID']}"
        for k, row in enumerate(pair):
            sounds = {"clean": voices[k], "mixture": mix, "separated": found[k]}
            for kind in KINDS:
                # One sample short of full scale, both voices alike.
                peak = max(1.0, float(np.abs(sounds[kind]).max()) / 0.99)
                name = f"{stem}_{kind}{'' if kind == 'mixture' else k + 1}.flac"
                path = out / args.split / name
                soundfile.write(path, sounds[kind] / peak, rate, "PCM_16")
                told[kind].append(
                    {
                        "ID": f"{stem}_{k + 1}_{kind}",
                        "duration": len(mix) / rate,
                        "wav": str(path.absolute()),
                        "spk_id": row["spk"],
                        "wrd": row["text"],
                    }
                )
    for kind, path in lists.items():
        write_sayings(path, told[kind])


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
