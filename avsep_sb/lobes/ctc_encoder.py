"""A small network for recognisers with CTC: convolutions and an LSTM.

Two convolutions lower the rate of the features to a quarter, a bidirectional
LSTM (Graves and Schmidhuber 2005) reads them both ways, and a linear layer
gives the log-probabilities of the tokens for CTC (Graves et al. 2006).

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from speechbrain.nnet.RNN import LSTM
from torch import nn

#: zeros behind each sequence: a batch has them behind all but its longest,
#: and a net that met no end without them would not know that one
TAIL = 6


class ConvBLSTM(nn.Module):
    """Log-probabilities of tokens, one frame for four frames of features.

    Arguments
    ---------
    n_mels : int
        Features per frame.
    channels : int
        Channels of the convolutions.
    hidden_size : int
        Of the LSTM, in each direction.
    num_layers : int
        Layers of the LSTM.
    dropout : float
        Before each layer of the LSTM and before the last one.
    num_tokens : int
        Tokens, the blank among them.

    Example
    -------
    >>> net = ConvBLSTM(n_mels=20, channels=8, hidden_size=6, num_tokens=5)
    >>> net(torch.rand(2, 10, 20), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 3, 5])
    """

    def __init__(
        self,
        n_mels=80,
        channels=192,
        hidden_size=192,
        num_layers=2,
        dropout=0.15,
        num_tokens=200,
    ):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(width, channels, 5, stride=2, padding=2)
            for width in (n_mels, channels)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in self.convs)
        self.dropout = nn.Dropout(dropout)
        self.rnn = LSTM(
            hidden_size=hidden_size,
            input_size=channels,
            num_layers=num_layers,
            dropout=dropout,
            bidirectional=True,
        )
        self.linear = nn.Linear(2 * hidden_size, num_tokens)

    def forward(self, features, lengths=None):
        """Maps features to log-probabilities.

        Arguments
        ---------
        features : torch.Tensor
            [B, T, n_mels]
        lengths : torch.Tensor, optional
            [B], relative to T, the longest 1.

        Returns
        -------
        torch.Tensor
            [B, ceil(T / 4), num_tokens]; in evaluation mode what is padding
            takes no part.
        """
        if lengths is None:
            lengths = torch.ones(len(features), device=features.device)
        hidden = _heard(features, lengths)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            hidden = norm(conv(hidden.mT).mT).relu()
            hidden = _heard(hidden, lengths)
        frames = hidden.shape[1]
        hidden = F.pad(self.dropout(hidden), (0, 0, 0, TAIL))
        # Packed sequences train four times as slowly on a CPU, and with the
        # tail it matters little how many zeros follow.
        packed = None
        if not self.training and lengths.min() < lengths.max() == 1:
            ends = (lengths * frames).round() + TAIL
            packed = (ends + 0.5) / (frames + TAIL)
        hidden = self.rnn(hidden, lengths=packed)[0][:, :frames]
        return self.linear(self.dropout(hidden)).float().log_softmax(-1)


def _heard(hidden, lengths):
    """Zeros what lies beyond the lengths: [B, T, C]."""
    steps = torch.arange(hidden.shape[1], device=hidden.device)
    inside = steps < (lengths * hidden.shape[1]).round().unsqueeze(1)
    return hidden.masked_fill(~inside.unsqueeze(-1), 0.0)
