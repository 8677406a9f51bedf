"""Loops on the very threads that torch computes on.

In training torch's operators and our loops take turns. After each of its
operators a thread of torch's OpenMP team spins for some milliseconds, in wait
for the next one; a second team beside it gets half of a core meanwhile (a
training step of IIANet took 1.1 times as long). So loops go to OpenMP's own
team, by the entry that GNU compilers call for ``#pragma omp parallel``. Where
torch brings no libgomp (macOS, Windows) they go to :mod:`workers` beside it.

Authors
 * avsep_sb contributors
"""

import ctypes
import functools
from pathlib import Path

import torch

from avsep_sb.lobes.workers import workers

_TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class TorchTeam:
    """The OpenMP threads of torch, for loops that release the interpreter.

    Arguments
    ---------
    parallel : callable
        ``GOMP_parallel``: a C function, its data, threads, flags.
    count : int
        Threads.

    Example
    -------
    >>> team, done = torch_team(), []
    >>> team.share(done.append, 3)
    >>> sorted(done)
    [0, 1, 2]
    """

    def __init__(self, parallel, count):
        self.parallel = parallel
        self.count = count

    def share(self, function, count):
        """Call a function for 0 .. count - 1, on any thread, in any order.

        Arguments
        ---------
        function : callable
            Takes the number. It must not call torch's operators.
        count : int
            Calls. What the first one that fails raises is raised.
        """
        todo, failed = iter(range(count)), []

        def work(_):
            try:
                for number in todo:
                    function(number)
            except BaseException as error:  # it cannot pass through C
                failed.append(error)

        threads = min(self.count, count)
        if threads > 1:
            self.parallel(_TASK(work), None, threads, 0)
        else:
            work(None)
        if failed:
            raise failed[0]


@functools.cache
def _parallel():
    """``GOMP_parallel`` of the libgomp that torch brings, or None."""
    for path in sorted(Path(torch.__file__).parent.glob("lib/libgomp*.so*")):
        try:
            # It is loaded already: this is another name for it.
            entry = ctypes.CDLL(str(path)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        unsigned = ctypes.c_uint
        entry.argtypes = [_TASK, ctypes.c_void_p, unsigned, unsigned]
        entry.restype = None
        return entry
    return None


def torch_team():
    """The threads for loops between operators of torch.

    Returns
    -------
    TorchTeam or avsep_sb.lobes.workers.Workers
        Of ``torch.get_num_threads()`` threads.
    """
    if _parallel() is None:
        return workers()
    return TorchTeam(_parallel(), torch.get_num_threads())
