"""``avsep separate --ray``: a folder of videos on all machines of a cluster.

Each video is one Ray task, done by the function that does it on one machine.
A result comes whole or not at all, so a video whose process or machine was
lost is simply begun again, and a run that was stopped goes on when it is
given once more. All machines see videos, models and results under the same
paths, and have the same version of avsep_sb.

Authors
 * avsep_sb contributors
"""

import platform
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tqdm import tqdm

from avsep_sb.commands.separate import (
    load_face_models,
    load_models,
    make_options,
    report,
    sentence,
)
from avsep_sb.dataio.cluster import cluster_outcomes
from avsep_sb.dataio.jobs import list_failures, one_thread
from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.inference.fingerprint import fingerprint
from avsep_sb.inference.shipped import (
    find_model,
    shipped_audio_model,
    shipped_model,
)
from avsep_sb.inference.video import separate_to_folder
from avsep_sb.inference.video_options import VideoOptions

#: a table in the folder of all results, if a video failed

FAILURES = "avsep_failures.csv"


@dataclass(frozen=True)
class SeparationJob:
    """One video, with all that another machine must know.

    Arguments
    ---------
    video : Path
        The video, absolute.
    folder : Path
        The folder of its result, absolute.
    source, audio_source : str or None
        Pretrained folders, absolute, or names; None takes those that ship.
    device : str
        Where the models run.
    options : VideoOptions
        How it is separated.
    """

    video: Path
    folder: Path
    source: str | None
    audio_source: str | None
    device: str
    options: VideoOptions


def run_on_cluster(args, jobs):
    """Separates videos on a Ray cluster.

    Arguments
    ---------
    args : argparse.Namespace
        The options of ``avsep separate``. ``ray`` is the address of
        :func:`avsep_sb.dataio.cluster.connected`, or empty.
    jobs : list of (Path, Path)
        Videos and folders of
        :func:`avsep_sb.commands.video_list.list_videos`.

    Returns
    -------
    int
        0, or 2 if a video failed. Those that failed are listed at the end,
        and in ``OUT/avsep_failures.csv``.
    """
    if args.ray and Path(args.ray).exists():
        raise ConfigError(
            f"--ray takes the address of a cluster, not '{args.ray}'; write "
            "--ray after the videos."
        )
    jobs = make_jobs(args, jobs)
    num_gpus = 1 if jobs[0].device == "cuda" else 0
    failures = {}
    with tqdm(
        total=sum(map(_size, jobs)),
        unit="B",
        unit_scale=True,
        disable=None,  # off where nobody looks
        dynamic_ncols=True,
    ) as bar:
        done = cluster_outcomes(separate_one, jobs, args.ray, num_gpus)
        for count, (job, text, reason) in enumerate(done, 1):
            if reason is None:
                tqdm.write(text)
            else:
                failures[job.video] = reason
                text = f"error: {sentence(job.video, reason)}"
                tqdm.write(text, file=sys.stderr)
            bar.set_description(f"{count}/{len(jobs)} videos", refresh=False)
            bar.update(_size(job))
    _summarise(failures, len(jobs), Path(args.out))
    return 2 if failures else 0


def make_jobs(args, jobs):
    """Makes the jobs, after a look at the models that all machines will load.

    Arguments
    ---------
    args : argparse.Namespace
        The options of ``avsep separate``.
    jobs : list of (Path, Path)
        Videos and folders.

    Returns
    -------
    list of SeparationJob
        ``AVSepError`` is raised for models that cannot be used.
    """
    # Ray shows a task no GPU but its own, and this machine may have none.
    on_gpu = args.device.startswith("cuda")
    device = "cuda" if on_gpu else args.device
    sources = [
        str(Path(source).absolute())
        if source and Path(source).is_dir()
        # None, and names on a hub, mean the same on each machine.
        else source
        for source in (args.source, args.audio_source)
    ]
    models = load_models(*sources, "cpu" if on_gpu else device)
    options = make_options(args, *models)
    return [
        SeparationJob(
            video.absolute(), folder.absolute(), *sources, device, options
        )
        for video, folder in jobs
    ]


def separate_one(job):
    """Separates one video; the models stay in the process for the next one.

    Arguments
    ---------
    job : SeparationJob
        The video.

    Returns
    -------
    str
        What is to be printed. ``AVSepError`` is raised for a video that
        cannot be separated, and for weights that are not those of the
        options.
    """
    models, face_models, weights = _loaded(
        job.source, job.audio_source, job.device, job.options.sync_model
    )
    if weights != job.options.weights:
        raise CheckpointError(
            f"{platform.node()} has models of other weights than the machine "
            "that began; install the same version of avsep_sb there, or copy "
            "the same --source to it."
        )
    result = separate_to_folder(
        *models, job.video, job.folder, job.options, *face_models
    )
    return report(job.video, result)


@lru_cache(maxsize=1)
def _loaded(source, audio_source, device, sync_model):
    """The models of this process, which has one CPU for itself."""
    one_thread()
    models = load_models(source, audio_source, device)
    folders = [source or shipped_model()]
    if models[1] is not None:
        folders.append(audio_source or shipped_audio_model())
    if sync_model is not None:
        folders.append(find_model(sync_model))
    return models, load_face_models(device), fingerprint(*folders)


def _size(job):
    """Bytes of a video: time goes by them more than by the number."""
    return job.video.stat().st_size if job.video.is_file() else 0


def _summarise(failures, total, out):
    """Says what failed, and leaves a table of it."""
    path = out / FAILURES
    try:
        list_failures(path, failures)
    except OSError as err:
        # The folder may be the very reason of the failures.
        print(f"error: no '{path}' ({err.strerror})", file=sys.stderr)
    if not failures:
        return
    names = "".join(f"\n  {video}" for video in sorted(failures))
    print(
        f"{len(failures)} of {total} videos failed (see {path}):{names}",
        file=sys.stderr,
    )
