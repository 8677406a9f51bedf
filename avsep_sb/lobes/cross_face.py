"""What the faces of one mixture tell each other.

IIANet treats each face by itself: it learns what one mouth says, and has to
guess the rest of the mixture. Where the other mouths are seen too, what they
say is known as well. Here each face's stream hears the mean of the others'
after every cycle (transform, average, concatenate: Luo et al., "End-to-end
Microphone Permutation and Number Invariant Multi-channel Speech Separation",
ICASSP 2020, there for microphones). Not in the IIANet paper.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn


class CrossFace(nn.Module):
    """Adds to each face's stream what follows from the others'.

    It works for any number of faces, in any order: the voices only change
    places when the faces do. A face that is alone passes unchanged, and so do
    all faces before training, as the last layer starts from zero: a trained
    separator can be given this part and trained on.

    Arguments
    ---------
    channels : int
        Channels of a stream.
    hidden : int
        Channels of the messages.
    solo_prob : float
        Probability that a batch passes unchanged while training, so that the
        separator still knows what to do with one face.

    Example
    -------
    >>> net = CrossFace(channels=8, hidden=4)
    >>> streams = torch.rand(6, 8, 50)
    >>> bool((net(streams, faces=3) == streams).all())
    True
    """

    def __init__(self, channels, hidden, solo_prob=0.0):
        super().__init__()
        if not 0 <= solo_prob < 1:
            raise ValueError(
                f"solo_prob is {solo_prob}: give a share from 0 to below 1."
            )
        self.solo_prob = solo_prob
        self.own = nn.Conv1d(channels, hidden, 1)
        self.others = nn.Conv1d(channels, hidden, 1)
        self.act = nn.PReLU()
        self.out = nn.Conv1d(2 * hidden, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def draw_solo(self):
        """Whether this batch goes without; one draw for all its cycles.

        Returns
        -------
        bool
            Never True outside training.
        """
        return self.training and float(torch.rand(())) < self.solo_prob

    def forward(self, streams, faces, solo=False):
        """Pass messages.

        Arguments
        ---------
        streams : torch.Tensor
            [B * faces, C, L], the faces of a mixture one after the other.
        faces : int
            Faces of each mixture.
        solo : bool
            Let all pass unchanged.

        Returns
        -------
        torch.Tensor
            [B * faces, C, L]
        """
        if faces == 1:
            return streams
        own = self.act(self.own(streams)).unflatten(0, (-1, faces))
        told = self.act(self.others(streams)).unflatten(0, (-1, faces))
        mean = (told.sum(1, keepdim=True) - told) / (faces - 1)
        message = self.out(torch.cat([own, mean], 2).flatten(0, 1))
        # Distributed training waits for the gradients of all weights.
        return streams + message * float(not solo)
