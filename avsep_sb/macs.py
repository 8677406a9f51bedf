"""Count the multiply-accumulates of a model from its modules.

Two conventions are kept apart, as published figures follow one or the other.

``convs``: convolutions and linear layers, one multiply-accumulate per weight
and output position, and the products of attention; nothing else. Half of what
torch's flop counter says.

``ptflops``: what ptflops 0.7.0 counts, which is how the IIANet paper's
figures come about: besides these, 1 per bias and output element, 2 per
normalised element, 1 per element of ReLU, PReLU and GELU, and for attention
1 per weight of the softmax and per scaled query element. Functions that
are not modules (sigmoid, resizing, pooling, products) count nothing.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass

import torch
from torch import nn

from avsep_sb.lobes.afrcnn import JoinConv1d
from avsep_sb.lobes.attention import DotProductAttention
from avsep_sb.lobes.iianet_blocks import IntraAttention
from avsep_sb.lobes.norms import GlobalLayerNorm

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d,)
NORMS = (
    *(GlobalLayerNorm, nn.LayerNorm),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
)
ACTIVATIONS = (nn.ReLU, nn.PReLU, nn.GELU)


@dataclass
class Macs:
    """Multiply-accumulates of one pass.

    Arguments
    ---------
    convs : float
        Convolutions and linear layers only.
    ptflops : float
        In the convention of ptflops 0.7.0.
    saved : float
        How much of ``convs`` we do not compute, because we filter a signal
        before its frames are repeated and not after.

    Example
    -------
    >>> Macs(convs=2e9, ptflops=3e9).ptflops
    3000000000.0
    """

    convs: float = 0.0
    ptflops: float = 0.0
    saved: float = 0.0


def layer_macs(module, size_in, size_out):
    """Count one pass through one layer.

    Arguments
    ---------
    module : torch.nn.Module
        The layer.
    size_in : int
        Elements that enter it.
    size_out : int
        Elements that leave it.

    Returns
    -------
    tuple
        In the conventions ``convs`` and ``ptflops``; zeros for layers that
        have no part in them.

    Example
    -------
    >>> layer_macs(torch.nn.Conv1d(2, 4, 3, padding=1), 20, 40)
    (240, 280)
    """
    if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
        convs = size_out * module.weight[0].numel()
    elif isinstance(module, TRANSPOSED):
        convs = size_in * module.weight[0].numel()
    elif isinstance(module, NORMS):
        return 0, 2 * size_out
    elif isinstance(module, ACTIVATIONS):
        return 0, size_out
    else:
        return 0, 0
    return convs, convs + (0 if module.bias is None else size_out)


def count_macs(model, *inputs):
    """Count one pass through a model.

    Where an intra-attention, or a convolution that joins several rates, is
    defined on a resized signal but computed on the short one, which gives the
    same numbers, the count is that of the definition, as in the released
    code; ``saved`` tells the difference.

    Arguments
    ---------
    model : torch.nn.Module
        The model, possibly on the meta device, where this costs nothing.
    *inputs : torch.Tensor
        What it is called with.

    Returns
    -------
    Macs
        The counts.

    Example
    -------
    >>> count_macs(torch.nn.Conv1d(2, 4, 3, padding=1), torch.rand(1, 2, 10))
    Macs(convs=240.0, ptflops=280.0, saved=0.0)
    """
    total = Macs()
    repeats = {}

    def note_repeats(attention, args):
        fine, coarse = args
        if attention.resize_first and attention.kernel_size == 1:
            for branch in (attention.gate, attention.value):
                for layer in branch.modules():
                    repeats[layer] = fine.shape[-1] / coarse.shape[-1]

    def count(layer, args, output):
        if isinstance(layer, DotProductAttention):
            convs, ptflops = layer.macs(*args[:2])
        else:
            convs, ptflops = layer_macs(layer, args[0].numel(), output.numel())
        times = repeats.get(layer, 1.0)
        total.convs += convs * times
        total.ptflops += ptflops * times
        total.saved += convs * (times - 1.0)
        if isinstance(layer, JoinConv1d):
            entered = sum(signal.numel() for signal in args)
            total.saved += convs - entered * layer.out_channels

    handles = []
    for module in model.modules():
        if isinstance(module, IntraAttention):
            handles.append(module.register_forward_pre_hook(note_repeats))
        elif not list(module.children()):
            handles.append(module.register_forward_hook(count))
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return total
