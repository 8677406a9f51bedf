"""Reads the mixtures of a manifest and separates them.

Authors
 * avsep_sb contributors
"""

import numpy as np
import torch

from avsep_sb.dataio.items import ItemReader
from avsep_sb.errors import DataError
from avsep_sb.losses import pit


def speakers_of(row):
    """How many speakers a manifest row mixes.

    Arguments
    ---------
    row : dict
        Row of :func:`avsep_sb.dataio.manifest.read_manifest`.

    Returns
    -------
    int

    Example
    -------
    >>> speakers_of({"ID": "a", "s1_wav": "a.wav", "s2_wav": "b.wav"})
    2
    """
    return sum(
        name.startswith("s") and name.endswith("_wav") and name[1:-4].isdigit()
        for name in row
    )


def reader_for(model, use_lips=True, num_spks=None):
    """Reader of whole test mixtures at the rates of a model.

    Arguments
    ---------
    model : AVSeparation
        The model.
    use_lips : bool
        Whether to read mouth ROIs.
    num_spks : int, optional
        Speakers in each mixture; those of the model if not given.

    Returns
    -------
    ItemReader

    Example
    -------
    >>> from types import SimpleNamespace as Some
    >>> rates = Some(sample_rate=16000, video_fps=25, num_spks=2)
    >>> reader_for(Some(hparams=rates), num_spks=3).samples_per_frame
    640
    """
    rate, fps = model.hparams.sample_rate, model.hparams.video_fps
    return ItemReader(
        length=None,
        num_spks=num_spks or model.hparams.num_spks,
        sample_rate=rate,
        video_fps=fps,
        samples_per_frame=round(rate / fps),
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
    return read_told(reader, item)[:3]


def read_told(reader, item):
    """A manifest row as a batch of one, and what is said in it.

    Arguments
    ---------
    reader, item
        As of :func:`read_item`.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor or None, list of str or None)
        As of :func:`read_item`, and the text of each voice: None for one of
        which it is not known, or that is cut.
    """
    found = reader.read(item["ID"], item)
    mix, sources, lips = (
        None if part is None else torch.from_numpy(np.ascontiguousarray(part))
        for part in (found.mix, found.sources, found.lips)
    )
    if lips is not None:
        lips = lips.transpose(0, 1)[None]
    return mix[None], sources[None], lips, found.texts


@torch.no_grad()
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
        Estimates in the order of the sources, [B, T, S], on the CPU.
        ``DataError`` if the model gives another number of voices.
    """
    lips = lips if model.sees else None
    estimate = model.separate_batch(mix, lips).cpu()
    if estimate.shape != sources.shape:
        raise DataError(
            f"the model separates {estimate.shape[-1]} voices, but the "
            f"mixtures have {sources.shape[-1]}: give a manifest or a model "
            "for the same number."
        )
    return estimate if model.sees else pit(estimate, sources)[1]
