"""Films a scene: synthetic speakers side by side, all talking at once.

The video is what a user has (faces and one mixed sound track); what each
speaker said alone is returned beside it, as the reference of a test.

Authors
 * avsep_sb contributors
"""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.synth.face import FACE_SIZE, render_face
from avsep_sb.synth.mouth import FPS
from avsep_sb.synth.speech import SAMPLE_RATE
from avsep_sb.synth.utterance import SAMPLES_PER_FRAME
from avsep_sb.synth.visemes import VISEMES, mouth_tracks

_CLOSING = 4  # frames in which the mouth comes to rest after the last word
_PEAK = 0.95
_EMPTY = 96  # grey of a place where nobody is yet


def write_scene(
    path,
    utterances,
    size=FACE_SIZE,
    level_db=None,
    seed=0,
    overwrite=False,
    enters=None,
):
    """Writes a video of several speakers and returns what each one said.

    Arguments
    ---------
    path : str or Path
        The file to write, ``.mp4`` (h264 and aac).
    utterances : list of Utterance
        One per face, from left to right; shorter ones are followed by
        silence and a mouth at rest.
    size : int
        Side of each face in pixels, even.
    level_db : sequence of float
        Gain of each utterance in dB; 0 when None.
    seed : int
        Another seed films the scene with other head movements.
    overwrite : bool
        Whether a file of that name is replaced.
    enters : sequence of int
        Frame in which each face comes into the picture; 0 when None. Before
        it its place is empty.

    Returns
    -------
    mix : numpy.ndarray
        float32 [T] at 16 kHz, the sound of the video before coding; all is
        turned down where it would clip.
    sources : numpy.ndarray
        float32 [T, S]; their sum is ``mix``.

    Raises
    ------
    DataError
        If the file exists, or there is no utterance.
    ConfigError
        If the size, the levels or the name cannot be used.

    Example
    -------
    >>> import tempfile
    >>> from avsep_sb.synth.utterance import make_utterance
    >>> from avsep_sb.synth.voices import all_speakers
    >>> one = make_utterance(1, all_speakers()[0], 0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mix, sources = write_scene(f"{folder}/a.mp4", [one], size=64)
    >>> sources.shape == (len(one.audio), 1)
    True
    """
    path, utterances = Path(path), list(utterances)
    _check(path, utterances, size, level_db, overwrite)
    if enters is not None and len(enters) != len(utterances):
        raise ConfigError("give a frame of coming for each utterance.")
    frames = max(len(u.tracks) for u in utterances)
    mix, sources = _mix(utterances, frames, level_db)
    strips = [
        render_face(u, size, seed, _rest_after(u.tracks, frames))
        for u in utterances
    ]
    for strip, enter in zip(strips, enters or (), strict=False):
        strip[:enter] = _EMPTY
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _write_video(part, strips, mix)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return mix, sources


def _check(path, utterances, size, level_db, overwrite):
    if not utterances:
        raise DataError("a scene needs at least one utterance.")
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"'{path}': a scene is an .mp4 file; rename it.")
    if path.exists() and not overwrite:
        raise DataError(
            f"'{path}' exists; name another file or ask for overwriting."
        )
    if not path.parent.is_dir():
        raise DataError(f"'{path.parent}' is no folder; make it first.")
    if size < 32 or size % 2:
        raise ConfigError(f"the size of a face is even and >= 32, not {size}.")
    if level_db is not None and len(level_db) != len(utterances):
        raise ConfigError(
            f"give one level per utterance: {len(utterances)}, "
            f"not {len(level_db)}."
        )


def _mix(utterances, frames, level_db):
    """Sources [T, S] of one length and their sum [T]."""
    shape = frames * SAMPLES_PER_FRAME, len(utterances)
    sources = np.zeros(shape, np.float32)
    for s, utterance in enumerate(utterances):
        level = 0.0 if level_db is None else level_db[s]
        gain = np.float32(10 ** (level / 20))
        sources[: len(utterance.audio), s] = utterance.audio * gain
    peak = float(np.abs(sources.sum(1)).max())
    if peak > _PEAK:
        sources *= np.float32(_PEAK / peak)
    return sources.sum(1), sources


def _rest_after(tracks, frames):
    """Lets the mouth close and rest until the scene ends."""
    missing = frames - len(tracks)
    if not missing:
        return tracks
    silence = VISEMES.index("sil")
    rest = mouth_tracks([(silence, 0.0, 1.0)], np.array([0.5]))
    share = np.minimum(np.arange(1, missing + 1) / _CLOSING, 1)[:, None]
    return np.vstack([tracks, tracks[-1:] * (1 - share) + rest * share])


def _write_video(path, strips, mix):
    """Muxes the faces side by side with the mixture."""
    height = strips[0].shape[1]
    width = sum(strip.shape[2] for strip in strips)
    with av.open(os.fspath(path), "w", format="mp4") as container:
        # One thread: the bytes must not depend on the number of cores. Without
        # x264's macroblock tree, which does not write the same bytes twice.
        options = {"crf": "18", "preset": "veryfast"}
        options |= {"threads": "1", "mbtree": "0"}
        picture = container.add_stream("h264", rate=FPS, options=options)
        picture.width, picture.height = width, height
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        sound.bit_rate = 96_000
        for index, images in enumerate(zip(*strips, strict=True)):
            image = np.ascontiguousarray(np.concatenate(images, axis=1))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        # Without a time stamp on each frame, the encoder's delay of 1024
        # samples would stay in the file: sound 64 ms late.
        step = 1024
        for start in range(0, len(mix), step):
            block = np.ascontiguousarray(mix[None, start : start + step])
            frame = av.AudioFrame.from_ndarray(block, "fltp", "mono")
            frame.sample_rate = SAMPLE_RATE
            frame.pts, frame.time_base = start, Fraction(1, SAMPLE_RATE)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
