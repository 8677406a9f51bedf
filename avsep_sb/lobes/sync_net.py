"""SyncNet: how well a sound and a mouth go together, and at which delay.

Two encoders give an embedding for each video frame, one of the sound around
it and one of the lips; where they belong together the two point the same way
(Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV
Workshops 2016). Trained with other voices over the sound, it knows the mouth's
own voice in a mixture, so that no separation is needed to find a delay.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.light_lip import TemporalBlock

FLOOR = 1e-5


def mel_filters(sample_rate, size, count, low_hz=60.0):
    """Triangles on the mel scale.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    size : int
        Samples of the window.
    count : int
        Filters.
    low_hz : float
        Where the first one begins; the last ends at half the rate.

    Returns
    -------
    torch.Tensor
        [count, size // 2 + 1], each of peak 1.

    Example
    -------
    >>> mel_filters(16000, 512, 40).shape
    torch.Size([40, 257])
    """
    ends = 2595 * torch.log10(1 + torch.tensor([low_hz, sample_rate / 2]) / 700)
    mels = torch.linspace(ends[0].item(), ends[1].item(), count + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    places = torch.linspace(0, sample_rate / 2, size // 2 + 1)
    rise = (places - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - places) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp(min=0.0)


class SyncNet(nn.Module):
    """Embeds sound and lips, frame by frame, in one space.

    Arguments
    ---------
    vpre_channels : int
        Size of the visual embedding that comes in.
    channels : int
        Channels of both encoders.
    embedding_dim : int
        Size of the common embedding.
    n_mels : int
        Mel filters of the sound.
    sample_rate : int
        In Hz, four times a multiple of ``video_fps``.
    video_fps : int
        Frames per second.
    num_blocks : int
        Temporal convolutions of each encoder; each sees 5 frames.

    Example
    -------
    >>> net = SyncNet(vpre_channels=12, channels=8, embedding_dim=4).eval()
    >>> sound = net.embed_sound(torch.rand(2, 6400))
    >>> lips = net.embed_lips(torch.rand(2, 10, 12))
    >>> sound.shape, lips.shape
    (torch.Size([2, 10, 4]), torch.Size([2, 10, 4]))
    """

    def __init__(
        self,
        vpre_channels=128,
        channels=128,
        embedding_dim=64,
        n_mels=40,
        sample_rate=16000,
        video_fps=25,
        num_blocks=3,
    ):
        super().__init__()
        if sample_rate % (4 * video_fps):
            raise ValueError(
                f"A sample rate of {sample_rate} Hz has no whole quarter of a "
                f"video frame at {video_fps} per second."
            )
        self.frame = sample_rate // video_fps
        self.window = 2 * self.frame // 3 // 2 * 2
        self.register_buffer(
            "filters",
            mel_filters(sample_rate, self.window, n_mels),
            persistent=False,
        )

        def layer(inputs, kernel_size, stride):
            return [
                nn.Conv1d(inputs, channels, kernel_size, stride, bias=False),
                nn.BatchNorm1d(channels),
                nn.PReLU(channels),
            ]

        # Quarters of a frame, halves, frames.
        self.sound = nn.Sequential(
            nn.ZeroPad1d(2),
            *layer(n_mels, 5, 1),
            *layer(channels, 2, 2),
            *layer(channels, 2, 2),
            *(TemporalBlock(channels) for _ in range(num_blocks)),
            nn.Conv1d(channels, embedding_dim, 1),
        )
        self.lips = nn.Sequential(
            *layer(vpre_channels, 1, 1),
            *(TemporalBlock(channels) for _ in range(num_blocks)),
            nn.Conv1d(channels, embedding_dim, 1),
        )
        # exp of it: how steep the agreement is in the loss
        self.log_scale = nn.Parameter(torch.tensor(3.0))

    def embed_sound(self, wave):
        """Embeds a sound.

        Arguments
        ---------
        wave : torch.Tensor
            [B, T]; its level does not matter.

        Returns
        -------
        torch.Tensor
            [B, Tv, embedding_dim] of length 1, Tv = T // samples per frame.
        """
        frames = wave.shape[1] // self.frame
        if frames == 0:
            raise ValueError(
                f"{wave.shape[1]} samples are less than a video frame "
                f"({self.frame})."
            )
        hop = self.frame // 4
        wave = wave[:, : frames * self.frame].float()
        wave = wave / wave.square().mean(1, keepdim=True).clamp(1e-12).sqrt()
        # Windows are centred on the middle of their quarter of a frame.
        pad = (self.window - hop) // 2
        wave = F.pad(wave, (pad, self.window - hop - pad))
        power = torch.stft(
            wave,
            self.window,
            hop,
            window=torch.hann_window(self.window, device=wave.device),
            center=False,
            return_complex=True,
        )
        mels = self.filters @ power.abs().square()
        mels = torch.log(mels + FLOOR * self.window)
        mels = mels - mels.mean(2, keepdim=True)
        return F.normalize(self.sound(mels), dim=1).transpose(1, 2)

    def embed_lips(self, visual):
        """Embeds the lips of a face.

        Arguments
        ---------
        visual : torch.Tensor
            [B, Tv, vpre_channels], of the visual front end.

        Returns
        -------
        torch.Tensor
            [B, Tv, embedding_dim] of length 1.
        """
        embedded = self.lips(visual.transpose(1, 2).float())
        return F.normalize(embedded, dim=1).transpose(1, 2)


def agreement_by_delay(sound, lips, max_shift):
    """How well sound and lips agree if the lips are late by so much.

    The frames that have lips at every delay are compared: the first and last
    ``max_shift`` ones of the sound are left out.

    Arguments
    ---------
    sound : torch.Tensor
        [A, Tv, E], of :meth:`SyncNet.embed_sound`.
    lips : torch.Tensor
        [N, Tv, E], of :meth:`SyncNet.embed_lips`.
    max_shift : int
        Largest delay, in frames; ``ValueError`` if it leaves no frame.

    Returns
    -------
    torch.Tensor
        Mean cosine of each sound with each face at each delay from
        ``-max_shift`` to ``max_shift``, [A, N, 2 * max_shift + 1].

    Example
    -------
    >>> sound = F.normalize(torch.randn(1, 30, 4), dim=-1)
    >>> late = torch.roll(sound, 2, 1)
    >>> int(agreement_by_delay(sound, late, 5)[0, 0].argmax()) - 5
    2
    """
    count = sound.shape[1] - 2 * max_shift
    if count < 1:
        raise ValueError(
            f"{sound.shape[1]} frames are too few for delays of up to "
            f"{max_shift}."
        )
    inner = sound[:, max_shift : max_shift + count]
    columns = [
        torch.einsum("ate,nte->an", inner, lips[:, first : first + count])
        for first in range(2 * max_shift + 1)
    ]
    return torch.stack(columns, -1) / count
