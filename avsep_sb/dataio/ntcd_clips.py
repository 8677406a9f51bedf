"""Mouths of TCD-TIMIT, and what its two protocols share about sound.

Both use the first 4 s of each utterance. Mouths are kept at the frame rate
of the camera, which their files state: the pipeline converts it to the
model's ``video_fps``.

Authors
 * avsep_sb contributors
"""

from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from avsep_sb.dataio.jobs import replace_file
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.peak_norm import SAMPLE_RATE, read_any_rate
from avsep_sb.errors import DataError

CAMERA_FPS = 30000 / 1001
CLIP_SAMPLES = 4 * SAMPLE_RATE
CLIP_FRAMES = 120
"""Frames of the camera in 4 s, the last one in part."""

MAX_MISSING = 0.02
"""Seconds by which noise may end early; it is filled up with zeros."""

CROPS = ("aligned", "fixed")


class MouthJob(NamedTuple):
    """A video, the npz of its mouth, and the crop ("aligned", "fixed")."""

    source: Path
    target: Path
    crop: str


def extract_mouth(job):
    """Writes the mouth of the first 4 s of a video.

    Arguments
    ---------
    job : MouthJob
        ``target`` gets ``data`` uint8 [Tv, 96, 96] (aligned) or
        [Tv, 67, 67] (fixed), Tv <= 120, and ``fps``.

    Returns
    -------
    None
        ``VideoError`` is raised for a video that cannot be decoded or shows
        no face.
    """
    from avsep_sb.vision.decode import read_frames
    from avsep_sb.vision.faces import find_faces
    from avsep_sb.vision.fixed_crop import crop_fixed
    from avsep_sb.vision.mouth import crop_mouths
    from avsep_sb.vision.tracks import build_tracks

    def frames():
        return islice(read_frames(job.source, CAMERA_FPS), CLIP_FRAMES)

    tracks = build_tracks(find_faces(frames()), 1, name=str(job.source))
    if job.crop == "fixed":
        data = crop_fixed(frames(), tracks[0])
    else:
        data = crop_mouths(frames(), tracks)[0]
    write_mouth(job.target, data)


def write_mouth(path, data):
    """Writes a mouth ROI with the frame rate of the camera.

    Arguments
    ---------
    path : str or Path
        The npz; it appears whole or not at all.
    data : np.ndarray
        uint8 [Tv, H, W].

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "a.npz"
    >>> write_mouth(path, np.zeros((120, 96, 96), np.uint8))
    >>> len(read_lips(path, fps=62.5))
    250
    """
    replace_file(
        path, lambda file: np.savez_compressed(file, data=data, fps=CAMERA_FPS)
    )


def read_mouth(path):
    """Reads a mouth ROI at the frame rate of the camera.

    Arguments
    ---------
    path : str or Path
        As written by :func:`write_mouth`.

    Returns
    -------
    np.ndarray
        uint8 [Tv, H, W].
    """
    return read_lips(path, CAMERA_FPS)


def read_speech(path):
    """Reads a recording of TCD-TIMIT or NTCD-TIMIT at the rate it has.

    Arguments
    ---------
    path : str or Path
        The wav.

    Returns
    -------
    (np.ndarray, int)
        [T] float32, the mean of the channels, and the rate in Hz.
        ``DataError`` is raised for a file that cannot be used or has less
        than 16 kHz: nothing brings its upper band back.

    Example
    -------
    >>> path = str(getfixture("tmpdir") / "a.wav")
    >>> soundfile.write(path, np.ones(800), 8000)
    >>> read_speech(path)
    Traceback (most recent call last):
    ...
    avsep_sb.errors.DataError: ...a.wav has 8000 Hz...
    """
    wave, rate = read_any_rate(path)
    if rate < SAMPLE_RATE:
        raise DataError(
            f"{path} has {rate} Hz but {SAMPLE_RATE} Hz or more are needed: "
            "replace it by the original recording."
        )
    return wave, rate


def fit_noise(wave, needed, name="the noise"):
    """Cuts noise to a length; a few samples may be missing, not more.

    Arguments
    ---------
    wave : np.ndarray
        [T] samples at 16 kHz.
    needed : int
        Samples wanted.
    name : str or Path
        What it is, for the message.

    Returns
    -------
    np.ndarray
        [needed]; up to 20 ms at the end may be zeros. ``DataError`` is
        raised if more are missing.

    Example
    -------
    >>> fit_noise(np.ones(5), 6).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    """
    missing = needed - len(wave)
    if missing > MAX_MISSING * SAMPLE_RATE:
        raise DataError(
            f"{name} lasts {len(wave) / SAMPLE_RATE:.2f} s but its mixture "
            f"needs {needed / SAMPLE_RATE:.2f} s: replace the file, for noise "
            "is not repeated."
        )
    return np.pad(wave[:needed], (0, max(0, missing)))


def write_wave(path, wave):
    """Writes float32 at 16 kHz; the file appears whole or not at all.

    Arguments
    ---------
    path : str or Path
        The wav.
    wave : np.ndarray
        [T] samples, of any size: nothing is clipped.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "a.wav"
    >>> write_wave(path, np.array([2.5]))
    >>> soundfile.read(path)[0].tolist()
    [2.5]
    """
    replace_file(
        path,
        lambda file: soundfile.write(
            file,
            np.asarray(wave, dtype=np.float32),
            SAMPLE_RATE,
            format="WAV",
            subtype="FLOAT",
        ),
    )
