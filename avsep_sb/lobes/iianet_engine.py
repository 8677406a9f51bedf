"""When IIANet takes the fast path, and how its cycles run there.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.lobes.channels_last import channels_last, keep_freed_memory
from avsep_sb.lobes.iianet_blocks import (
    BottomUp,
    IntraAttention,
    SimpleIntraAttention,
)
from avsep_sb.lobes.iianet_cycle import AudioCycle
from avsep_sb.lobes.iianet_exchange import Exchange, as_layers, as_rows
from avsep_sb.lobes.iianet_ffn import ResidualFFN
from avsep_sb.lobes.iianet_inter import CrossModalFusion
from avsep_sb.lobes.iianet_kernels import compiled
from avsep_sb.lobes.iianet_rows import curve_of
from avsep_sb.lobes.iianet_topdown import TopDown
from avsep_sb.lobes.workers import solo, workers

# Values of the finest scale from which on the fast path is the faster one.
LEAST = 1 << 17

# Frames up to which several items have their scales in memory at a time.
SIDE_BY_SIDE = 40_000


def fits(net, audio):
    """Whether the fast path gives what the layers would give here.

    It does without gradients, in evaluation, in 32 bits on a CPU, where numba
    is installed, for every form but "strict" and control 1, unless the signal
    is so short that handing out the work takes longer. Whatever wants to
    see the layers at work (tracing, export, compilation, autocast, hooks)
    gets the layers.

    Arguments
    ---------
    net : avsep_sb.lobes.iianet.IIANet
        The model.
    audio : torch.Tensor
        What enters the first cycle.

    Returns
    -------
    bool
    """
    return (
        not net.training
        and type(audio) is torch.Tensor
        and audio.device.type == "cpu"
        and audio.dtype == torch.float32
        and not _is_watched()
        and _has_known_layers(net)
        and audio.shape[-1] * net.audio_bottom_up.project.conv.out_channels
        >= LEAST
        and not _needs_gradients(net, audio)
        and compiled() is not None
    )


def _is_watched():
    """Whether something records or replaces torch's operators."""
    return (
        torch.jit.is_tracing()
        or torch.jit.is_scripting()
        or torch.compiler.is_compiling()
        or torch.onnx.is_in_onnx_export()
        or torch.is_autocast_enabled("cpu")
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def _has_known_layers(net):
    """Whether all layers are those that the loops stand for."""
    up, down, top = net.audio_bottom_up, net.audio_top_down, net.top.audio
    if not net.residual or (type(up), type(down), type(top)) != (
        *(BottomUp, TopDown, ResidualFFN),
    ):
        return False
    return (
        all(
            type(phi) is SimpleIntraAttention
            or (type(phi) is IntraAttention and phi.local is not None)
            for phi in [*down.from_top, *down.between]
        )
        and all(weight.dtype == torch.float32 for weight in net.parameters())
        and not any(
            layer._forward_hooks or layer._forward_pre_hooks
            for layer in net.modules()
        )
    )


def _needs_gradients(net, audio):
    """Whether a backward pass may follow."""
    return torch.is_grad_enabled() and (
        audio.requires_grad
        or any(weight.requires_grad for weight in net.parameters())
    )


def arrange(net, audio):
    """Bring the channels of each frame together, if the fast path is taken.

    Whoever passes on the result alone has the memory of ``audio`` back.

    Arguments
    ---------
    net : avsep_sb.lobes.iianet.IIANet
        The model.
    audio : torch.Tensor
        [N, out_channels, L]

    Returns
    -------
    torch.Tensor
        [N, out_channels, L], the same values.
    """
    return channels_last(audio) if fits(net, audio) else audio


def separate(net, audio, video=None, faces=1):
    """As :meth:`avsep_sb.lobes.iianet.IIANet.separate`.

    Arguments
    ---------
    net : avsep_sb.lobes.iianet.IIANet
        The model.
    audio : torch.Tensor
        [N, out_channels, L]
    video : torch.Tensor, optional
        [N, vin_channels, Tv]
    faces : int
        Faces of each mixture, one after the other in N.

    Returns
    -------
    torch.Tensor
        [N, out_channels, L]
    """

    keep_freed_memory()
    team = workers()
    return team.conduct(lambda: _separate(team, net, audio, video, faces))


def _separate(team, net, audio, video, faces):
    streams = [
        Stream(
            item.t().contiguous(), None if video is None else video[n : n + 1]
        )
        for n, item in enumerate(audio)
    ]
    _run(team, net, streams, audio.shape[-1], faces)
    return torch.stack([stream.audio.t() for stream in streams])


def _run(team, net, streams, length, faces):
    """Run all cycles over all streams, in place."""
    together = team.count if length <= SIDE_BY_SIDE else 1
    # Threads that each have an item of their own never wait for each other;
    # items left over are shared by all threads.
    whole = len(streams) // together * together if together > 1 else 0
    groups = [streams[n : n + together] for n in range(0, whole, together)] + [
        [stream] for stream in streams[whole:]
    ]
    crews = {
        size: [
            Cycles(net, length, solo() if size > 1 else team)
            for _ in range(size)
        ]
        for size in {len(group) for group in groups}
    }
    cycles = range(net.num_cycles)
    meet = net.cross_face is not None and faces > 1
    for span in [[cycle] for cycle in cycles] if meet else [cycles]:
        for group in groups:
            crew = crews[len(group)]

            def run(n, group=group, crew=crew, span=span):
                for cycle in span:
                    crew[n].run(cycle, group[n])

            if len(group) == 1:
                run(0)
            else:
                team.share(run, len(group))
        if meet:
            rows = torch.stack([stream.audio for stream in streams])
            rows = net.cross_face(rows.transpose(1, 2), faces).transpose(1, 2)
            for stream, own in zip(streams, rows, strict=True):
                stream.audio = own.contiguous()


class Stream:
    """What one face has between two cycles.

    Arguments
    ---------
    audio : torch.Tensor
        [L, out_channels]
    video : torch.Tensor or None
        [1, vin_channels, Tv]
    """

    def __init__(self, audio, video):
        self.audio = self.first_audio = audio
        self.video = self.first_video = video

    def own_audio(self):
        """Memory for new audio: the old's, unless that will be needed.

        Returns
        -------
        torch.Tensor
            [L, out_channels]
        """
        if self.audio is self.first_audio:
            return torch.empty(self.audio.shape)
        return self.audio


class Cycles:
    """Runs cycles over one stream at a time.

    Arguments
    ---------
    net : avsep_sb.lobes.iianet.IIANet
        The model.
    length : int
        Frames of the audio stream.
    team : avsep_sb.lobes.workers.Workers
        Threads that share the work on a stream.
    """

    def __init__(self, net, length, team):
        self.net, self.team = net, team
        self.audio = AudioCycle(net, length, team)
        self.meeting = self.exchange = None
        if isinstance(net.top.fusion, CrossModalFusion):
            self.meeting = Exchange(net.top.fusion, team)
        if isinstance(net.bottom, CrossModalFusion):
            # By then the cycle's memory is free.
            self.exchange = Exchange(net.bottom, team, self.audio.memory)

    def run(self, cycle, stream):
        """Do one cycle.

        Arguments
        ---------
        cycle : int
            Its number, from 0.
        stream : Stream
            Changed in place.
        """
        enter = self.gate(stream) if cycle > 0 else None
        if cycle < self.net.num_av_cycles:
            self.look(stream, enter, cycle == self.net.num_av_cycles - 1)
            return
        pooled = self.audio.bottom_up(stream.audio, enter)
        self.merge(stream, self.audio.feed_forward(pooled))

    def merge(self, stream, top, guides=None):
        """Take the way back, and add what entered the cycle."""
        out = stream.own_audio()
        self.audio.merge(self.audio.spread(top, guides), stream.audio, out)
        stream.audio = out

    def gate(self, stream):
        """What brings the first audio features back in, some rows at a time.

        Arguments
        ---------
        stream : Stream
            Changed in place, when rows are entered.

        Returns
        -------
        callable
            Takes start and stop.
        """
        gate = self.net.audio_gate
        layer = (
            gate.scale.weight[:, 0, 0].detach().numpy(),
            gate.scale.bias.detach().numpy(),
            curve_of(gate.act),
        )
        arrays = stream.audio.numpy(), stream.first_audio.numpy()

        def enter(start, stop):
            self.audio.do.gate_rows(*arrays, *layer, start, stop)

        return enter

    def look(self, stream, enter, last):
        """Do an audio-visual cycle; after the last no video is kept.

        The video is so small that its layers run on one thread, beside what
        is done to the audio.
        """
        net, team, first = self.net, self.team, stream.first_video
        need_stream = not last or net.bottom is not None
        need_scales = need_stream or net.middle is not None
        if enter is not None:
            stream.video = net.video_gate(stream.video, first)
        video = stream.video
        ready = team.begin(lambda: net.video_bottom_up(video))
        pooled = self.audio.bottom_up(stream.audio, enter)
        scales, lips = ready()
        if self.meeting is not None:
            top = Stream(pooled, lips)
            self.meeting.run(top, need_scales)
            lips = top.video
        ready = team.begin(lambda: self.guide(scales, lips, need_scales))
        top = self.audio.feed_forward(pooled)
        scales, guides = ready()
        if need_stream:
            ready = team.begin(lambda: net.video_top_down.merge(scales))
        self.merge(stream, top, guides)
        if not need_stream:
            stream.video = None
            return
        stream.video = ready() + video
        if self.exchange is not None:
            self.exchange.run(stream, not last)
        elif net.bottom is not None:
            audio, stream.video = net.bottom(
                as_layers(stream.audio), stream.video, need_video=not last
            )
            stream.audio = as_rows(audio)

    def guide(self, scales, lips, need_scales):
        """Spread the lips' top feature to their scales.

        Returns
        -------
        list of torch.Tensor
            The new scales.
        list of torch.Tensor or None
            What they gate the scales of the audio by, [T_i, C].
        """
        net = self.net
        if need_scales:
            scales = net.video_top_down.spread(scales, net.top.video(lips))
        if net.middle is None:
            return scales, None
        return scales, [
            as_rows(1.0 + torch.sigmoid(layer(scale)))
            for layer, scale in zip(net.middle.scales, scales, strict=True)
        ]
