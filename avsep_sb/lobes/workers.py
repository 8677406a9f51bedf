"""Several threads that share one computation, and torch alone in each.

Fused loops and torch's operators take turns within a millisecond. Were both
to bring their own team of threads, each team would spin and keep the other
from the cores. So one team does everything, and torch runs on a single thread
inside each of its members.

Authors
 * avsep_sb contributors
"""

import contextlib
import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import torch


class Workers:
    """A team of threads.

    Arguments
    ---------
    count : int
        Threads. With one, all is done by the caller.

    Example
    -------
    >>> team = Workers(2)
    >>> out = torch.zeros(4)
    >>> team.conduct(lambda: team.share(lambda i: out[i].fill_(i), 4))
    >>> out.tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    def __init__(self, count):
        self.count = count
        self.pool = None
        if count == 1:
            return
        # What one thread sets for itself, torch takes as the default of
        # threads to come: start all of them now, then set it back.
        before = torch.get_num_threads()
        started = threading.Barrier(count)

        def start():
            torch.set_num_threads(1)
            # A thread that asks for the first time takes the default of then.
            torch.get_num_threads()
            started.wait()

        self.pool = ThreadPoolExecutor(count, "avsep", start)
        for _ in range(count):
            self.pool.submit(int)
        # The threads start one by one with the tasks, and wait for the last.
        self.pool.submit(int).result()
        torch.set_num_threads(before)

    def conduct(self, function):
        """Run what calls :meth:`share`, without gradients.

        Arguments
        ---------
        function : callable
            Without arguments.

        Returns
        -------
        object
            What it returns.
        """
        if self.pool is None:
            with torch.no_grad():
                return function()
        return self.pool.submit(same_mode(function)).result()

    def begin(self, function):
        """Have a thread do something beside what the caller does next.

        Arguments
        ---------
        function : callable
            Without arguments.

        Returns
        -------
        callable
            Waits, and returns what the function returned.
        """
        if self.pool is None:
            result = function()
            return lambda: result
        function = same_mode(function)
        future = self.pool.submit(function)
        # All threads may be busy, and waiting for their own.
        return lambda: function() if future.cancel() else future.result()

    def share(self, function, count):
        """Call a function for 0 .. count - 1, on any thread, in any order.

        Arguments
        ---------
        function : callable
            Takes the number.
        count : int
            Calls.
        """
        todo = iter(range(count))

        def work():
            for number in todo:
                function(number)

        helpers = [
            self.pool.submit(same_mode(work))
            for _ in range(min(self.count, count) - 1)
        ]
        try:
            work()
        finally:
            # A helper that others keep busy is not waited for.
            busy = [one for one in helpers if not one.cancel()]
            for helper in busy:
                helper.result()


def same_mode(function):
    """A function that runs in the caller's inference mode, in any thread.

    Arguments
    ---------
    function : callable
        Without arguments.

    Returns
    -------
    callable
        The same, without gradients.
    """
    inference = torch.is_inference_mode_enabled()

    def run():
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode(inference))
            stack.enter_context(torch.no_grad())
            return function()

    return run


@functools.lru_cache(maxsize=4)
def _workers(count, process):
    return Workers(count)


def solo():
    """A team of the caller alone.

    Returns
    -------
    Workers
        Of one thread.
    """
    return _workers(1, None)


def workers():
    """The team of this process, as large as torch's own.

    Returns
    -------
    Workers
        Of ``torch.get_num_threads()`` threads, kept between calls.
    """
    # A fork takes no threads with it.
    return _workers(torch.get_num_threads(), os.getpid())
