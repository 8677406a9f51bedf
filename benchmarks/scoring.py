"""Loads pretrained separators and scores them on test mixtures.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import torch

from avsep_sb.errors import ConfigError
from avsep_sb.evaluation.mixtures import read_item, reader_for, separate
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.losses import pairwise, si_snr

__all__ = [
    "follows",
    "improvement",
    "load_models",
    "read_item",
    "reader_for",
    "score",
    "separate",
]


def load_models(folders):
    """Loads pretrained folders that are to be compared.

    Arguments
    ---------
    folders : list of str or Path
        For ``AVSeparation.from_hparams``.

    Returns
    -------
    dict
        Name to model, in the order given: the name of the folder, that of
        the run for its ``pretrained`` folder, or the path where two folders
        have the same. ``ConfigError`` if they work at different rates.
    """
    names = []
    for path in map(Path, folders):
        parent = path.resolve().parent
        names.append(parent.name if path.name == "pretrained" else path.name)
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    models = {
        name: AVSeparation.from_hparams(folder)
        for name, folder in zip(names, folders, strict=True)
    }
    rates = {
        (m.hparams.sample_rate, m.hparams.video_fps) for m in models.values()
    }
    if len(models) < len(names) or len(rates) > 1:
        raise ConfigError(
            "Models can be compared if each is given once and all have one "
            f"sample rate and frame rate, but they have {sorted(rates)}."
        )
    return models


def improvement(estimate, mix, sources):
    """SI-SNRi in dB, [B, S], of [B, T, S] over a mixture [B, T]."""
    before = si_snr(mix.unsqueeze(-1).expand_as(sources), sources)
    return si_snr(estimate, sources) - before


def follows(estimate, target):
    """Whether every voice of [1, T, S] is nearest to its own target."""
    nearest = pairwise(si_snr, estimate, target)[0].argmax(1)
    return nearest.tolist() == list(range(target.shape[-1]))


@torch.no_grad()
def score(model, mix, sources, lips):
    """Figures of one model on one mixture.

    Arguments
    ---------
    model : AVSeparation
        The model.
    mix, sources, lips : torch.Tensor
        Of :func:`read_item`.

    Returns
    -------
    (float, float)
        SI-SNRi in dB, the mean over voices; and the visual swap: 1 if all
        voices follow the faces, given in order and exchanged, else 0. NaN
        for a model that sees no faces.
    """
    estimate = separate(model, mix, sources, lips)
    gain = float(improvement(estimate, mix, sources).mean())
    if not model.sees:
        return gain, float("nan")
    swapped = model.separate_batch(mix, lips.roll(1, dims=1))
    right = follows(estimate, sources) and follows(
        swapped, sources.roll(1, dims=-1)
    )
    return gain, float(right)
