"""Tells how much memory ``avsep separate`` takes, by the length of the video.

    python benchmarks/long_video.py CLIP --minutes 10 60 --out DIR

A clip is played in a loop, without being encoded again, and each of the
lengths is separated by the command line in a process of its own. What is told
is the peak of that process, and how long it took beside the video.

Authors
 * avsep_sb contributors
"""

import argparse
import os
import sys
import time
from pathlib import Path

import av
from report import footer, new_files

from avsep_sb.errors import ConfigError, run_or_explain


def write_loop(clip, path, seconds):
    """Plays a clip in a loop: its packets, each time later.

    Arguments
    ---------
    clip, path : str or Path
        The clip, and the mp4 to write.
    seconds : float
        How long the loop is at least.

    Returns
    -------
    float
        How long it is.
    """
    with av.open(str(clip)) as first:
        period = first.duration / av.time_base
    rounds = int(-(-seconds // period))
    with av.open(str(path), "w") as out:
        streams = None
        for number in range(rounds):
            with av.open(str(clip)) as source:
                if streams is None:
                    streams = {
                        s.index: out.add_stream_from_template(s)
                        for s in source.streams
                        if s.type in ("video", "audio")
                    }
                for packet in source.demux():
                    if packet.dts is None or packet.stream_index not in streams:
                        continue
                    later = round(number * period / packet.time_base)
                    packet.pts, packet.dts = (
                        packet.pts + later,
                        packet.dts + later,
                    )
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
    return rounds * period


def run_measured(argv):
    """Runs a command.

    Arguments
    ---------
    argv : list of str
        The command; its output is not kept.

    Returns
    -------
    (int, float, float, float)
        Exit status, peak memory in MB, CPU seconds, seconds by the clock.
    """
    begin = time.perf_counter()
    quiet = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, quiet, 1)]
    child = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    os.close(quiet)
    return (
        os.waitstatus_to_exitcode(status),
        usage.ru_maxrss / 1024,
        usage.ru_utime + usage.ru_stime,
        time.perf_counter() - begin,
    )


def main(argv):
    """Makes the videos, separates them and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clip", help="a video with faces and sound")
    parser.add_argument("--minutes", nargs="+", type=float, default=[10, 60])
    parser.add_argument("--out", required=True)
    parser.add_argument("--no-video", action="store_true", help="no mp4s")
    args = parser.parse_args(argv)
    if min(args.minutes) <= 0:
        raise ConfigError("Lengths are minutes above 0.")
    (report,) = new_files(args.out, ["long_video.md"])
    lines = [
        "| minutes | peak memory (MB) | CPU time / video | time / video |",
        "|---|---|---|---|",
    ]
    for minutes in args.minutes:
        report.write_text("\n".join(lines) + "\n", encoding="utf-8")
        loop = Path(args.out, f"loop{minutes:g}.mp4")
        seconds = write_loop(args.clip, loop, 60 * minutes)
        command = [sys.executable, "-m", "avsep_sb.cli", "separate", str(loop)]
        command += ["--out", str(Path(args.out, "results"))]
        command += ["--no-video"] * args.no_video
        status, peak, cpu, wall = run_measured(command)
        if status:
            raise ConfigError(f"{' '.join(command)} ended with {status}.")
        lines.append(
            f"| {seconds / 60:.1f} | {peak:.0f} | {cpu / seconds:.2f} | "
            f"{wall / seconds:.2f} |"
        )
        loop.unlink()
    text = "\n".join([*lines, *footer(__file__, argv)])
    report.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
