"""Scores the face timeline: identities, speed and memory.

    python -m benchmarks.tracking_report [--grid DIR] --sets 6
    python -m benchmarks.tracking_report --video FILE [--repeat N]

The first films the scripted talk show of the tests (20 cuts, four people)
with several casts of SynthAV, or of GRID if its folder of clips is given, and
prints IDF1 and the number of people found. The second looks at a real
file, N times in a row as one long video, and prints times real time, CPU time
per frame, and peak memory after 10 minutes of video and at the end; run it
with two idle cores (``OMP_NUM_THREADS=2 taskset -c 0,1``). CPU time hardly
depends on what else runs (``OMP_NUM_THREADS=1``).

Authors
 * avsep_sb contributors
"""

import argparse
import itertools
import resource
import sys
import time
from pathlib import Path

import numpy as np

from avsep_sb.errors import run_or_explain
from avsep_sb.vision.decode import read_frames
from avsep_sb.vision.face_look import FaceDescriber, sface_path
from avsep_sb.vision.sheets import quality_sheet
from avsep_sb.vision.tracking_score import boxes_by_frame, idf1
from avsep_sb.vision.watch import watch
from tests.utils.scripted_videos import (
    GRID_CLIPS,
    film,
    grid_portraits,
    synthetic_portraits,
    talk_show,
)

SPEAKERS = 166  # of SynthAV
EARLY = 15000  # frames: 10 minutes


def casts(args):
    """Pairs (name of the set, portraits) of four people each."""
    rng = np.random.default_rng(args.seed)
    for _ in range(0 if args.grid else args.sets):
        numbers = rng.choice(SPEAKERS, 4, replace=False).tolist()
        yield "SynthAV", synthetic_portraits(numbers, frames=16)
    for _ in range(args.sets if args.grid else 0):
        names = rng.choice(sorted(GRID_CLIPS), 4, replace=False).tolist()
        yield "GRID", grid_portraits(args.grid, names)


def score_casts(args):
    """Prints a row for each cast and description."""
    print("| set | people | SFace | IDF1 | found |")
    print("|---|---|---|---|---|")
    choices = [False] + [True] * (sface_path() is not None)
    for (name, portraits), sface in itertools.product(
        list(casts(args)), choices
    ):
        frames, truth = film(talk_show(list(portraits)), portraits, args.seed)
        with watch(frames, describer=FaceDescriber(sface)) as timeline:
            score = idf1(truth, boxes_by_frame(timeline))
            found = len(timeline.people)
        who = " ".join(portraits)
        print(f"| {name} | {who} | {sface} | {score:.3f} | {found} |")


def peak_megabytes():
    """Peak memory of this process so far; getrusage tells kB on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def time_video(args):
    """Prints speed and peak memory for a file."""
    frames = itertools.chain.from_iterable(
        read_frames(args.video) for _ in range(args.repeat)
    )
    early = {}

    def progress(count):
        if count == EARLY:
            early["peak"] = peak_megabytes()

    begin, cpu = time.perf_counter(), time.process_time()
    with watch(frames, folder=args.folder, progress=progress) as timeline:
        wall = time.perf_counter() - begin
        cpu = 1000 * (time.process_time() - cpu) / timeline.frames
        seconds = timeline.frames / timeline.fps
        peak = peak_megabytes()
        print(
            f"{seconds:.1f} s of {timeline.size[0]}x{timeline.size[1]}, "
            f"{len(timeline.people)} people, {len(timeline.cuts)} shots: "
            f"{seconds / wall:.2f} times real time, "
            f"{cpu:.1f} ms of CPU per frame, "
            f"peak {early.get('peak', peak):.0f} MB after 10 minutes, "
            f"{peak:.0f} MB at the end"
        )
        if args.sheet and timeline.people:
            quality_sheet(timeline, args.sheet)


def main(argv=None):
    """Reads the command line.

    Arguments
    ---------
    argv : list of str or None
        The arguments; those of the program when None.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--grid", type=Path, help="folder of GRID clips")
    parser.add_argument("--sets", type=int, default=4, help="casts per set")
    parser.add_argument("--seed", type=int, default=0, help="of casts, light")
    parser.add_argument("--video", type=Path, help="a file to be timed")
    parser.add_argument("--repeat", type=int, default=1, help="times in a row")
    parser.add_argument("--folder", help="where the mouths are kept")
    parser.add_argument("--sheet", help="a PNG of the mouths")
    args = parser.parse_args(argv)
    time_video(args) if args.video else score_casts(args)


if __name__ == "__main__":
    sys.exit(run_or_explain(main))
