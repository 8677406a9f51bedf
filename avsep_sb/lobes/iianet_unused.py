"""Which layers of an IIANet never run, and are not to be trained.

Authors
 * avsep_sb contributors
"""


def freeze_unused(net):
    """Take layers that cannot reach the output out of the training.

    With a single cycle some layers that belong to the form, and to its
    checkpoints, never run; distributed training would wait for their
    gradients.

    Arguments
    ---------
    net : avsep_sb.lobes.iianet.IIANet
        A model that sees, whole; changed in place.

    Example
    -------
    >>> from avsep_sb.lobes.iianet import IIANet
    >>> net = IIANet(num_av_cycles=1, in_channels=8, out_channels=4)
    >>> any(weight.requires_grad for weight in net.video_gate.parameters())
    False
    """
    unused = []
    if net.num_cycles == 1 and net.residual:
        unused.append(net.audio_gate)
    if net.num_av_cycles == 1:
        if net.residual:
            unused.append(net.video_gate)
        if net.bottom is not None:
            unused.extend(net.bottom.for_video())
        elif net.middle is None:
            unused.extend([net.video_top_down, *net.top.for_video()])
        else:
            unused.append(net.video_top_down.project)
            unused.extend(getattr(net.video_top_down, "between", []))
    for module in unused:
        module.requires_grad_(False)
