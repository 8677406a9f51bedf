"""The A-FRCNN block as it is described, with no thought of speed.

Frames are repeated, channels concatenated, then filtered; the global layer
norm is its formula. Names of layers are those of ``avsep_sb.lobes.afrcnn``, so
that one state dict serves both. What else BIN and AVLiT have in common, from
the mixture to the voices, stands here too.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.bin_faces import place_faces

EPS = 1e-8


def nearest(x, length):
    """Repeats or leaves out frames of [N, C, T] to a length."""
    return F.interpolate(x, size=length, mode="nearest")


class GlobalNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) over channels and time, gain and bias."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        """Normalise [N, C, T]."""
        mean = x.mean((1, 2), keepdim=True)
        variance = ((x - mean) ** 2).mean((1, 2), keepdim=True)
        x = (x - mean) / (variance + EPS) ** 0.5
        return self.weight[:, None] * x + self.bias[:, None]


class ConvNormAct(nn.Module):
    """1x1 convolution, norm, PReLU."""

    def __init__(self, in_channels, channels):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, channels, 1)
        self.norm = GlobalNorm(channels)
        self.act = nn.PReLU()

    def forward(self, x):
        """From [N, in_channels, T] to [N, channels, T]."""
        return self.act(self.norm(self.conv(x)))


class DepthwiseNorm(nn.Module):
    """Depthwise convolution of 5 frames, norm."""

    def __init__(self, channels, stride):
        super().__init__()
        self.conv = nn.Conv1d(
            channels, channels, 5, stride, padding=2, groups=channels
        )
        self.norm = GlobalNorm(channels)

    def forward(self, x):
        """From [N, C, T] to [N, C, ceil(T / stride)]."""
        return self.norm(self.conv(x))


def adapter(channels):
    """Depthwise 1x1 convolution and PReLU."""
    conv = nn.Conv1d(channels, channels, 1, groups=channels)
    return nn.Sequential(conv, nn.PReLU())


class PlainAFRCNN(nn.Module):
    """The block; see :class:`avsep_sb.lobes.afrcnn.AFRCNN`."""

    def __init__(self, in_channels, channels, depth, residual):
        super().__init__()
        self.depth, self.residual = depth, residual
        self.project = ConvNormAct(in_channels, channels)
        self.scales = nn.ModuleList(
            DepthwiseNorm(channels, 2 if level else 1) for level in range(depth)
        )
        self.from_finer = nn.ModuleList(
            DepthwiseNorm(channels, 2) for _ in range(depth - 1)
        )
        self.neighbours = nn.ModuleList(
            ConvNormAct(
                (3 if 0 < level < depth - 1 else 2) * channels, channels
            )
            for level in range(depth)
        )
        self.merge = ConvNormAct(depth * channels, channels)
        self.output = nn.Conv1d(channels, in_channels, 1)

    def forward(self, x):
        """From [N, in_channels, T] to the same."""
        scales = []
        scale = self.project(x)
        for layer in self.scales:
            scale = layer(scale)
            scales.append(scale)
        joined = []
        for level, scale in enumerate(scales):
            parts = [scale]
            if level > 0:
                parts.insert(0, self.from_finer[level - 1](scales[level - 1]))
            if level < self.depth - 1:
                parts.append(nearest(scales[level + 1], scale.shape[-1]))
            joined.append(self.neighbours[level](torch.cat(parts, 1)))
        length = joined[0].shape[-1]
        fine = [joined[0], *(nearest(scale, length) for scale in joined[1:])]
        result = self.output(self.merge(torch.cat(fine, 1)))
        return result + x if self.residual else result


def plain_block(block):
    """The plain form of an A-FRCNN of ours, without its weights."""
    channels, in_channels, _ = block.project.conv.weight.shape
    return PlainAFRCNN(in_channels, channels, len(block.scales), block.residual)


class PlainMasking(nn.Module):
    """Mixture to voices; subclasses give ``separate``.

    Arguments
    ---------
    net : avsep_sb.lobes.bin_base.MaskingSeparator
        With learned filters; only its sizes are taken.
    """

    def __init__(self, net):
        super().__init__()
        codec = net.codec
        filters, _, kernel = codec.encoder.weight.shape
        width, features, _ = net.audio_bottleneck.weight.shape
        make = {"stride": codec.stride, "padding": kernel // 2, "bias": False}
        self.multiple, self.num_sources = codec.multiple, net.num_sources
        self.vpre_channels = net.vpre_channels
        # Under the names of the lobe.
        self.codec = nn.Module()
        self.codec.encoder = nn.Conv1d(1, filters, kernel, **make)
        self.codec.decoder = nn.ConvTranspose1d(
            filters, 1, kernel, output_padding=codec.stride - 1, **make
        )
        self.encoder_norm = GlobalNorm(features)
        self.audio_bottleneck = nn.Conv1d(features, width, 1)
        self.video_bottleneck = nn.Conv1d(
            net.video_bottleneck.in_channels, width, 1
        )
        self.mask_act = nn.PReLU()
        self.mask_conv = nn.Conv1d(
            net.mask_conv.in_channels, net.mask_conv.out_channels, 1
        )

    def forward(self, mix, visual):
        """[B, T] and [B, S, Tv, C] to [B, T, S].

        With more faces than the model was built for it runs once per face, as
        our lobe does, each time from the mixture on.
        """
        num_faces = visual.shape[1]
        slots = place_faces(visual, self.num_sources)
        num_passes = slots.shape[0] // len(mix)
        voices = self.run(mix.repeat_interleave(num_passes, 0), slots)
        if num_passes > 1:
            return voices[:, 0].unflatten(0, (-1, num_passes)).transpose(1, 2)
        return voices[:, :num_faces].transpose(1, 2)

    def run(self, mix, visual):
        """[N, T] and [N, num_sources, Tv, C] to [N, num_sources, T]."""
        num_samples = mix.shape[-1]
        mix = F.pad(mix, (0, -num_samples % self.multiple))
        encoded = self.codec.encoder(mix.unsqueeze(1))
        audio = self.audio_bottleneck(self.encoder_norm(encoded))
        video = visual.transpose(2, 3).flatten(1, 2)
        joint = self.separate(audio, self.video_bottleneck(video))
        mask = self.mask_conv(self.mask_act(joint))
        mask = F.relu(mask.unflatten(1, (self.num_sources, -1)))
        masked = (mask * encoded.unsqueeze(1)).flatten(0, 1)
        voices = self.codec.decoder(masked).squeeze(1)[:, :num_samples]
        return voices.unflatten(0, (-1, self.num_sources))

    def separate(self, audio, video):
        """[N, C, L] and [N, C, Tv] to what the masks are made of."""
        raise NotImplementedError
