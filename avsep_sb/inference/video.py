"""From a video file to one voice per face, and to the files of a result.

Authors
 * avsep_sb contributors
"""

import json
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch

from avsep_sb.errors import ConfigError
from avsep_sb.inference.stitching import stitch
from avsep_sb.inference.voices import save_voices
from avsep_sb.vision.decode import read_audio, read_frames
from avsep_sb.vision.encode import write_video
from avsep_sb.vision.mouth import contact_sheet, mouth_rois

logger = logging.getLogger(__name__)

#: longer videos are separated in windows of this length
MAX_WINDOW_SECONDS = 30.0
#: part of a window that the next one repeats
OVERLAP = 0.2


@dataclass
class VideoResult:
    """The voices of a video, in the order of the faces from left to right.

    Arguments
    ---------
    path : Path
        The video.
    mixture : torch.Tensor
        Its sound, [T]; cut, or filled up with silence, to the last frame.
    sources : torch.Tensor
        The voice of each face, [T, S].
    rois : np.ndarray
        Mouths, uint8 [S, Tv, 96, 96].
    tracks : list of avsep_sb.vision.tracks.FaceTrack
        Where the faces are.
    sample_rate : int
        In Hz.
    fps : int
        Video frames per second of rois and tracks.
    """

    path: Path
    mixture: torch.Tensor
    sources: torch.Tensor
    rois: np.ndarray
    tracks: list
    sample_rate: int
    fps: int


