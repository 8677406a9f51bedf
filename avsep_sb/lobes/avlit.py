"""AVLiT: iterative separation with the lips joined at chosen iterations.

Martel, Richter, Li, Hu and Gerkmann, "Audio-Visual Speech Separation in Noisy
Environments with a Lightweight Iterative Model", Interspeech 2023
(arXiv 2306.00160). BIN stands on its parts and is compared with it.

The original holds a frame autoencoder; here that is a visual front end, and
this module takes its embeddings.

Authors
 * avsep_sb contributors
"""

from torch import nn

from avsep_sb.lobes.afrcnn import AFRCNN
from avsep_sb.lobes.bin import adapter
from avsep_sb.lobes.bin_base import MaskingSeparator
from avsep_sb.lobes.channels_last import channels_last, resize_frames


class IterativeBranch(nn.Module):
    """Runs one A-FRCNN several times and adds the other modality in between.

    Arguments
    ---------
    in_channels : int
        Channels of the stream, and of the other modality.
    channels : int
        Channels inside the A-FRCNN.
    num_blocks : int
        Runs, with the same weights.
    fusion_positions : sequence of int
        Runs, from 0, before which the other modality is added.
    depth : int
        Scales of the A-FRCNN.
    residual : bool
        See :class:`avsep_sb.lobes.afrcnn.AFRCNN`.

    Example
    -------
    >>> import torch
    >>> branch = IterativeBranch(4, 8, 2, [1], 3, True)
    >>> branch(torch.rand(2, 4, 20), torch.rand(2, 4, 3)).shape
    torch.Size([2, 4, 20])
    """

    # What --compile compiles.
    repeated = ("block",)

    def __init__(
        self,
        in_channels,
        channels,
        num_blocks,
        fusion_positions,
        depth,
        residual,
    ):
        super().__init__()
        self.num_blocks = num_blocks
        self.fusion_positions = frozenset(fusion_positions)
        self.block = AFRCNN(in_channels, channels, depth, residual)
        self.adapt_features = adapter(in_channels)
        self.adapt_fusion = adapter(in_channels)
        # What never runs belongs to the reference's checkpoints alone.
        self.adapt_features.requires_grad_(num_blocks > 1)
        self.adapt_fusion.requires_grad_(bool(fusion_positions))

    def forward(self, first, other=None):
        """Run all iterations.

        Arguments
        ---------
        first : torch.Tensor
            [N, in_channels, T]
        other : torch.Tensor, optional
            [N, in_channels, T'], required if there are fusion positions.

        Returns
        -------
        torch.Tensor
            [N, in_channels, T]
        """
        x = first = channels_last(first)
        for position in range(self.num_blocks):
            if position > 0:
                x = self.adapt_features(x + first)
            if position in self.fusion_positions:
                x = self.adapt_fusion(x + resize_frames(other, x.shape[-1]))
            x = self.block(x)
        return x


class AVLiT(MaskingSeparator):
    """Separates the voices of all faces of a mixture together.

    Arguments
    ---------
    audio_blocks, video_blocks : int
        Runs of each branch: 8 and 4 in AVLiT-8, 4 and 2, 2 and 1 in the
        smaller ones.
    fusion_positions : sequence of int
        Audio runs, from 0, before which the lips are added: [0] in all
        published configurations, [7] for the late fusion of the BIN paper.
    residual : bool
        Let the A-FRCNN add its input, as the original does. False is AVLiT as
        the BIN paper trained it. No weight tells the two apart.
    embedding_dim : int
        Size of the visual embedding of a face.
    num_sources : int
        Faces that one pass is trained for; any number can be separated.
    bottleneck_channels : int
        Channels of both streams between runs.
    audio_channels, video_channels : int
        Channels inside the A-FRCNN of each branch.
    depth : int
        Scales of the A-FRCNN.
    kernel_size, stride, num_filters, codec
        See :class:`avsep_sb.lobes.bin_base.MaskingSeparator`.

    Example
    -------
    >>> import torch
    >>> net = AVLiT(audio_blocks=2, video_blocks=1, embedding_dim=12,
    ...     bottleneck_channels=4, audio_channels=8, video_channels=6,
    ...     num_filters=10)
    >>> net(torch.rand(2, 1001), torch.rand(2, 3, 2, 12)).shape
    torch.Size([2, 1001, 3])
    """

    def __init__(
        self,
        audio_blocks=8,
        video_blocks=4,
        fusion_positions=(0,),
        residual=True,
        embedding_dim=1024,
        num_sources=2,
        bottleneck_channels=128,
        audio_channels=512,
        video_channels=128,
        depth=5,
        kernel_size=40,
        stride=None,
        num_filters=512,
        codec="learned",
    ):
        if min(audio_blocks, video_blocks) < 1:
            raise ValueError(
                "audio_blocks and video_blocks must be at least 1, not "
                f"{audio_blocks} and {video_blocks}."
            )
        inside = all(0 <= place < audio_blocks for place in fusion_positions)
        if not (inside and fusion_positions):
            raise ValueError(
                "fusion_positions must be one or more of 0 to "
                f"{audio_blocks - 1}, not {list(fusion_positions)}."
            )
        super().__init__(
            embedding_dim,
            num_sources,
            bottleneck_channels,
            bottleneck_channels,
            kernel_size,
            stride,
            num_filters,
            depth,
            codec,
            xavier=True,
        )
        self.depth = depth
        self.audio_branch = IterativeBranch(
            bottleneck_channels,
            audio_channels,
            audio_blocks,
            fusion_positions,
            depth,
            residual,
        )
        self.video_branch = IterativeBranch(
            bottleneck_channels,
            video_channels,
            video_blocks,
            (),
            depth,
            residual,
        )

    def separate(self, audio, video):
        """Run the video branch at its own rate, then the audio branch.

        Arguments
        ---------
        audio : torch.Tensor
            [N, bottleneck_channels, L]
        video : torch.Tensor
            [N, bottleneck_channels, Tv]

        Returns
        -------
        torch.Tensor
            [N, bottleneck_channels, L]
        """
        return self.audio_branch(audio, self.video_branch(video))

    def reach_frames(self):
        """Tell how many frames to one side the convolutions see in turn.

        Returns
        -------
        int
            Frames of the encoder.

        Example
        -------
        >>> AVLiT(num_filters=8, audio_channels=8).reach_frames()
        256
        """
        return self.audio_branch.num_blocks * 2**self.depth
