"""A model in a process of its own, for ``speed.py``.

So nothing that one form does to its process (memory that is kept, threads,
compiled loops) helps or hurts another, and each has a peak memory.

Authors
 * avsep_sb contributors
"""

import contextlib
import multiprocessing
import os

import torch
from peak_memory import STATUS, _megabytes

from avsep_sb.errors import AVSepError, ConfigError

# Before the name of a form: a training step of it, not a pass.
STEP = "step "


class WorkerDied(ConfigError):
    """A process ended by itself."""


def _serve(pipe, text, form, seconds, faces, threads):
    """Answers questions until there are no more."""
    from speed_models import Runner, StepRunner

    torch.set_num_threads(threads)
    make = StepRunner if form.startswith(STEP) else Runner
    try:
        runner = make(text, form.removeprefix(STEP), seconds, faces)
    except AVSepError as error:
        pipe.send(error)
        return
    before = _megabytes("VmRSS") if STATUS.is_file() else float("nan")
    pipe.send(None)
    while (question := pipe.recv()) != "stop":
        answer = None
        if question == "run":
            runner()
        elif question == "output":
            answer = runner().numpy()
        elif question == "macs":
            answer = runner.macs()
        elif question == "parameters":
            answer = sum(each.numel() for each in runner.net.parameters())
        elif question == "megabytes":
            peak = _megabytes("VmHWM") if before == before else before
            answer = peak - before
        pipe.send(answer)


class Served:
    """A process that answers what it is asked through a pipe.

    Arguments
    ---------
    serve : callable
        Run in it, with its end of the pipe and what is given. It sends an
        exception to have it raised here.
    given : tuple
        Further arguments.
    threads : int
        Threads of OpenMP.
    """

    def __init__(self, serve, given, threads):
        # Spawned: a forked process would start with the peak of this one.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        given = (theirs, *given)
        self.process = context.Process(target=serve, args=given, daemon=True)
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = str(threads)
        try:
            self.process.start()
        finally:
            del os.environ["OMP_NUM_THREADS"]
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before
        theirs.close()

    def ask(self, question):
        """Anything that it understands; gives the answer."""
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(question)
        return self.receive()

    def stop(self):
        """Ends the process."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()

    def receive(self):
        """What it sends; raises what went wrong there."""
        try:
            answer = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            raise WorkerDied(
                "A model's process died, most likely for want of memory."
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


class Worker(Served):
    """A model in a form; understands "run", "output", "macs" and the like.

    Arguments
    ---------
    text, form, seconds, faces
        As for :class:`speed_models.Runner`, or with ``STEP`` before the form
        for :class:`speed_models.StepRunner`.
    threads : int
        Threads of torch.
    """

    def __init__(self, text, form, seconds, faces, threads):
        given = (text, form, seconds, faces, threads)
        super().__init__(_serve, given, threads)

    def ready(self):
        """Waits until the model is built; raises what went wrong there."""
        self.receive()
