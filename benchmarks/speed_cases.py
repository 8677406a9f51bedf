"""Rows of ``speed.py``: measured once, kept in a CSV, read back.

A case is a model, a length, a number of faces and of threads. Its forms take
turns (``rounds.py``), each in a process of its own; each gets a row.

Authors
 * avsep_sb contributors
"""

import csv
import statistics
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from rounds import SIZE, interleaved
from speed_models import SPEECHBRAIN
from speed_worker import Worker, WorkerDied

from avsep_sb.errors import DataError


@dataclass
class Row:
    """One form of one case.

    Arguments
    ---------
    model, form : str
        As in ``speed_models.py``.
    seconds : float
        Length of the mixture.
    faces, threads : int
        Faces in it; threads of torch.
    parameters, macs : float
        Of the separator; products as the plain form states them.
    rounds, busy : int
        Times measured, and how many of them on a busy machine; 0 rounds for
        one pass that was not repeated.
    time, low, high : float
        Seconds of a pass: median and range.
    ratio, ratio_low, ratio_high : float
        The plain form's time over this one's, round by round; NaN without.
    product : float
        Seconds of the fastest matrix product.
    megabytes : float
        Peak memory beyond the loaded model.
    difference : float
        Largest difference of the output from the plain form's.
    note : str
        Why figures are missing.
    """

    model: str
    form: str
    seconds: float
    faces: int
    threads: int
    parameters: float = float("nan")
    macs: float = float("nan")
    rounds: int = 0
    busy: int = 0
    time: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    ratio: float = float("nan")
    ratio_low: float = float("nan")
    ratio_high: float = float("nan")
    product: float = float("nan")
    megabytes: float = float("nan")
    difference: float = float("nan")
    note: str = ""

    @property
    def case(self):
        """What was measured together."""
        return self.model, self.seconds, self.faces, self.threads

    @property
    def share(self):
        """Products per second over those of the matrix product."""
        return self.macs / self.time / (SIZE**3 / self.product)


def read_rows(path):
    """The rows of a CSV; none if there is no file."""
    if not path.is_file():
        return []
    kinds = {field.name: field.type for field in fields(Row)}
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    if lines and set(lines[0]) != set(kinds):
        raise DataError(
            f"'{path}' is not a table of this benchmark: give another --out."
        )
    return [
        Row(**{name: kinds[name](text) for name, text in line.items()})
        for line in lines
    ]


def add_rows(path, rows):
    """Appends rows to a CSV, with a header if it is new."""
    new = not path.is_file()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        if new:
            writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def measure(model, forms, seconds, faces, threads, num_rounds):
    """Rows of one case.

    Arguments
    ---------
    model : str
        As in ``speed_models.py``.
    forms : list of str
        Which of its forms; SpeechBrain's models have "ours" alone.
    seconds, faces, threads
        The case.
    num_rounds : int
        Times that each form is run after a first time; with 0 the first one
        counts, for lengths that take minutes.

    Returns
    -------
    list of Row
        With a note where a process died.
    """
    if model in SPEECHBRAIN:
        forms = ["ours"]
    case = (seconds, faces, threads)
    torch.set_num_threads(threads)
    workers = {form: Worker(model, form, *case) for form in forms}
    rows = {form: Row(model, form, *case) for form in forms}
    try:
        for worker in workers.values():
            worker.ready()
        _time(workers, rows, num_rounds)
        outputs = {}
        for form, worker in workers.items():
            rows[form].megabytes = worker.ask("megabytes")
            rows[form].parameters = worker.ask("parameters")
            rows[form].macs = worker.ask("macs")
            if form != "pipeline" and len(forms) > 1 and num_rounds:
                outputs[form] = worker.ask("output")
        if "plain" in workers:
            for row in rows.values():
                row.macs = rows["plain"].macs
        if set(outputs) >= {"ours", "plain"}:
            apart = np.abs(outputs["ours"] - outputs["plain"]).max()
            rows["ours"].difference = float(apart)
    except WorkerDied as error:
        for row in rows.values():
            row.note = str(error)
    finally:
        for worker in workers.values():
            worker.stop()
    return list(rows.values())


def _time(workers, rows, num_rounds):
    """Fills in the times."""
    calls = {
        form: lambda worker=worker: worker.ask("run")
        for form, worker in workers.items()
    }
    # One pass of each that is not repeated is a round without a first one.
    first = {form: iter([None]) for form in calls} if not num_rounds else {}

    def skip_first(form):
        for _ in first[form]:
            return None
        return calls[form]()

    turns = {form: lambda form=form: skip_first(form) for form in first}
    found = interleaved(turns or calls, num_rounds or 1)
    for form, row in rows.items():
        taken = found.seconds(form)
        row.rounds, row.busy = num_rounds, len(found.product) - len(found.quiet)
        row.time, row.product = statistics.median(taken), found.fastest
        row.low, row.high = min(taken), max(taken)
        if "plain" in rows:
            ratios = found.ratios("plain", form)
            row.ratio = statistics.median(ratios)
            row.ratio_low, row.ratio_high = min(ratios), max(ratios)
