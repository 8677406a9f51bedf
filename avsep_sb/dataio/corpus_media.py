"""Audio and mouth ROIs of the talking-face videos of a corpus.

Each video becomes ``audio/<utt>.flac`` (16 kHz, one channel, 16 bit) and
``mouths/<utt>.npz`` (key ``data`` [Tv, 96, 96] uint8, 25 fps). The work is
done in several processes and picks up where it was interrupted; a video
that cannot be used is listed with its reason and stops nothing.

Authors
 * avsep_sb contributors
"""

from collections import namedtuple
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from avsep_sb.dataio.jobs import list_failures, replace_file, run_jobs
from avsep_sb.errors import DataError

SAMPLE_RATE = 16000
VIDEO_FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // VIDEO_FPS

Video = namedtuple("Video", ["utterance", "path"])
Video.__doc__ = """A video of one talking face and the name of its utterance."""


def media_paths(folder, utterance):
    """Where the audio and the mouth ROI of an utterance lie.

    Arguments
    ---------
    folder : str or Path
        Folder of the extracted media.
    utterance : str
        Name of the utterance.

    Returns
    -------
    dict
        ``{"wav": Path, "lips": Path}``.

    Example
    -------
    >>> paths = media_paths("media", "s1_bbaf2n")
    >>> paths["wav"].as_posix(), paths["lips"].as_posix()
    ('media/audio/s1_bbaf2n.flac', 'media/mouths/s1_bbaf2n.npz')
    """
    folder = Path(folder)
    return {
        "wav": folder / "audio" / f"{utterance}.flac",
        "lips": folder / "mouths" / f"{utterance}.npz",
    }


def extract_video(video, folder, clip_seconds=None):
    """Writes audio and mouth ROI of one video, both or none.

    Arguments
    ---------
    video : Video
        The file and the name of its utterance.
    folder : str or Path
        Folder of the extracted media.
    clip_seconds : float or None
        Keep the first so many seconds; None keeps all. Audio and frames are
        cut to the same time.

    Returns
    -------
    None
        ``VideoError`` or ``DataError`` is raised for a video that cannot be
        decoded, has no sound, or shows no face.
    """
    from avsep_sb.vision.decode import read_audio
    from avsep_sb.vision.mouth import mouth_rois

    # The sound first: it is cheap, and without it no face need be sought.
    audio = np.asarray(read_audio(str(video.path), SAMPLE_RATE))
    if audio.size == 0 or not np.isfinite(audio).all():
        raise DataError("the sound track is empty or holds NaN")
    if not audio.any():
        raise DataError("the sound track is silent throughout")
    rois = np.asarray(mouth_rois(str(video.path), max_faces=1)[0])
    if rois.shape[0] == 0:
        raise DataError("no face was found")
    frames = min(rois.shape[1], -(-len(audio) // SAMPLES_PER_FRAME))
    if clip_seconds is not None:
        frames = min(frames, round(clip_seconds * VIDEO_FPS))
    if frames < 1:
        raise DataError("the video is shorter than one frame")
    audio = audio[: frames * SAMPLES_PER_FRAME]
    paths = media_paths(folder, video.utterance)
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(
        paths["lips"],
        lambda file: np.savez_compressed(file, data=rois[0, :frames]),
    )
    # The audio comes last: where it stands, the pair is complete.
    replace_file(
        paths["wav"],
        lambda file: soundfile.write(
            file, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16"
        ),
    )


def extract_corpus(
    videos, folder, clip_seconds=None, workers=None, progress=True
):
    """Extracts many videos in parallel and lists those that failed.

    Videos whose outputs exist are skipped, so that a second run does
    nothing and an interrupted one continues. Failed ones are tried again.

    Arguments
    ---------
    videos : iterable of Video
        What to extract.
    folder : str or Path
        Folder of the extracted media; ``failures.csv`` (columns ``file`` and
        ``reason``) is written there if any video failed.
    clip_seconds : float or None
        See :func:`extract_video`.
    workers : int or None
        Number of processes; None takes one per processor that this process
        may use, 0 works in this process.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict
        ``{utterance: reason}`` of the videos that failed.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     extract_corpus([], folder, workers=0)
    {}
    """
    folder = Path(folder)
    open_jobs = [
        video
        for video in videos
        if not all(
            path.is_file()
            for path in media_paths(folder, video.utterance).values()
        )
    ]
    extract = partial(extract_video, folder=folder, clip_seconds=clip_seconds)
    failures = run_jobs(extract, open_jobs, workers, "mouths", progress)
    list_failures(
        folder / "failures.csv",
        {video.path: reason for video, reason in failures.items()},
    )
    return {video.utterance: reason for video, reason in failures.items()}
