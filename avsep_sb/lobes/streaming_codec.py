"""The spectral codec for streams: spectra and waves as they become complete.

In pieces of any size it gives what
:class:`avsep_sb.lobes.spectral_codec.SpectralCodec` gives of the whole.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F

from avsep_sb.lobes.causal_memory import Memory
from avsep_sb.lobes.spectral_codec import FLOOR


class StreamingCodec:
    """Samples to spectra, and masked spectra back to samples.

    Arguments
    ---------
    codec : SpectralCodec
        Its window and hop.

    Example
    -------
    >>> from avsep_sb.lobes.spectral_codec import SpectralCodec
    >>> codec, mix, done = SpectralCodec(64, 16), torch.rand(1, 1001), []
    >>> stream = StreamingCodec(codec)
    >>> for piece in mix.split(70, -1):
    ...     done.append(stream.decode(stream.encode(piece)))
    >>> done.append(stream.decode(stream.close(), last=True))
    >>> torch.allclose(torch.cat(done, -1), mix, atol=1e-5)
    True
    """

    def __init__(self, codec):
        self.size, self.stride = codec.kernel_size, codec.stride
        self.window = codec.window
        #: what each row still has to add to: [N, size - stride]
        self.memory = Memory()
        self.weight = codec.window.new_zeros(self.size - self.stride)
        self.samples = 0  # that came in
        self.skip = self.size // 2  # that come before the first one
        self.given = 0  # that went out
        self.waiting = codec.window.new_zeros(1, self.size // 2)

    def encode(self, samples):
        """Transform what is complete.

        Arguments
        ---------
        samples : torch.Tensor
            [1, t], the next ones.

        Returns
        -------
        torch.Tensor
            [1, 2 F, n], any number of spectra.
        """
        self.samples += samples.shape[-1]
        return self._spectra(samples)

    def close(self):
        """Transform the rest, as if silence followed: [1, 2 F, n]."""
        return self._spectra(self.window.new_zeros(1, self.size // 2))

    def _spectra(self, samples):
        wave = torch.cat([self.waiting, samples], 1)
        count = max(0, (wave.shape[1] - self.size) // self.stride + 1)
        self.waiting = wave[:, count * self.stride :].clone()
        if not count:
            return wave.new_empty(1, self.size + 2, 0)
        pieces = wave.unfold(1, self.size, self.stride) * self.window
        spectra = torch.fft.rfft(pieces).transpose(1, 2)
        return torch.cat([spectra.real, spectra.imag], 1)

    def decode(self, frames, last=False):
        """Give the samples that no later spectrum changes.

        Arguments
        ---------
        frames : torch.Tensor
            [N, 2 F, n], the next masked spectra of each row.
        last : bool
            Whether none follows.

        Returns
        -------
        torch.Tensor
            [N, t]
        """
        num, count = len(frames), frames.shape[-1]
        keep, ready = self.size - self.stride, count * self.stride
        tail = self.memory.get("tail")
        if tail is None:
            tail = frames.new_zeros(num, keep)
        wave = F.pad(tail, (0, ready))
        weight = F.pad(self.weight, (0, ready))
        if count:
            window = self.window[:, None]
            real, imag = frames.chunk(2, 1)
            spectra = torch.complex(real.contiguous(), imag.contiguous())
            pieces = torch.fft.irfft(spectra, n=self.size, dim=1) * window
            pieces = torch.cat([pieces, (window**2).expand(1, -1, count)])
            shape = (1, keep + ready), (1, self.size)
            added = F.fold(pieces, *shape, stride=(1, self.stride))
            added = added.flatten(1)
            wave, weight = wave + added[:-1], weight + added[-1]
        self.memory["tail"] = wave[:, ready:]
        self.weight = weight[ready:]
        if last:
            ready += keep
        wave = (wave / weight.clamp(min=FLOOR))[:, :ready]
        skipped = min(self.skip, wave.shape[1])
        self.skip -= skipped
        wave = wave[:, skipped:]
        if last:
            wave = wave[:, : self.samples - self.given]
        self.given += wave.shape[1]
        return wave
