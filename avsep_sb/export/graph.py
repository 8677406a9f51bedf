"""The graph that is exported: waveforms and mouths in, voices out.

Authors
 * avsep_sb contributors
"""

import copy

import torch
from torch import nn

from avsep_sb.errors import ConfigError
from avsep_sb.export.faces import AnyCrossFace, AnyFacesMasking
from avsep_sb.export.operations import ExportableOperations
from avsep_sb.export.spectra import (
    ConvolutionCodec,
    ConvolutionConsistency,
    FourierConvolution,
    same_transform,
)
from avsep_sb.lobes.bin_base import MaskingSeparator
from avsep_sb.lobes.frozen import FreezableFrontEnd
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.spectral_codec import SpectralCodec


def fixed_crop(lip_input, height, width):
    """Make a twin whose window is that of ROIs of one size.

    Arguments
    ---------
    lip_input : LipInput
        Of a front end; stays as it is.
    height, width : int
        Pixels of the ROIs.

    Returns
    -------
    LipInput

    Example
    -------
    >>> from avsep_sb.lobes.lip_input import LipInput
    >>> roi = torch.zeros(1, 2, 3, 96, 96, dtype=torch.uint8)
    >>> fixed_crop(LipInput((88, 88)), 96, 96)(roi).shape
    torch.Size([2, 1, 3, 88, 88])
    """
    twin = shallow_copy(lip_input)
    # What the crop does to the places of rows and columns.
    row = torch.arange(height)[:, None].expand(height, width)
    column = torch.arange(width).expand(height, width)
    row, column = lip_input.crop(row), lip_input.crop(column)
    rows = slice(int(row[0, 0]), int(row[-1, 0]) + 1)
    columns = slice(int(column[0, 0]), int(column[0, -1]) + 1)
    twin.crop = lambda roi: roi[..., rows, columns]
    return twin


class SeparationGraph(nn.Module):
    """What :class:`AVSeparation` does with a batch, as one exportable module.

    The weights are shared with the model; no module of it is changed.

    Arguments
    ---------
    model : AVSeparation
        On the CPU.
    roi_size : tuple
        Height and width of the mouth ROIs, in pixels.
    both : bool
        Whether the voices are given as the separator makes them, too, if they
        are made to add up to the mixture after it.
    """

    def __init__(self, model, roi_size=(96, 96), both=False):
        super().__init__()
        separator = shallow_copy(model.mods.separator)
        if not isinstance(separator, (IIANet, MaskingSeparator)):
            raise ConfigError(
                f"A {type(separator).__name__} cannot be exported: give a "
                "model whose separator is an IIANet, a BIN or an AVLiT."
            )
        if model.sees and isinstance(separator, IIANet):
            if separator.num_sources > 1:
                raise ConfigError(
                    "An IIANet of faces with several outputs for each cannot "
                    "be exported: give one with num_sources 1."
                )
        separator.fast = False  # not IIANet's loops for inference
        codec, fourier = separator.codec, None
        if isinstance(codec, SpectralCodec):
            fourier = FourierConvolution(codec)
            separator.codec = ConvolutionCodec(codec, fourier)
        if getattr(separator, "cross_face", None) is not None:
            separator.cross_face = AnyCrossFace(separator.cross_face)
        if isinstance(separator, MaskingSeparator):
            separator = AnyFacesMasking(separator)
        self.separator = separator
        self.frontend = self.consistency = None
        if model.sees:
            self.frontend = shallow_copy(model.mods.visual_frontend)
            if not isinstance(self.frontend, FreezableFrontEnd):
                raise ConfigError(
                    f"The visual front end {type(self.frontend).__name__} "
                    "cannot be exported: give a model with one of avsep_sb."
                )
            try:
                crop = fixed_crop(self.frontend.input, *roi_size)
            except ValueError as err:
                raise ConfigError(str(err)) from err
            self.frontend.input = crop
        if "mixture_consistency" in model.mods:
            consistency = model.mods.mixture_consistency
            # One file holds one basis, where window and hop are the same.
            if fourier is None or not same_transform(codec, consistency):
                fourier = FourierConvolution(consistency)
            self.consistency = ConvolutionConsistency(consistency, fourier)
        self.both = both and self.consistency is not None
        self.eval()

    def forward(self, mix, lips=None, lips_mask=None):
        """Separate.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T] float32
        lips : torch.Tensor, optional
            [B, S, Tv, H, W] uint8; none for an audio-only model.
        lips_mask : torch.Tensor, optional
            [B, S, Tv] bool, False where a face is missing.

        Returns
        -------
        torch.Tensor
            [B, T, S] float32, or two of these with ``both``.
        """
        with ExportableOperations():
            visual = None if self.frontend is None else self.frontend(lips)
            sources = estimates = self.separator(mix, visual, lips_mask)
            if self.consistency is not None:
                sources = self.consistency(sources, mix)
            # A bias in the model may make a hum out of digital silence.
            sounds = mix.abs().amax(1) > 0
            sounds = sounds[:, None, None].to(sources.dtype)
            if self.both:
                return sources * sounds, estimates * sounds
            return sources * sounds


def shallow_copy(module):
    """Copy a module, so that its children can be replaced; share the rest.

    Arguments
    ---------
    module : torch.nn.Module
        Stays as it is.

    Returns
    -------
    torch.nn.Module
        With the same parameters and children.

    Example
    -------
    >>> net = nn.Sequential(nn.Linear(1, 1))
    >>> twin = shallow_copy(net)
    >>> twin[0] = nn.Identity()
    >>> type(net[0]).__name__
    'Linear'
    """
    twin = copy.copy(module)
    for name in ("_modules", "_parameters", "_buffers"):
        setattr(twin, name, dict(getattr(module, name)))
    return twin
