"""The exchange between audio and video of IIANet without gradients, in blocks.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.lobes.iianet_kernels import compiled
from avsep_sb.lobes.iianet_rows import (
    Frames,
    Norm,
    dense,
    dense_weight,
    in_blocks,
    padded_rows,
)


class Exchange:
    """InterA-T or InterA-B over one stream (Eq. 7).

    Arguments
    ---------
    fusion : avsep_sb.lobes.iianet_inter.CrossModalFusion
        The layers.
    team : avsep_sb.lobes.workers.Workers
        Threads that share the work.
    memory : torch.Tensor, optional
        [n], to work in.
    """

    def __init__(self, fusion, team, memory=()):
        self.fusion, self.team, self.memory = fusion, team, memory
        self.do, self.frames = compiled(), Frames()
        self.gate = dense_weight(fusion.audio_gate.conv)
        self.gate_norm = Norm(fusion.audio_gate.norm)
        self.enter = dense_weight(fusion.to_audio.conv)
        self.enter_norm = Norm(fusion.to_audio.norm)

    def run(self, stream, need_video):
        """Exchange between the audio and the video of a stream, in place.

        Arguments
        ---------
        stream : Stream
            Changed in place, its audio too.
        need_video : bool
            Whether the new video will be used.
        """
        audio, video = stream.audio, stream.video
        length, seen = len(audio), as_rows(video)
        memory, sizes = self.memory, (length * seen.shape[1], audio.numel())
        if len(memory) < sum(sizes):
            memory = torch.empty(sum(sizes))
        gates, heard = memory[: sum(sizes)].split(sizes)
        gates, heard = gates.view(length, -1), heard.view(length, -1)
        arrays = gates.numpy(), heard.numpy()
        nearest = torch.from_numpy(self.frames.between(len(seen), length))

        def listen(start, stop, sums):
            rows = padded_rows(audio, start, stop)
            block = dense(rows.numpy(), *self.gate)
            self.do.add_sums(block, arrays[0], start, sums)

        sums = in_blocks(self.team, length, listen, 2, gates.shape[1])
        scale, shift = self.gate_norm.map(self.do, sums, length)

        def enter(start, stop, sums):
            rows = gates[start:stop].mul_(scale).add_(shift).sigmoid_()
            rows.mul_(seen[nearest[start:stop]])
            block = dense(rows.numpy(), *self.enter)
            self.do.add_sums(block, arrays[1], start, sums)

        sums = in_blocks(self.team, length, enter, 2, heard.shape[1])
        gain, constant = self.enter_norm.map(self.do, sums, length)

        stream.video = None
        if need_video:
            gate = torch.sigmoid(self.fusion.video_gate(video))
            frames = torch.from_numpy(self.frames.between(length, len(seen)))
            sound = as_layers(audio[frames])
            stream.video = video + self.fusion.to_video(sound * gate)

        def add(start, stop):
            rows = heard[start:stop].mul_(gain).add_(constant)
            audio[start:stop].add_(rows)

        in_blocks(self.team, length, add)


def as_rows(x):
    """Time first.

    Arguments
    ---------
    x : torch.Tensor
        [1, C, T]

    Returns
    -------
    torch.Tensor
        [T, C]
    """
    return x[0].t().contiguous()


def as_layers(rows):
    """Time last, as the layers take it.

    Arguments
    ---------
    rows : torch.Tensor
        [T, C]

    Returns
    -------
    torch.Tensor
        [1, C, T]
    """
    return rows.t().unsqueeze(0).contiguous()
