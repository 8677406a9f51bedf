"""The videos of a corpus on the machines of a Ray cluster.

The counterpart of :func:`avsep_sb.dataio.jobs.run_jobs`. A corpus has up to a
million clips of seconds, so one Ray task takes a handful of them; what was
lost with a process is tried again clip by clip, so that only the culprit
fails.

Authors
 * avsep_sb contributors
"""

from functools import partial

from tqdm import tqdm

from avsep_sb.dataio.cluster import cluster_outcomes
from avsep_sb.dataio.jobs import one_thread
from avsep_sb.dataio.parallel import CRASHED, outcomes

#: clips of one Ray task, at most
CHUNK = 100
#: tasks that a small corpus is cut into at least, to keep all machines busy
LEAST_TASKS = 256


def run_on_cluster(function, jobs, address, label="files", progress=True):
    """Runs a function on many jobs on a cluster; what fails stops nothing.

    Arguments
    ---------
    function : callable
        Takes one job, and can be imported by name on every machine. It may
        be given a job twice.
    jobs : list
        What to do, as hashable values with absolute paths.
    address : str
        Of :func:`avsep_sb.dataio.cluster.connected`; "" takes the cluster
        that the environment names, or else this machine.
    label : str
        What the progress bar says.
    progress : bool
        Whether to show it.

    Returns
    -------
    dict
        ``{job: reason}`` of those that failed. ``ConfigError`` is raised if
        the cluster cannot be used.

    Example
    -------
    >>> run_on_cluster(int, [], "", progress=False)
    {}
    """
    jobs = list(jobs)
    if not jobs:
        return {}
    work, failures, lost = partial(reasons, function), {}, []
    with tqdm(
        desc=label, total=len(jobs), disable=not progress, dynamic_ncols=True
    ) as bar:
        for chunk, found, reason in cluster_outcomes(
            work, chunks(jobs), address
        ):
            if reason is None:
                failures.update(found)
            elif reason.startswith(CRASHED) and len(chunk) > 1:
                lost.extend(chunk)
                continue
            else:
                failures.update(dict.fromkeys(chunk, reason))
            bar.update(len(chunk))
        if lost:
            singles = [(job,) for job in lost]
            for single, found, reason in cluster_outcomes(
                work, singles, address
            ):
                failures.update(
                    found if reason is None else {single[0]: reason}
                )
                bar.update()
    return failures


def chunks(jobs):
    """Cuts jobs into tasks.

    Arguments
    ---------
    jobs : list
        What to do.

    Returns
    -------
    list of tuple

    Example
    -------
    >>> len(chunks(list(range(100)))), len(chunks(list(range(6400))))
    (100, 256)
    """
    size = max(1, min(CHUNK, len(jobs) // LEAST_TASKS))
    return [
        tuple(jobs[start : start + size]) for start in range(0, len(jobs), size)
    ]


def reasons(function, jobs):
    """What a task does: all its jobs, one after the other.

    Arguments
    ---------
    function : callable
        Takes one job.
    jobs : tuple
        The jobs.

    Returns
    -------
    dict
        ``{job: reason}`` of those that failed.

    Example
    -------
    >>> reasons(int, ("1", "x"))
    {'x': "ValueError: invalid literal for int() with base 10: 'x'"}
    """
    one_thread()
    return {
        outcome.item: outcome.reason
        for outcome in outcomes(function, jobs, workers=0)
        if outcome.reason is not None
    }
