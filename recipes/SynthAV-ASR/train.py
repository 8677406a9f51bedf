#!/usr/bin/env python3
"""Trains and evaluates a recogniser on SynthAV-ASR.

To run, from any folder:
> python recipes/SynthAV-ASR/train.py hparams/asr_synthav.yaml --data_folder DIR

Authors
 * avsep_sb contributors
"""

import sys

import speechbrain as sb
from prepare import prepare_synthav_asr
from speechbrain.utils.distributed import run_on_main

from avsep_sb.errors import run_or_explain
from avsep_sb.experiment import load_experiment, train_and_evaluate


def main(argv):
    """Prepares SynthAV-ASR, then trains and evaluates as the YAML file says."""
    hparams, run_opts, hparams_file, overrides = load_experiment(
        argv, dataset="SynthAV-ASR", script=__file__
    )
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"],
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )
    run_on_main(
        prepare_synthav_asr,
        kwargs={
            "data_folder": hparams["data_folder"],
            "save_folder": hparams["manifest_folder"],
            "num_spks": hparams["num_spks"],
            "skip_prep": hparams["skip_prep"],
            **hparams["prepare_args"],
        },
    )
    train_and_evaluate(hparams, run_opts)


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
