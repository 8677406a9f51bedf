"""When IIANet takes the fast path, and how its cycles run there.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.lobes.iianet_blocks import IntraAttention, SimpleIntraAttention
from avsep_sb.lobes.iianet_cycle import AudioCycle
from avsep_sb.lobes.iianet_kernels import compiled
from avsep_sb.lobes.iianet_topdown import TopDown
from avsep_sb.lobes.workers import workers


def fits(net, audio):
    """Whether the fast path gives what the layers would give here.

    It does without gradients, in evaluation, in 32 bits on a CPU, where numba
    is installed, for every form but "strict" and control 1. Whatever wants to
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
    down = net.audio_top_down
    if not isinstance(down, TopDown) or not net.residual:
        return False
    known = all(
        isinstance(phi, SimpleIntraAttention)
        or (isinstance(phi, IntraAttention) and phi.local is not None)
        for phi in [*down.from_top, *down.between]
    )
    return known and not any(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or any(
            weight.dtype != torch.float32
            for weight in layer._parameters.values()
            if weight is not None
        )
        for layer in net.modules()
    )


def _needs_gradients(net, audio):
    """Whether a backward pass may follow."""
    return torch.is_grad_enabled() and (
        audio.requires_grad
        or any(weight.requires_grad for weight in net.parameters())
    )


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

    def run():
        return _cycles(net, audio, video, faces)

    return workers().conduct(run)


def _cycles(net, audio, video, faces):
    """All cycles; streams lie time first, [N, L, C]."""
    first = audio.transpose(1, 2).contiguous()
    streams, first_video = first, video
    engine = AudioCycle(net, streams.shape[1])
    for cycle in range(net.num_cycles):
        sees = cycle < net.num_av_cycles
        if cycle > 0:
            # A map of each channel: the layers take either layout.
            streams = net.audio_gate.act(
                torch.addcmul(
                    net.audio_gate.scale.bias,
                    streams + first,
                    net.audio_gate.scale.weight[:, 0, 0],
                )
            )
            if sees:
                video = net.video_gate(video, first_video)
        if sees:
            last = cycle == net.num_av_cycles - 1
            streams, video = _av_cycle(net, engine, streams, video, last)
        else:
            streams = torch.stack(
                [_audio_cycle(engine, stream) for stream in streams]
            )
        if net.cross_face is not None:
            streams = net.cross_face(streams.transpose(1, 2), faces)
            streams = streams.transpose(1, 2).contiguous()
    return streams.transpose(1, 2).contiguous()


def _audio_cycle(engine, stream):
    top = engine.feed_forward(engine.bottom_up(stream))
    return engine.merge(engine.spread(top), stream)


def _av_cycle(net, engine, streams, video, last):
    need_stream = not last or net.bottom is not None
    need_scales = need_stream or net.middle is not None
    lip_scales, lip_pooled = net.video_bottom_up(video)
    made, seen = [], []
    for n, stream in enumerate(streams):
        pooled = engine.bottom_up(stream)
        own_pooled = lip_pooled[n : n + 1]
        own_scales = [scale[n : n + 1] for scale in lip_scales]
        if net.top.fusion is not None:
            pooled, own_pooled = net.top.fusion(
                pooled.t().unsqueeze(0), own_pooled, need_scales
            )
            pooled = pooled[0].t().contiguous()
        top = engine.feed_forward(pooled)
        guides = None
        if need_scales:
            own_scales = net.video_top_down.spread(
                own_scales, net.top.video(own_pooled)
            )
        if net.middle is not None:
            guides = [
                (1.0 + torch.sigmoid(layer(lips)))[0].t().contiguous()
                for layer, lips in zip(
                    net.middle.scales, own_scales, strict=True
                )
            ]
        made.append(engine.merge(engine.spread(top, guides), stream))
        if need_stream:
            merged = net.video_top_down.merge(own_scales)
            seen.append(merged + video[n : n + 1])
    streams = torch.stack(made)
    if not need_stream:
        return streams, None
    video = torch.cat(seen)
    if net.bottom is not None:
        streams, video = net.bottom(
            streams.transpose(1, 2), video, need_video=not last
        )
        streams = streams.transpose(1, 2).contiguous()
    return streams, video
