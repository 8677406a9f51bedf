"""The light lip net for streams: it looks two frames ahead, no further.

As :class:`avsep_sb.lobes.light_lip.LightLipNet`, whose weights fit by name
and shape, but its temporal convolutions look back only. What its stem sees of
the future, two frames (80 ms), is what the lips know before the sound.

Authors
 * avsep_sb contributors
"""

import torch.nn.functional as F

from avsep_sb.lobes.causal_memory import Memory
from avsep_sb.lobes.light_lip import GRID, LightLipNet


class CausalLightLipNet(LightLipNet):
    """Lip embedding of which each frame knows ``look_ahead`` frames more.

    Arguments
    ---------
    **options
        Those of :class:`avsep_sb.lobes.light_lip.LightLipNet`.

    Example
    -------
    >>> import torch
    >>> net = CausalLightLipNet(out_channels=32).eval()
    >>> roi = torch.randint(0, 256, (1, 2, 8, 96, 96), dtype=torch.uint8)
    >>> other = roi.clone()
    >>> other[:, :, 5:] = 0
    >>> same = (net(roi) - net(other)).abs().amax((0, 1, 3)) < 1e-5
    >>> same.tolist()
    [True, True, True, False, False, False, False, False]
    """

    @property
    def look_ahead(self):
        """int: frames that must follow one before it can be embedded."""
        return self.stem.kernel_size[0] // 2

    @property
    def look_back(self):
        """int: frames before one that its embedding depends on."""
        spans = [block.depthwise.kernel_size[0] - 1 for block in self.temporal]
        return self.look_ahead + sum(spans)

    def embed(self, x):
        """Embed normalised pictures.

        Arguments
        ---------
        x : torch.Tensor
            [N, 1, Tv, h, w]

        Returns
        -------
        torch.Tensor
            [N, Tv, out_channels]
        """
        pictures = self.shrink(x)
        ahead = self.look_ahead
        pictures = F.pad(pictures, (0, 0, 0, 0, ahead, ahead))
        return self.follow(pictures, Memory())

    def shrink(self, x):
        """Halve the resolution, as the net does first.

        Arguments
        ---------
        x : torch.Tensor
            [N, 1, Tv, h, w]

        Returns
        -------
        torch.Tensor
            [N, 1, Tv, h // 2, w // 2]
        """
        small = F.avg_pool2d(x.flatten(0, 2).unsqueeze(1), 2)
        return small.reshape(*x.shape[:3], *small.shape[-2:])

    def follow(self, pictures, memory):
        """Embed the next frames.

        Arguments
        ---------
        pictures : torch.Tensor
            [N, 1, look_ahead + Tv + look_ahead, h, w]: shrunken pictures,
            with those around them.
        memory : Memory
            What the temporal convolutions saw before.

        Returns
        -------
        torch.Tensor
            [N, Tv, out_channels]
        """
        num = len(pictures)
        side = self.stem.kernel_size[-1] // 2
        x = F.conv3d(
            pictures,
            self.stem.weight,
            stride=self.stem.stride,
            padding=(0, side, side),
        )
        x = self.stem_act(self.stem_norm(x))
        x = self.stages(x.transpose(1, 2).flatten(0, 1))
        if x.shape[-2:] != (GRID, GRID):
            x = F.adaptive_avg_pool2d(x, GRID)
        x = self.project_norm(self.project(x.flatten(1)))
        x = x.unflatten(0, (num, -1)).transpose(1, 2)
        for block in self.temporal:
            past = block.depthwise.kernel_size[0] - 1
            y = F.conv1d(
                memory.extend(block, x, past),
                block.depthwise.weight,
                groups=block.depthwise.groups,
            )
            x = block.act(x + block.norm(block.pointwise(y)))
        return x.transpose(1, 2)
