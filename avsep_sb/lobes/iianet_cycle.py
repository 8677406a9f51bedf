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
    Scratch,
    blocks_of,
    curve_of,
    dense,
    dense_weight,
    edges_of,
    in_blocks,
    lay_out,
    padded_rows,
    taps_of,
)
from avsep_sb.lobes.iianet_steps import NUMBERS, SHORT, Attend, Step

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
        self.curve = curve_of(up.project.act)
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
        self.scratch = Scratch()
        # Of the top, for each scale; made again in every cycle.
        top = lengths[-1] if lengths[-1] <= SHORT else 0
        self.pairs = torch.empty(len(lengths), 2, top, channels).numpy()

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
        source, around = self.scales[0].numpy(), (self.none, self.none)
        wide, rows = source, stream.numpy()

        def expand(start, stop, sums):
            if enter is not None:
                enter(start, stop)
            block = dense(rows[start:stop], *self.expand)
            do.add_sums(block, wide, start, sums)

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
                rows = self.scratch.rows("window", WINDOW, channels)
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
        pooled = torch.empty(self.lengths[-1], self.channels)
        scales = tuple(scale.numpy() for scale in self.scales)
        pres, out = tuple(self.pres), pooled.numpy()

        def make(start, stop):
            self.do.pool_rows(scales, pres, out, start, stop)

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
            block = dense(rows.numpy(), *self.first)
            do.add_sums(block, arrays[0], start, sums)

        sums = in_blocks(team, length, first, 2, channels)
        scale, shift = self.first_norm.map(do, sums, length)

        def widen(start, stop, sums):
            rows = y[start:stop].mul_(scale).add_(shift).add_(x[start:stop])
            block = dense(rows.numpy(), *self.widen)
            do.add_sums(block, arrays[2], start, sums)

        sums = in_blocks(team, length, widen, 2, 2 * channels)
        pre = self.widen_norm.fold(do, sums, length)
        edges = edges_of(arrays[2], blocks_of(length, team.count), 2)
        layer = (pre, self.straight, self.ffn_taps, self.ffn_bias, 1)

        def narrow(start, stop, sums):
            rows = self.scratch.rows("window", WINDOW, 2 * channels)
            unused = self.scratch.rows("unused", 2, 2 * channels)
            given = (arrays[2], edges[start], *layer, arrays[2])
            do.filter_rows(*given, start, stop, rows, unused)
            rows = wide[start:stop].relu_()
            block = dense(rows.numpy(), *self.narrow)
            do.add_sums(block, arrays[1], start, sums)

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
                *(frames, guide, guide_frames, self.pairs[level]),
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
            rows = self.scratch.rows("window", WINDOW + 4, self.channels)
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
        do, scratch, pres = self.do, self.scratch, self.sum_locals(steps)
        maps = None

        def rows_of(level, start, stop, *there):
            """What comes down at one level, [stop - start, C]."""
            out = scratch.rows("block", stop - start, self.channels)
            if level == len(self.between):
                step = steps[level].open(start, stop, *there)
                do.attend_rows(*step, out, start, stop)
                return out
            phi, coarse = self.between[level], self.coarse[level]
            length = self.lengths[level]
            frames = self.frames.between(self.lengths[level + 1], length)
            shape = 4, (stop - start) // 2 + 3, self.channels
            step = steps[level].open(start - 2, stop + 2, *there)
            do.come_down(
                *(step, phi.fine_taps[0], pres[level]),
                *(coarse.numpy(), phi.coarse_taps, maps, NUMBERS, frames),
                *(out, start, scratch.rows("above", *shape)),
                scratch.rows("window", WINDOW + 4, self.channels),
            )
            return out

        for level in range(len(self.between), 0, -1):
            phi, length = self.between[level - 1], self.lengths[level]
            coarse = self.coarse[level - 1].numpy()
            spans = blocks_of(length, self.team.count)
            edges = edges_of(self.scales[level].numpy(), spans, 4)

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

        before, after = stream.numpy(), out.numpy()

        def join(start, stop):
            rows = dense(rows_of(0, start, stop), *self.join)
            do.join_rows(rows, before, after, start)

        in_blocks(self.team, len(stream), join)
