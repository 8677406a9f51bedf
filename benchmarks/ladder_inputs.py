"""Mixtures for ``ladder_report.py``, and a model that hears each once.

Authors
 * avsep_sb contributors
"""

import torch
from long_mixtures import LongMixtures
from scoring import read_item, reader_for

from avsep_sb.dataio.manifest import check_manifest


class Remembering:
    """An audio-only model that hears the same mixture once only.

    Arguments
    ---------
    model : AVSeparation
        The model.
    """

    sees = False

    def __init__(self, model):
        self.model, self.hparams = model, model.hparams
        self.mix = self.voices = None

    def separate_batch(self, mix):
        """Voices [B, T, S] of mixtures [B, T]."""
        if self.mix is None or not torch.equal(mix, self.mix):
            self.mix, self.voices = mix, self.model.separate_batch(mix)
        return self.voices


def mixtures_of(manifest, data, model, seconds, seed):
    """A function from a number to a mixture, and how many there are.

    Arguments
    ---------
    manifest, data : str
        The manifest and the corpus folder.
    model : AVSeparation
        Whose rates are wanted.
    seconds : float
        Length where utterances are joined.
    seed : int
        Of the draws.

    Returns
    -------
    (callable, int or None)
        ``draw(number) -> mix [1, T], sources [1, T, S], lips [1, S, Tv, H,
        W]``; None for as many as wanted.
    """
    rows = check_manifest(manifest, data, num_spks=2)
    if all(row["s1_spk"] == row["s2_spk"] for row in rows):
        reader = reader_for(model, num_spks=2)
        return lambda number: read_item(reader, rows[number]), len(rows)
    rate, fps = int(model.hparams.sample_rate), int(model.hparams.video_fps)
    total = round(seconds * fps) * (rate // fps)
    return LongMixtures(rows, total, rate, fps, seed=seed).draw, None
