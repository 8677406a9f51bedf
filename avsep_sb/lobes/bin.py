"""BIN: bottleneck iterative network for audio-visual speech separation.

"Bottleneck Iterative Network" (arXiv 2507.07270, ICML 2025 workshop on
Machine Learning for Audio). Its three ideas, and where they stand here:

- *iterative branches*: one :class:`Branch` per modality, run ``num_iterations``
  times with the same weights (:meth:`BIN.separate`);
- *fusion tokens as the bottleneck*: the branches talk through
  ``fusion_channels`` channels alone, in both directions
  (:meth:`BIN.exchange`);
- *the loop back to the early embedding*: what a branch found is added to what
  came in at first, never to what came in last (:meth:`BIN.separate`).

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

from avsep_sb.lobes.afrcnn import AFRCNN
from avsep_sb.lobes.bin_base import MaskingSeparator
from avsep_sb.lobes.channels_last import (
    FramePReLU,
    channels_last,
    join_channels,
)
from avsep_sb.lobes.iianet_blocks import DepthwiseConv1d
from avsep_sb.lobes.resize import resize

POLICIES = ("mean", "audio", "video", "separate", "none", "early")

# The paper's ablations, by the names of the reference's classes.
ABLATIONS = {
    "CAOnly": {"token_policy": "audio"},
    "CVOnly": {"token_policy": "video"},
    "NoCR": {"token_policy": "separate"},
    "NoC": {"token_policy": "none"},
    "Early": {"token_policy": "early"},
    "LowDim": {
        "num_iterations": 4,
        "bottleneck_channels": 8,
        "fusion_channels": 8,
    },
    "LowDimLate": {
        "num_iterations": 4,
        "bottleneck_channels": 8,
        "token_policy": "none",
    },
}


def adapter(channels):
    """Make a gain and a bias per channel, and a PReLU.

    Arguments
    ---------
    channels : int
        Channels in and out.

    Returns
    -------
    torch.nn.Sequential
        From [N, channels, T] to the same.

    Example
    -------
    >>> sum(weight.numel() for weight in adapter(4).parameters())
    9
    """
    return nn.Sequential(DepthwiseConv1d(channels, 1), FramePReLU())


class Branch(nn.Module):
    """One modality: an A-FRCNN that reads features and writes fusion tokens.

    Arguments
    ---------
    in_channels : int
        Channels of the features.
    fusion_channels : int
        Channels of the tokens; 0 for a branch without.
    channels : int
        Channels inside the A-FRCNN.
    depth : int
        Scales of the A-FRCNN.

    Example
    -------
    >>> import torch
    >>> branch = Branch(4, 3, 8, depth=2)
    >>> features, tokens = branch(torch.rand(2, 4, 9), torch.rand(2, 3, 9))
    >>> features.shape, tokens.shape
    (torch.Size([2, 4, 9]), torch.Size([2, 3, 9]))
    """

    def __init__(self, in_channels, fusion_channels, channels, depth):
        super().__init__()
        self.split = [in_channels, fusion_channels]
        self.adapt_features = adapter(in_channels)
        # Without tokens there is nothing to adapt to, but the checkpoints of
        # the reference hold these weights.
        self.adapt_fusion = adapter(in_channels + fusion_channels)
        self.adapt_fusion.requires_grad_(fusion_channels > 0)
        self.block = AFRCNN(in_channels + fusion_channels, channels, depth)

    def forward(self, features, tokens=None):
        """Run one iteration.

        Arguments
        ---------
        features : torch.Tensor
            [N, in_channels, L]
        tokens : torch.Tensor, optional
            [N, fusion_channels, L]; required if the branch has tokens.

        Returns
        -------
        tuple
            New features and new tokens, shaped as those that came in.
        """
        x = self.adapt_features(features)
        if tokens is not None:
            x = self.adapt_fusion(join_channels(x, tokens))
        features, tokens = self.block(x).split(self.split, 1)
        return features, tokens


class BIN(MaskingSeparator):
    """Separates the voices of all faces of a mixture together.

    Arguments
    ---------
    num_iterations : int
        Runs of the branches: 12 in the paper's ablations, 20 in its launch
        files. The weights are those of one, so a checkpoint serves any.
    fusion_channels : int
        Channels of the fusion tokens; no say for policies without tokens.
    token_policy : str
        What a branch is given: the "mean" of both branches' tokens (BIN), or
        for the ablations those of the "audio" branch alone, of the "video"
        branch alone, of each branch to itself ("separate"), or "none".
        "early" has one branch on both streams. See ``ABLATIONS``.
    token_length : int
        Frames of the first tokens, which are learned. 1601, that of the
        reference, is one per frame of 2 s: other lengths repeat or leave out
        frames. 1, a constant over time, ties a new training to no length.
    embedding_dim : int
        Size of the visual embedding of a face.
    num_sources : int
        Faces that one pass is trained for; any number can be separated.
    bottleneck_channels : int
        Channels of both streams between iterations.
    audio_channels, video_channels : int
        Channels inside the A-FRCNN of each branch.
    depth : int
        Scales of the A-FRCNN.
    kernel_size, stride, num_filters, codec
        See :class:`avsep_sb.lobes.bin_base.MaskingSeparator`.

    Example
    -------
    >>> import torch
    >>> net = BIN(num_iterations=2, fusion_channels=3, token_length=1,
    ...     embedding_dim=12, bottleneck_channels=4, audio_channels=8,
    ...     video_channels=6, num_filters=10)
    >>> net(torch.rand(2, 1001), torch.rand(2, 3, 2, 12)).shape
    torch.Size([2, 1001, 3])
    """

    # What --compile compiles: one iteration.
    repeated = ("audio_branch", "video_branch", "fusion_branch")

    def __init__(
        self,
        num_iterations=12,
        fusion_channels=256,
        token_policy="mean",
        token_length=1601,
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
        if token_policy not in POLICIES:
            raise ValueError(
                f"token_policy must be one of {POLICIES}, not {token_policy!r}."
            )
        if min(num_iterations, fusion_channels, token_length) < 1:
            raise ValueError(
                "num_iterations, fusion_channels and token_length must be at "
                f"least 1, not {num_iterations}, {fusion_channels} and "
                f"{token_length}; for no tokens set token_policy 'none'."
            )
        joint_channels = 2 * bottleneck_channels
        early = token_policy == "early"
        super().__init__(
            embedding_dim,
            num_sources,
            bottleneck_channels,
            joint_channels if early else bottleneck_channels,
            kernel_size,
            stride,
            num_filters,
            depth,
            codec,
        )
        self.num_iterations = num_iterations
        self.token_policy = token_policy
        self.depth = depth
        if early:
            hidden = audio_channels + video_channels
            self.fusion_branch = Branch(joint_channels, 0, hidden, depth)
            return
        if token_policy == "none":
            fusion_channels = 0
            self.audio_token = self.video_token = None
        else:
            size = (fusion_channels, token_length)
            self.audio_token = nn.Parameter(torch.rand(size))
            self.video_token = nn.Parameter(torch.rand(size))
            # One that no branch reads stays for the reference's checkpoints.
            self.audio_token.requires_grad_(token_policy != "video")
            self.video_token.requires_grad_(token_policy != "audio")
        make = (bottleneck_channels, fusion_channels)
        self.audio_branch = Branch(*make, audio_channels, depth)
        self.video_branch = Branch(*make, video_channels, depth)

    def separate(self, audio, video):
        """Run all iterations.

        Arguments
        ---------
        audio : torch.Tensor
            [N, bottleneck_channels, L]
        video : torch.Tensor
            [N, bottleneck_channels, Tv]

        Returns
        -------
        torch.Tensor
            [N, bottleneck_channels, L], or twice the channels for "early".
        """
        audio = channels_last(audio)
        video = channels_last(resize(video, audio.shape[-1]))
        if self.token_policy == "early":
            early = join_channels(audio, video)
            found = 0.0
            for _ in range(self.num_iterations):
                found, _ = self.fusion_branch(early + found)
            return found
        heard = seen = 0.0
        audio_tokens = self.first_tokens(self.audio_token, audio)
        video_tokens = self.first_tokens(self.video_token, audio)
        for _ in range(self.num_iterations):
            to_audio, to_video = self.exchange(audio_tokens, video_tokens)
            heard, audio_tokens = self.audio_branch(audio + heard, to_audio)
            seen, video_tokens = self.video_branch(video + seen, to_video)
        return heard + seen

    def exchange(self, audio_tokens, video_tokens):
        """Give each branch the tokens that it reads next.

        This is the only place where sound and faces meet before the masks.

        Arguments
        ---------
        audio_tokens, video_tokens : torch.Tensor or None
            [N, fusion_channels, L], what each branch wrote.

        Returns
        -------
        tuple
            Tokens for the audio branch, tokens for the video branch.
        """
        if self.token_policy == "none":
            return None, None
        if self.token_policy == "separate":
            return audio_tokens, video_tokens
        if self.token_policy == "mean":
            shared = (audio_tokens + video_tokens) / 2
        elif self.token_policy == "audio":
            shared = audio_tokens
        else:
            shared = video_tokens
        return shared, shared

    def first_tokens(self, token, stream):
        """Bring learned tokens to the length of a stream.

        Arguments
        ---------
        token : torch.Tensor or None
            [fusion_channels, token_length]
        stream : torch.Tensor
            [N, C, L]

        Returns
        -------
        torch.Tensor or None
            [N, fusion_channels, L]. The reference repeats frames for longer
            inputs, and fails on shorter ones; here the same rule serves both.
        """
        if token is None:
            return None
        token = channels_last(resize(token[None], stream.shape[-1]))
        return token.expand(stream.shape[0], -1, -1)

    def reach_frames(self):
        """Tell how many frames to one side the convolutions see in turn.

        Returns
        -------
        int
            Frames of the encoder.

        Example
        -------
        >>> BIN(num_filters=8, audio_channels=8).reach_frames()
        384
        """
        return self.num_iterations * 2**self.depth
