"""Manifest rows of LRS3+WHAM! mixtures, made in many processes.

Authors
 * avsep_sb contributors
"""

import os
import zlib
from functools import partial
from pathlib import Path

from tqdm import tqdm

from avsep_sb.dataio.audio import num_samples
from avsep_sb.dataio.jobs import one_thread, run_jobs
from avsep_sb.dataio.parallel import outcomes
from avsep_sb.dataio.wham_lists import SECONDS, mixture_ids, speaker_of
from avsep_sb.dataio.wham_mixing import (
    MixtureJob,
    SpeechJob,
    check_speech_length,
    corrected_gains,
    write_published_mixture,
    write_published_speech,
)
from avsep_sb.dataio.wham_noise import SAMPLE_RATE
from avsep_sb.errors import DataError


def short_speech(sources):
    """Utterances whose extracted audio is shorter than a mixture.

    Arguments
    ---------
    sources : dict
        ``{utterance: {"wav": path, ...}}``.

    Returns
    -------
    dict
        ``{utterance: reason}``, also for audio that cannot be read.

    Example
    -------
    >>> short_speech({})
    {}
    """
    reasons = {}
    for name, source in sources.items():
        try:
            count = num_samples(source["wav"], SAMPLE_RATE)
            check_speech_length(count, name)
        except DataError as err:
            reasons[name] = str(err)
    return reasons


def make_published_speech(sounds, folder, workers=None):
    """Writes the normalised speech of utterances that have none yet.

    Arguments
    ---------
    sounds : dict
        ``{utterance: wav or video}``.
    folder : str or Path
        Folder of the results, ``<utterance>.wav``.
    workers : int or None
        Processes, see :func:`avsep_sb.dataio.jobs.run_jobs`.

    Returns
    -------
    dict
        ``{utterance: reason}`` of those that failed.

    Example
    -------
    >>> make_published_speech({}, "speech")
    {}
    """
    jobs = [
        SpeechJob(name, str(source), str(Path(folder) / f"{name}.wav"))
        for name, source in sorted(sounds.items())
    ]
    failures = run_jobs(
        write_published_speech, _open_jobs(jobs), workers, "speech"
    )
    return {job.utterance: reason for job, reason in failures.items()}


def published_rows(
    mixtures, sources, speech_folder, noise_folder, folder, workers, describe
):
    """Writes the mixtures of a split as published, and their rows.

    Arguments
    ---------
    mixtures : list of NoisyMixture
        What to mix.
    sources : dict
        ``{utterance: {"lips": path, ...}}``.
    speech_folder : str or Path
        Folder of :func:`make_published_speech`.
    noise_folder : str or Path
        Folder of the noise files.
    folder : str or Path
        Folder of the mixtures. A file's name holds a checksum of all that
        its list says, so that one of another list is never taken for it.
    workers : int or None
        Processes.
    describe : callable
        Turns a path into what the manifest holds.

    Returns
    -------
    rows : list of dict
        With the columns of :mod:`avsep_sb.dataio.manifest`.
    failures : dict
        ``{ID: reason}``.
    """
    jobs = []
    for name, mixture in zip(mixture_ids(mixtures), mixtures, strict=True):
        check = zlib.crc32(repr(tuple(mixture)).encode("utf-8"))
        jobs.append(
            MixtureJob(
                name,
                mixture,
                tuple(
                    str(Path(speech_folder) / f"{utterance}.wav")
                    for utterance in mixture.utterances
                ),
                str(Path(noise_folder) / mixture.noise),
                str(Path(folder) / f"{name}.{check:08x}.wav"),
            )
        )
    failed = run_jobs(
        write_published_mixture, _open_jobs(jobs), workers, "mixtures"
    )
    rows = []
    for job in jobs:
        if job in failed:
            continue
        row = _row(job.name, SECONDS, job.mixture.utterances, sources)
        row["mix_wav"] = job.output
        for k in (1, 2):
            row[f"s{k}_wav"] = job.speech[k - 1]
            row[f"s{k}_gain"] = 1.0
        rows.append(_described(row, describe))
    return rows, {job.name: reason for job, reason in failed.items()}


def corrected_rows(mixtures, sources, noise_folder, seed, workers, describe):
    """Rows of the corrected mixtures of a split, which readers sum.

    Arguments
    ---------
    mixtures : list of NoisyMixture
        What to mix.
    sources : dict
        ``{utterance: {"wav": path, "lips": path}}``.
    noise_folder : str or Path
        Folder of the noise files.
    seed : int
        Seed of order and sign.
    workers : int or None
        Processes.
    describe : callable
        Turns a path into what the manifest holds.

    Returns
    -------
    rows : list of dict
        In the order of the list; IDs end in ``_corrected``, so that results
        tell of which protocol they are.
    failures : dict
        ``{ID: reason}``.
    """
    jobs = [
        MixtureJob(
            f"{name}_corrected",
            mixture,
            tuple(str(sources[u]["wav"]) for u in mixture.utterances),
            str(Path(noise_folder) / mixture.noise),
            None,
        )
        for name, mixture in zip(mixture_ids(mixtures), mixtures, strict=True)
    ]
    if workers is None:
        workers = len(os.sched_getaffinity(0))
    results = outcomes(
        partial(corrected_gains, seed=seed), jobs, workers, one_thread
    )
    rows, failures = {}, {}
    for job, value, reason in tqdm(results, "levels", len(jobs)):
        if reason is not None:
            failures[job.name] = reason
            continue
        order, gains, length = value
        utterances = [job.mixture.utterances[k] for k in order]
        row = _row(job.name, length / SAMPLE_RATE, utterances, sources)
        for k, place in enumerate(order, start=1):
            row[f"s{k}_wav"] = job.speech[place]
            row[f"s{k}_gain"] = gains[k - 1]
        row["noise_wav"] = job.noise
        row["noise_start"] = job.mixture.start / SAMPLE_RATE
        row["noise_gain"] = gains[2]
        rows[job.name] = _described(row, describe)
    return [rows[job.name] for job in jobs if job.name in rows], failures


def _open_jobs(jobs):
    return [job for job in jobs if not os.path.isfile(job.output)]


def _row(name, seconds, utterances, sources):
    row = {"ID": name, "duration": seconds, "mix_wav": ""}
    for k, utterance in enumerate(utterances, start=1):
        row[f"s{k}_lips"] = sources[utterance]["lips"]
        row[f"s{k}_spk"] = speaker_of(utterance)
    return row


def _described(row, describe):
    """The row with its paths as the manifest holds them."""
    return {
        key: describe(value)
        if value and key.endswith(("_wav", "_lips"))
        else value
        for key, value in row.items()
    }
