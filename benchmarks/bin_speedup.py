"""Measures how much faster BIN and AVLiT are than their plain forms.

    python benchmarks/bin_speedup.py --threads 1
    python benchmarks/bin_speedup.py --model avlit --backward

The lobes filter each signal at its own rate before its frames are repeated,
and keep the channels of a frame side by side in memory. Beside them runs the
plain form of ``benchmarks/plain`` with the same weights. Both take turns in one
process (``rounds.py``), and must give the same output. In one process the plain
form is spared the page faults that the lobes avoid: ``speed.py``, which gives
each form a process of its own, finds a larger ratio.

Authors
 * avsep_sb contributors
"""

import argparse
import functools
import sys

import torch
from plain.avlit import PlainAVLiT
from plain.bin import PlainBIN
from rounds import interleaved, spread

from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN

TOLERANCE = 1e-5
SAMPLE_RATE = 16000
FRAME_RATE = 25


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
    plain = PlainBIN if args.model == "bin" else PlainAVLiT
    nets = {"ours": ours, "plain": plain(ours)}
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
        largest = max(1.0, float(output.abs().max()))
        difference = float((output - outputs["ours"]).abs().max()) / largest
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
