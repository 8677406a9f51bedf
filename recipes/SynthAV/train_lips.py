"""Trains the light lip net of SynthAV to read visemes.

> python train_lips.py hparams/lips_synthav.yaml --data_folder DIR

The weights for ``--frontend_weights`` are left in
``<output_folder>/visual_frontend.ckpt``.

Authors
 * avsep_sb contributors
"""

import sys
from pathlib import Path

import speechbrain as sb
from prepare import prepare_synthav
from speechbrain.utils.distributed import if_main_process, run_on_main

from avsep_sb.checkpoints import save_frontend
from avsep_sb.errors import run_or_explain
from avsep_sb.experiment import load_experiment
from avsep_sb.lip_reading import (
    LipReadingBrain,
    make_viseme_dataset,
    read_utterances,
)


def main(argv):
    """Runs the experiment that the command line names."""
    hparams, run_opts, hparams_file, overrides = load_experiment(
        argv, dataset="SynthAV", script=__file__
    )
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"],
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )
    run_on_main(
        prepare_synthav,
        kwargs={
            "data_folder": hparams["data_folder"],
            "save_folder": str(Path(hparams["output_folder"], "manifests")),
            "skip_prep": hparams["skip_prep"],
            **hparams["prepare_args"],
        },
    )
    splits = read_utterances(hparams["data_folder"])
    train, valid, test = (
        make_viseme_dataset(splits[name], hparams, training=name == "train")
        for name in ("train", "valid", "test")
    )
    brain = LipReadingBrain(
        modules=hparams["modules"],
        opt_class=hparams["optimizer"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.train_set = train
    options = hparams["dataloader_opts"]
    brain.fit(
        hparams["epoch_counter"],
        train,
        valid,
        train_loader_kwargs={"shuffle": True, **options},
        valid_loader_kwargs=dict(options),
    )
    brain.evaluate(test, min_key="loss", test_loader_kwargs=dict(options))
    if if_main_process():
        save_frontend(brain.modules.visual_frontend, hparams["output_folder"])


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
