"""A base for visual front ends which may be frozen while the rest trains.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn


class FreezableFrontEnd(nn.Module):
    """Run a lip net over [B, S, Tv, H, W], frozen or not.

    A frozen net stays in evaluation mode whatever ``train()`` says: were its
    batch norms to follow the talkers of each batch, the lip embedding would
    drift although no weight is trained. Subclasses set ``self.input`` (a
    :class:`~avsep_sb.lobes.lip_input.LipInput`), ``self.out_channels`` and
    offer ``embed(x)``, [N, 1, Tv, h, w] to [N, Tv, C], then call
    ``self.apply_frozen()`` at the end of their ``__init__``.

    Arguments
    ---------
    frozen : bool
        Whether the weights and the running statistics stay as they are.

    Example
    -------
    >>> from avsep_sb.lobes.light_lip import LightLipNet
    >>> net = LightLipNet(frozen=True).train()
    >>> net.training, any(p.requires_grad for p in net.parameters())
    (False, False)
    """

    def __init__(self, frozen):
        super().__init__()
        self.frozen = frozen

    def apply_frozen(self):
        """Put a frozen net in evaluation mode, with no gradients."""
        if self.frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode=True):
        """Follow train() and eval(), save that a frozen net stays in eval.

        Arguments
        ---------
        mode : bool
            Training mode wanted.

        Returns
        -------
        torch.nn.Module
            self
        """
        return super().train(mode and not self.frozen)

    def forward(self, roi):
        """Embed mouth ROIs.

        Arguments
        ---------
        roi : torch.Tensor
            [B, S, Tv, H, W] at 25 frames per second: uint8 pixels, or
            floating point already cropped and normalised.

        Returns
        -------
        torch.Tensor
            Lip embedding [B, S, Tv, C].
        """
        with torch.set_grad_enabled(
            torch.is_grad_enabled() and not self.frozen
        ):
            embedding = self.embed(self.input(roi))
        return embedding.unflatten(0, roi.shape[:2])
