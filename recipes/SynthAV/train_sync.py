"""Trains SyncNet, which tells whether lips are late and whose voice is whose.

> python train_sync.py hparams/syncnet_synthav.yaml --data_folder DIR \\
>     --frontend_weights LIPS/visual_frontend.ckpt

The model that ``avsep separate --sync-source`` takes is left in
``<output_folder>/pretrained``.

Authors
 * avsep_sb contributors
"""

import sys
from pathlib import Path

import speechbrain as sb
from prepare import prepare_synthav
from speechbrain.utils.distributed import if_main_process, run_on_main

from avsep_sb.errors import run_or_explain
from avsep_sb.experiment import load_experiment, load_frontend_weights
from avsep_sb.inference.lip_sync import export_sync
from avsep_sb.lip_reading import read_utterances
from avsep_sb.sync_training import SyncBrain, make_sync_dataset


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
        make_sync_dataset(splits[name], hparams, training=name == "train")
        for name in ("train", "valid", "test")
    )
    load_frontend_weights(hparams)
    brain = SyncBrain(
        modules=hparams["modules"],
        opt_class=hparams["optimizer"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.train_set = train
    options = hparams["valid_dataloader_opts"]
    brain.fit(
        hparams["epoch_counter"],
        train,
        valid,
        train_loader_kwargs={"shuffle": True, **hparams["dataloader_opts"]},
        valid_loader_kwargs=dict(options),
    )
    brain.evaluate(test, min_key="loss", test_loader_kwargs=dict(options))
    if if_main_process():
        export_sync(hparams["output_folder"], brain.modules)


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
