"""Makes the voices of a mixture add up to it.

IIANet separates each face by itself: what two faces both claim, or neither
does, is an error that the sum of the voices shows. Where every voice of the
mixture has a face, the difference is shared among them, in each bin of the
spectrogram by how loud each is there (mixture consistency with magnitude
weights: Wisdom et al., "Differentiable Consistency Constraints for Improved
Deep Speech Enhancement", ICASSP 2019). Not in the IIANet paper.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

EPS = 1e-8


class MixtureConsistency(nn.Module):
    """Shares what the voices leave of the mixture among them.

    The voices are brought to the level of the mixture before, by one gain for
    all (SI-SNR trains at any level). It has no weights.

    Arguments
    ---------
    kernel_size : int
        Samples of the (Hann) window.
    stride : int
        Hop in samples.
    raw_prob : float
        Probability that a batch passes as it is while training: the separator
        then learns to do without, too, as it must where someone who is not in
        view speaks.

    Example
    -------
    >>> mix, sources = torch.randn(2, 1000), torch.randn(2, 1000, 3)
    >>> consistent = MixtureConsistency(64, 16)(sources, mix)
    >>> consistent.shape
    torch.Size([2, 1000, 3])
    >>> torch.allclose(consistent.sum(-1), mix, atol=1e-4)
    True
    """

    def __init__(self, kernel_size=512, stride=128, raw_prob=0.0):
        super().__init__()
        if not 0 <= raw_prob <= 1:
            raise ValueError(f"raw_prob is {raw_prob}: give a share in [0, 1].")
        self.kernel_size = kernel_size
        self.stride = stride
        self.raw_prob = raw_prob
        self.register_buffer(
            "window", torch.hann_window(kernel_size), persistent=False
        )

    def forward(self, sources, mix, complete=None):
        """Correct the voices.

        Arguments
        ---------
        sources : torch.Tensor
            Estimates of all voices in the mixture, [B, T, S].
        mix : torch.Tensor
            [B, T]
        complete : torch.Tensor, optional
            [B] (bool): False where the mixture has more than these voices
            (:func:`avsep_sb.measures.all_there`); there they pass.

        Returns
        -------
        torch.Tensor
            [B, T, S]; their sum is the mixture.
        """
        if self.training and float(torch.rand(())) < self.raw_prob:
            return sources
        sources = sources.float()
        corrected = self._correct(sources, mix)
        if complete is None:
            return corrected
        return torch.where(complete[:, None, None], corrected, sources)

    def _correct(self, sources, mix):
        mix = mix.to(sources)
        voices = sources * self._gain(sources, mix)
        rest = mix - voices.sum(-1)
        spectra = self._stft(voices.transpose(1, 2))
        weight = spectra.abs() + EPS
        weight = weight / weight.sum(1, keepdim=True)
        share = weight * self._stft(rest.unsqueeze(1))
        share = torch.istft(
            share.flatten(0, 1),
            self.kernel_size,
            self.stride,
            window=self.window,
            length=mix.shape[-1],
        )
        return voices + share.unflatten(0, spectra.shape[:2]).transpose(1, 2)

    @torch.no_grad()
    def _gain(self, sources, mix):
        """The gain at which the sum of the voices fits best, [B, 1, 1]."""
        total = sources.sum(-1)
        power = total.square().sum(-1)
        gain = (total * mix).sum(-1) / power.clamp(min=EPS)
        # Voices that have nothing to do with the mixture stay as they are.
        gain = torch.where(gain > 0, gain, torch.ones_like(gain))
        return gain[:, None, None]

    def _stft(self, wave):
        """[B, S, T] to [B, S, F, frames]."""
        spectra = torch.stft(
            wave.flatten(0, 1),
            self.kernel_size,
            self.stride,
            window=self.window,
            pad_mode="constant",
            return_complex=True,
        )
        return spectra.unflatten(0, wave.shape[:2])
