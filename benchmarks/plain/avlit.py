"""AVLiT as its paper describes it, with no thought of speed.

Authors
 * avsep_sb contributors
"""

from torch import nn

from plain.afrcnn import PlainMasking, adapter, nearest, plain_block


class PlainIterativeBranch(nn.Module):
    """See :class:`avsep_sb.lobes.avlit.IterativeBranch`."""

    def __init__(self, branch):
        super().__init__()
        self.num_blocks = branch.num_blocks
        self.fusion_positions = branch.fusion_positions
        self.block = plain_block(branch.block)
        channels = branch.block.project.conv.in_channels
        self.adapt_features = adapter(channels)
        self.adapt_fusion = adapter(channels)

    def forward(self, first, other=None):
        """[N, C, T] and [N, C, T'] to [N, C, T]."""
        x = first
        for position in range(self.num_blocks):
            if position > 0:
                x = self.adapt_features(x + first)
            if position in self.fusion_positions:
                x = self.adapt_fusion(x + nearest(other, x.shape[-1]))
            x = self.block(x)
        return x


class PlainAVLiT(PlainMasking):
    """See :class:`avsep_sb.lobes.avlit.AVLiT`.

    Arguments
    ---------
    net : avsep_sb.lobes.avlit.AVLiT
        Its sizes and its weights are taken.
    """

    def __init__(self, net):
        super().__init__(net)
        self.audio_branch = PlainIterativeBranch(net.audio_branch)
        self.video_branch = PlainIterativeBranch(net.video_branch)
        self.load_state_dict(net.state_dict())
        self.eval()

    def separate(self, audio, video):
        """The lips at their own rate, then the sound."""
        return self.audio_branch(audio, self.video_branch(video))
