"""The table that a test run leaves: a row per utterance, mean and interval.

Authors
 * avsep_sb contributors
"""

import csv
import math
import os
from pathlib import Path

import numpy as np
import scipy.stats
from speechbrain.utils.logger import get_logger

from avsep_sb.errors import DataError

logger = get_logger(__name__)

# Readers of SpeechBrain's separation recipes expect these columns first.
_FIRST_COLUMNS = ("sdr", "sdr_i", "si-snr", "si-snr_i", "pesq", "stoi", "estoi")


def confidence95(values):
    """Mean and half the width of its 95 % confidence interval.

    Student's t, so that it holds for few values too. NaN values are left out.

    Arguments
    ---------
    values : iterable
        Numbers.

    Returns
    -------
    mean : float
        NaN if there is no value.
    half_width : float
        The interval is mean +- half_width; NaN below two values.

    Example
    -------
    >>> mean, half_width = confidence95([1.0, 2.0, 3.0])
    >>> mean, round(half_width, 3)
    (2.0, 2.484)
    """
    values = np.asarray(list(values), np.float64)
    values = values[~np.isnan(values)]
    count = len(values)
    if count < 2:
        return (float(values[0]) if count else float("nan")), float("nan")
    error = values.std(ddof=1) / math.sqrt(count)
    quantile = scipy.stats.t.ppf(0.975, count - 1)
    return float(values.mean()), float(quantile * error)


def rate95(values):
    """A rate and its 95 % interval, by Wilson's score.

    It holds at 0 and at 1, where Student's interval has no width.

    Arguments
    ---------
    values : iterable
        One number from 0 to 1 per trial, such as the share of wrong voices
        in a mixture; NaN values are left out.

    Returns
    -------
    (float, float, float)
        Mean, lower and upper end; NaN if there is no value.

    Example
    -------
    >>> mean, low, high = rate95([1.0] * 20)
    >>> mean, round(low, 3), high
    (1.0, 0.839, 1.0)
    """
    values = np.asarray(list(values), np.float64)
    values = values[~np.isnan(values)]
    count = len(values)
    if not count:
        return float("nan"), float("nan"), float("nan")
    rate = float(values.mean())
    z = float(scipy.stats.norm.ppf(0.975))
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    variance = rate * (1 - rate) / count + (z / (2 * count)) ** 2
    half = z / (1 + z * z / count) * math.sqrt(variance)
    # Rounding must not push an end past the rate itself.
    return rate, min(rate, middle - half), max(rate, middle + half)


class ResultsTable:
    """A CSV with one row per utterance, then ``avg`` and ``ci95``.

    Rows are written as they come, to ``<path>.partial``, so that an
    interrupted test shows what it measured and never passes for a complete
    one. :meth:`finish` adds the mean and half the width of its 95 % interval
    and gives the file its name. As a context manager the table is finished
    only if no error came up.

    Arguments
    ---------
    path : str or pathlib.Path
        The file, e.g. ``test_results.csv``; its folder is created.
    overwrite : bool
        Whether a finished table of that name may be replaced; otherwise it
        raises :class:`avsep_sb.errors.DataError`.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with ResultsTable(folder / "r.csv") as table:
    ...     table.add("utt1", {"si-snr": 9.0, "si-snr_i": 8.0})
    ...     table.add("utt2", {"si-snr": 11.0, "si-snr_i": 12.0})
    >>> table.mean("si-snr_i")
    10.0
    >>> (folder / "r.csv").read_text().splitlines()[-2]
    'avg,10.0000,10.0000'
    """

    def __init__(self, path, overwrite=False):
        self.path = Path(path)
        if self.path.exists() and not overwrite:
            raise DataError(
                f"{self.path} exists already: move it away or choose another "
                "name for the results"
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._partial.write_text("", encoding="utf-8")
        self._values = {}
        self._rows = 0
        self._finished = False

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.finish()

    def __len__(self):
        return self._rows

    def _write(self, name, cells):
        # Opened for every row: nothing stays in a buffer when a test dies.
        with open(self._partial, "a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([name, *cells])

    def _write_numbers(self, name, numbers):
        self._write(name, [f"{number:.4f}" for number in numbers])

    def add(self, snt_id, scores):
        """Writes the row of an utterance; the first one sets the columns.

        Arguments
        ---------
        snt_id : str
            Name of the utterance.
        scores : dict
            A float per column, as from
            :func:`avsep_sb.metrics.score_utterance`; NaN where a score is
            not defined.
        """
        if not self._values:
            known = [c for c in _FIRST_COLUMNS if c in scores]
            others = [c for c in scores if c not in known]
            self._values = {c: [] for c in known + others}
            self._write("snt_id", list(self._values))
        if set(scores) != set(self._values):
            raise DataError(
                f"utterance {snt_id} has the scores {sorted(scores)}, but the "
                f"table {self.path} has {sorted(self._values)}: use the same "
                "metrics for all"
            )
        for column, values in self._values.items():
            values.append(float(scores[column]))
        self._rows += 1
        self._write_numbers(snt_id, [v[-1] for v in self._values.values()])

    def summary(self):
        """Mean and half width of the 95 % interval of all columns.

        Returns
        -------
        dict
            (mean, half_width) per column, over the utterances with a score.
        """
        return {c: confidence95(v) for c, v in self._values.items()}

    def mean(self, column):
        """Mean of a column over the utterances that have a score.

        Arguments
        ---------
        column : str
            E.g. "si-snr_i".

        Returns
        -------
        float
            NaN if no utterance has one.
        """
        return confidence95(self._values[column])[0]

    def missing(self):
        """How many utterances lack a score, for columns where any does.

        Returns
        -------
        dict
            Counts per column.
        """
        counts = {
            c: sum(math.isnan(x) for x in v) for c, v in self._values.items()
        }
        return {c: n for c, n in counts.items() if n}

    def finish(self):
        """Writes the last two rows and puts the file in its place."""
        if self._finished:
            return
        if not self._values:
            self._write("snt_id", [])
        summary = self.summary().values()
        self._write_numbers("avg", [mean for mean, _ in summary])
        self._write_numbers("ci95", [half for _, half in summary])
        os.replace(self._partial, self.path)
        self._finished = True
        for column, count in self.missing().items():
            logger.warning(
                f"{count} of {len(self)} utterances have no {column} "
                "and are left out of its mean"
            )
