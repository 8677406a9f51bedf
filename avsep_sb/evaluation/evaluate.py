"""Scores a model on a manifest: separation here, scores in processes.

Authors
 * avsep_sb contributors
"""

import time
from dataclasses import dataclass

import numpy as np

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import ConfigError
from avsep_sb.evaluation.judges import hear
from avsep_sb.evaluation.mixtures import (
    read_item,
    read_told,
    reader_for,
    separate,
    speakers_of,
)
from avsep_sb.evaluation.pool import stream
from avsep_sb.evaluation.scoring import Job, score_job
from avsep_sb.inference.levels import LevelMatch

#: mixtures over which the real-time factor is taken
TIMED = 5


@dataclass
class MixtureSet:
    """The rows of a manifest, and how they are read and separated.

    Arguments
    ---------
    model : AVSeparation
        The model that is scored.
    rows : list of dict
        Of a manifest, paths resolved.
    twin : AVSeparation or None
        An audio-only model to compare with.
    swap : bool
        Whether the faces are also exchanged.
    metrics : tuple of str
        Names known to :func:`avsep_sb.metrics.score_voices`.
    judges : dict or None
        Recognisers of :func:`avsep_sb.evaluation.judges.load_judges`.
    """

    model: object
    rows: list
    twin: object = None
    swap: bool = True
    metrics: tuple = ("si-snr",)
    judges: dict | None = None

    def __post_init__(self):
        self.num_spks = speakers_of(self.rows[0])
        self.sample_rate = self.model.hparams.sample_rate
        self.swap = self.swap and self.model.sees and self.num_spks > 1
        self.reader = reader_for(self.model, self.model.sees, self.num_spks)

    def read(self, row):
        """Mixture [1, T], sources [1, T, S] and lips of a row."""
        return read_item(self.reader, row)

    def job(self, row, alone=False):
        """Separates a mixture.

        Arguments
        ---------
        row : dict
            Its row.
        alone : bool
            Leaves out exchanged faces, the twin and the recognisers.

        Returns
        -------
        Job
        """
        mix, sources, lips, said = read_told(self.reader, row)
        estimate = separate(self.model, mix, sources, lips)
        swapped = aside = words = None
        if self.swap and not alone:
            swapped = separate(self.model, mix, sources, lips.roll(1, 1))
        if self.twin is not None and not alone:
            aside = separate(self.twin, mix, sources, None)
        arrays = [
            None if x is None else x[0].numpy()
            for x in (mix, estimate, sources, swapped, aside)
        ]
        if self.judges and not alone:
            mix, *sounds = (arrays[k] for k in (0, 2, 1, 4))
            sounds = zip(("clean", "separated", "twin"), sounds, strict=True)
            sounds = {name: x for name, x in sounds if x is not None}
            words = hear(self.judges, said, mix, sounds, self.sample_rate)
        return Job(row["ID"], *arrays, self.sample_rate, self.metrics, words)

    def real_time_factors(self, count=TIMED):
        """Seconds that separation takes per second of sound.

        One mixture at a time, the first one twice, since the first call
        of a model is slower. Reading files does not count.

        Arguments
        ---------
        count : int
            How many mixtures.

        Returns
        -------
        list of float
        """
        factors = []
        for row in [self.rows[0], *self.rows[:count]]:
            mix, sources, lips = self.read(row)
            start = time.perf_counter()
            separate(self.model, mix, sources, lips)
            taken = time.perf_counter() - start
            factors.append(taken / (mix.shape[1] / self.sample_rate))
        return factors[1:]


def read_rows(manifest, data_root, use_lips, limit=None):
    """Reads and checks the rows that are to be scored.

    Arguments
    ---------
    manifest : str or Path
        The CSV.
    data_root : str or Path
        Put in place of ``$data_root``.
    use_lips : bool
        Whether mouth ROIs are needed.
    limit : int, optional
        Only the first rows.

    Returns
    -------
    list of dict
        ``DataError`` if a file is missing.
    """
    return check_manifest(manifest, data_root, use_lips)[:limit]


def check_twin(model, twin):
    """Refuses a twin that cannot stand beside the model.

    Arguments
    ---------
    model, twin : AVSeparation
        The two.

    Returns
    -------
    None
        ``ConfigError`` says why they do not go together.
    """
    if twin.sees:
        raise ConfigError(
            "the model of --audio-only needs faces: name one that was "
            "trained without lips."
        )
    if twin.hparams.sample_rate != model.hparams.sample_rate:
        raise ConfigError(
            f"the model works at {model.hparams.sample_rate} Hz and that of "
            f"--audio-only at {twin.hparams.sample_rate} Hz: compare models "
            "of one rate."
        )


def score_set(tests, journal, workers, progress=None):
    """Scores the mixtures that a journal does not hold yet.

    Arguments
    ---------
    tests : MixtureSet
        What is scored.
    journal : Journal
        Takes the scores as they come.
    workers : int
        Scoring processes; 0 scores in this one.
    progress : callable, optional
        Called with the number of mixtures done and of all.

    Returns
    -------
    dict
        ID to scores, in the order of the manifest.
    """
    names = [row["ID"] for row in tests.rows]
    missing = [row for row in tests.rows if row["ID"] not in journal.scores]
    done = len(names) - len(missing)
    jobs = map(tests.job, missing)
    for name, scores in stream(_scored, jobs, min(workers, len(missing))):
        journal.add(name, scores)
        done += 1
        if progress is not None:
            progress("scores", done, len(names))
    return {name: journal.scores[name] for name in names}


def _scored(job):
    return job.name, score_job(job)


def heard(job, seconds=20.0):
    """What of a separated mixture is shown and played.

    Arguments
    ---------
    job : Job
        The mixture.
    seconds : float
        Longer ones are cut.

    Returns
    -------
    (np.ndarray, np.ndarray, np.ndarray, str)
        Mixture [T], estimates and targets [T, S], the estimates at the
        level of the mixture, and a sentence if they were cut.
    """
    stop = round(seconds * job.sample_rate)
    note = ""
    if len(job.mix) > stop:
        note = (
            f"The first {seconds:g} s of "
            f"{len(job.mix) / job.sample_rate:.1f} s."
        )
    level = LevelMatch()(job.estimate, job.mix)
    parts = [np.asarray(x)[:stop] for x in (job.mix, level, job.target)]
    return (*parts, note)
