"""What BIN and AVLiT have in common: from the mixture to the voices.

The mixture is encoded, all faces are projected together, the network between
makes one mask per face, and the masked mixture is decoded.

Authors
 * avsep_sb contributors
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import skip_init

from avsep_sb.lobes.bin_faces import check_faces, place_faces
from avsep_sb.lobes.channels_last import (
    FrameConv1d,
    FrameNorm,
    FramePReLU,
    keep_freed_memory,
)
from avsep_sb.lobes.iianet_wave import WaveCodec
from avsep_sb.lobes.spectral_codec import SpectralCodec
from avsep_sb.lobes.window_layers import OverlapAdd, WindowConv1d


class TailPaddedCodec(WaveCodec):
    """Learned filters on a signal that is only padded at its end.

    Arguments
    ---------
    kernel_size : int
        Samples of a window, even.
    stride : int
        Hop in samples.
    num_filters : int
        Number of filters.
    multiple : int
        Zeros are appended up to a multiple of this many samples.
    xavier : bool
        Draw the filters as AVLiT does (Xavier), not as BIN does (torch's
        default).

    Example
    -------
    >>> import torch
    >>> codec = TailPaddedCodec(40, 20, 9, multiple=160)
    >>> codec.encode(torch.rand(2, 32000)).shape
    torch.Size([2, 9, 1601])
    """

    def __init__(
        self, kernel_size, stride, num_filters, multiple, xavier=False
    ):
        super().__init__(kernel_size, stride, num_filters)
        self.multiple = multiple
        # The same weights in layers of another form; nothing is drawn.
        size = (kernel_size, stride, kernel_size // 2)
        for name, kind, channels in (
            ("encoder", WindowConv1d, (1, num_filters)),
            ("decoder", OverlapAdd, (num_filters, 1)),
        ):
            layer = skip_init(kind, *channels, *size, bias=False)
            layer.weight = getattr(self, name).weight
            setattr(self, name, layer)
        if not xavier:
            self.encoder.reset_parameters()
            self.decoder.reset_parameters()

    def padding(self, num_samples):
        """Tell how many zeros go before and after a signal.

        Arguments
        ---------
        num_samples : int
            Length of the signal.

        Returns
        -------
        tuple
            0, and zeros after.

        Example
        -------
        >>> TailPaddedCodec(40, 20, 9, multiple=160).padding(31900)
        (0, 100)
        """
        return 0, -num_samples % self.multiple


class MaskingSeparator(nn.Module):
    """A mask per face, from a network that sees all faces at once.

    Subclasses give :meth:`separate`. Any number of faces is taken, see
    :mod:`avsep_sb.lobes.bin_faces`, and any length.

    Arguments
    ---------
    embedding_dim : int
        Size of the visual embedding of a face.
    num_sources : int
        Faces, and voices, that one pass is trained for.
    bottleneck_channels : int
        Channels of either stream when it enters :meth:`separate`.
    mask_channels : int
        Channels that :meth:`separate` gives.
    kernel_size : int
        Encoder window in samples, even.
    stride : int, optional
        Hop in samples; half of ``kernel_size`` if not given.
    num_filters : int
        Encoder filters; no say with spectra.
    depth : int
        Scales of the A-FRCNN; the mixture is padded to a multiple of
        lcm(stride, 2^depth) samples, as in the reference.
    codec : str
        "learned" filters, or "spectral"; see
        :class:`avsep_sb.lobes.spectral_codec.SpectralCodec`.
    xavier : bool
        See :class:`TailPaddedCodec`.
    """

    audio_only = False

    def __init__(
        self,
        embedding_dim,
        num_sources,
        bottleneck_channels,
        mask_channels,
        kernel_size,
        stride,
        num_filters,
        depth,
        codec,
        xavier=False,
    ):
        super().__init__()
        if kernel_size < 2 or kernel_size % 2:
            raise ValueError(
                f"kernel_size must be even and at least 2, not {kernel_size}."
            )
        stride = kernel_size // 2 if stride is None else stride
        if stride < 1 or kernel_size % stride:
            raise ValueError(
                f"stride must divide kernel_size ({kernel_size}), but is "
                f"{stride}."
            )
        if num_sources < 1:
            raise ValueError(
                f"num_sources must be at least 1, not {num_sources}."
            )
        if codec == "learned":
            multiple = math.lcm(stride, 2**depth)
            self.codec = TailPaddedCodec(
                kernel_size, stride, num_filters, multiple, xavier
            )
        elif codec == "spectral":
            self.codec = SpectralCodec(kernel_size, stride)
        else:
            raise ValueError(
                f'codec must be "learned" or "spectral", not {codec!r}.'
            )
        self.vpre_channels = embedding_dim
        self.num_sources = num_sources
        num_features = self.codec.num_features
        self.encoder_norm = FrameNorm(num_features)
        self.audio_bottleneck = FrameConv1d(num_features, bottleneck_channels)
        self.video_bottleneck = FrameConv1d(
            num_sources * embedding_dim, bottleneck_channels
        )
        self.mask_act = FramePReLU()
        self.mask_conv = FrameConv1d(mask_channels, num_sources * num_features)

    def forward(self, mix, visual=None, visual_mask=None):
        """Separate a batch of mixtures.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T], any T from 1.
        visual : torch.Tensor
            [B, S, Tv, C], the embedded faces at any frame rate, any S. Equal
            to the reference where S is ``num_sources``; fewer faces leave
            slots empty, and for more the model runs once per face.
        visual_mask : torch.Tensor, optional
            [B, S, Tv], False where no lips were seen: the embedding of such
            frames counts as 0.

        Returns
        -------
        torch.Tensor
            [B, T, S], one waveform per face. Raises ValueError, with one
            sentence, for input that does not fit.
        """
        if mix.dim() != 2 or mix.shape[1] == 0:
            raise ValueError(
                "The mixture must be [batch, samples] with at least one "
                f"sample, but has shape {tuple(mix.shape)}."
            )
        num_batch, num_samples = mix.shape
        visual = check_faces(visual, visual_mask, num_batch, self.vpre_channels)
        if not torch.is_grad_enabled():
            keep_freed_memory()
        num_faces = visual.shape[1]
        slots = place_faces(visual, self.num_sources)
        num_passes = slots.shape[0] // num_batch
        # Faces side by side on the channels, the first one first.
        slots = slots.transpose(2, 3).flatten(1, 2)

        encoded = self.codec.encode(mix)
        features = self.encoder_norm(self.codec.features(encoded))
        audio = self.audio_bottleneck(features)
        # The mixture is encoded once; from here on one item is one pass.
        audio = audio.repeat_interleave(num_passes, 0)
        joint = self.separate(audio, self.video_bottleneck(slots))
        mask = self.mask_conv(self.mask_act(joint))
        mask = F.relu(mask, inplace=not torch.is_grad_enabled())
        mask = mask.unflatten(1, (self.num_sources, -1))
        if num_passes > 1:
            # Each pass gives the voice of the face in its first slot.
            mask = mask[:, 0].unflatten(0, (num_batch, num_passes))
        masked = self.codec.mask(encoded, mask[:, :num_faces])
        return self.codec.decode(masked, num_samples).transpose(1, 2)

    def separate(self, audio, video):
        """Go from the two bottlenecks to the features of the masks.

        Arguments
        ---------
        audio : torch.Tensor
            [N, bottleneck_channels, L]
        video : torch.Tensor
            [N, bottleneck_channels, Tv]

        Returns
        -------
        torch.Tensor
            [N, mask_channels, L]
        """
        raise NotImplementedError

    def reach_frames(self):
        """Tell how many frames to one side the convolutions see in turn.

        Returns
        -------
        int
            Frames of the encoder.
        """
        raise NotImplementedError
