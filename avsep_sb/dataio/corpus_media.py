"""Audio and mouth ROIs of the talking-face videos of a corpus.

Each video becomes ``audio/<utt>.flac`` (16 kHz, one channel, 16 bit) and
``mouths/<utt>.npz`` (key ``data`` [Tv, 96, 96] uint8, 25 fps). The work is
done in several processes, or on a Ray cluster, and picks up where it was
interrupted; a video that cannot be used is listed with its reason and stops
nothing.

Authors
 * avsep_sb contributors
"""

import csv
from collections import namedtuple
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from avsep_sb.dataio.corpus_cluster import run_on_cluster
from avsep_sb.dataio.jobs import list_failures, replace_file, run_jobs
from avsep_sb.errors import DataError

SAMPLE_RATE = 16000
VIDEO_FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // VIDEO_FPS

FAILURES = "failures.csv"

Video = namedtuple("Video", ["utterance", "path", "sound"], defaults=[None])
Video.__doc__ = """A video of one talking face and the name of its utterance.

``sound`` is the file of its sound, from time zero of the video on; None takes
the sound track of the video.
"""


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


def is_extracted(video, folder):
    """Whether the audio and the mouth ROI of a video are there.

    Arguments
    ---------
    video : Video
        The file and the name of its utterance.
    folder : str or Path
        Folder of the extracted media.

    Returns
    -------
    bool

    Example
    -------
    >>> is_extracted(Video("a", "a.mp4"), "nowhere")
    False
    """
    paths = media_paths(folder, video.utterance)
    return all(path.is_file() for path in paths.values())


def extract_video(video, folder, clip_seconds=None, whole_folder=None):
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
    whole_folder : str, Path or None
        Folder of media of whole videos. What is there is cut, which gives
        the same files without a look at the video.

    Returns
    -------
    None
        ``VideoError`` or ``DataError`` is raised for a video that cannot be
        decoded, has no sound, or shows no face.
    """
    if whole_folder is not None and is_extracted(video, whole_folder):
        audio, mouth = _read_whole(media_paths(whole_folder, video.utterance))
    else:
        # The sound first: it is cheap, and without it no face need be sought.
        audio, mouth = _read_sound(video), _read_mouth(video)
    rois = mouth["data"]
    frames = min(len(rois), -(-len(audio) // SAMPLES_PER_FRAME))
    if clip_seconds is not None:
        frames = min(frames, round(clip_seconds * VIDEO_FPS))
    if frames < 1:
        raise DataError("the video is shorter than one frame")
    audio = audio[: frames * SAMPLES_PER_FRAME]
    paths = media_paths(folder, video.utterance)
    mouth = {key: values[:frames] for key, values in mouth.items()}
    replace_file(paths["lips"], lambda file: np.savez_compressed(file, **mouth))
    # The audio comes last: where it stands, the pair is complete.
    replace_file(
        paths["wav"],
        lambda file: soundfile.write(
            file, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16"
        ),
    )


def _read_sound(video):
    """The sound of a video [T] float32 at 16 kHz."""
    if video.sound is None:
        from avsep_sb.vision.decode import read_audio

        audio = np.asarray(read_audio(str(video.path), SAMPLE_RATE))
    else:
        from avsep_sb.vision.audio_stream import stream_audio

        parts = stream_audio(str(video.sound), SAMPLE_RATE, picture=False)
        audio = np.concatenate([np.zeros(0, np.float32), *parts])
    if audio.size == 0 or not np.isfinite(audio).all():
        raise DataError("the sound track is empty or holds NaN")
    if not audio.any():
        raise DataError("the sound track is silent throughout")
    return audio


def _read_mouth(video):
    """The mouth of a video at 25 fps: ``data`` [Tv, 96, 96] uint8, and the
    ``landmarks`` [Tv, 5, 2] it was cut by, NaN where no face was found."""
    from avsep_sb.vision.mouth import mouth_rois

    rois, tracks = mouth_rois(str(video.path), max_faces=1)
    if len(rois) == 0 or len(rois[0]) == 0:
        raise DataError("no face was found")
    track = tracks[0]
    points = np.where(track.seen[:, None, None], track.points, np.nan)
    return {"data": np.asarray(rois[0]), "landmarks": np.float32(points)}


def _read_whole(paths):
    """Sound [T] int16 and mouth as they were extracted."""
    audio, _ = soundfile.read(paths["wav"], dtype="int16")
    with np.load(paths["lips"]) as file:
        return audio, {key: file[key] for key in file.files}


def extract_missing(video, folder, clip_seconds=None, whole_folder=None):
    """Extracts a video unless somebody has done so meanwhile.

    Arguments
    ---------
    video : Video
        The file and the name of its utterance.
    folder, clip_seconds, whole_folder
        As in :func:`extract_video`.
    """
    if not is_extracted(video, folder):
        extract_video(
            video,
            folder=folder,
            clip_seconds=clip_seconds,
            whole_folder=whole_folder,
        )


def extract_corpus(
    videos,
    folder,
    clip_seconds=None,
    workers=None,
    progress=True,
    ray=None,
    whole_folder=None,
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
        ``reason``) is written there if any video failed. Rows of videos
        that are not among these are kept.
    clip_seconds : float or None
        See :func:`extract_video`.
    workers : int or None
        Number of processes; None takes one per processor that this process
        may use, 0 works in this process.
    progress : bool
        Whether to show a progress bar, with the time left.
    ray : str or None
        Address of a Ray cluster, whose processors then do the work, see
        :func:`avsep_sb.dataio.cluster.connected`; "" takes the one that the
        environment names. None uses processes of this machine.
    whole_folder : str, Path or None
        See :func:`extract_video`.

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
    # Absolute: machines of a cluster work in other folders.
    folder = Path(folder).absolute()
    videos = list(videos)
    open_jobs = [video for video in videos if not is_extracted(video, folder)]
    extract = partial(
        extract_missing,
        folder=folder,
        clip_seconds=clip_seconds,
        whole_folder=whole_folder and Path(whole_folder).absolute(),
    )
    if ray is None:
        failures = run_jobs(extract, open_jobs, workers, "mouths", progress)
    else:
        failures = run_on_cluster(extract, open_jobs, ray, "mouths", progress)
    failed = _other_failures(folder / FAILURES, videos)
    failed.update({str(v.path): reason for v, reason in failures.items()})
    list_failures(folder / FAILURES, failed)
    return {video.utterance: reason for video, reason in failures.items()}


def _other_failures(path, videos):
    """Rows of an older list which these videos have nothing to do with."""
    if not path.is_file():
        return {}
    now = {str(video.path) for video in videos}
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {r["file"]: r["reason"] for r in rows if r["file"] not in now}
