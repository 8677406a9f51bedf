"""Peak memory of one task of a candidate, in a process of its own.

Authors
 * avsep_sb contributors
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")


def _megabytes(field):
    """A size from the process's status, such as VmRSS."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _measure(text, task, seconds, faces, threads):
    from candidates import Candidate

    torch.set_num_threads(threads)
    run = Candidate(text, seconds, faces).call(task)
    before = _megabytes("VmRSS")
    # The second step finds the optimizer with its moments.
    run()
    run()
    return _megabytes("VmHWM") - before


def peak_megabytes(text, task, seconds, faces, threads):
    """Memory that a task needs beyond the loaded model and its inputs.

    Arguments
    ---------
    text : str
        The candidate's command line.
    task : str
        One of ``candidates.TASKS``.
    seconds : float
        Length of the mixture.
    faces, threads : int
        As in the times.

    Returns
    -------
    float
        MB resident at most; NaN where the system does not tell.
    """
    if not STATUS.is_file():
        return float("nan")
    # Spawned: a forked process would start with the peak of this one.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        done = pool.submit(_measure, text, task, seconds, faces, threads)
        return done.result()
