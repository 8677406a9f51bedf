"""Where sound and lips meet in IIANet: InterA-T, InterA-M and InterA-B.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

from avsep_sb.lobes.iianet_blocks import ConvNorm
from avsep_sb.lobes.iianet_ffn import FeedForward, ResidualFFN
from avsep_sb.lobes.resize import resize


class CrossModalFusion(nn.Module):
    """Each modality takes from the other what it lets through (Eq. 7).

    This is InterA-B; the release has the same in its InterA-T.

    Arguments
    ---------
    audio_channels : int
        Channels of the audio feature.
    video_channels : int
        Channels of the video feature.

    Example
    -------
    >>> import torch
    >>> fuse = CrossModalFusion(8, 4)
    >>> audio, video = fuse(torch.rand(2, 8, 20), torch.rand(2, 4, 5))
    >>> audio.shape, video.shape
    (torch.Size([2, 8, 20]), torch.Size([2, 4, 5]))
    """

    def __init__(self, audio_channels, video_channels):
        super().__init__()
        self.to_audio = ConvNorm(video_channels, audio_channels, bias=True)
        self.to_video = ConvNorm(audio_channels, video_channels, bias=True)
        self.audio_gate = ConvNorm(audio_channels, video_channels, 3)
        self.video_gate = ConvNorm(video_channels, audio_channels, 5)

    def forward(self, audio, video, need_video=True):
        """Exchange.

        Arguments
        ---------
        audio : torch.Tensor
            [N, Ca, Ta]
        video : torch.Tensor
            [N, Cv, Tv]
        need_video : bool
            Whether the new video feature will be used.

        Returns
        -------
        tuple
            Audio [N, Ca, Ta] and video [N, Cv, Tv], or None in its place.
        """
        gate = torch.sigmoid(self.audio_gate(audio))
        new_audio = audio + self.to_audio(resize(video, audio.shape[-1]) * gate)
        if not need_video:
            return new_audio, None
        gate = torch.sigmoid(self.video_gate(video))
        heard = resize(audio, video.shape[-1])
        return new_audio, video + self.to_video(heard * gate)

    def for_video(self):
        """Give the layers that only the new video feature needs."""
        return [self.to_video, self.video_gate]


class ProductGate(nn.Module):
    """Each modality is gated by the other (Eq. 1 as printed, before the FFN).

    Arguments
    ---------
    audio_channels : int
        Channels of the audio feature.
    video_channels : int
        Channels of the video feature.

    Example
    -------
    >>> import torch
    >>> gate = ProductGate(8, 4)
    >>> audio, video = gate(torch.rand(2, 8, 20), torch.rand(2, 4, 5))
    >>> audio.shape, video.shape
    (torch.Size([2, 8, 20]), torch.Size([2, 4, 5]))
    """

    def __init__(self, audio_channels, video_channels):
        super().__init__()
        self.audio_gate = ConvNorm(video_channels, audio_channels)
        self.video_gate = ConvNorm(audio_channels, video_channels)

    def forward(self, audio, video, need_video=True):
        """Gate.

        Arguments
        ---------
        audio : torch.Tensor
            [N, Ca, Ta]
        video : torch.Tensor
            [N, Cv, Tv]
        need_video : bool
            Whether the new video feature will be used.

        Returns
        -------
        tuple
            Audio [N, Ca, Ta] and video [N, Cv, Tv], or None in its place.
        """
        gate = torch.sigmoid(self.audio_gate(video))
        new_audio = audio * resize(gate, audio.shape[-1])
        if not need_video:
            return new_audio, None
        gate = torch.sigmoid(self.video_gate(audio))
        return new_audio, video * resize(gate, video.shape[-1])

    def for_video(self):
        """Give the layers that only the new video feature needs."""
        return [self.video_gate]


class InterAttentionMiddle(nn.Module):
    """Lips gate the sound at every scale (InterA-M, Eq. 4).

    Arguments
    ---------
    audio_channels : int
        Channels of the audio scales.
    video_channels : int
        Channels of the video scales.
    depth : int
        Number of scales.
    strict : bool
        Eq. 4 as printed: resize, then convolve, and the product replaces the
        audio scale. The release convolves first and adds the product to it.

    Example
    -------
    >>> import torch
    >>> middle = InterAttentionMiddle(8, 4, depth=1)
    >>> middle([torch.rand(2, 8, 20)], [torch.rand(2, 4, 5)])[0].shape
    torch.Size([2, 8, 20])
    """

    def __init__(self, audio_channels, video_channels, depth, strict=False):
        super().__init__()
        self.strict = strict
        self.scales = nn.ModuleList(
            ConvNorm(video_channels, audio_channels, 3) for _ in range(depth)
        )

    def forward(self, audio, video):
        """Gate each audio scale by the video scale of the same level.

        Arguments
        ---------
        audio : list
            Of [N, Ca, Ta_i], finest first.
        video : list
            Of [N, Cv, Tv_i], finest first.

        Returns
        -------
        list
            Of [N, Ca, Ta_i].
        """
        return [
            self.gate(layer, sound, lips)
            for layer, sound, lips in zip(
                self.scales, audio, video, strict=True
            )
        ]

    def gate(self, layer, sound, lips):
        """Gate one scale."""
        length = sound.shape[-1]
        if self.strict:
            return sound * torch.sigmoid(layer(resize(lips, length)))
        # Gate at the video rate: 1 + sigmoid needs no neighbours.
        return sound * resize(1.0 + torch.sigmoid(layer(lips)), length)


class InterAttentionTop(nn.Module):
    """The top of both pyramids: modalities meet, then an FFN (InterA-T).

    Arguments
    ---------
    audio_channels : int
        Channels of the pooled audio feature.
    video_channels : int or None
        Channels of the pooled video feature; None for an audio-only model.
    linked : bool
        Let the modalities meet; otherwise each goes to its FFN alone.
    strict : bool
        Eq. 1 as printed: gates by product, and the plain FFN in both
        modalities. The release adds as in Eq. 7 and has residual FFNs.
    dropout : float
        Rate in the FFN.
    drop_path : float
        Chance of an item to lose a residual branch.

    Example
    -------
    >>> import torch
    >>> top = InterAttentionTop(8, 4)
    >>> audio, video = top(torch.rand(2, 8, 9), torch.rand(2, 4, 2))
    >>> audio.shape, video.shape
    (torch.Size([2, 8, 9]), torch.Size([2, 4, 2]))
    """

    def __init__(
        self,
        audio_channels,
        video_channels,
        linked=True,
        strict=False,
        dropout=0.1,
        drop_path=0.1,
    ):
        super().__init__()
        self.fusion = self.video = None
        self.audio = FeedForward(audio_channels, dropout)
        if not strict:
            self.audio = ResidualFFN(audio_channels, self.audio, drop_path)
        if video_channels is None:
            return
        if strict:
            self.video = FeedForward(video_channels, dropout)
        else:
            second = ConvNorm(video_channels, video_channels, 3)
            self.video = ResidualFFN(video_channels, second, drop_path)
        if linked:
            kind = ProductGate if strict else CrossModalFusion
            self.fusion = kind(audio_channels, video_channels)

    def forward(self, audio, video, need_video=True):
        """Make the top features of both modalities.

        Arguments
        ---------
        audio : torch.Tensor
            [N, Ca, Ta], pooled sum of the audio scales.
        video : torch.Tensor
            [N, Cv, Tv], pooled sum of the video scales.
        need_video : bool
            Whether the new video feature will be used.

        Returns
        -------
        tuple
            Audio [N, Ca, Ta] and video [N, Cv, Tv], or None in its place.
        """
        if self.fusion is not None:
            audio, video = self.fusion(audio, video, need_video)
        return self.audio(audio), self.video(video) if need_video else None

    def for_video(self):
        """Give the layers that only the new video feature needs."""
        fusion = [] if self.fusion is None else self.fusion.for_video()
        return [self.video, *fusion]
