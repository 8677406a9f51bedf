#!/usr/bin/env python3
"""How long a stream takes for each piece of 40 ms, lip net included.

> python benchmarks/stream_speed.py --source pretrained/iianet-causal-synthav

Sound and mouths are noise: the work does not depend on them. Beside it stands
a product of two 1024 x 1024 matrices, as a measure of the machine.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
import time

import numpy as np
import torch

from avsep_sb.errors import run_or_explain
from avsep_sb.inference.streaming import StreamingSeparation

#: pieces that are not counted: memory and plans are made
WARM = 25


def time_stream(model, faces, seconds, growing=False):
    """Time each piece of a stream.

    Arguments
    ---------
    model : StreamingSeparation
        The model.
    faces : int
        Faces in view.
    seconds : float
        Length of the stream.
    growing : bool
        Whether faces may be added, as in ``avsep separate --stream``.

    Returns
    -------
    np.ndarray
        Seconds for each piece of one video frame.
    """
    rate, fps = model.hparams.sample_rate, model.hparams.video_fps
    rng = np.random.default_rng(0)
    stream = model.open(faces, growing=growing)
    size, times = rate // fps, []
    for _ in range(WARM + round(seconds * fps)):
        sound = torch.from_numpy(rng.normal(0, 0.1, size).astype(np.float32))
        mouths = rng.integers(0, 256, (faces, 1, 96, 96), dtype=np.uint8)
        begin = time.perf_counter()
        stream.feed(sound, torch.from_numpy(mouths))
        times.append(time.perf_counter() - begin)
    return np.array(times[WARM:])


def time_matmul(count=20):
    """Median seconds of a product of two 1024 x 1024 matrices."""
    one, times = torch.rand(1024, 1024), []
    for _ in range(count):
        begin = time.perf_counter()
        one @ one
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def main(argv):
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, help="a causal model")
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=6.0)
    args = parser.parse_args(argv)
    model = StreamingSeparation.from_hparams(args.source)
    piece = 1.0 / model.hparams.video_fps
    print(f"latency by the code: {1000 * model.latency_seconds:.1f} ms\n")
    print("| threads | faces | real-time factor | median | 95 % below | most |")
    print("|---|---|---|---|---|---|")
    for threads in args.threads:
        torch.set_num_threads(threads)
        for faces in args.faces:
            times = time_stream(model, faces, args.seconds)
            median, high = np.quantile(times, [0.5, 0.95]) * 1000
            print(
                f"| {threads} | {faces} | {times.mean() / piece:.2f} | "
                f"{median:.1f} ms | {high:.1f} ms | "
                f"{1000 * times.max():.1f} ms |"
            )
        print(
            f"| {threads} | matmul of 1024 | | "
            f"{1000 * time_matmul():.1f} ms | | |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
