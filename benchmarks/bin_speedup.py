"""Measures what filtering before repeating saves in BIN and AVLiT.

    python benchmarks/bin_speedup.py --threads 1
    python benchmarks/bin_speedup.py --model avlit --backward

The A-FRCNN joins signals of several rates by a 1x1 convolution. Our lobe
filters each at its own rate and adds (``avsep_sb.lobes.afrcnn``). Beside it
run the same weights in the plain form, as the papers describe it: frames
repeated, channels concatenated, then one convolution; and that form with the
global layer norm written out as well. The three take turns in one process
(``rounds.py``), and must give the same output.

Authors
 * avsep_sb contributors
"""

import argparse
import copy
import functools
import sys

import torch
import torch.nn.functional as F
from rounds import interleaved, spread
from torch import nn

from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.lobes.afrcnn import JoinConv1d
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN
from avsep_sb.lobes.norms import GlobalLayerNorm

TOLERANCE = 1e-5
SAMPLE_RATE = 16000
FRAME_RATE = 25


class PlainJoin(nn.Module):
    """Repeats the frames of coarse signals, concatenates, convolves."""

    def __init__(self, join):
        super().__init__()
        self.weight, self.bias = join.weight, join.bias

    def forward(self, *signals):
        """Join [N, C, T] and [N, C, T'] for any T' to [N, C, T]."""
        length = signals[0].shape[-1]
        signals = [
            signal
            if signal.shape[-1] == length
            else F.interpolate(signal, size=length, mode="nearest")
            for signal in signals
        ]
        return F.conv1d(torch.cat(signals, 1), self.weight, self.bias)


class PlainNorm(nn.Module):
    """Mean and variance over channels and time, one operation at a time."""

    def __init__(self, norm):
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x, repeats=None):
        """Normalise [N, C, T]; no model here counts frames several times."""
        mean = x.mean((1, 2), keepdim=True)
        variance = ((x - mean) ** 2).mean((1, 2), keepdim=True)
        x = (x - mean) / (variance + self.eps) ** 0.5
        return self.weight[:, None] * x + self.bias[:, None]


def plain_form(net, replacements):
    """The same model with some of its layers in the plain form."""
    net = copy.deepcopy(net)
    for module in list(net.modules()):
        for name, child in module.named_children():
            for kind, plain in replacements.items():
                if isinstance(child, kind):
                    setattr(module, name, plain(child))
    return net


def build(args):
    """The model, with weights that keep signals at their level."""
    torch.manual_seed(0)
    if args.model == "bin":
        net = BIN(num_iterations=args.iterations)
    else:
        net = AVLiT(audio_blocks=args.iterations)
    with torch.no_grad():
        for weight in net.parameters():
            if weight.dim() > 2:
                weight.normal_(std=weight[0].numel() ** -0.5)
    return net.eval()


def one_pass(net, inputs, backward):
    """One forward pass, and one backward if asked for."""
    if not backward:
        with torch.inference_mode():
            return net(*inputs)
    output = net(*inputs)
    output.square().mean().backward()
    net.zero_grad(set_to_none=True)
    return output.detach()


def main(argv):
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=["bin", "avlit"], default="bin")
    parser.add_argument(
        "--iterations", type=int, help="12 for BIN, 8 for AVLiT"
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--backward", action="store_true", help="a training step's passes"
    )
    args = parser.parse_args(argv)
    if min(args.seconds, args.repeats, args.threads) <= 0:
        raise ConfigError("seconds, repeats and threads must be above 0.")
    args.iterations = args.iterations or {"bin": 12, "avlit": 8}[args.model]
    torch.set_num_threads(args.threads)
    ours = build(args)
    joins = {JoinConv1d: PlainJoin}
    nets = {
        "ours": ours,
        "joins plain": plain_form(ours, joins),
        "joins and norms plain": plain_form(
            ours, {**joins, GlobalLayerNorm: PlainNorm}
        ),
    }
    frames = max(1, round(args.seconds * FRAME_RATE))
    mix = 0.1 * torch.randn(1, round(args.seconds * SAMPLE_RATE))
    visual = torch.randn(1, 2, frames, ours.vpre_channels)
    passes = {
        name: functools.partial(one_pass, net, (mix, visual), args.backward)
        for name, net in nets.items()
    }
    outputs = {name: run() for name, run in passes.items()}
    rounds = interleaved(passes, args.repeats)
    what = "forward and backward" if args.backward else "forward"
    print(
        f"{args.model}, {args.iterations} iterations, {args.seconds:g} s of "
        f"audio, {what}, {args.threads} thread(s), {rounds.note()}\n"
    )
    print("| form | seconds | ratio to ours | of CPU time | difference |")
    print("|---|---|---|---|---|")
    for name, output in outputs.items():
        ratios = [
            spread(rounds.ratios(name, "ours", cpu)) for cpu in (False, True)
        ]
        difference = float((output - outputs["ours"]).abs().max())
        print(
            f"| {name} | {spread(rounds.seconds(name))} | "
            f"{' | '.join(ratios)} | {difference:.1e} |"
        )
        if difference > TOLERANCE:
            raise ConfigError(
                f"The form '{name}' differs from ours by {difference:.1e}, "
                f"more than {TOLERANCE:.0e}: the speed-up is not exact."
            )
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
