"""What all recipes share: finding and loading a YAML, then the whole run.

A recipe's ``train.py`` keeps the steps a SpeechBrain user expects to see
(load, experiment directory, preparation); building the datasets, training,
testing and exporting are the same for every corpus and live here.

Authors
 * avsep_sb contributors
"""

import atexit
import logging
import os
import sys
from pathlib import Path

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAML, YAMLError
from speechbrain.utils.distributed import (
    ddp_barrier,
    ddp_init_group,
    if_main_process,
)
from speechbrain.utils.logger import get_logger

from avsep_sb.brain import AVSeparationBrain
from avsep_sb.dataio.embedding_fill import fill_cache
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import ConfigError
from avsep_sb.yaml_keys import refuse_unknown_options, refuse_unused_keys

logger = get_logger(__name__)


def find_hparams(path, script):
    """Finds a YAML as given, beside the script, or at the repository root.

    So ``python recipes/LRS2/train.py hparams/iianet.yaml`` means the same
    file from the root, from the recipe's folder and from anywhere else.

    Arguments
    ---------
    path : str or Path
        What the user typed.
    script : str or Path
        The recipe's ``train.py``, at ``<root>/recipes/<corpus>/train.py``.

    Returns
    -------
    str
        The first of the three places that is a file.

    Example
    -------
    >>> find_hparams("no.yaml", "/recipes/LRS2/train.py")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: There is no hyperparameter file 'no.yaml'...
    """
    script = Path(script).resolve()
    places = [Path(path), script.parent / path, script.parents[2] / path]
    for place in places:
        if place.is_file():
            return str(place)
    raise ConfigError(
        f"There is no hyperparameter file '{path}'; looked for "
        + ", ".join(f"'{place}'" for place in places)
        + ". The files that ship are in hparams/."
    )


def load_experiment(argv, dataset, script):
    """Reads the command line and the YAML of a training run.

    Arguments
    ---------
    argv : list of str
        The YAML, then run options and overrides, SpeechBrain's way.
    dataset : str
        Name of the corpus; fills the YAML's ``dataset`` unless overridden.
    script : str
        ``__file__`` of the recipe's ``train.py``.

    Returns
    -------
    hparams : dict
        The loaded YAML.
    run_opts : RunOptions
        Device, precision, debug and so on.
    hparams_file : str
        The YAML that was found.
    overrides : dict
        What the command line changed.
    """
    if not argv or argv[0].startswith("-"):
        raise ConfigError(
            f"Name a hyperparameter file first: python {Path(script).name} "
            "hparams/iianet.yaml --data_folder DIR"
        )
    hparams_file = find_hparams(argv[0], script)
    refuse_unknown_options(argv[1:], hparams_file)
    refuse_unused_keys(hparams_file)
    _, run_opts, overrides = sb.parse_arguments([hparams_file, *argv[1:]])
    overrides = {
        "dataset": dataset,
        **(YAML(typ="safe").load(overrides or "{}") or {}),
    }
    ddp_init_group(run_opts)
    try:
        with open(hparams_file, encoding="utf-8") as fin:
            hparams = load_hyperpyyaml(fin, overrides)
    except (YAMLError, KeyError, ValueError, TypeError, ImportError) as err:
        what = str(err).strip("'\"").split("\n")[0]
        if "PLACEHOLDER" in str(err):
            what += " (give it on the command line, as in --data_folder DIR)"
        raise ConfigError(f"'{hparams_file}' cannot be used: {what}") from err
    return hparams, run_opts, hparams_file, overrides


def load_frontend_weights(hparams):
    """Fills the visual front end from ``frontend_weights``, if it has one.

    Arguments
    ---------
    hparams : dict
        With ``modules`` and ``frontend_weights``: a file with our names, or
        one in the layout of the published lip-reading checkpoints.
    """
    frontend = hparams["modules"].get("visual_frontend")
    path = hparams.get("frontend_weights")
    if frontend is None:
        return
    if path is None:
        if getattr(frontend, "frozen", False):
            raise ConfigError(
                "The visual front end is frozen but has no weights: give "
                "--frontend_weights FILE (see the README, 'Lip front end'), "
                "or --freeze_frontend False to train it with the separator."
            )
        return
    from avsep_sb.inference.official_lips import fill_front_end

    fill_front_end(frontend, path)
    logger.info("Visual front end loaded from %s", path)


