"""Measures how fast mixtures are fed beside how fast a model trains on them.

    python benchmarks/feed_rate.py hparams/iianet_synthav.yaml --data DATA \
        --manifest MANIFESTS/train.csv --noise DATA/noise/train --rooms ROOMS
    python benchmarks/feed_rate.py "hparams/iianet.yaml --freeze_frontend 1" \
        --data DATA --manifest MANIFESTS/train.csv --lips npz mp4 embeddings

Each row is a setting of the data pipeline, read by a loader without workers or
with some; the last one is a training step of the model, front end and all, on
a batch of the same size. ``--lips`` adds rows for a few listed mixtures whose
lips are read from npz, decoded from mp4, or stored embeddings of the frozen
front end (``feed_lips.py``). All take turns in one process (``rounds.py``): a
round reads some batches of each setting and takes one step.

What a setting costs is told as the time that it adds to an epoch of listed
mixtures. Without workers, reading and training take turns, and every
millisecond counts. With workers the slower of the two decides: reading costs
nothing while it is faster than the steps.

Authors
 * avsep_sb contributors
"""

import argparse
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from embedding_feed import first_rows
from feed_lips import KINDS, lip_sets, reading_mp4
from rounds import interleaved, spread
from speechbrain.dataio.batch import PaddedBatch
from torch.utils.data import DataLoader, RandomSampler
from training_step import random_batch, random_mouths, training_step

from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import ConfigError, DataError, run_or_explain
from avsep_sb.experiment import load_experiment

RECIPE = Path(__file__).parents[1] / "recipes" / "SynthAV" / "train.py"
LISTED = "listed mixtures"
NOISE_SNR_DB = (-6, 3)


def settings_of(args):
    """What the pipeline reads beside the YAML, for each row of the table.

    Arguments
    ---------
    args : argparse.Namespace
        With ``noise`` and ``rooms``, folders or None.

    Returns
    -------
    dict
        Name to keys.

    Example
    -------
    >>> args = argparse.Namespace(noise=None, rooms=None)
    >>> list(settings_of(args))
    ['listed mixtures', 'dynamic mixing']
    """
    noise = {"noise_folder": args.noise, "noise_snr_db": NOISE_SNR_DB}
    rooms = {"rir_folder": args.rooms}
    rows = {
        LISTED: {"dynamic_mixing": False},
        "dynamic mixing": {},
    }
    if args.noise:
        rows["dynamic mixing, noise"] = noise
    if args.rooms:
        rows["dynamic mixing, rooms"] = rooms
    if args.noise and args.rooms:
        rows["dynamic mixing, noise, rooms"] = {**noise, **rooms}
    return rows


def dataset_of(hparams, args, keys):
    """The training set of one row."""
    manifest = dict.fromkeys(
        ("train_data", "valid_data", "test_data"), args.manifest
    )
    without = dict.fromkeys(
        (
            "noise_folder",
            "noise_snr_db",
            "noise_probability",
            "rir_folder",
            "reverb_probability",
            "reverb_target",
        )
    )
    train, _, _ = make_datasets(
        {
            **hparams,
            **without,
            **manifest,
            "data_folder": args.data,
            "dynamic_mixing": True,
            "same_voice_ratio": 0.0,
            **keys,
        }
    )
    return train


class Feed:
    """Reads some batches, and leaves no worker busy when it is done.

    Arguments
    ---------
    dataset : MixtureDataset
        What to read.
    batch_size, workers, batches : int
        Items of a batch, processes, and batches that a call reads.
    """

    def __init__(self, dataset, batch_size, workers, batches):
        self.dataset = dataset
        self.calls = 0
        generator = torch.Generator().manual_seed(1)
        self.loader = DataLoader(
            dataset,
            batch_size,
            sampler=RandomSampler(
                dataset, num_samples=batches * batch_size, generator=generator
            ),
            num_workers=workers,
            collate_fn=PaddedBatch,
            persistent_workers=workers > 0,
        )

    def __call__(self):
        self.calls += 1
        self.dataset.set_epoch(self.calls)
        for _ in self.loader:
            pass


def added(read, listed, step, workers):
    """What reading adds to an epoch of listed mixtures.

    Arguments
    ---------
    read, listed, step : float
        Seconds per batch.
    workers : int
        Processes of the loader.

    Returns
    -------
    float
        In percent.

    Example
    -------
    >>> added(0.3, 0.1, 0.9, workers=0), added(0.3, 0.1, 0.9, workers=2)
    (20.0, 0.0)
    """
    if workers == 0:
        return round(100 * (read - listed) / (listed + step), 6)
    before = max(listed, step)
    return 100 * (max(read, step) - before) / before


