"""From waveform to frames and back: the encoder and decoder of IIANet.

Authors
 * avsep_sb contributors
"""

import torch.nn.functional as F
from torch import nn


class WaveCodec(nn.Module):
    """Learned filters with a hop, and the way back to exactly T samples.

    Arguments
    ---------
    kernel_size : int
        Samples of a window, even.
    stride : int
        Hop in samples; divides ``kernel_size``.
    num_filters : int
        Number of filters.
    num_sources : int
        Masked spectra that are decoded together.
    official_decoder : bool
        With several sources, let every waveform be a sum over the masked
        spectra of all of them, as the official class does. Otherwise one
        decoder serves each source by itself.

    Example
    -------
    >>> import torch
    >>> codec = WaveCodec(16, 4, 9)
    >>> frames = codec.encode(torch.rand(2, 1001))
    >>> frames.shape
    torch.Size([2, 9, 258])
    >>> codec.decode(frames[:, None], 1001).shape
    torch.Size([2, 1, 1001])
    """

    def __init__(
        self,
        kernel_size,
        stride,
        num_filters,
        num_sources=1,
        official_decoder=False,
    ):
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.num_features = num_filters
        self.joint = num_sources if official_decoder else 1
        make = {"stride": stride, "padding": kernel_size // 2, "bias": False}
        self.encoder = nn.Conv1d(1, num_filters, kernel_size, **make)
        self.decoder = nn.ConvTranspose1d(
            self.joint * num_filters, self.joint, kernel_size, **make
        )
        nn.init.xavier_uniform_(self.encoder.weight)
        nn.init.xavier_uniform_(self.decoder.weight)

    def padding(self, num_samples):
        """Tell how many zeros go before and after a signal.

        Arguments
        ---------
        num_samples : int
            Length of the signal.

        Returns
        -------
        tuple
            Zeros before, zeros after. The rest that fills the last window is
            never 0 but a whole window, as in the release.

        Example
        -------
        >>> WaveCodec(16, 4, 9).padding(16000)
        (12, 24)
        """
        size, edge = self.kernel_size, self.kernel_size - self.stride
        rest = size - (self.stride + num_samples % size) % size
        return edge, rest + edge

    def encode(self, mix):
        """Filter the mixture.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T]

        Returns
        -------
        torch.Tensor
            [B, num_filters, L]
        """
        mix = F.pad(mix, self.padding(mix.shape[-1]))
        return self.encoder(mix.unsqueeze(1))

    def features(self, frames):
        """Give what the network looks at: the frames themselves.

        Arguments
        ---------
        frames : torch.Tensor
            [B, num_filters, L]

        Returns
        -------
        torch.Tensor
            [B, num_filters, L]
        """
        return frames

    def mask(self, frames, mask):
        """Apply masks to the encoded mixture.

        Arguments
        ---------
        frames : torch.Tensor
            [B, num_filters, L]
        mask : torch.Tensor
            [B, S, num_filters, L]

        Returns
        -------
        torch.Tensor
            [B, S, num_filters, L]
        """
        return mask * frames.unsqueeze(1)

    def decode(self, frames, num_samples):
        """Turn masked frames into waveforms.

        Arguments
        ---------
        frames : torch.Tensor
            [B, S, num_filters, L]
        num_samples : int
            Length wanted: that of the mixture.

        Returns
        -------
        torch.Tensor
            [B, S, num_samples]
        """
        num_batch, num_sources, num_filters, num_frames = frames.shape
        frames = frames.reshape(-1, self.joint * num_filters, num_frames)
        waves = self.decoder(frames)
        before, _ = self.padding(num_samples)
        waves = waves.narrow(-1, before, num_samples)
        return waves.reshape(num_batch, num_sources, num_samples)
