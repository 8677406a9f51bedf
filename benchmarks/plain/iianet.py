"""IIANet module by module: the yardstick that the package's one is timed by.

The graph of the public release (and, for ``form="paper"``, InterA-B after
each audio-visual cycle) written as it reads: every convolution is a
convolution, every norm a group norm, every resize happens at full length even
where nothing changes, every face is a batch element from the encoder on, and
the video stream is computed to the end. 811 convolutions, 753 norms and 468
resizes make one pass of the release. Weights are those of
:class:`avsep_sb.lobes.iianet.IIANet`, by the same names.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn


def nearest(x, length):
    """Nearest-neighbour resize, always carried out."""
    return F.interpolate(x, size=length, mode="nearest")


class ConvGLN(nn.Module):
    """Convolution, group norm of one group, activation."""

    def __init__(self, cin, cout, k=1, stride=1, groups=1, bias=False):
        super().__init__()
        self.conv = nn.Conv1d(cin, cout, k, stride, k // 2, 1, groups, bias)
        self.norm = nn.GroupNorm(1, cout, eps=1e-8)
        self.act = nn.Identity()

    def forward(self, x):
        """One layer, [N, C, T] to [N, C', T']."""
        return self.act(self.norm(self.conv(x)))


def depthwise(channels, k, stride=1, bias=False):
    """A depthwise :class:`ConvGLN`."""
    return ConvGLN(channels, channels, k, stride, channels, bias)


class BottomUp(nn.Module):
    """Projection, strided depthwise convolutions, pooled sum."""

    def __init__(self, cin, channels, depth, k, act):
        super().__init__()
        self.project = ConvGLN(cin, channels, bias=True)
        self.project.act = act
        self.scales = nn.ModuleList(
            depthwise(channels, k, 1 if i == 0 else 2, True)
            for i in range(depth)
        )

    def forward(self, x):
        """Scales, finest first, and their pooled sum."""
        x = self.project(x)
        scales = []
        for layer in self.scales:
            x = layer(x)
            scales.append(x)
        return scales, sum(
            F.adaptive_avg_pool1d(scale, x.shape[-1]) for scale in scales
        )


class IntraA(nn.Module):
    """GLN(DW(l)) * up(sigma(GLN(DW(g)))) + up(GLN(DW(g)))."""

    def __init__(self, channels, k):
        super().__init__()
        self.local = depthwise(channels, k)
        self.gate = depthwise(channels, k)
        self.value = depthwise(channels, k)

    def forward(self, fine, coarse):
        """Attend: [N, C, T] and [N, C, T'] to [N, C, T]."""
        length = fine.shape[-1]
        gate = nearest(torch.sigmoid(self.gate(coarse)), length)
        value = nearest(self.value(coarse), length)
        return self.local(fine) * gate + value


class TopDown(nn.Module):
    """Global and local intra-attention; audio resizes the top first."""

    def __init__(self, channels, cout, depth, resize_top):
        super().__init__()
        self.resize_top = resize_top
        self.from_top = nn.ModuleList(IntraA(channels, 1) for _ in range(depth))
        self.between = nn.ModuleList(
            IntraA(channels, 5) for _ in range(depth - 1)
        )
        self.project = nn.Conv1d(channels, cout, 1)

    def spread(self, scales, top):
        """Global attention to every scale."""
        return [
            attend(s, nearest(top, s.shape[-1]) if self.resize_top else top)
            for attend, s in zip(self.from_top, scales, strict=True)
        ]

    def merge(self, scales, stream):
        """Local attention from the coarsest scale to the finest."""
        x = scales[-1]
        for i in range(len(scales) - 2, -1, -1):
            x = self.between[i](scales[i], x)
        return self.project(x) + stream


class CrossModal(nn.Module):
    """x + W(up(other) * sigma(M(x))), for both modalities."""

    def __init__(self, ca, cv):
        super().__init__()
        self.to_audio = ConvGLN(cv, ca, bias=True)
        self.to_video = ConvGLN(ca, cv, bias=True)
        self.audio_gate = ConvGLN(ca, cv, 3)
        self.video_gate = ConvGLN(cv, ca, 5)

    def forward(self, a, v):
        """Both modalities after the exchange."""
        gate_a = torch.sigmoid(self.audio_gate(a))
        gate_v = torch.sigmoid(self.video_gate(v))
        return (
            a + self.to_audio(nearest(v, a.shape[-1]) * gate_a),
            v + self.to_video(nearest(a, v.shape[-1]) * gate_v),
        )


class MLP(nn.Module):
    """Widen, depthwise filter, ReLU, narrow."""

    def __init__(self, channels):
        super().__init__()
        wide = 2 * channels
        self.widen = ConvGLN(channels, wide)
        self.filter = nn.Conv1d(wide, wide, 5, padding=2, groups=wide)
        self.narrow = ConvGLN(wide, channels)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        """[N, C, T] to [N, C, T]."""
        x = self.dropout(torch.relu(self.filter(self.widen(x))))
        return self.dropout(self.narrow(x))


class Residual(nn.Module):
    """Two residual branches, each dropped for whole items in training."""

    def __init__(self, channels, second):
        super().__init__()
        self.first = ConvGLN(channels, channels, 3)
        self.second = second

    def drop_path(self, x):
        """Stochastic depth of rate 0.1."""
        if not self.training:
            return x
        return x * (torch.rand(x.shape[0], 1, 1) >= 0.1) / 0.9

    def forward(self, x):
        """[N, C, T] to [N, C, T]."""
        x = x + self.drop_path(self.first(x))
        return x + self.drop_path(self.second(x))


class Top(nn.Module):
    """InterA-T: the modalities meet, then the FFNs."""

    def __init__(self, ca, cv):
        super().__init__()
        self.fusion = CrossModal(ca, cv)
        self.audio = Residual(ca, MLP(ca))
        self.video = Residual(cv, ConvGLN(cv, cv, 3))

    def forward(self, a, v):
        """Top features of both modalities."""
        a, v = self.fusion(a, v)
        return self.audio(a), self.video(v)


class Middle(nn.Module):
    """InterA-M: A + sigma(up(GLN(conv(V)))) * A."""

    def __init__(self, ca, cv, depth):
        super().__init__()
        self.scales = nn.ModuleList(ConvGLN(cv, ca, 3) for _ in range(depth))

    def forward(self, audio, video):
        """Audio scales under the guidance of the video scales."""
        guides = [conv(v) for conv, v in zip(self.scales, video, strict=True)]
        return [
            a + torch.sigmoid(nearest(m, a.shape[-1])) * a
            for a, m in zip(audio, guides, strict=True)
        ]


class Gate(nn.Module):
    """act(DW1(x + first))."""

    def __init__(self, channels, act):
        super().__init__()
        self.scale = nn.Conv1d(channels, channels, 1, groups=channels)
        self.act = act

    def forward(self, x, first):
        """Join the stream and the first features."""
        return self.act(self.scale(x + first))


class Codec(nn.Module):
    """Learned filters of ``k`` samples with a hop, and the way back."""

    def __init__(self, k, stride, filters, joint):
        super().__init__()
        conv = {"stride": stride, "padding": k // 2, "bias": False}
        self.encoder = nn.Conv1d(1, filters, k, **conv)
        self.decoder = nn.ConvTranspose1d(joint * filters, joint, k, **conv)


class PlainIIANet(nn.Module):
    """The yardstick: forms "paper" and "release" without any short cut.

    Arguments
    ---------
    form, out_channels, in_channels, vpre_channels, vin_channels,
    num_av_cycles, num_audio_cycles, depth, kernel_size, stride, num_filters,
    num_sources, official_decoder
        As for :class:`avsep_sb.lobes.iianet.IIANet`.
    """

    def __init__(
        self,
        form="paper",
        out_channels=128,
        in_channels=512,
        vpre_channels=512,
        vin_channels=64,
        num_av_cycles=4,
        num_audio_cycles=12,
        depth=5,
        kernel_size=16,
        stride=None,
        num_filters=None,
        num_sources=1,
        official_decoder=False,
    ):
        super().__init__()
        if form not in ("paper", "release"):
            raise ValueError(f'form is "paper" or "release", not {form!r}.')
        stride = stride or kernel_size // 4
        filters = num_filters or kernel_size // 2 + 1
        self.kernel_size, self.stride, self.filters = (
            kernel_size,
            stride,
            filters,
        )
        self.num_sources = num_sources
        self.joint = num_sources if official_decoder else 1
        self.num_av_cycles = num_av_cycles
        self.num_cycles = num_av_cycles + num_audio_cycles
        c, h, v = out_channels, in_channels, vin_channels
        self.codec = Codec(kernel_size, stride, filters, self.joint)
        self.encoder_norm = nn.GroupNorm(1, filters, eps=1e-8)
        self.bottleneck = nn.Conv1d(filters, c, 1)
        self.mask_act = nn.PReLU()
        self.mask_conv = nn.Conv1d(c, num_sources * filters, 1)
        self.visual_projection = nn.Conv1d(vpre_channels, v, 3, padding=1)
        self.audio_bottom_up = BottomUp(c, h, depth, 5, nn.PReLU())
        self.video_bottom_up = BottomUp(v, v, depth, 3, nn.GELU())
        self.top = Top(h, v)
        self.middle = Middle(h, v, depth)
        self.audio_top_down = TopDown(h, c, depth, True)
        self.video_top_down = TopDown(v, v, depth, False)
        self.audio_gate = Gate(c, nn.PReLU())
        self.video_gate = Gate(v, nn.ReLU())
        self.bottom = CrossModal(c, v) if form == "paper" else None

    def forward(self, mix, visual):
        """Separate: [B, T] and [B, S, Tv, C] to [B, T, S]."""
        num_batch, num_samples = mix.shape
        faces = visual.shape[1]
        mix = mix.repeat_interleave(faces, 0)
        k, edge = self.kernel_size, self.kernel_size - self.stride
        rest = k - (self.stride + num_samples % k) % k
        padded = F.pad(mix, (edge, rest + edge)).unsqueeze(1)
        encoded = self.codec.encoder(padded)
        audio = self.bottleneck(self.encoder_norm(encoded))
        video = self.visual_projection(visual.flatten(0, 1).transpose(1, 2))
        audio = self.cycles(audio, video)
        mask = torch.relu(self.mask_conv(self.mask_act(audio)))
        masked = mask.unflatten(1, (-1, self.filters)) * encoded.unsqueeze(1)
        frames = masked.shape[-1]
        waves = self.codec.decoder(
            masked.reshape(-1, self.joint * self.filters, frames)
        )
        waves = waves[..., edge : edge + num_samples]
        return waves.reshape(num_batch, -1, num_samples).transpose(1, 2)

    def cycles(self, audio, video):
        """All cycles, [N, C, L] and [N, Cv, Tv] to [N, C, L]."""
        first_audio, first_video = audio, video
        for cycle in range(self.num_cycles):
            sees = cycle < self.num_av_cycles
            if cycle > 0:
                audio = self.audio_gate(audio, first_audio)
            scales, pooled = self.audio_bottom_up(audio)
            if not sees:
                scales = self.audio_top_down.spread(
                    scales, self.top.audio(pooled)
                )
                audio = self.audio_top_down.merge(scales, audio)
                continue
            if cycle > 0:
                video = self.video_gate(video, first_video)
            lips, lip_pooled = self.video_bottom_up(video)
            top, lip_top = self.top(pooled, lip_pooled)
            lips = self.video_top_down.spread(lips, lip_top)
            scales = self.audio_top_down.spread(scales, top)
            scales = self.middle(scales, lips)
            video = self.video_top_down.merge(lips, video)
            audio = self.audio_top_down.merge(scales, audio)
            if self.bottom is not None:
                audio, video = self.bottom(audio, video)
        return audio