def measure(args, hparams, folder):
    """Times all rows.

    Arguments
    ---------
    args : argparse.Namespace
        Those of the command.
    hparams : dict
        A training YAML that is loaded.
    folder : str
        For files that only this run needs.

    Returns
    -------
    (Rounds, dict, int)
        The times, the name of each call by (setting, workers), and the
        batch size.
    """
    size = hparams["dataloader_opts"]["batch_size"]
    calls, names = {}, {}
    sets = {
        setting: dataset_of(hparams, args, keys)
        for setting, keys in settings_of(args).items()
    }
    if args.lips:
        few = first_rows(args.manifest, Path(folder) / "few.csv")
        found = lip_sets(hparams, few, args.data, folder, args.lips)
        sets |= {f"a few, lips as {kind}": found[kind] for kind in args.lips}
    for setting, dataset in sets.items():
        if len(dataset) < size:
            raise DataError(
                f"{args.manifest} holds {len(dataset)} mixtures, less than a "
                f"batch of {size}: name a longer one."
            )
        for workers in args.workers:
            name = f"{setting}, {workers}"
            names[setting, workers] = name
            calls[name] = Feed(dataset, size, workers, args.batches)
    length = hparams["training_signal_len"]
    lips = None
    if hparams["use_lips"]:
        frames = length * hparams["video_fps"] // hparams["sample_rate"]
        height, width = hparams["crop_size"]
        shape = (hparams["num_spks"], int(frames), height, width)
        lips = random_mouths(shape)
    batch = random_batch(size, length, hparams["num_spks"], lips)
    calls["step"] = training_step(hparams, hparams["modules"], batch)
    return interleaved(calls, args.rounds), names, size


def report(args, rounds, names, size):
    """The lines of the table.

    Arguments
    ---------
    args : argparse.Namespace
        Those of the command.
    rounds : Rounds
        What :func:`measure` found.
    names : dict
        Name of each call by (setting, workers).
    size : int
        Items of a batch.

    Returns
    -------
    list of str
    """
    step = rounds.seconds("step")
    lines = [
        "| data | workers | mixtures/s | ms per batch | over a step "
        "| added to an epoch, % |",
        "|---|---|---|---|---|---|",
    ]
    for (setting, workers), name in names.items():
        read, listed = (
            [seconds / args.batches for seconds in rounds.seconds(which)]
            for which in (name, names[LISTED, workers])
        )
        extra = "-"
        if setting in settings_of(args) and setting != LISTED:
            times = zip(read, listed, step, strict=True)
            extra = spread([added(*each, workers) for each in times])
        lines.append(
            f"| {setting} | {workers} | {size / statistics.median(read):.0f} | "
            f"{spread([1e3 * value for value in read])} | "
            f"{spread([a / b for a, b in zip(read, step, strict=True)])} | "
            f"{extra} |"
        )
    lines.append(
        f"| training step | - | {size / statistics.median(step):.1f} | "
        f"{spread([1e3 * value for value in step])} | 1 | - |"
    )
    return lines


def main(argv):
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "model", help="training YAML; with options, all in quotes"
    )
    parser.add_argument("--data", required=True, help="folder of the corpus")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--noise", help="folder of noises")
    parser.add_argument("--rooms", help="folder of impulse responses")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--lips", nargs="+", choices=KINDS, default=[], help="adds their rows"
    )
    parser.add_argument("--batches", type=int, default=4, help="per round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    if min(args.batches, args.rounds, args.threads) <= 0:
        raise ConfigError("batches, rounds and threads must be above 0.")
    torch.set_num_threads(args.threads)
    path, *options = shlex.split(args.model) or [""]
    # Settings that a recipe or a run would add; nothing is written.
    run = [f"--data_folder={args.data}", "--checkpointer=null"]
    hparams, *_ = load_experiment([path, *options, *run], "SynthAV", RECIPE)
    with tempfile.TemporaryDirectory() as folder, reading_mp4():
        rounds, names, size = measure(args, hparams, folder)
    print(
        f"{args.model}, batches of {size} mixtures of "
        f"{hparams['training_signal_len']} samples, {args.batches} batches a "
        f"round, {args.threads} thread(s), {rounds.note()}\n"
    )
    print("\n".join(report(args, rounds, names, size)))
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
