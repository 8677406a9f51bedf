"""Another voice, laid over speech at random: what separation leaves behind.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.sync_training import overlaid


class OverlaidVoice(torch.nn.Module):
    """Lays over each sound of a batch another one of it.

    For SpeechBrain's ``Augmenter``.

    Arguments
    ---------
    sir_db : list of float
        Lowest and highest level of the sound over the other one.

    Example
    -------
    >>> waves = torch.tensor([[1.0, -1.0], [0.5, 0.5]])
    >>> OverlaidVoice([0, 0])(waves).tolist()
    [[2.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, sir_db):
        super().__init__()
        self.low, self.high = sir_db

    def forward(self, waveforms):
        """Maps [B, T] to [B, T]; the levels are drawn for each sound."""
        drawn = torch.rand(len(waveforms), 1, device=waveforms.device)
        return overlaid(waveforms, self.low + (self.high - self.low) * drawn)
