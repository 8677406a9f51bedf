"""IIANet: intra- and inter-attention network for audio-visual separation.

Paper: Li, Yang, Sun and Hu, "IIANet: An Intra- and Inter-Modality Attention
Network for Audio-Visual Speech Separation", ICML 2024. One class covers the
published forms and their ablations; its parts are in ``iianet_blocks``,
``iianet_topdown``, ``iianet_inter``, ``iianet_fusion`` and ``iianet_wave``
beside it.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from avsep_sb.lobes import iianet_engine
from avsep_sb.lobes.cross_face import CrossFace
from avsep_sb.lobes.iianet_blocks import BottomUp, RecurrentGate, SharedPReLU
from avsep_sb.lobes.iianet_fusion import AttentionFusion
from avsep_sb.lobes.iianet_inter import (
    CrossModalFusion,
    InterAttentionMiddle,
    InterAttentionTop,
)
from avsep_sb.lobes.iianet_options import resolve_options
from avsep_sb.lobes.iianet_topdown import PlainTopDown, TopDown
from avsep_sb.lobes.iianet_unused import freeze_unused
from avsep_sb.lobes.iianet_visual import check_lips
from avsep_sb.lobes.iianet_wave import WaveCodec
from avsep_sb.lobes.norms import GlobalLayerNorm
from avsep_sb.lobes.spectral_codec import SpectralCodec

AUDIO_KERNEL = 5
VIDEO_KERNEL = 3


class IIANet(nn.Module):
    """Separates the voice of each face from a mixture.

    Every face is handled by itself (unless ``cross_face``): its lips and the
    mixture go through ``num_av_cycles`` audio-visual and ``num_audio_cycles``
    audio-only cycles (N_F and N_S in the paper) with shared weights, which end
    in a mask on the encoded mixture.

    Arguments
    ---------
    form : str
        "paper": the released graph with InterA-B (Eq. 7) after each
        audio-visual cycle, which has the size that the paper reports.
        "release": the graph of the published weights, without InterA-B.
        "strict": Eqs. 1, 2, 4 and 7 as printed, without the gates and the
        residual that the release adds.
    out_channels : int
        Audio channels between cycles.
    in_channels : int
        Audio channels inside a cycle.
    vpre_channels : int
        Size of the visual embedding that comes in.
    vin_channels : int
        Video channels between and inside cycles.
    num_av_cycles : int
        Audio-visual cycles, at least 1 unless ``audio_only``.
    num_audio_cycles : int
        Audio-only cycles after them.
    depth : int
        Number of scales, at least 2 (D + 1 in the paper).
    kernel_size : int
        Encoder window in samples, even.
    stride : int, optional
        Hop in samples; divides ``kernel_size``; a quarter of it if not given.
    num_filters : int, optional
        Encoder filters; ``kernel_size // 2 + 1`` if not given.
    num_sources : int
        Waveforms from one pass: 1 per face, or all voices if ``audio_only``.
    audio_only : bool
        Separate without lips (App. E), to be trained with PIT.
    official_decoder : bool
        See :class:`avsep_sb.lobes.iianet_wave.WaveCodec`.
    phi_prime : bool
        Use phi' in the global intra-attention (App. A).
    inter_top, inter_middle : bool
        InterA-T and InterA-M (Table 5).
    inter_bottom : bool, optional
        InterA-B (Table 5); if not given, as ``form`` has it.
    control : int, optional
        Control 1 or 2 of App. G: InterA-B as the only link, and for 1 no
        intra-attention either.
    fusion : str, optional
        "sa", "ca" or "sa+ca": attention in place of the InterA-B of control 2
        (Table 6).
    fusion_options : dict, optional
        Further arguments of
        :class:`avsep_sb.lobes.iianet_fusion.AttentionFusion`.
    dropout : float
        Rate in the FFN at the top, and in a fusion.
    drop_path : float
        Chance that a residual branch at the top is left out in training.
    codec : str
        "learned" filters as in the paper, or "spectral": masks on spectra of
        ``kernel_size`` samples, for models that a CPU can train; then
        ``num_filters`` has no say.
    cross_face : int, optional
        Channels of what the faces of a mixture tell each other after every
        cycle (:class:`avsep_sb.lobes.cross_face.CrossFace`); none of it if
        not given, as in the paper.
    solo_prob : float
        With ``cross_face``: share of the training batches without it.
    checkpoint_cycles : bool
        Keep only what enters each cycle for the backward pass, and compute
        the cycle again there: less memory, at the price of
        a second forward pass.

    Example
    -------
    >>> import torch
    >>> net = IIANet(out_channels=8, in_channels=16, vpre_channels=12,
    ...     vin_channels=4, num_av_cycles=2, num_audio_cycles=1, depth=3)
    >>> net(torch.rand(2, 1001), torch.rand(2, 3, 2, 12)).shape
    torch.Size([2, 1001, 3])
    """

    # Whether inference may take the fast path, see iianet_engine.fits.
    fast = True
    # What --compile compiles: one cycle of each kind.
    repeated = ("_av_cycle", "_audio_cycle")

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
        audio_only=False,
        official_decoder=False,
        phi_prime=False,
        inter_top=True,
        inter_middle=True,
        inter_bottom=None,
        control=None,
        fusion=None,
        fusion_options=None,
        dropout=0.1,
        drop_path=0.1,
        codec="learned",
        cross_face=None,
        solo_prob=0.0,
        checkpoint_cycles=False,
    ):
        super().__init__()
        options = resolve_options(
            form=form,
            num_av_cycles=num_av_cycles,
            num_audio_cycles=num_audio_cycles,
            depth=depth,
            kernel_size=kernel_size,
            stride=stride,
            num_filters=num_filters,
            num_sources=num_sources,
            audio_only=audio_only,
            official_decoder=official_decoder,
            phi_prime=phi_prime,
            inter_top=inter_top,
            inter_middle=inter_middle,
            inter_bottom=inter_bottom,
            control=control,
            fusion=fusion,
            cross_face=cross_face,
            solo_prob=solo_prob,
        )
        self.audio_only = audio_only
        self.vpre_channels = vpre_channels
        self.num_sources = num_sources
        self.num_av_cycles = options.num_av_cycles
        self.num_cycles = num_av_cycles + num_audio_cycles
        self.residual = form != "strict"
        self.checkpoint_cycles = checkpoint_cycles

        if codec == "learned":
            self.codec = WaveCodec(
                kernel_size,
                options.stride,
                options.num_filters,
                num_sources,
                official_decoder,
            )
        elif codec == "spectral":
            self.codec = SpectralCodec(kernel_size, options.stride)
        else:
            raise ValueError(
                f'codec must be "learned" or "spectral", not {codec!r}.'
            )
        num_filters = self.codec.num_features
        self.encoder_norm = GlobalLayerNorm(num_filters)
        self.bottleneck = nn.Conv1d(num_filters, out_channels, 1)
        self.mask_act = SharedPReLU()
        self.mask_conv = nn.Conv1d(out_channels, num_sources * num_filters, 1)

        def top_down(channels, stream, resize_top_first):
            if control == 1:
                return PlainTopDown(channels, stream)
            return TopDown(
                channels,
                stream,
                depth,
                resize_top_first=resize_top_first,
                strict=form == "strict",
                phi_prime=phi_prime,
            )

        self.audio_bottom_up = BottomUp(
            out_channels, in_channels, depth, AUDIO_KERNEL, SharedPReLU()
        )
        self.top = InterAttentionTop(
            in_channels,
            None if audio_only else vin_channels,
            linked=options.inter_top,
            strict=form == "strict",
            dropout=dropout,
            drop_path=drop_path,
        )
        self.audio_top_down = top_down(in_channels, out_channels, True)
        self.audio_gate = (
            RecurrentGate(out_channels, SharedPReLU())
            if self.residual
            else None
        )
        self.middle = self.bottom = self.cross_face = None
        if audio_only:
            return
        if cross_face is not None:
            self.cross_face = CrossFace(out_channels, cross_face, solo_prob)
        self.visual_projection = nn.Conv1d(
            vpre_channels, vin_channels, 3, padding=1
        )
        self.video_bottom_up = BottomUp(
            vin_channels, vin_channels, depth, VIDEO_KERNEL, nn.GELU()
        )
        self.video_top_down = top_down(vin_channels, vin_channels, False)
        self.video_gate = (
            RecurrentGate(vin_channels, nn.ReLU()) if self.residual else None
        )
        if options.inter_middle:
            self.middle = InterAttentionMiddle(
                in_channels, vin_channels, depth, strict=form == "strict"
            )
        if fusion is not None:
            self.bottom = AttentionFusion(
                out_channels,
                vin_channels,
                fusion,
                **{"dropout": dropout, **(fusion_options or {})},
            )
        elif options.inter_bottom:
            self.bottom = CrossModalFusion(out_channels, vin_channels)
        freeze_unused(self)

    def forward(self, mix, visual=None, visual_mask=None):
        """Separate a batch of mixtures.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T], any T from 1.
        visual : torch.Tensor, optional
            [B, S, Tv, C], the embedded lips of S faces at any frame rate; not
            looked at by an audio-only model.
        visual_mask : torch.Tensor, optional
            [B, S, Tv], False where no lips were seen: the embedding of such
            frames counts as 0.

        Returns
        -------
        torch.Tensor
            [B, T, S], one waveform per face, or ``num_sources`` of them.
        """
        if mix.dim() != 2 or mix.shape[1] == 0:
            raise ValueError(
                "The mixture must be [batch, samples] with at least one "
                f"sample, but has shape {tuple(mix.shape)}."
            )
        num_batch, num_samples = mix.shape
        encoded = self.codec.encode(mix)
        audio = self.bottleneck(self.encoder_norm(self.codec.features(encoded)))
        video, faces = None, 1
        if not self.audio_only:
            video = self._embed(visual, visual_mask, num_batch)
            # The mixture is encoded once; from here on one item is one face.
            faces = video.shape[0] // num_batch
            if faces > 1:
                audio = audio.repeat_interleave(faces, 0)
        if self.fast:
            audio = iianet_engine.arrange(self, audio)
        audio = self.separate(audio, video, faces)
        mask = torch.relu(self.mask_conv(self.mask_act(audio)))
        shape = (self.codec.num_features, encoded.shape[-1])
        mask = mask.reshape(num_batch, -1, *shape)
        waves = self.codec.decode(self.codec.mask(encoded, mask), num_samples)
        return waves.transpose(1, 2)

    def separate(self, audio, video=None, faces=1):
        """Run all cycles.

        Arguments
        ---------
        audio : torch.Tensor
            [N, out_channels, L]
        video : torch.Tensor, optional
            [N, vin_channels, Tv]; required unless the model is audio-only.
        faces : int
            Faces of each mixture, one after the other in N; only
            ``cross_face`` looks at it.

        Returns
        -------
        torch.Tensor
            [N, out_channels, L]
        """
        solo = self.cross_face is not None and self.cross_face.draw_solo()
        if self.fast and not solo and iianet_engine.fits(self, audio):
            return iianet_engine.separate(self, audio, video, faces)
        first_audio, first_video = audio, video
        for cycle in range(self.num_cycles):
            with_video = cycle < self.num_av_cycles
            if cycle > 0 and self.residual:
                audio = self.audio_gate(audio, first_audio)
                if with_video:
                    video = self.video_gate(video, first_video)
            if with_video:
                last = cycle == self.num_av_cycles - 1
                audio, video = self._run(self._av_cycle, audio, video, last)
            else:
                audio = self._run(self._audio_cycle, audio)
            if self.cross_face is not None:
                audio = self.cross_face(audio, faces, solo)
        return audio

    def _run(self, cycle, *inputs):
        """Run a cycle, and keep of it what is wanted for gradients."""
        if self.checkpoint_cycles and torch.is_grad_enabled():
            return checkpoint(cycle, *inputs, use_reentrant=False)
        return cycle(*inputs)

    def _audio_cycle(self, audio):
        """One cycle without lips."""
        scales, pooled = self.audio_bottom_up(audio)
        scales = self.audio_top_down.spread(scales, self.top.audio(pooled))
        return self._merge(self.audio_top_down, scales, audio)

    def _av_cycle(self, audio, video, last):
        """One cycle with lips; after the last one no video is returned."""
        scales, pooled = self.audio_bottom_up(audio)
        lip_scales, lip_pooled = self.video_bottom_up(video)
        # After the last of these cycles only what still reaches the audio
        # is worth computing.
        need_stream = not last or self.bottom is not None
        need_scales = need_stream or self.middle is not None
        top, lip_top = self.top(pooled, lip_pooled, need_video=need_scales)
        scales = self.audio_top_down.spread(scales, top)
        if need_scales:
            lip_scales = self.video_top_down.spread(lip_scales, lip_top)
        if self.middle is not None:
            scales = self.middle(scales, lip_scales)
        audio = self._merge(self.audio_top_down, scales, audio)
        if not need_stream:
            return audio, None
        video = self._merge(self.video_top_down, lip_scales, video)
        if self.bottom is not None:
            return self.bottom(audio, video, need_video=not last)
        return audio, video

    def _merge(self, top_down, scales, stream):
        """Join the scales and add what entered the cycle."""
        merged = top_down.merge(scales)
        return merged + stream if self.residual else merged

    def _embed(self, visual, visual_mask, num_batch):
        """Check the lips and project them: [B*S, vin_channels, Tv]."""
        visual = check_lips(
            visual,
            visual_mask,
            num_batch,
            self.vpre_channels,
            self.num_sources,
        )
        return self.visual_projection(visual.flatten(0, 1).transpose(1, 2))
