#!/usr/bin/env python3
"""Makes the start of a causal IIANet from the weights of one that is not.

> python causal_start.py pretrained/iianet-synthav START

Kernels lose what they see of the future; messages between faces are left out.
``START/separator.ckpt`` and ``START/visual_frontend.ckpt`` are to be trained
on from with ``--separator_weights`` and ``--frontend_weights``. A file
``START/twin.ckpt`` holds the separator as it was, without the messages: the
start of its twin.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
from pathlib import Path

import torch

from avsep_sb.errors import run_or_explain
from avsep_sb.inference.load import read_state
from avsep_sb.lobes.causal_blocks import look_back


def main(argv):
    """Reads one folder and writes another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a pretrained folder")
    parser.add_argument("out", type=Path, help="folder for the start")
    args = parser.parse_args(argv)
    separator = {
        name: value
        for name, value in read_state(args.source / "separator.ckpt").items()
        if not name.startswith("cross_face.")
    }
    lips = read_state(args.source / "visual_frontend.ckpt")
    # The stem keeps its look-ahead: it has five dimensions, and stays.
    made = {
        "separator": look_back(separator),
        "twin": separator,
        "visual_frontend": look_back(lips),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for name, state in made.items():
        torch.save(state, args.out / f"{name}.ckpt")
    print(f"Written to {args.out}")


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
