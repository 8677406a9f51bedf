"""Times calls that take turns, and tells when the machine was busy.

Every call runs between two 1024 x 1024 float32 matrix products. Where one of
them takes much longer than the fastest of the run, or its threads did not get
the time to compute, something else was using the processor: the round is left
out.

Authors
 * avsep_sb contributors
"""

import statistics
import time
from dataclasses import dataclass

import torch

SIZE = 1024
# A round is busy if a product took this many times the fastest one, or was
# computed for less than this share of its time by each thread.
BUSY = 1.3
SHARE = 0.8
# With fewer quiet rounds than this all are used, and the note says so.
FEWEST = 3


def timed(run):
    """Seconds that a call takes, and those that the process computed.

    On one thread the second figure leaves out waiting for a busy machine.
    """
    start, start_cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - start_cpu


def spread(values, unit=""):
    """Median, and the range in brackets."""
    low, high = min(values), max(values)
    middle = statistics.median(values)
    return f"{middle:.3f}{unit} ({low:.3f} to {high:.3f})"


def product(square):
    """Seconds of a matrix product, and share that was computed, per thread.

    The median of three products, each of its own.
    """
    passed, computed = zip(
        *(timed(lambda: square @ square) for _ in range(3)), strict=True
    )
    seconds = statistics.median(passed)
    share = statistics.median(computed) / seconds / torch.get_num_threads()
    return seconds, share


@dataclass
class Rounds:
    """Seconds of each call in each round.

    Arguments
    ---------
    wall, cpu : dict
        Name to seconds per round: that passed, and that were computed.
    product : list
        Seconds of the slowest matrix product of each round.
    share : list
        Smallest share of a product's time that a thread computed, per round.
    fastest : float
        Seconds of the fastest product of all.
    """

    wall: dict
    cpu: dict
    product: list
    share: list
    fastest: float

    @property
    def quiet(self):
        """Numbers of the rounds in which nothing else ran."""
        return [
            i
            for i, (taken, share) in enumerate(
                zip(self.product, self.share, strict=True)
            )
            if taken <= BUSY * self.fastest and share >= SHARE
        ]

    @property
    def used(self):
        """Numbers of the rounds that count."""
        if len(self.quiet) >= FEWEST:
            return self.quiet
        return list(range(len(self.product)))

    def seconds(self, name, cpu=False):
        """Seconds of a call in the rounds that count."""
        taken = (self.cpu if cpu else self.wall)[name]
        return [taken[i] for i in self.used]

    def ratios(self, name, other, cpu=False):
        """Round by round, the time of a call over that of another."""
        pairs = zip(
            self.seconds(name, cpu), self.seconds(other, cpu), strict=True
        )
        return [own / base for own, base in pairs]

    def note(self):
        """Sentence on how quiet the machine was."""
        count, busy = len(self.product), len(self.product) - len(self.quiet)
        text = (
            f"{count} rounds; {SIZE} x {SIZE} float32 product "
            f"{1e3 * self.fastest:.1f} ms at its fastest, "
            f"{1e3 * max(self.product):.1f} ms at its slowest; {busy} busy "
            f"(a product above {BUSY:g} times the fastest, or computing less "
            f"than {100 * SHARE:.0f} % of its time)"
        )
        if not busy:
            return f"{text}."
        if len(self.used) < count:
            return f"{text} and left out."
        return (
            f"{text} **and kept, as fewer than {FEWEST} would be left: these "
            "figures need another run on a quiet machine.**"
        )


def interleaved(calls, rounds, rest=0.0):
    """Times calls in turns, after one call of each that does not count.

    They start in another order each round, so that none is always first.

    Arguments
    ---------
    calls : dict
        Name to a function without arguments.
    rounds : int
        Times that each is run.
    rest : float
        Seconds after each call, in which threads of other processes that spin
        in wait for more give up.

    Returns
    -------
    Rounds
        What they took.
    """
    square = torch.rand(SIZE, SIZE)
    names = list(calls)
    wall = {name: [] for name in names}
    cpu = {name: [] for name in names}
    products = []
    for name in names:
        calls[name]()
    product(square)
    for turn in range(rounds):
        first = turn % len(names)
        products.append([product(square)])
        for name in names[first:] + names[:first]:
            passed, computed = timed(calls[name])
            time.sleep(rest)
            wall[name].append(passed)
            cpu[name].append(computed)
            products[-1].append(product(square))
    return Rounds(
        wall,
        cpu,
        product=[max(seconds for seconds, _ in these) for these in products],
        share=[min(share for _, share in these) for these in products],
        fastest=min(seconds for these in products for seconds, _ in these),
    )
