"""Prepares NTCD-TIMIT: mouth ROIs, audio and manifests, by two protocols.

Authors
 * avsep_sb contributors
"""

from functools import partial
from pathlib import Path

from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from avsep_sb.dataio import ntcd_corrected as corrected
from avsep_sb.dataio import ntcd_published as published
from avsep_sb.dataio.corpus import open_splits, portable_path
from avsep_sb.dataio.jobs import list_failures, run_jobs
from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.dataio.ntcd import find_lists, find_noisy, find_speech
from avsep_sb.dataio.ntcd_clips import CROPS, MouthJob, extract_mouth
from avsep_sb.dataio.protocols import check_protocol
from avsep_sb.errors import ConfigError, DataError

logger = get_logger(__name__)


def prepare_ntcd_timit(
    data_folder,
    save_folder,
    protocol="published",
    noise_folder=None,
    lists_folder=None,
    media_folder=None,
    crop="aligned",
    snr_db=None,
    mix_seed=None,
    num_spks=2,
    workers=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of NTCD-TIMIT.

    Arguments
    ---------
    data_folder : str or Path
        TCD-TIMIT, with ``<spk>/straightcam/<fid>.wav`` and ``.mp4``.
    save_folder : str or Path
        Folder of the manifests. A manifest that is there stays. Its name,
        or its parent's, holds "corrected" for that protocol alone.
    protocol : str
        "published" makes the mixtures of BIN's release, "corrected" those
        of :mod:`avsep_sb.dataio.ntcd_corrected`. Scores on one say nothing
        about the other.
    noise_folder : str, Path or None
        NTCD-TIMIT, with ``<type>/<snr>/volunteers/<spk>/straightcam``; None
        takes ``<data_folder>/NTCD-TIMIT``.
    lists_folder : str, Path or None
        Folder of ``{train,val,test}_mixture.csv``; None looks in
        ``<data_folder>/lists`` and in ``data_folder``.
    media_folder : str, Path or None
        Folder for audio and mouths, which all experiments share; None takes
        ``<data_folder>/avsep_sb``.
    crop : str
        "aligned": 96 x 96, each frame turned and scaled to a mean face.
        "fixed": 67 x 67 from one place, the geometry of the release.
    snr_db : (float, float) or None
        Range in dB to draw the signal-to-noise ratio from; None takes the
        labels. Of the corrected protocol alone.
    mix_seed : int or None
        Seed of the corrected protocol's draws; None is 0.
    num_spks : int
        2, which is what the lists mix.
    workers : int or None
        Processes; None takes one per processor.
    skip_prep : bool
        Do nothing.

    Example
    -------
    >>> prepare_ntcd_timit("corpus", "manifests", skip_prep=True)
    """
    if skip_prep:
        return
    check_protocol(protocol, save_folder, "NTCD-TIMIT")
    _check_options(protocol, crop, snr_db, mix_seed, num_spks)
    settings = {"corpus": "NTCD-TIMIT", "protocol": protocol, "crop": crop}
    draws = {}
    if protocol == "corrected":
        draws = {"seed": mix_seed or 0, "snr_db": snr_db}
    splits = open_splits(save_folder, {**settings, **draws})
    if not splits:
        return
    # All three lists, also for one split: no speaker may be in two of them.
    lists = find_lists(data_folder, lists_folder)
    lists = {split: lists[split] for split in splits}
    every = [mixture for listed in lists.values() for mixture in listed]
    utterances = sorted({one for mixture in every for one in mixture[:2]})
    speech = find_speech(data_folder, utterances)
    noisy = find_noisy(
        noise_folder or Path(data_folder, "NTCD-TIMIT"),
        {mixture.noisy for mixture in every},
    )
    media = Path(media_folder or Path(data_folder, "avsep_sb"))
    describe = partial(portable_path, data_folder=data_folder)
    work, failures = _Work(workers), Path(save_folder, "failures.csv")
    try:
        mouths = {
            one: MouthJob(
                wav.with_suffix(".mp4"),
                media / f"mouths_{crop}" / f"{one.name}.npz",
                crop,
            )
            for one, wav in speech.items()
        }
        mouths = work.do(extract_mouth, mouths, "mouths")
        make = _published if protocol == "published" else _corrected
        jobs, row = make(work, every, speech, noisy, mouths, media, describe)
    finally:
        list_failures(failures, work.failures)
    if draws:
        row = partial(row, **draws)
    for split, listed in lists.items():
        usable = [mixture for mixture in listed if mixture in jobs]
        _check_left(split, usable, listed, failures)
        rows = [row(mixture, jobs[mixture]) for mixture in tqdm(usable, split)]
        write_manifest(Path(save_folder) / f"{split}.csv", rows, num_spks)


class _Work:
    """Does jobs whose target is missing, and remembers what failed."""

    def __init__(self, workers):
        self.workers = workers
        self.failures = {}

    def do(self, function, jobs, label):
        """The jobs, a dict, without those that failed."""
        todo = [job for job in jobs.values() if not job.target.is_file()]
        failed = run_jobs(function, todo, self.workers, label)
        self.failures.update({job.source: why for job, why in failed.items()})
        return {key: job for key, job in jobs.items() if job not in failed}


def _published(work, mixtures, speech, noisy, mouths, media, describe):
    """Jobs of the mixtures that are done, and what makes their rows."""
    targets = {
        one: published.target_job(media, one, speech[one], job.target)
        for one, job in mouths.items()
    }
    targets = work.do(published.make_target, targets, "targets")
    fills = {
        one: published.fill_job(media, job.mouth)
        for one, job in targets.items()
    }
    fills = work.do(published.fill_mouth, fills, "short mouths")
    jobs = {
        mixture: published.mixture_job(media, mixture, speech, noisy)
        for mixture in mixtures
        if fills.keys() >= set(mixture[:2])
    }
    row = partial(
        published.published_row,
        targets=targets,
        fills=fills,
        describe=describe,
    )
    return work.do(published.make_mixture, jobs, "mixtures"), row


def _corrected(work, mixtures, speech, noisy, mouths, media, describe):
    """Jobs of the noise that is done, and what makes rows of it."""
    clips = {
        one: corrected.speech_job(media, one, speech[one], job.target)
        for one, job in mouths.items()
    }
    clips = work.do(corrected.make_clip, clips, "speech")
    jobs = {
        mixture: corrected.noise_job(media, mixture, speech, noisy)
        for mixture in mixtures
        if clips.keys() >= set(mixture[:2])
    }
    row = corrected.CorrectedRows(clips, describe)
    return work.do(corrected.make_noise, jobs, "noise"), row


def _check_left(split, usable, listed, failures):
    """Says how many mixtures of a split could not be made."""
    if not usable:
        raise DataError(
            f"no mixture of {split} is left, for its files cannot be used: "
            f"{failures} says why"
        )
    if len(usable) < len(listed):
        effect = (
            ""
            if split == "train"
            else ": scores on it are not comparable with those of the whole"
        )
        logger.warning(
            f"{len(listed) - len(usable)} of {len(listed)} mixtures of "
            f"{split} are left out, see {failures}{effect}"
        )


def _check_options(protocol, crop, snr_db, mix_seed, num_spks):
    if crop not in CROPS:
        raise ConfigError(f"crop is {crop!r} but must be {' or '.join(CROPS)}")
    if num_spks != 2:
        raise ConfigError(
            f"the lists of NTCD-TIMIT mix 2 speakers but num_spks is "
            f"{num_spks}: leave it at 2"
        )
    if protocol == "published" and (snr_db, mix_seed) != (None, None):
        raise ConfigError(
            "the published protocol draws nothing: leave out snr_db and "
            "mix_seed, or ask for protocol: corrected"
        )
    if snr_db is not None:
        numbers = [n for n in snr_db if isinstance(n, (int, float))]
        if len(snr_db) != 2 or numbers != sorted(snr_db):
            raise ConfigError(
                f"snr_db is {snr_db} but must be [lowest, highest] in dB"
            )
