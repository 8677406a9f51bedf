"""Scores in processes beside the one that separates.

Authors
 * avsep_sb contributors
"""

import os
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool

from avsep_sb.dataio.parallel import worker_pool
from avsep_sb.errors import DataError


def one_thread():
    """Keeps a scoring process to one thread, as there are many of them.

    Returns
    -------
    None
        The environment and torch of this process are set.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    import torch

    torch.set_num_threads(1)


def stream(function, jobs, workers):
    """Yields the result of each job as it is done, in any order.

    Jobs are taken from their iterator only while few are waiting, so that
    a test set of any size takes no more memory than a few mixtures.

    Arguments
    ---------
    function : callable
        Takes a job; with ``workers`` it must be importable by name.
    jobs : iterable
        Consumed in this process: what it computes runs beside the workers.
    workers : int
        Processes; 0 works in this one.

    Returns
    -------
    generator
        An error of a job ends it, and so does ``DataError`` after the death
        of a process.

    Example
    -------
    >>> list(stream(abs, iter([-1, 2]), workers=0))
    [1, 2]
    """
    if not workers:
        yield from map(function, jobs)
        return
    running = set()
    with worker_pool(workers, one_thread) as pool:
        try:
            for job in jobs:
                running.add(pool.submit(function, job))
                full = len(running) > 2 * workers
                done, running = wait(
                    running, None if full else 0, FIRST_COMPLETED
                )
                yield from [future.result() for future in done]
            while running:
                done, running = wait(running, None, FIRST_COMPLETED)
                yield from [future.result() for future in done]
        except BrokenProcessPool as err:
            raise DataError(
                "a process died while it scored, which PESQ or a lack of "
                "memory may cause: run the same command again, with a "
                "smaller -j or without pesq."
            ) from err
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
