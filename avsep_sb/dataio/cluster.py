"""Work on many files on the machines of a Ray cluster.

The counterpart of :mod:`avsep_sb.dataio.parallel` for more than one machine.
What is tried again, where and when, is left to Ray: a task whose process or
machine dies is run again, one that raised an error is not.

Every machine needs avsep_sb, and the files under the same paths.

Authors
 * avsep_sb contributors
"""

import os
import socket
from contextlib import contextmanager

from avsep_sb.dataio.parallel import CRASHED, Outcome, outcomes
from avsep_sb.errors import ConfigError

#: how often Ray runs a task again whose process or machine died
MAX_RETRIES = 3
#: seconds in which a cluster must answer; Ray itself would wait for minutes
_PATIENCE = 10.0
_NOT_THERE = (
    "a machine of the Ray cluster could not begin; install this version of "
    "avsep_sb there"
)


def cluster_outcomes(function, items, address=None, num_gpus=0):
    """Yields the outcome of each item, in the order in which they finish.

    Each item is a Ray task on one CPU. An exception becomes the reason of its
    item at once; the death of a process or machine does after
    ``MAX_RETRIES`` further tries.

    Arguments
    ---------
    function : callable
        Takes one item, and can be imported by name on every machine. What it
        loads it may keep: its process is given further items.
    items : list
        What to work on.
    address : str or None
        Of :func:`connected`.
    num_gpus : float
        GPUs for each item.

    Returns
    -------
    generator of avsep_sb.dataio.parallel.Outcome
        ``reason`` is None after success. ``ConfigError`` is raised if the
        cluster cannot be used.
    """
    with connected(address, num_gpus) as ray:
        # Unless told, Ray ends a process that used a GPU after each task.
        task = ray.remote(
            num_cpus=1, num_gpus=num_gpus, max_retries=MAX_RETRIES, max_calls=0
        )(_outcome)
        running = {task.remote(function, item): item for item in items}
        while running:
            for done in ray.wait(list(running))[0]:
                item = running.pop(done)
                try:
                    yield ray.get(done)
                except ray.exceptions.OutOfMemoryError:
                    yield Outcome(item, None, f"{CRASHED}: out of memory")
                except ray.exceptions.RayTaskError:
                    # What the function raises is an outcome: it did not begin.
                    yield Outcome(item, None, _NOT_THERE)
                except ray.exceptions.RayError:
                    yield Outcome(item, None, CRASHED)


def _outcome(function, item):
    """What a task does, on the machine that Ray chose."""
    return next(outcomes(function, [item], workers=0))


@contextmanager
def connected(address=None, num_gpus=0):
    """Connects to a Ray cluster, and leaves it at the end.

    Ray's usage statistics and its dashboard stay off. A connection that this
    process has already is used as it is, and kept.

    Arguments
    ---------
    address : str or None
        ``HOST:PORT`` of a cluster, or ``auto`` for the one to which this
        machine belongs. None takes the one that the environment variable
        ``RAY_ADDRESS`` names, or else starts Ray on this machine alone.
    num_gpus : float
        GPUs that one task needs.

    Yields
    ------
    module
        Ray. ``ConfigError`` is raised if it is not installed, if there is no
        such cluster, or if this machine alone has not enough GPUs.
    """
    # Read when Ray is imported, so it comes first.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as err:
        raise ConfigError(
            "--ray needs Ray, which is not installed; run "
            "pip install 'avsep_sb[ray]' on each machine."
        ) from err
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options = {"include_dashboard": False} if address == "local" else {}
    _check_answers(address)
    try:
        ray.init(address=address, logging_level="ERROR", **options)
    except (ImportError, OSError, RuntimeError, ValueError) as err:
        first = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise ConfigError(
            f"the Ray cluster '{address}' cannot be used ({first}); give "
            "--ray the HOST:PORT of its head, and set RAY_AUTH_MODE=token "
            "where it asks for a token, or write 'auto' on one of its machines."
        ) from err
    try:
        # A cluster may grow and wait for GPUs; this machine will not.
        there = ray.cluster_resources().get("GPU", 0)
        if address == "local" and there < num_gpus:
            raise ConfigError(
                f"this machine has {there:g} GPU(s) for Ray and each video "
                f"needs {num_gpus:g}; use --device cpu."
            )
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address):
    """Refuses a ``HOST:PORT`` at which nobody listens.

    Example
    -------
    >>> _check_answers("127.0.0.1:1")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: nobody answers at '127.0.0.1:1' (Connection...
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        raise ConfigError(
            f"nobody answers at '{address}' ({reason}); start Ray there with "
            "'ray start --head', or correct the address after --ray."
        ) from err