def load_separator_weights(hparams):
    """Fills the separator from ``separator_weights``, to train on from there.

    The schedule, the optimizer and the counter of epochs begin anew; a run
    that was interrupted is gone on with by the same command, without it.

    Arguments
    ---------
    hparams : dict
        With ``modules`` and, if wanted, ``separator_weights``: the
        ``separator.ckpt`` of a run or of a pretrained folder;
        ``new_parts``, names of submodules which it may lack; and
        ``mask_scale``, which the last convolution before the mask is
        multiplied by. SI-SNR leaves the level of the voices free, and a
        stage that goes on with SNR would spend its first epoch on it.
    """
    path = hparams.get("separator_weights")
    if path is None:
        return
    from avsep_sb.inference.load import strict_load

    separator = hparams["modules"]["separator"]
    strict_load(separator, path, new_parts=hparams.get("new_parts", ()))
    scale = hparams.get("mask_scale", 1.0)
    if scale != 1.0:
        if not hasattr(separator, "mask_conv"):
            raise ConfigError(
                "mask_scale is for separators with a mask convolution, such "
                "as IIANet: leave it out."
            )
        with torch.no_grad():
            separator.mask_conv.weight.mul_(scale)
            separator.mask_conv.bias.mul_(scale)
    logger.info("Separator loaded from %s", path)


def train_and_evaluate(hparams, run_opts):
    """Trains, tests the best checkpoint, draws the curves and exports.

    A YAML that trains something else than a separator names the function
    which does, under ``trainer``; one that trains it in another way names a
    subclass of ``AVSeparationBrain`` under ``brain``.

    Leaves in ``output_folder``: ``train_log.txt``, ``test_results.csv``,
    audio and spectrograms of the first test items, ``training_curves.png``
    and ``pretrained/``, a folder for ``AVSeparation.from_hparams``; from joint
    training also ``recogniser/``, one for ``EncoderASR.from_hparams``.

    Arguments
    ---------
    hparams : dict
        A loaded training YAML.
    run_opts : RunOptions or dict
        SpeechBrain's run options.

    Returns
    -------
    speechbrain.core.Brain
        After the test, holding the best weights.
    """
    if "trainer" in hparams:
        brain = hparams["trainer"](hparams, run_opts)
        _end_when_python_does()
        return brain
    train, valid, test = make_datasets(hparams)
    load_frontend_weights(hparams)
    load_separator_weights(hparams)
    fill_cache(
        hparams,
        (train, valid, test),
        run_opts.get("device", "cpu"),
        progress=not run_opts.get("noprogressbar", False),
    )
    brain = hparams.get("brain", AVSeparationBrain)(
        modules=hparams["modules"],
        opt_class=hparams["optimizer"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.train_set = train
    # Copies: evaluate() writes into the dictionary that it is given.
    brain.fit(
        hparams["epoch_counter"],
        train,
        valid,
        train_loader_kwargs={"shuffle": True, **hparams["dataloader_opts"]},
        valid_loader_kwargs=dict(hparams["valid_dataloader_opts"]),
    )
    brain.evaluate(
        test,
        min_key="loss",
        test_loader_kwargs=dict(hparams["valid_dataloader_opts"]),
    )
    if if_main_process():
        finish_run(hparams, brain)
    ddp_barrier()
    _end_when_python_does()
    return brain


def _end_when_python_does():
    """Has one of several processes end as soon as Python has.

    What torch then takes down may abort a process whose work is done (seen
    with gloo: "terminate called without an active exception"), and the
    launcher would call the run a failure.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        atexit.register(_end_process)


def _end_process():
    if hasattr(sys, "last_value"):  # an error after the training
        return
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def finish_run(hparams, brain):
    """Draws the training curves and writes the folder that loads.

    Arguments
    ---------
    hparams : dict
        The run's YAML.
    brain : AVSeparationBrain
        After ``evaluate``.
    """
    from avsep_sb.figures import training_curves
    from avsep_sb.inference.export import export_pretrained

    folder = Path(hparams["output_folder"])
    log = Path(hparams["train_log"])
    if log.is_file():
        training_curves(log, folder / "training_curves.png")
    if brain.debug and not brain.debug_persistently:
        # Debug checkpoints lie in a folder that is about to vanish.
        return
    export_pretrained(
        folder, folder / "pretrained", min_key="loss", overwrite=True
    )
    if "recogniser" in hparams["modules"]:
        # It holds the weights of the checkpoint that was tested, the best.
        hparams["recogniser"].export(folder / "recogniser")
