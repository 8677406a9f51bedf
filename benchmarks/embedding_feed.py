"""What an item costs before it reaches the separator, with the cache and not.

    python benchmarks/embedding_feed.py hparams/iianet.yaml \
        --data_folder DIR --train_data DIR/train.csv

takes the first mixtures of a manifest and times, on one thread: reading an
item with its lips, embedding these lips, and reading the item with its
embeddings. The front end's weights are random unless they are given, which
changes no time. Files lie in the page cache: all are read once before.

Authors
 * avsep_sb contributors
"""

import csv
import itertools
import sys
import tempfile
import time
from pathlib import Path

import torch
from candidates import RECIPE

from avsep_sb.dataio.embedding_fill import fill_cache
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import run_or_explain
from avsep_sb.experiment import load_experiment

MIXTURES = 16


def first_rows(manifest, path):
    """Copies the header and the first mixtures of a manifest."""
    with open(manifest, newline="", encoding="utf-8") as source:
        rows = list(itertools.islice(csv.reader(source), MIXTURES + 1))
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def milliseconds(function, arguments):
    """Mean time of one call in ms, after a first round that warms up."""
    for argument in arguments:
        function(argument)
    start = time.perf_counter()
    for argument in arguments:
        function(argument)
    return 1000 * (time.perf_counter() - start) / len(arguments)


def main(argv):
    """Prints the times."""
    run = ["--checkpointer=null", "--random_crop=False"]
    run += ["--horizontal_flip=False", "--dynamic_mixing=False"]
    hparams, *_ = load_experiment([*argv, *run], "SynthAV", RECIPE)
    torch.set_num_threads(1)
    frontend = hparams["modules"]["visual_frontend"]
    with tempfile.TemporaryDirectory() as folder:
        few = first_rows(hparams["train_data"], Path(folder) / "few.csv")
        for split in ("train", "valid", "test"):
            hparams[f"{split}_data"] = few
        plain = make_datasets(hparams)[0]
        hparams["embedding_cache"] = str(Path(folder) / "cache")
        sets = make_datasets(hparams)
        fill_cache(hparams, sets)
        items = list(range(len(plain)))
        lips = [plain[i]["lips"].transpose(0, 1)[None] for i in items]
        with torch.no_grad():
            times = {
                "item with lips": milliseconds(plain.__getitem__, items),
                "their embedding": milliseconds(frontend, lips),
                "item with embeddings": milliseconds(
                    sets[0].__getitem__, items
                ),
            }
        shape = list(lips[0].shape[1:])
    print(f"{Path(argv[0]).stem}, lips {shape} per item, ms per item:")
    for name, value in times.items():
        print(f"  {name:<22}{value:9.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(lambda: main(sys.argv[1:])))
