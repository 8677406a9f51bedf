"""BIN as its paper describes it, with no thought of speed.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

from plain.afrcnn import PlainMasking, adapter, nearest, plain_block


class PlainBranch(nn.Module):
    """One modality; see :class:`avsep_sb.lobes.bin.Branch`."""

    def __init__(self, branch):
        super().__init__()
        self.split = branch.split
        self.adapt_features = adapter(self.split[0])
        self.adapt_fusion = adapter(sum(self.split))
        self.block = plain_block(branch.block)

    def forward(self, features, tokens=None):
        """[N, C, L] and [N, f, L] to the same."""
        x = self.adapt_features(features)
        if tokens is not None:
            x = self.adapt_fusion(torch.cat([x, tokens], 1))
        return self.block(x).split(self.split, 1)


class PlainBIN(PlainMasking):
    """BIN and its ablations; see :class:`avsep_sb.lobes.bin.BIN`.

    Arguments
    ---------
    net : avsep_sb.lobes.bin.BIN
        Its sizes and its weights are taken.
    """

    def __init__(self, net):
        super().__init__(net)
        self.num_iterations = net.num_iterations
        self.policy = net.token_policy
        if self.policy == "early":
            self.fusion_branch = PlainBranch(net.fusion_branch)
        else:
            self.audio_branch = PlainBranch(net.audio_branch)
            self.video_branch = PlainBranch(net.video_branch)
            for name in ("audio_token", "video_token"):
                token = getattr(net, name)
                if token is not None:
                    token = nn.Parameter(torch.empty_like(token))
                setattr(self, name, token)
        self.load_state_dict(net.state_dict())
        self.eval()

    def separate(self, audio, video):
        """All iterations, from both streams to the features of the masks."""
        video = nearest(video, audio.shape[-1])
        heard, seen = torch.zeros_like(audio), torch.zeros_like(video)
        if self.policy == "early":
            early = torch.cat([audio, video], 1)
            found = torch.zeros_like(early)
            for _ in range(self.num_iterations):
                found, _ = self.fusion_branch(early + found)
            return found
        audio_tokens = self.first(self.audio_token, audio)
        video_tokens = self.first(self.video_token, audio)
        for _ in range(self.num_iterations):
            to_audio, to_video = audio_tokens, video_tokens
            if self.policy == "mean":
                to_audio = to_video = (audio_tokens + video_tokens) / 2
            elif self.policy == "audio":
                to_video = audio_tokens
            elif self.policy == "video":
                to_audio = video_tokens
            heard, audio_tokens = self.audio_branch(audio + heard, to_audio)
            seen, video_tokens = self.video_branch(video + seen, to_video)
            if self.policy == "none":
                audio_tokens = video_tokens = None
        return heard + seen

    def first(self, token, stream):
        """Learned tokens for every item and frame; None without tokens."""
        if token is None:
            return None
        token = nearest(token[None], stream.shape[-1])
        return token.expand(stream.shape[0], -1, -1)
