"""Averages the weights of models that were trained on from one another.

Between a model and what further training made of it lie models that keep most
of what was gained, and more of what the first could do on data that neither
was trained on (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR
2022). Not in the papers of the separators.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import torch

from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.inference.folder import MODULE_NAMES, write_folder
from avsep_sb.inference.separation import AVSeparation

CARD = """\
# {title}

The mean of the weights of {names}, in shares of {shares}.
"""


def average_pretrained(sources, dest, shares=None, card=None, overwrite=False):
    """Writes a pretrained folder with the mean of the weights of others.

    Arguments
    ---------
    sources : list of str or Path
        Two pretrained folders or more, of the same network. Means of models
        that were not trained on from one another are of no use.
    dest : str or Path
        The folder to write, whole or not at all.
    shares : list of float, optional
        How much of each: positive numbers, of which the proportions count.
        Equal if not given.
    card : str, optional
        Text of the model card, in Markdown.
    overwrite : bool
        Replace a pretrained folder which is there already.

    Returns
    -------
    pathlib.Path
        ``dest``, with the YAML of the last folder. ``ConfigError`` tells what
        is wrong with the arguments, ``CheckpointError`` which weight differs
        between the folders.

    Example
    -------
    >>> average_pretrained(["a"], "b")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: 1 folder: a mean takes two or more.
    """
    shares = _proportions(sources, shares)
    models = [
        AVSeparation.from_hparams(str(folder), run_opts={"device": "cpu"})
        for folder in sources
    ]
    names = [name for name in MODULE_NAMES if name in models[-1].mods]
    for folder, model in zip(sources, models, strict=True):
        if [name for name in MODULE_NAMES if name in model.mods] != names:
            raise CheckpointError(
                f"'{folder}' and '{sources[-1]}' have other parts than each "
                "other: average runs of one YAML."
            )
    modules = {name: models[-1].mods[name] for name in names}
    for name, module in modules.items():
        states = [model.mods[name].state_dict() for model in models]
        module.load_state_dict(_mean(states, shares, name, sources))
    if card is None:
        card = CARD.format(
            title=Path(dest).name,
            names=", ".join(Path(folder).name for folder in sources),
            shares=", ".join(f"{share:g}" for share in shares),
        )
    text = Path(sources[-1], "hyperparams.yaml").read_text(encoding="utf-8")
    return write_folder(dest, modules, text, card, overwrite)


def _proportions(sources, shares):
    if len(sources) < 2:
        raise ConfigError(f"{len(sources)} folder: a mean takes two or more.")
    shares = [1.0] * len(sources) if shares is None else list(shares)
    if len(shares) != len(sources) or min(shares) <= 0:
        raise ConfigError(
            f"shares is {shares}: give a positive number for each of the "
            f"{len(sources)} folders."
        )
    return [share / sum(shares) for share in shares]


def _mean(states, shares, name, sources):
    """State dict; counts, such as those of a BatchNorm, are the last one's."""
    shapes = [{k: v.shape for k, v in state.items()} for state in states]
    for folder, other in zip(sources, shapes, strict=True):
        odd = sorted(set(other.items()) ^ set(shapes[-1].items()))
        if odd:
            raise CheckpointError(
                f"{name}.{odd[0][0]} is not the same in '{folder}' and "
                f"'{sources[-1]}': average runs of one YAML."
            )
    mean = dict(states[-1])
    weights = torch.tensor(shares, dtype=torch.double)
    for key, last in states[-1].items():
        if last.is_floating_point():
            parts = torch.stack([state[key].double() for state in states])
            mean[key] = torch.tensordot(weights, parts, 1).to(last.dtype)
    return mean
