"""Work on many files in several processes, where one bad file stops nothing.

Authors
 * avsep_sb contributors
"""

import multiprocessing
import os
import threading
from collections import namedtuple
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from avsep_sb.errors import AVSepError

Outcome = namedtuple("Outcome", ["item", "value", "reason"])
Outcome.__doc__ = """The item, what the function returned, or why it failed."""

CRASHED = "the process died while it worked on this file"


def outcomes(function, items, workers, initializer=None):
    """Yields the outcome of each item, in the order in which they finish.

    An exception becomes the reason of its item. So does the death of a
    process, which a video decoder can cause: everything that was being
    worked on then is tried again, each item in a process of its own, so
    that only the culprit fails.

    Arguments
    ---------
    function : callable
        Takes one item. With ``workers`` it must be importable by name.
    items : list
        What to work on.
    workers : int
        Number of processes; 0 works in this process.
    initializer : callable or None
        Called once in each process that is started.

    Returns
    -------
    generator of Outcome
        ``reason`` is None after success.

    Example
    -------
    >>> [tuple(outcome) for outcome in outcomes(abs, [-1], workers=0)]
    [(-1, 1, None)]
    >>> next(outcomes(abs, ["a"], workers=0)).reason
    "TypeError: bad operand type for abs(): 'str'"
    """
    if not workers:
        for item in items:
            yield Outcome(item, *_try(function, item))
        return
    waiting = list(reversed(items))
    while waiting:
        suspects = []
        yield from _until_crash(
            function, waiting, suspects, workers, initializer
        )
        for item in suspects:
            with worker_pool(1, initializer) as pool:
                try:
                    answer = pool.submit(_try, function, item).result()
                except BrokenProcessPool:
                    answer = None, CRASHED
            yield Outcome(item, *answer)


def _until_crash(function, waiting, suspects, workers, initializer):
    """Empties ``waiting`` from its end; a crash fills ``suspects``."""
    running = {}
    with worker_pool(min(workers, len(waiting)), initializer) as pool:
        while waiting or running:
            try:
                # Few in flight, so that a crash casts suspicion on few.
                while waiting and len(running) < 2 * workers:
                    future = pool.submit(_try, function, waiting[-1])
                    running[future] = waiting.pop()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    answer = future.result()
                    yield Outcome(running.pop(future), *answer)
            except BrokenProcessPool:
                suspects.extend(running.values())
                return


def worker_pool(workers, initializer=None):
    """Processes that end with the one that started them.

    Arguments
    ---------
    workers : int
        Number of processes.
    initializer : callable or None
        Called once in each process that is started.

    Returns
    -------
    ProcessPoolExecutor

    Example
    -------
    >>> with worker_pool(1) as pool:
    ...     pool.submit(abs, -1).result()
    1
    """
    # Not fork: the parent may hold threads of torch, or a GPU.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _start, (initializer,))


def _start(initializer):
    """Begins a worker, which is to end when its parent is killed.

    Left to itself it would wait for work for ever, holding memory and the
    pipes that the parent's own caller reads from.
    """
    parent = multiprocessing.parent_process()

    def follow():
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    if initializer is not None:
        initializer()


def _try(function, item):
    """(value, None) or (None, reason)."""
    try:
        return function(item), None
    except AVSepError as err:
        return None, str(err)
    except Exception as err:
        # One odd file must not end hours of work; its reason is kept.
        return None, f"{type(err).__name__}: {err}"
