"""Turns a training run into a folder that ``from_hparams`` loads.

Authors
 * avsep_sb contributors
"""

import inspect
import pydoc
from pathlib import Path

import yaml

from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.inference.load import strict_load

CARD = """\
# {title}

A separator trained with avsep_sb: {dataset}, `{yaml}`.

- Best checkpoint: {meta}
- Sample rate {sample_rate} Hz, video {video_fps} frames per second,
  trained on mixtures of {speakers} speakers.
- Scores of the test set are in the run's `test_results.csv`.

```python
from avsep_sb.inference.separation import AVSeparation
model = AVSeparation.from_hparams("<this folder>")
```
"""


class _ObjectLoader(yaml.SafeLoader):
    """Reads a HyperPyYAML file without building anything."""


def _construct(loader, suffix, node):
    if isinstance(node, yaml.MappingNode):
        return (suffix, loader.construct_mapping(node, deep=True))
    return (suffix, {})


_ObjectLoader.add_multi_constructor("!new:", _construct)
_ObjectLoader.add_multi_constructor("!", _construct)


def read_objects(output_folder):
    """Reads the resolved YAML of a run; its objects as (class, arguments).

    Arguments
    ---------
    output_folder : str or Path
        With the ``hyperparams.yaml`` of ``create_experiment_directory``.

    Returns
    -------
    dict
        Top-level keys. ``CheckpointError`` is raised if there is no run.
    """
    path = Path(output_folder) / "hyperparams.yaml"
    if not path.is_file():
        raise CheckpointError(
            f"'{path}' is missing: '{output_folder}' is not the output "
            "folder of a training run."
        )
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_ObjectLoader)


def read_run(output_folder):
    """Reads the resolved YAML of a run that trained a separator.

    Arguments
    ---------
    output_folder : str or Path
        As for :func:`read_objects`.

    Returns
    -------
    dict
        Top-level keys. ``ConfigError`` names one that is missing.
    """
    run = read_objects(output_folder)
    path = Path(output_folder) / "hyperparams.yaml"
    for key in ("separator", "save_folder", "sample_rate", "num_spks"):
        if key not in run:
            raise ConfigError(f"'{path}' has no key '{key}' to export.")
    return run


def _best(save_folder, min_key=None, max_key=None):
    """Newest of the checkpoints whose number is the best."""
    key, sign = (max_key, -1) if max_key else (min_key or "loss", 1)
    best = None
    for folder in sorted(Path(save_folder).glob("CKPT+*")):
        meta = folder / "CKPT.yaml"
        meta = yaml.safe_load(meta.read_text()) if meta.is_file() else None
        # A meta file that a killed run left empty reads as None.
        if not isinstance(meta, dict) or key not in meta:
            continue
        if best is None or sign * meta[key] <= sign * best[1][key]:
            best = (folder, meta)
    if best is None:
        raise CheckpointError(
            f"No checkpoint in '{save_folder}' has a '{key}' to choose by; "
            "train for at least one epoch first."
        )
    return (*best, key)


def export_pretrained(
    output_folder,
    dest,
    min_key=None,
    max_key=None,
    card=None,
    overwrite=False,
):
    """Writes the best checkpoint of a run as a pretrained folder.

    Arguments
    ---------
    output_folder : str or Path
        The run.
    dest : str or Path
        The folder to write, whole or not at all.
    min_key : str, optional
        Number in the checkpoints' meta whose smallest value wins; "loss"
        if neither key is given.
    max_key : str, optional
        Number whose largest value wins.
    card : str, optional
        Model card in Markdown; a short one is written without it.
    overwrite : bool
        Replace a pretrained folder that is there.

    Returns
    -------
    pathlib.Path
        ``dest``. ``CheckpointError`` is raised for a folder without a run
        or without a checkpoint, ``ConfigError`` for a ``dest`` in use.
    """
    if min_key and max_key:
        raise ConfigError("Give min_key or max_key to choose by, not both.")
    run = read_run(output_folder)
    # The run's own save folder first: the YAML's goes stale when it moves.
    saves = Path(output_folder) / "save"
    if not saves.is_dir():
        saves = Path(run["save_folder"])
    folder, meta, key = _best(saves, min_key, max_key)
    modules, texts = {}, {}
    for name in ("separator", "visual_frontend"):
        modules[name] = texts[name] = None
        if name not in run:
            continue
        target, arguments = run[name]
        make = pydoc.locate(target)
        if make is None:
            raise ConfigError(
                f"The run's '{name}' is a '{target}', which cannot be "
                "imported here; install the package it is in."
            )
        # Whatever it was in training: as a part of a model it is finished.
        if "frozen" in inspect.signature(make).parameters:
            arguments = {**arguments, "frozen": True}
        module = make(**arguments)
        strict_load(module, folder / f"{name}.ckpt")
        modules[name], texts[name] = module, yaml_object(target, arguments)
    consistency = None
    if "mixture_consistency" in run:
        consistency = yaml_object(*run["mixture_consistency"])
    if card is None:
        fewest = run.get("min_spks")
        card = CARD.format(
            title=run.get("experiment_name", "separator"),
            dataset=run.get("dataset", "a corpus"),
            yaml=f"{run.get('experiment_name', 'separator')}.yaml",
            meta=f"validation {key} {meta[key]:.3f}",
            sample_rate=run["sample_rate"],
            video_fps=run.get("video_fps", 25),
            speakers=f"{fewest} to {run['num_spks']}"
            if fewest
            else run["num_spks"],
        )
    return write_pretrained_folder(
        dest,
        modules["separator"],
        modules["visual_frontend"],
        texts["separator"],
        texts["visual_frontend"],
        card,
        sample_rate=run["sample_rate"],
        video_fps=run.get("video_fps", 25),
        num_spks=run["num_spks"],
        overwrite=overwrite,
        consistency_yaml=consistency,
    )
