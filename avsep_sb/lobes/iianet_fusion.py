"""Fusion by attention over time, in place of InterA-B (Table 6 of IIANet).

The paper compares its links between the modalities with three ways to fuse
them in a Transformer: self-attention (SA), cross-attention (CA), and one after
the other (SA+CA). It names neither heads, depth and widths nor the rate.

The defaults here were found from the sizes that it prints: with three layers
of the usual Transformer (2048 hidden channels) they come out within 7 %, the
surprising order (SA above SA+CA) included. Attention between all frames of
sound (4010 per second) would cost more than the whole model, so the sound is
brought to ``rate`` frames per video frame first.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.attention import AttentionLayer, positions
from avsep_sb.lobes.resize import resize

STRATEGIES = ("sa", "ca", "sa+ca")


class Stack(nn.Module):
    """Attention layers in a row between two projections.

    Arguments
    ---------
    in_channels : int
        Channels of the signal that enters.
    channels : int
        Channels of the layers.
    out_channels : int
        Channels of the result.
    layers : int
        Number of layers.
    **make
        Arguments of :class:`avsep_sb.lobes.attention.AttentionLayer`.

    Example
    -------
    >>> stack = Stack(4, 8, 6, layers=2, heads=2, hidden=16)
    >>> stack(torch.rand(3, 5, 4)).shape
    torch.Size([3, 5, 6])
    """

    def __init__(self, in_channels, channels, out_channels, layers, **make):
        super().__init__()
        self.enter = (
            nn.Identity()
            if in_channels == channels
            else nn.Linear(in_channels, channels)
        )
        self.layers = nn.ModuleList(
            AttentionLayer(channels, **make) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, out_channels)

    def forward(self, x, other=None, frames=None):
        """Transform.

        Arguments
        ---------
        x : torch.Tensor
            [N, T, in_channels]
        other : torch.Tensor, optional
            [N, T', channels], what the layers attend to.
        frames : int, optional
            Video frames of the same time; as many as ``x`` has if not given.

        Returns
        -------
        torch.Tensor
            [N, T, out_channels]
        """
        x = self.enter(x)
        length, channels = x.shape[1:]
        frames = length if frames is None else frames
        x = x + positions(length, channels, frames, x)
        if other is not None:
            other = other + positions(other.shape[1], channels, frames, other)
        for layer in self.layers:
            x = layer(x, other)
        return self.leave(self.norm(x))


class AttentionFusion(nn.Module):
    """Sound and lips change each other by attention (Table 6).

    "sa": both signals, side by side in the channels, attend to themselves.
    "ca": the sound is asked by the lips, and the lips by the sound (query
    from the one, key and value from the other, whose stream is changed).
    "sa+ca": each attends to itself, then to the other.
    What comes out is added to the streams.

    Arguments
    ---------
    audio_channels : int
        Channels of the sound.
    video_channels : int
        Channels of the lips.
    strategy : str
        "sa", "ca" or "sa+ca".
    layers : int
        Layers of each attention.
    heads : int
        Heads; divides the channels of each stream.
    hidden : int
        Channels inside the feed-forward nets.
    rate : int, optional
        Frames of sound for each video frame in the attention; None for all
        frames of sound.
    dropout : float
        Rate in the layers.

    Example
    -------
    >>> fuse = AttentionFusion(8, 4, "sa+ca", layers=1, heads=2, hidden=16)
    >>> audio, video = fuse(torch.rand(2, 8, 90), torch.rand(2, 4, 5))
    >>> audio.shape, video.shape
    (torch.Size([2, 8, 90]), torch.Size([2, 4, 5]))
    """

    def __init__(
        self,
        audio_channels,
        video_channels,
        strategy,
        layers=3,
        heads=8,
        hidden=2048,
        rate=4,
        dropout=0.1,
    ):
        super().__init__()
        if strategy not in STRATEGIES:
            raise ValueError(
                f"fusion must be one of {STRATEGIES}, not {strategy!r}."
            )
        given = [layers, heads, hidden] + [rate] * (rate is not None)
        if min(given) < 1:
            raise ValueError(
                "layers, heads, hidden and rate of a fusion must be at least "
                f"1, not {layers}, {heads}, {hidden} and {rate}."
            )
        if audio_channels % (2 * heads) or video_channels % (2 * heads):
            raise ValueError(
                f"{heads} heads need streams whose channels are multiples of "
                f"{2 * heads}, not {audio_channels} and {video_channels}."
            )
        self.strategy, self.rate = strategy, rate
        sizes = audio_channels, video_channels
        make = {
            "layers": layers,
            "heads": heads,
            "hidden": hidden,
            "dropout": dropout,
        }
        self.audio_self = self.video_self = None
        if strategy == "sa":
            both = sum(sizes)
            self.to_audio = Stack(both, both, sizes[0], **make)
            self.to_video = Stack(both, both, sizes[1], **make)
            return
        if strategy == "sa+ca":
            self.audio_self = Stack(sizes[0], sizes[0], sizes[0], **make)
            self.video_self = Stack(sizes[1], sizes[1], sizes[1], **make)
        make["cross"] = True
        self.to_audio = Stack(sizes[1], sizes[0], sizes[0], **make)
        self.to_video = Stack(sizes[0], sizes[1], sizes[1], **make)

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
        frames, length = video.shape[-1], audio.shape[-1]
        slow = self.slow_length(length, frames)
        # Layers have time first.
        sound = F.adaptive_avg_pool1d(audio, slow).transpose(1, 2)
        lips = video.transpose(1, 2)
        if self.audio_self is not None:
            sound = sound + self.audio_self(sound, frames=frames)
            lips = lips + self.video_self(lips)
        change = self._change(self.to_audio, sound, lips, frames)
        new_audio = audio + resize(change.transpose(1, 2), length)
        if not need_video:
            return new_audio, None
        change = self._change(self.to_video, lips, sound, frames)
        return new_audio, video + change.transpose(1, 2)

    def _change(self, stack, own, other, frames):
        """What is added to a stream, at its own rate: [N, T, C]."""
        other = F.adaptive_avg_pool1d(other.transpose(1, 2), own.shape[1])
        other = other.transpose(1, 2)
        if self.strategy == "sa":
            return stack(torch.cat([own, other], -1), frames=frames)
        return stack(other, own, frames)

    def slow_length(self, length, frames):
        """Tell how many frames of sound attend to each other.

        Arguments
        ---------
        length : int
            Frames of sound.
        frames : int
            Video frames.

        Returns
        -------
        int
            Not more than there are.
        """
        return min(length, self.rate * frames) if self.rate else length

    def for_video(self):
        """Give the layers that only the new video feature needs."""
        return [self.to_video]
