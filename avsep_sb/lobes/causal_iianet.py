"""A causal IIANet, for sound and lips that are still coming in.

Same graph as :class:`avsep_sb.lobes.iianet.IIANet` of form "paper" (Li, Yang,
Sun and Hu, "IIANet", ICML 2024), whose weights fit by name and shape. What
changes from the paper:

- convolutions look back: their windows end at their frame;
- the statistics of all norms are of what was heard so far, and forget;
- a coarse frame ends at its time: it is a filter, or a mean, over the frames
  before; it is held until the next one, as lips are;
- what the lips take from the sound is the newest frame, not the nearest;
- lips are at one rate, a whole number of audio frames per video frame;
- spectra in place of learned filters, as in the models for CPUs;
- ``LookAhead``, a convolution over the next frames of the encoded mixture,
  is the one layer that sees the future.

Authors
 * avsep_sb contributors
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.causal_blocks import CausalConv1d, CausalConvNorm
from avsep_sb.lobes.causal_inter import CausalFusion, LookAhead
from avsep_sb.lobes.causal_layers import (
    CausalBottomUp,
    CausalFeedForward,
    CausalResidual,
    CausalTopDown,
)
from avsep_sb.lobes.causal_memory import Memory, Span, hold
from avsep_sb.lobes.causal_norm import CumulativeNorm
from avsep_sb.lobes.iianet import AUDIO_KERNEL, VIDEO_KERNEL
from avsep_sb.lobes.iianet_blocks import RecurrentGate
from avsep_sb.lobes.iianet_visual import check_lips
from avsep_sb.lobes.spectral_codec import SpectralCodec


class CausalIIANet(nn.Module):
    """Separates the voice of each face as sound and lips come in.

    Arguments
    ---------
    out_channels, in_channels : int
        Audio channels between cycles, and inside.
    vpre_channels, vin_channels : int
        Channels of the visual embedding that comes in, and of the video.
    num_av_cycles, num_audio_cycles : int
        Audio-visual cycles, at least 1, and audio-only cycles.
    depth : int
        Number of scales, at least 2.
    kernel_size, stride : int
        Window and hop of the spectra, in samples.
    look_ahead : int
        Frames (hops) of sound that are heard before one is separated.
    norm_seconds : float, optional
        After so long a frame counts 1/e in the statistics of the norms; None
        never forgets (cumulative layer norm as published).
    sample_rate : int
        Samples per second.
    video_fps : int
        Video frames per second.

    Example
    -------
    >>> net = CausalIIANet(8, 16, 12, 4, 2, 1, depth=3)
    >>> net(torch.rand(2, 6400), torch.rand(2, 3, 10, 12)).shape
    torch.Size([2, 6400, 3])
    >>> net.latency_samples
    1791
    """

    def __init__(
        self,
        out_channels=192,
        in_channels=384,
        vpre_channels=128,
        vin_channels=64,
        num_av_cycles=3,
        num_audio_cycles=2,
        depth=4,
        kernel_size=512,
        stride=128,
        look_ahead=10,
        norm_seconds=2.0,
        sample_rate=16000,
        video_fps=25,
    ):
        super().__init__()
        lips = sample_rate // (stride * video_fps)
        if lips * stride * video_fps != sample_rate or not lips:
            raise ValueError(
                f"A video frame ({sample_rate} / {video_fps} samples) must "
                f"hold a whole number of hops; {stride} does not fit."
            )
        if num_av_cycles < 1 or num_audio_cycles < 0 or depth < 2:
            raise ValueError(
                "num_av_cycles must be at least 1, num_audio_cycles at least "
                f"0 and depth at least 2, not {num_av_cycles}, "
                f"{num_audio_cycles} and {depth}."
            )
        if look_ahead < 0 or (norm_seconds is not None and norm_seconds <= 0):
            raise ValueError(
                "look_ahead must not be negative, and norm_seconds must be "
                f"above 0 or none, not {look_ahead} and {norm_seconds}."
            )
        #: audio frames for each video frame
        self.lip_period = lips
        self.sample_rate, self.video_fps = sample_rate, video_fps
        self.audio_only = False
        self.vpre_channels = vpre_channels
        self.look_ahead = look_ahead
        self.num_av_cycles = num_av_cycles
        self.num_cycles = num_av_cycles + num_audio_cycles
        self.codec = SpectralCodec(kernel_size, stride)

        def decay(period):
            if norm_seconds is None:
                return 1.0
            return math.exp(-period * stride / sample_rate / norm_seconds)

        sound = [decay(1 << level) for level in range(depth)]
        sight = [decay(lips << level) for level in range(depth)]
        num_filters = self.codec.num_features
        wide, narrow = in_channels, out_channels
        self.encoder_norm = CumulativeNorm(num_filters, sound[0])
        self.bottleneck = CausalConv1d(num_filters, narrow, 1)
        self.ahead = LookAhead(narrow, look_ahead) if look_ahead else None
        self.mask_act = nn.PReLU()
        self.mask_conv = nn.Conv1d(narrow, num_filters, 1)
        self.audio_bottom_up = CausalBottomUp(
            narrow, wide, sound, AUDIO_KERNEL, nn.PReLU()
        )
        self.top = nn.ModuleDict(
            {
                "fusion": CausalFusion(
                    wide,
                    vin_channels,
                    sound[-1],
                    sight[-1],
                    1 << (depth - 1),
                    lips << (depth - 1),
                ),
                "audio": CausalResidual(
                    wide, CausalFeedForward(wide, sound[-1]), sound[-1]
                ),
                "video": CausalResidual(
                    vin_channels,
                    CausalConvNorm(vin_channels, vin_channels, 3, sight[-1]),
                    sight[-1],
                ),
            }
        )
        self.audio_top_down = CausalTopDown(wide, narrow, sound)
        self.audio_gate = RecurrentGate(narrow, nn.PReLU())
        self.visual_projection = CausalConv1d(vpre_channels, vin_channels, 3)
        self.video_bottom_up = CausalBottomUp(
            vin_channels, vin_channels, sight, VIDEO_KERNEL, nn.GELU(), lips
        )
        self.video_top_down = CausalTopDown(
            vin_channels, vin_channels, sight, lips
        )
        self.video_gate = RecurrentGate(vin_channels, nn.ReLU())
        self.middle = nn.ModuleDict(
            {
                "scales": nn.ModuleList(
                    CausalConvNorm(vin_channels, wide, 3, rate)
                    for rate in sight
                )
            }
        )
        self.bottom = CausalFusion(
            narrow, vin_channels, sound[0], sight[0], 1, lips
        )
        for gate, cycles in (
            (self.audio_gate, self.num_cycles),
            (self.video_gate, num_av_cycles),
        ):
            if cycles == 1:  # it never runs
                gate.requires_grad_(False)

    @property
    def latency_samples(self):
        """int: how much later than a sample its separation can be had.

        The last window that a sample lies under must be complete, and
        ``look_ahead`` windows more; the lips of that time are known by then
        if their net looks no further ahead than
        :meth:`latency_with_lips` allows.
        """
        return self.codec.kernel_size - 1 + self.look_ahead * self.codec.stride

    def latency_with_lips(self, lip_look_ahead=0):
        """Tell the latency beside a lip net that looks ahead.

        Arguments
        ---------
        lip_look_ahead : int
            Video frames that the lip net wants after one to embed it; a
            frame is known at its time stamp.

        Returns
        -------
        int
            Samples.
        """
        half = self.codec.kernel_size // 2
        frame = self.lip_period * self.codec.stride
        return max(self.latency_samples, half + lip_look_ahead * frame)

    def forward(self, mix, visual=None, visual_mask=None):
        """Separate a batch of whole mixtures.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T], any T from 1.
        visual : torch.Tensor
            [B, S, Tv, C], the embedded lips of S faces at ``video_fps``;
            video frames that are not there count as unseen.
        visual_mask : torch.Tensor, optional
            [B, S, Tv], False where no lips were seen: the embedding of such
            frames counts as 0.

        Returns
        -------
        torch.Tensor
            [B, T, S]
        """
        if mix.dim() != 2 or mix.shape[1] == 0:
            raise ValueError(
                "The mixture must be [batch, samples] with at least one "
                f"sample, but has shape {tuple(mix.shape)}."
            )
        visual = check_lips(visual, visual_mask, len(mix), self.vpre_channels)
        faces = visual.shape[1]
        encoded = self.codec.encode(mix)
        length = encoded.shape[-1]
        audio = self.listen(encoded, Memory(), last=True)
        audio = audio.repeat_interleave(faces, 0)
        video = visual.flatten(0, 1).transpose(1, 2)
        missing = -(-length // self.lip_period) - video.shape[-1]
        video = F.pad(video, (0, missing))
        mask = self.masks(audio, video, self.memories(), Span(0, length))
        mask = mask.unflatten(0, (-1, faces))
        waves = self.codec.decode(self.codec.mask(encoded, mask), mix.shape[1])
        return waves.transpose(1, 2)

    def memories(self):
        """Give the empty memory of each cycle, for :meth:`masks`.

        Returns
        -------
        list of Memory
        """
        return [Memory() for _ in range(self.num_cycles)]

    def listen(self, encoded, memory, last=False):
        """Make what the cycles start from, ``look_ahead`` frames late.

        Arguments
        ---------
        encoded : torch.Tensor
            [B, 2 F, n], the next spectra.
        memory : Memory
            The past, of its own.
        last : bool
            Whether nothing follows: then no frame is kept back.

        Returns
        -------
        torch.Tensor
            [B, out_channels, n'], any number of frames.
        """
        audio = self.encoder_norm(self.codec.features(encoded), memory)
        audio = self.bottleneck(audio, memory)
        if self.ahead is None:
            return audio
        if last:
            audio = F.pad(audio, (0, self.look_ahead))
        return self.ahead(audio, memory)

    def masks(self, audio, video, memories, span):
        """Make the masks of a piece.

        Arguments
        ---------
        audio : torch.Tensor
            [N, out_channels, T], of :meth:`listen`, a row for each face.
        video : torch.Tensor
            [N, C, Tv], embedded lips of the video frames that begin in the
            piece, 0 where no lips were seen.
        memories : list of Memory
            Of :meth:`memories`, with the past.
        span : Span
            Which audio frames these are.

        Returns
        -------
        torch.Tensor
            [N, F, T]
        """
        video = self.visual_projection(video, memories[0])
        first_audio, first_video = audio, video
        for cycle, memory in enumerate(memories):
            if cycle > 0:
                audio = self.audio_gate(audio, first_audio)
            if cycle >= self.num_av_cycles:
                audio = self._audio_cycle(audio, memory, span)
                continue
            if cycle > 0:
                video = self.video_gate(video, first_video)
            last = cycle == self.num_av_cycles - 1
            audio, video = self._av_cycle(audio, video, memory, span, last)
        return torch.relu(self.mask_conv(self.mask_act(audio)))

    def _audio_cycle(self, audio, memory, span):
        """One cycle without lips."""
        scales, pooled = self.audio_bottom_up(audio, memory, span)
        top = self._top("audio", pooled, memory)
        scales = self.audio_top_down.spread(scales, top, memory, span)
        return audio + self.audio_top_down.merge(scales, memory, span)

    def _av_cycle(self, audio, video, memory, span, last):
        """One cycle with lips; after the last one no video is returned."""
        scales, pooled = self.audio_bottom_up(audio, memory, span)
        lips, lip_pooled = self.video_bottom_up(video, memory, span)
        pooled, lip_pooled = self.top["fusion"](
            pooled, lip_pooled, memory, span
        )
        top = self._top("audio", pooled, memory)
        lip_top = self._top("video", lip_pooled, memory)
        scales = self.audio_top_down.spread(scales, top, memory, span)
        lips = self.video_top_down.spread(lips, lip_top, memory, span)
        scales = [
            self._gate(level, sound, lip, memory, span)
            for level, (sound, lip) in enumerate(zip(scales, lips, strict=True))
        ]
        audio = audio + self.audio_top_down.merge(scales, memory, span)
        video = video + self.video_top_down.merge(lips, memory, span)
        return self.bottom(audio, video, memory, span, need_video=not last)

    def _top(self, kind, pooled, memory):
        """The net at the top of one modality; nothing for no frames."""
        if pooled.shape[-1] == 0:
            return pooled
        return self.top[kind](pooled, memory)

    def _gate(self, level, sound, lips, memory, span):
        """Lips gate one scale of the sound (InterA-M, Eq. 4)."""
        layer = self.middle["scales"][level]
        if lips.shape[-1]:
            gate = 1.0 + torch.sigmoid(layer(lips, memory))
        else:
            gate = lips.new_empty(len(lips), sound.shape[1], 0)
        coarse, fine = self.lip_period << level, 1 << level
        return sound * hold(gate, memory, layer, span, coarse, fine)
