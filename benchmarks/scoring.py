"""Reads test mixtures and scores pretrained separators on them.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import numpy as np
import torch

from avsep_sb.dataio.items import ItemReader
from avsep_sb.errors import ConfigError
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.losses import pairwise, pit, si_snr


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


def reader_for(model, use_lips=True, num_spks=None):
    """Reader of whole test mixtures at the rates of a model."""
    rate, fps = model.hparams.sample_rate, model.hparams.video_fps
    return ItemReader(
        length=None,
        num_spks=num_spks or model.hparams.num_spks,
        sample_rate=rate,
        video_fps=fps,
        samples_per_frame=rate // fps,
        use_lips=use_lips,
        crop_size=None,
    )


def read_item(reader, item):
    """A manifest row as a batch of one.

    Arguments
    ---------
    reader : ItemReader
        Of :func:`reader_for`.
    item : dict
        The row, its noise included.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor or None)
        Mixture [1, T], sources [1, T, S], lips [1, S, Tv, H, W].
    """
    mix, sources, lips = (
        None if part is None else torch.from_numpy(np.ascontiguousarray(part))
        for part in reader(item["ID"], item)
    )
    if lips is not None:
        lips = lips.transpose(0, 1)[None]
    return mix[None], sources[None], lips


def separate(model, mix, sources, lips):
    """Separates; a model without lips gets the better of its orders.

    Arguments
    ---------
    model : AVSeparation
        The model.
    mix, sources, lips : torch.Tensor
        [B, T], [B, T, S] and [B, S, Tv, H, W].

    Returns
    -------
    torch.Tensor
        Estimates in the order of the sources, [B, T, S].
    """
    if model.sees:
        return model.separate_batch(mix, lips)
    return pit(model.separate_batch(mix, None), sources)[1]


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
