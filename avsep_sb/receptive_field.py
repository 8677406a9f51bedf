"""How far a separator sees through its convolutions.

Authors
 * avsep_sb contributors
"""

from torch import nn


def conv_reach(separator):
    """Tell how many samples one output sample sees through convolutions.

    Two things are left out, as with them every output sample depends on
    nearly every input sample: the global norms, which pool over the whole
    input, and the sound's way over the lips, whose coarsest frame stands for
    0.64 s in the standard model. Repeating frames and
    average pooling are taken as centred; they shift the field by less than
    one frame of the coarsest scale per cycle.

    Arguments
    ---------
    separator : torch.nn.Module
        An IIANet, or a model that tells its own ``reach_frames()``.

    Returns
    -------
    int
        Samples, both sides and the centre.

    Example
    -------
    >>> from avsep_sb.lobes.iianet import IIANet
    >>> tiny = {"audio_only": True, "in_channels": 8, "out_channels": 4}
    >>> conv_reach(IIANet(num_av_cycles=1, num_audio_cycles=0, **tiny))
    1151
    """
    codec = separator.codec
    if hasattr(separator, "reach_frames"):
        frames = separator.reach_frames()
    else:
        with_video = separator.num_av_cycles
        audio_only = separator.num_cycles - with_video
        frames = audio_only * _cycle_reach(separator, False)
        frames += with_video * _cycle_reach(separator, True)
    # The encoder sees one window around each frame, and the decoder adds up
    # the windows that cover a sample.
    return 2 * frames * codec.stride + 2 * codec.kernel_size - 1


def _half(module):
    """Frames to one side that the convolutions in a module see in turn."""
    return sum(
        layer.kernel_size[0] // 2
        for layer in module.modules()
        if isinstance(layer, nn.Conv1d)
    )


def _cycle_reach(separator, with_video):
    """Frames to one side that one cycle sees of the audio stream."""
    reach, jump, jumps = 0, 1, []
    for layer in separator.audio_bottom_up.scales:
        reach += jump * _half(layer)
        jump *= layer.conv.stride[0]
        jumps.append(jump)
    reach += jump * _half(separator.top.audio)
    if with_video and separator.top.fusion is not None:
        reach += jump * _half(separator.top.fusion.audio_gate)
    for level, attention in enumerate(
        getattr(separator.audio_top_down, "between", [])
    ):
        reach += jumps[level + 1] * _half(attention.gate)
    if with_video and separator.bottom is not None:
        # A fusion by attention has none: it pools over the whole input.
        reach += _half(getattr(separator.bottom, "audio_gate", nn.Identity()))
    return reach
