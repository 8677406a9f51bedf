"""From waveform to spectra and back: a fixed codec in place of learned filters.

Not in the IIANet paper. Learned filters of one millisecond need 4000 frames
per second and days on GPUs; spectra of 32 ms need 125, and a mask on them is
learnt within minutes on a CPU. What it costs is the phase, which stays that
of the mixture.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn

# Loudness as heard grows about so with the magnitude.
COMPRESSION = 0.3
FLOOR = 1e-8


class SpectralCodec(nn.Module):
    """Short-time Fourier transform, and its inverse to exactly T samples.

    Arguments
    ---------
    kernel_size : int
        Samples of a (Hann) window, even.
    stride : int
        Hop in samples; at most half of ``kernel_size``.

    Example
    -------
    >>> codec = SpectralCodec(64, 16)
    >>> mix = torch.rand(2, 1001)
    >>> spectra = codec.encode(mix)
    >>> spectra.shape, codec.features(spectra).shape
    (torch.Size([2, 66, 63]), torch.Size([2, 33, 63]))
    >>> again = codec.decode(spectra[:, None], 1001)[:, 0]
    >>> torch.allclose(again, mix, atol=1e-5)
    True
    """

    def __init__(self, kernel_size, stride):
        super().__init__()
        if 2 * stride > kernel_size:
            raise ValueError(
                f"The spectral codec needs a stride of at most half its "
                f"kernel_size of {kernel_size}, not {stride}."
            )
        self.kernel_size = kernel_size
        self.stride = stride
        self.num_features = kernel_size // 2 + 1
        # The rule of the window is part of the code, not of a checkpoint.
        self.register_buffer(
            "window", torch.hann_window(kernel_size), persistent=False
        )

    def encode(self, mix):
        """Transform the mixture.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T]

        Returns
        -------
        torch.Tensor
            Real parts, then imaginary parts: [B, 2 F, L].
        """
        spectrum = torch.stft(
            mix.float(),
            self.kernel_size,
            self.stride,
            window=self.window,
            pad_mode="constant",
            return_complex=True,
        )
        return torch.cat([spectrum.real, spectrum.imag], 1)

    def features(self, frames):
        """Give what the network looks at: compressed magnitudes.

        Arguments
        ---------
        frames : torch.Tensor
            [B, 2 F, L]

        Returns
        -------
        torch.Tensor
            [B, F, L]
        """
        real, imag = frames.chunk(2, 1)
        return (real**2 + imag**2 + FLOOR) ** (COMPRESSION / 2)

    def mask(self, frames, mask):
        """Apply masks to the mixture.

        Arguments
        ---------
        frames : torch.Tensor
            [B, 2 F, L]
        mask : torch.Tensor
            [B, S, F, L]

        Returns
        -------
        torch.Tensor
            [B, S, 2 F, L]
        """
        return torch.cat([mask, mask], 2) * frames.unsqueeze(1)

    def decode(self, frames, num_samples):
        """Turn masked spectra into waveforms.

        Arguments
        ---------
        frames : torch.Tensor
            [B, S, 2 F, L]
        num_samples : int
            Length wanted: that of the mixture.

        Returns
        -------
        torch.Tensor
            [B, S, num_samples]
        """
        # By hand, as torch.istft cannot be counted or traced without data.
        size, half = self.kernel_size, self.kernel_size // 2
        real, imag = frames.float().flatten(0, 1).chunk(2, 1)
        spectra = torch.complex(real.contiguous(), imag.contiguous())
        window = self.window[:, None]
        pieces = torch.fft.irfft(spectra, n=size, dim=1) * window
        weights = (window**2).expand(1, size, pieces.shape[-1])
        length = size + self.stride * (pieces.shape[-1] - 1)
        waves, weight = (
            F.fold(x, (1, length), (1, size), stride=(1, self.stride))
            for x in (pieces, weights)
        )
        # Every sample wanted lies under at least two windows, but the end
        # may lie beyond the last frame's middle by less than a hop.
        waves = (waves / weight.clamp(min=FLOOR)).flatten(1)
        waves = F.pad(waves, (0, max(0, half + num_samples - length)))
        return waves[:, half : half + num_samples].unflatten(
            0, frames.shape[:2]
        )