def separate_video(
    separator,
    path,
    max_faces=None,
    detector=None,
    max_window_seconds=MAX_WINDOW_SECONDS,
):
    """Finds the faces of a video and separates their voices.

    Arguments
    ---------
    separator : avsep_sb.inference.separation.AVSeparation
        The model.
    path : str or Path
        A video whose faces stay in view.
    max_faces : int or None
        Keep at most so many faces, the largest and longest in view.
    detector : avsep_sb.vision.faces.FaceDetector or None
        None makes one with its defaults.
    max_window_seconds : float
        A longer video is separated in overlapping windows of this length.

    Returns
    -------
    VideoResult
        ``VideoError`` is raised for a file without sound, frames or faces.
    """
    rate = int(separator.hparams.sample_rate)
    fps = int(separator.hparams.video_fps)
    # The sound first: it is cheap, and without it no face need be sought.
    audio = read_audio(path, rate)
    rois, tracks = mouth_rois(path, max_faces, fps, detector)
    frames = rois.shape[1]
    mixture = torch.from_numpy(_fit(audio, frames * rate // fps, path, rate))
    window = max(1, round(max_window_seconds * fps))
    sources = stitch(
        separator.separate_batch,
        mixture[None],
        torch.from_numpy(rois)[None],
        window_frames=window,
        hop_frames=max(1, round(window * (1 - OVERLAP))),
        samples_per_frame=rate // fps,
    )
    return VideoResult(
        Path(path), mixture, sources[0].cpu(), rois, tracks, rate, fps
    )


def save_results(result, out_dir, overwrite=False, targets=None):
    """Writes the voices of a video, and pictures to judge them by.

    Per face ``face1.wav``, ``face1.mp4`` (the video with that voice alone)
    and ``face1.png`` (who it is); ``mouths.png`` (what the model saw),
    ``spectrogram.png`` and ``faces.json`` (boxes and times). All of them are
    made beside the folder and moved into it when they are complete.

    Arguments
    ---------
    result : VideoResult
        What :func:`separate_video` returned.
    out_dir : str or Path
        Folder, made if missing.
    overwrite : bool
        Whether a folder that holds something may be written to; its files of
        the same names, and the faces of an earlier result, are replaced.
    targets : torch.Tensor or None
        True voices [T, S] for the spectrogram, where they are known.

    Returns
    -------
    dict
        ``{"wavs": [Path], "videos": [Path], "folder": Path}``.
        ``ConfigError`` is raised if the folder is not empty.
    """
    out_dir = Path(out_dir)
    check_free(out_dir, overwrite)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=out_dir.parent, prefix=f".{out_dir.name}."
    ) as part:
        _write_all(result, Path(part), targets)
        out_dir.mkdir(exist_ok=True)
        _forget(out_dir)
        for file in sorted(Path(part).iterdir()):
            os.replace(file, out_dir / file.name)
    names = [f"face{k + 1}" for k in range(len(result.tracks))]
    return {
        "wavs": [out_dir / f"{name}.wav" for name in names],
        "videos": [out_dir / f"{name}.mp4" for name in names],
        "folder": out_dir,
    }


def check_free(out_dir, overwrite):
    """Refuses a folder that holds something, unless told to overwrite.

    Arguments
    ---------
    out_dir : str or Path
        The folder to be written.
    overwrite : bool
        Whether it may hold something.

    Returns
    -------
    None
        ``ConfigError`` is raised if it may not and does.

    Example
    -------
    >>> check_free(getfixture("tmp_path"), overwrite=False)
    """
    out_dir = Path(out_dir)
    if out_dir.exists() and not out_dir.is_dir():
        raise ConfigError(f"'{out_dir}' is a file; name a folder for results.")
    if not overwrite and out_dir.is_dir() and any(out_dir.iterdir()):
        raise ConfigError(
            f"'{out_dir}' is not empty; name another folder with --out or "
            "add --overwrite."
        )


def _write_all(result, folder, targets):
    from avsep_sb.figures import separation_figure  # matplotlib is slow

    wavs = save_voices(result.sources, folder, "face", result.sample_rate)
    for wav in wavs:
        # As in the wav, which was turned down if it would have clipped.
        voice, rate = soundfile.read(wav, dtype="float32")
        write_video(wav.with_suffix(".mp4"), voice, rate, source=result.path)
    _write_faces(result, folder)
    contact_sheet(result.rois, folder / "mouths.png")
    separation_figure(
        result.mixture,
        result.sources,
        targets,
        result.sample_rate,
        folder / "spectrogram.png",
    )


def _write_faces(result, folder):
    """Portraits from the frame that shows most faces, and ``faces.json``."""
    seen = np.stack([track.seen for track in result.tracks])
    middle = abs(np.arange(seen.shape[1]) - seen.shape[1] / 2)
    shown = int(np.lexsort((middle, -seen.sum(0)))[0])
    frames = read_frames(result.path, result.fps)
    frame = next(f for index, f in enumerate(frames) if index == shown)
    faces = []
    for index, track in enumerate(result.tracks):
        name = f"face{index + 1}"
        _write_portrait(frame, track.boxes[shown], folder / f"{name}.png")
        times = np.flatnonzero(track.seen) / result.fps
        faces.append(
            {
                "name": name,
                "files": [f"{name}.wav", f"{name}.mp4", f"{name}.png"],
                "seen": round(float(track.seen.mean()), 4),
                "first_seen": round(float(times[0]), 3),
                "last_seen": round(float(times[-1]), 3),
                "boxes": track.boxes.round(1).tolist(),
                "interpolated": np.flatnonzero(~track.seen).tolist(),
            }
        )
    table = {
        "video": result.path.name,
        "fps": result.fps,
        "sample_rate": result.sample_rate,
        "box": "left, top, right, bottom in pixels, one per frame",
        "faces": faces,
    }
    (folder / "faces.json").write_text(json.dumps(table) + "\n")


def _write_portrait(frame, box, path):
    """The face with some room around it, 160 pixels high."""
    centre, half = (box[:2] + box[2:]) / 2, 0.75 * np.ptp(box[1::2])
    limits = np.array(frame.shape[1::-1])
    left, top = np.clip(centre - half, 0, limits - 2).astype(int)
    right, bottom = np.clip(centre + half, [left + 2, top + 2], limits)
    image = frame[top : int(bottom), left : int(right)]
    width = max(1, round(160 * image.shape[1] / image.shape[0]))
    image = cv2.resize(image, (width, 160), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def _forget(folder):
    """Removes the faces of an earlier result: it may have had more."""
    try:
        table = json.loads((folder / "faces.json").read_text())
        names = [name for face in table["faces"] for name in face["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in names:
        if os.path.basename(name) == name:
            (folder / name).unlink(missing_ok=True)


def _fit(audio, length, path, rate):
    """Cuts sound to the picture, or fills it up with silence."""
    if len(audio) - length > rate:
        logger.warning(
            "%s: the sound goes on for %.1f s after the last frame; that "
            "part is left out",
            path,
            (len(audio) - length) / rate,
        )
    audio = audio[:length]
    return np.pad(audio, (0, length - len(audio)))
