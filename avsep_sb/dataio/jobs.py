"""Preparation in many processes: progress, whole files, listed failures.

Authors
 * avsep_sb contributors
"""

import csv
import io
import os
from pathlib import Path

from tqdm import tqdm

from avsep_sb.dataio.parallel import outcomes


def run_jobs(function, jobs, workers=None, label="files", progress=True):
    """Runs a function on many jobs; what fails stops nothing.

    Arguments
    ---------
    function : callable
        Takes one job. With ``workers`` it must be importable by name.
    jobs : list
        What to do, as hashable values. Leave out what is done already, and a
        run that was interrupted continues.
    workers : int or None
        Number of processes; None takes one per processor that this process
        may use, 0 works in this process.
    label : str
        What the progress bar says.
    progress : bool
        Whether to show it.

    Returns
    -------
    dict
        ``{job: reason}`` of those that failed.

    Example
    -------
    >>> run_jobs(int, ["1", "x"], workers=0, progress=False)
    {'x': "ValueError: invalid literal for int() with base 10: 'x'"}
    """
    jobs = list(jobs)
    if not jobs:
        return {}
    if workers is None:
        workers = len(os.sched_getaffinity(0))
    results = outcomes(function, jobs, workers, one_thread)
    return {
        outcome.item: outcome.reason
        for outcome in tqdm(results, label, len(jobs), disable=not progress)
        if outcome.reason is not None
    }


def one_thread():
    """Begins a worker: parallel over files, not within them."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def list_failures(path, failures):
    """Writes the failures of a preparation, or removes an older list.

    Arguments
    ---------
    path : str or Path
        A CSV file with the columns ``file`` and ``reason``.
    failures : dict
        ``{file: reason}``; empty removes the file.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "failures.csv"
    >>> list_failures(path, {"a.wav": "it is silent"})
    >>> path.read_text().splitlines()
    ['file,reason', 'a.wav,it is silent']
    """
    path = Path(path)
    if not failures:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "reason"])
    writer.writerows(sorted((str(f), why) for f, why in failures.items()))
    replace_file(path, lambda file: file.write(text.getvalue().encode()))


def replace_file(path, write):
    """Fills a file that appears whole or not at all.

    Arguments
    ---------
    path : str or Path
        The file; its folder is made, and an older file is replaced.
    write : callable
        Takes the open binary file.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "new" / "a.txt"
    >>> replace_file(path, lambda file: file.write(b"whole") and None)
    >>> path.read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            write(file)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
