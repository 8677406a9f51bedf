"""Where a causal IIANet meets other times: those of the lips, and the future.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

from avsep_sb.lobes.causal_blocks import CausalConvNorm
from avsep_sb.lobes.causal_memory import hold, thin


class CausalFusion(nn.Module):
    """Each modality takes from the other what it lets through (Eq. 7).

    Arguments
    ---------
    audio_channels, video_channels : int
        Channels.
    audio_decay, video_decay : float
        Decay of the statistics.
    audio_period, video_period : int
        Periods; the first divides the second.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory, Span
    >>> fuse = CausalFusion(8, 4, 0.9, 0.8, 1, 5)
    >>> sound, lips = torch.rand(2, 8, 20), torch.rand(2, 4, 4)
    >>> sound, lips = fuse(sound, lips, Memory(), Span(0, 20))
    >>> sound.shape, lips.shape
    (torch.Size([2, 8, 20]), torch.Size([2, 4, 4]))
    """

    def __init__(
        self,
        audio_channels,
        video_channels,
        audio_decay,
        video_decay,
        audio_period,
        video_period,
    ):
        super().__init__()
        self.periods = audio_period, video_period
        sound, lips = audio_channels, video_channels
        self.to_audio = CausalConvNorm(lips, sound, 1, audio_decay, bias=True)
        self.to_video = CausalConvNorm(sound, lips, 1, video_decay, bias=True)
        self.audio_gate = CausalConvNorm(sound, lips, 3, audio_decay)
        self.video_gate = CausalConvNorm(lips, sound, 5, video_decay)

    def forward(self, audio, video, memory, span, need_video=True):
        """Exchange.

        Arguments
        ---------
        audio : torch.Tensor
            [N, Ca, Ta]
        video : torch.Tensor
            [N, Cv, Tv]
        memory : Memory
            The past.
        span : Span
            The piece.
        need_video : bool
            Whether the new video feature will be used.

        Returns
        -------
        tuple
            Audio [N, Ca, Ta] and video [N, Cv, Tv], or None in its place.
        """
        slow, fast = self.periods[1], self.periods[0]
        seen = hold(video, memory, self, span, slow, fast)
        gate = torch.sigmoid(self.audio_gate(audio, memory))
        new_audio = audio + self.to_audio(seen * gate, memory)
        if not need_video:
            return new_audio, None
        gate = torch.sigmoid(self.video_gate(video, memory))
        heard = thin(audio, span, fast, slow)
        return new_audio, video + self.to_video(heard * gate, memory)


class LookAhead(nn.Module):
    """Lets each frame know the ones that follow it, up to a limit.

    The only layer that looks ahead, at the very beginning; it adds nothing
    before training, so that the weights of another separator can be given it.

    Arguments
    ---------
    channels : int
        Channels in and out.
    frames : int
        Frames that are seen ahead.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory
    >>> ahead, memory, x = LookAhead(4, 2), Memory(), torch.rand(1, 4, 5)
    >>> bool((ahead(x, memory) == x[..., :3]).all())
    True
    >>> bool((ahead(torch.zeros(1, 4, 2), memory) == x[..., 3:]).all())
    True
    """

    def __init__(self, channels, frames):
        super().__init__()
        self.frames = frames
        self.filter = nn.Conv1d(channels, channels, frames + 1, groups=channels)
        self.act = nn.PReLU()
        self.mix = nn.Conv1d(channels, channels, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x, memory):
        """Give the frames of which enough is known.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T], the next frames.
        memory : Memory
            The frames that wait.

        Returns
        -------
        torch.Tensor
            [N, C, T'], ``frames`` late; none at first.
        """
        if self in memory:
            x = torch.cat([memory[self], x], -1)
        known = max(0, x.shape[-1] - self.frames)
        memory[self] = x[..., known:]
        if not known:
            return x[..., :0]
        return x[..., :known] + self.mix(self.act(self.filter(x)))
