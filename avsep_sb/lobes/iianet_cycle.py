"""One audio cycle of IIANet without gradients: few passes, on all cores.

The layers and weights are those of :class:`avsep_sb.lobes.iianet.IIANet`;
only the order of the work differs. Features lie time first, norms are folded
into the pass that reads next (:mod:`avsep_sb.lobes.iianet_kernels`), gates
stay at the rate of what gates, and blocks of frames pass from one layer to
the next while they are in a core's cache.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.lobes.iianet_blocks import SimpleIntraAttention
from avsep_sb.lobes.iianet_kernels import compiled
from avsep_sb.lobes.iianet_rows import (
    Frames,
    Norm,
    blocks_of,
    dense,
    dense_weight,
    edges_of,
    in_blocks,
    lay_out,
    padded_rows,
    taps_of,
)
from avsep_sb.lobes.iianet_steps import NUMBERS, Attend, Step

# Rows that a loop works on at a time, within a core's cache.
WINDOW = 128


class AudioCycle:
    """The bottom-up pass, the FFN and the way back, over one item at a time.

    Arguments
    ---------
    net : avsep_sb.lobes.iianet.IIANet
        The model.
    length : int
        Frames at the finest scale.
    team : avsep_sb.lobes.workers.Workers
        Threads that share the work on an item.
    """

    def __init__(self, net, length, team):
        self.do, self.team, self.frames = compiled(), team, Frames()
        up, down, top = net.audio_bottom_up, net.audio_top_down, net.top.audio
        self.channels = channels = up.project.conv.out_channels

        self.expand = dense_weight(up.project.conv)
        self.expand_norm = Norm(up.project.norm)
        slope = up.project.act.weight.detach()
        self.curve = torch.cat([1 + slope, 1 - slope]).div(2).numpy()
        self.straight = torch.tensor([1.0, 0.0]).numpy()
        self.levels = [
            (
                taps_of(layer.conv)[0],
                layer.conv.bias.detach().numpy(),
                Norm(layer.norm),
            )
            for layer in up.scales
        ]
        self.first = dense_weight(top.first.conv)
        self.first_norm = Norm(top.first.norm)
        ffn = top.second
        self.widen = dense_weight(ffn.widen.conv)
        self.widen_norm = Norm(ffn.widen.norm)
        self.ffn_taps = taps_of(ffn.filter)[0]
        self.ffn_bias = ffn.filter.bias.detach().numpy()
        self.narrow = dense_weight(ffn.narrow.conv)
        self.narrow_norm = Norm(ffn.narrow.norm)
        self.from_top = [
            None if isinstance(phi, SimpleIntraAttention) else Attend(phi)
            for phi in down.from_top
        ]
        self.between = [Attend(phi) for phi in down.between]
        self.join = dense_weight(down.project)

        self.lengths = lengths = [length]
        for _ in self.between:
            lengths.append(-(-lengths[-1] // 2))
        self.memory, self.scales, self.coarse = lay_out(lengths, channels)
        self.none = torch.empty(0, channels).numpy()

    def scratch(self, rows, channels=None):
        """Memory of a block."""
        return torch.empty(rows, channels or self.channels).numpy()

    def bottom_up(self, stream, enter=None):
        """Make the scales of a stream.

        Arguments
        ---------
        stream : torch.Tensor
            [T, out_channels]
        enter : callable, optional
            Called with start and stop of some rows of the stream before they
            are read.

        Returns
        -------
        torch.Tensor
            [T_D, C], the sum of the scales after pooling.
        """
        do, channels = self.do, self.channels
        # The finest scale is made in the place of what it is made of.
        wide = self.scales[0]
        source, around = wide.numpy(), (self.none, self.none)

        def expand(start, stop, sums):
            if enter is not None:
                enter(start, stop)
            block = dense(stream[start:stop], *self.expand).numpy()
            do.add_sums(block, source, start, sums)

        length = self.lengths[0]
        sums = in_blocks(self.team, length, expand, 2, channels)
        pre = self.expand_norm.fold(do, sums, length)
        curve = self.curve
        edges = edges_of(wide, blocks_of(length, self.team.count), 2)
        self.sums, self.pres = [], []
        for level, (taps, bias, norm) in enumerate(self.levels):
            out = self.scales[level].numpy()
            stride = 1 if level == 0 else 2
            layer = (pre, curve, taps, bias, stride, out)

            def make(
                start, stop, sums, source=source, edges=edges, layer=layer
            ):
                rows = self.scratch(WINDOW)
                there = edges.get(start, around)
                do.filter_rows(source, there, *layer, start, stop, rows, sums)

            sums = in_blocks(self.team, len(out), make, 2, channels)
            pre = norm.fold(do, sums, len(out))
            self.sums.append(sums)
            self.pres.append(pre)
            source, curve, edges = out, self.straight, {}
        return self.pool()

    def pool(self):
        """Sum of the scales at the coarsest rate, [T_D, C]."""
        pooled = torch.zeros(self.lengths[-1], self.channels)
        out = pooled.numpy()

        def make(start, stop):
            for scale, pre in zip(self.scales, self.pres, strict=True):
                self.do.pool_rows(scale.numpy(), pre, out, start, stop)

        in_blocks(self.team, len(out), make, block=64)
        return pooled

    def feed_forward(self, x):
        """The residual FFN at the top.

        Arguments
        ---------
        x : torch.Tensor
            [T_D, C], written over.

        Returns
        -------
        torch.Tensor
            [T_D, C]
        """
        do, team, channels = self.do, self.team, self.channels
        length = len(x)
        # Nothing reads x when z is written.
        y, z = torch.empty_like(x), x
        wide = torch.empty(length, 2 * channels)
        arrays = [one.numpy() for one in (y, z, wide)]

        def first(start, stop, sums):
            rows = padded_rows(x, start, stop)
            block = dense(rows, *self.first).numpy()
            do.add_sums(block, arrays[0], start, sums)

        sums = in_blocks(team, length, first, 2, channels)
        scale, shift = self.first_norm.map(do, sums, length)

        def widen(start, stop, sums):
            rows = y[start:stop].mul_(scale).add_(shift).add_(x[start:stop])
            do.add_sums(
                dense(rows, *self.widen).numpy(), arrays[2], start, sums
            )

        sums = in_blocks(team, length, widen, 2, 2 * channels)
        pre = self.widen_norm.fold(do, sums, length)
        edges = edges_of(wide, blocks_of(length, team.count), 2)
        layer = (pre, self.straight, self.ffn_taps, self.ffn_bias, 1)

        def narrow(start, stop, sums):
            rows = self.scratch(WINDOW, 2 * channels)
            unused = self.scratch(2, 2 * channels)
            given = (arrays[2], edges[start], *layer, arrays[2])
            do.filter_rows(*given, start, stop, rows, unused)
            block = dense(wide[start:stop].relu_(), *self.narrow)
            do.add_sums(block.numpy(), arrays[1], start, sums)

        sums = in_blocks(team, length, narrow, 2, channels)
        scale, shift = self.narrow_norm.map(do, sums, length)
        return y.add_(z.mul_(scale).add_(shift))

    def spread(self, top, lips=None):
        """Prepare the intra-attention of the top feature to every scale.

        Nothing of full length is made: the way back applies what is
        returned while it reads the scales.

        Arguments
        ---------
        top : torch.Tensor
            [T_D, C]
        lips : list of torch.Tensor, optional
            Of [Tv_i, C], by which the lips gate each scale.

        Returns
        -------
        list of avsep_sb.lobes.iianet_steps.Step
            One for each scale.
        """
        steps = [None] * len(self.lengths)

        def prepare(level):
            length = self.lengths[level]
            frames = self.frames.between(len(top), length)
            guide, guide_frames = self.none, frames
            if lips is not None:
                guide = lips[level].numpy()
                guide_frames = self.frames.between(len(guide), length)
            steps[level] = Step(
                *(self.do, self.from_top[level], top, self.scales[level]),
                *(self.sums[level], self.pres[level]),
                *(frames, guide, guide_frames),
            )

        self.team.share(prepare, len(steps))
        return steps

    def sum_locals(self, steps):
        """Norms of the filtered scales, for the way back.

        A norm needs the sums of all frames before the first frame can go
        on. To filter twice costs less than to write and read what is
        filtered, and no scale waits for another.

        Arguments
        ---------
        steps : list of avsep_sb.lobes.iianet_steps.Step
            Of :meth:`spread`.

        Returns
        -------
        list of array
            [2, C] for each scale but the coarsest.
        """
        tasks = [
            (level, *span)
            for level in range(len(self.between))
            for span in blocks_of(self.lengths[level], self.team.count)
        ]
        found = torch.zeros(len(tasks), 2, self.channels)
        arrays = found.numpy()

        def make(number):
            level, start, stop = tasks[number]
            taps = self.between[level].fine_taps[0]
            step = steps[level].open(start - 2, stop + 2)
            rows = self.scratch(WINDOW + 4)
            self.do.sum_attended(
                *(step, taps, arrays[number], start, stop, rows)
            )

        self.team.share(make, len(tasks))
        sums = torch.zeros(len(self.between), 2, self.channels).double()
        levels = torch.tensor([task[0] for task in tasks])
        sums.index_add_(0, levels, found.double())
        return [
            phi.local.fold(self.do, own, length)
            for phi, own, length in zip(
                self.between, sums, self.lengths[:-1], strict=True
            )
        ]

    def merge(self, steps, stream, out):
        """Join the scales from the coarsest to the finest.

        Arguments
        ---------
        steps : list of avsep_sb.lobes.iianet_steps.Step
            Of :meth:`spread`.
        stream : torch.Tensor
            [T, out_channels], added to the result.
        out : torch.Tensor
            [T, out_channels], written; may be ``stream``.
        """
        do, pres = self.do, self.sum_locals(steps)
        maps = None

        def rows_of(level, start, stop, *there):
            """What comes down at one level, [stop - start, C]."""
            out = self.scratch(stop - start)
            if level == len(self.between):
                step = steps[level].open(start, stop, *there)
                do.attend_rows(*step, out, start, stop)
                return out
            phi, coarse = self.between[level], self.coarse[level]
            length = self.lengths[level]
            frames = self.frames.between(self.lengths[level + 1], length)
            first = int(frames[max(start, 0)])
            last = int(frames[min(stop, length) - 1]) + 1
            # In place the loop would not become vector code.
            made = torch.empty(2, 2, last - first, self.channels).numpy()
            (x, y), (gate, value) = made
            do.filter_pair(coarse.numpy(), phi.coarse_taps, first, last, x, y)
            do.open_gates(*(x, y, 0, last - first, *maps, NUMBERS, gate, value))
            above = (gate, value, frames, first)
            taps = phi.fine_taps[0]
            step = steps[level].open(start - 2, stop + 2, *there)
            rows = self.scratch(WINDOW + 4)
            do.attend_twice(step, taps, pres[level], above, out, start, rows)
            return out

        for level in range(len(self.between), 0, -1):
            phi, length = self.between[level - 1], self.lengths[level]
            coarse = self.coarse[level - 1].numpy()
            spans = blocks_of(length, self.team.count)
            edges = edges_of(self.scales[level], spans, 4)

            def make(start, stop, sums, given=(level, phi, coarse, edges)):
                level, phi, coarse, edges = given
                there = (start, stop, edges[start])
                rows = rows_of(level, start - 2, stop + 2, *there)
                do.keep_rows(rows, phi.coarse_taps, coarse, start, sums)

            sums = in_blocks(self.team, length, make, 2, 2, self.channels)
            maps = (
                phi.gate.fold(do, sums[0], length),
                phi.value.fold(do, sums[1], length),
            )

        def join(start, stop):
            rows = torch.from_numpy(rows_of(0, start, stop))
            torch.add(
                dense(rows, *self.join),
                stream[start:stop],
                out=out[start:stop],
            )

        in_blocks(self.team, len(stream), join)
