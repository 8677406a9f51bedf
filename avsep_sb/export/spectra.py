"""Spectra by convolution, as ONNX has no inverse of its Fourier transform.

A short-time Fourier transform is a convolution with cosines and sines under a
window, and its inverse a transposed one. For windows of 512 samples that is
0.03 GMACs per second of sound.

Authors
 * avsep_sb contributors
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.mixture_consistency import EPS
from avsep_sb.lobes.spectral_codec import FLOOR


class FourierConvolution(nn.Module):
    """Twin of :class:`avsep_sb.lobes.spectral_codec.SpectralCodec`.

    Arguments
    ---------
    codec : torch.nn.Module
        With ``kernel_size``, ``stride`` and ``window`` [kernel_size]: a
        ``SpectralCodec``, or a ``MixtureConsistency``.

    Example
    -------
    >>> from avsep_sb.lobes.spectral_codec import SpectralCodec
    >>> codec, mix = SpectralCodec(64, 16), torch.rand(2, 1001)
    >>> twin = FourierConvolution(codec)
    >>> torch.allclose(twin.encode(mix), codec.encode(mix), atol=1e-5)
    True
    >>> again = twin.decode(twin.encode(mix), 1001)
    >>> torch.allclose(again, mix, atol=1e-5)
    True
    """

    def __init__(self, codec):
        super().__init__()
        size, self.stride = codec.kernel_size, codec.stride
        self.half = size // 2
        bins = torch.arange(self.half + 1, dtype=torch.float64)
        times = torch.arange(size, dtype=torch.float64)
        # Reduced before the product with pi, for the sake of its accuracy.
        angle = (bins[:, None] * times % size) * (2 * math.pi / size)
        basis = torch.cat([angle.cos(), -angle.sin()])
        window = codec.window.double()
        # All bins but the first and the last stand for two.
        twice = torch.full((self.half + 1,), 2.0, dtype=torch.float64)
        twice[0] = twice[-1] = 1.0
        back = basis * torch.cat([twice, twice])[:, None] / size
        for name, value in (
            ("analysis", basis * window),
            ("synthesis", back * window),
            ("power", window[None] ** 2),
        ):
            value = value[:, None].float().contiguous()
            self.register_buffer(name, value, persistent=False)

    def encode(self, wave):
        """Transform.

        Arguments
        ---------
        wave : torch.Tensor
            [N, T]

        Returns
        -------
        torch.Tensor
            Real parts, then imaginary parts: [N, 2 F, L].
        """
        wave = F.pad(wave, (self.half, self.half)).unsqueeze(1)
        return F.conv1d(wave, self.analysis, stride=self.stride)

    def decode(self, frames, num_samples):
        """Transform back.

        Arguments
        ---------
        frames : torch.Tensor
            [N, 2 F, L]
        num_samples : int or torch.Tensor
            Length wanted.

        Returns
        -------
        torch.Tensor
            [N, num_samples]
        """
        make = {"stride": self.stride}
        waves = F.conv_transpose1d(frames, self.synthesis, **make)
        ones = torch.ones_like(frames[:1, :1])
        weight = F.conv_transpose1d(ones, self.power, **make)
        waves = (waves / weight.clamp(min=FLOOR)).squeeze(1)
        # The end may lie beyond the last frame's middle by less than a hop.
        waves = F.pad(waves, (0, self.stride))
        return waves[:, self.half : self.half + num_samples]


def same_transform(one, other):
    """Tell whether two parts share window and hop.

    Arguments
    ---------
    one, other : torch.nn.Module
        With ``kernel_size`` and ``stride``.

    Returns
    -------
    bool

    Example
    -------
    >>> from avsep_sb.lobes.spectral_codec import SpectralCodec
    >>> same_transform(SpectralCodec(64, 16), SpectralCodec(64, 32))
    False
    """
    sizes = [(part.kernel_size, part.stride) for part in (one, other)]
    return sizes[0] == sizes[1]


class ConvolutionCodec(nn.Module):
    """The spectral codec of a separator, by convolutions.

    Arguments
    ---------
    codec : SpectralCodec
        What it stands for.
    fourier : FourierConvolution
        Its transforms.
    """

    def __init__(self, codec, fourier):
        super().__init__()
        self.fourier = fourier
        self.num_features = codec.num_features
        self.features, self.mask = codec.features, codec.mask

    def encode(self, mix):
        """As ``SpectralCodec.encode``, [B, T] to [B, 2 F, L]."""
        return self.fourier.encode(mix)

    def decode(self, frames, num_samples):
        """As ``SpectralCodec.decode``, [B, S, 2 F, L] to [B, S, T]."""
        waves = self.fourier.decode(frames.flatten(0, 1), num_samples)
        return waves.unflatten(0, frames.shape[:2])


class ConvolutionConsistency(nn.Module):
    """Twin of the lobe ``MixtureConsistency``, for any number of voices.

    Arguments
    ---------
    consistency : MixtureConsistency
        What it stands for.
    fourier : FourierConvolution
        Its transforms.

    Example
    -------
    >>> from avsep_sb.lobes.mixture_consistency import MixtureConsistency
    >>> lobe = MixtureConsistency(64, 16)
    >>> mix, sources = torch.randn(2, 1000), torch.randn(2, 1000, 3)
    >>> twin = ConvolutionConsistency(lobe, FourierConvolution(lobe))
    >>> torch.allclose(twin(sources, mix), lobe(sources, mix), atol=1e-5)
    True
    """

    def __init__(self, consistency, fourier):
        super().__init__()
        self.fourier = fourier
        self.gain = consistency._gain

    def forward(self, sources, mix):
        """Correct the voices.

        Arguments
        ---------
        sources : torch.Tensor
            [B, T, S]
        mix : torch.Tensor
            [B, T]

        Returns
        -------
        torch.Tensor
            [B, T, S]; a voice that is alone passes, as it does in
            :class:`avsep_sb.inference.separation.AVSeparation`.
        """
        voices = (sources * self.gain(sources, mix)).transpose(1, 2)
        rest = mix - voices.sum(1)
        spectra = self.fourier.encode(voices.flatten(0, 1))
        real, imag = spectra.chunk(2, 1)
        weight = (real.square() + imag.square()).sqrt() + EPS
        weight = weight.unflatten(0, voices.shape[:2])  # [B, S, F, L]
        weight = weight / weight.sum(1, keepdim=True)
        share = self.fourier.encode(rest).unsqueeze(1)
        share = (torch.cat([weight, weight], 2) * share).flatten(0, 1)
        share = self.fourier.decode(share, mix.shape[1])
        voices = voices + share.unflatten(0, voices.shape[:2])
        several = (torch.as_tensor(sources.shape[2]) > 1).to(sources.dtype)
        return voices.transpose(1, 2) * several + sources * (1.0 - several)
