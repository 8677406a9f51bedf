"""The pictures of a result: who each face is, its mouth, and its video.

Authors
 * avsep_sb contributors
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from avsep_sb.inference.video_voices import WavSamples
from avsep_sb.vision.decode import probe
from avsep_sb.vision.encode import write_video
from avsep_sb.vision.frame_at import frames_at
from avsep_sb.vision.quality import Quality
from avsep_sb.vision.sheets import quality_sheet

#: height of a portrait in pixels
PORTRAIT = 160
#: room around the box of a face, in heights of the box
_ROOM = 0.25
#: frame rates that a picture is encoded again at
_FRAME_RATES = (15, 60)


def write_portraits(video, timeline, paths):
    """Writes the picture of each person from the frame that shows most.

    Arguments
    ---------
    video : str or Path
        The video.
    timeline : avsep_sb.vision.timeline.FaceTimeline
        Its faces.
    paths : list of Path
        A PNG for each person.

    Returns
    -------
    None
    """
    chosen = [best_frame(person) for person in timeline.people]
    # One by one: with twelve faces the frames would take their memory at once.
    for path, (slot, box) in zip(paths, chosen, strict=True):
        found = frames_at(video, [slot], timeline.fps)
        size = timeline.size
        frame = found.get(slot, np.zeros((size[1], size[0], 3), np.uint8))
        _write_png(path, portrait(frame, box))


def best_frame(person):
    """Where a person is to be seen best.

    Arguments
    ---------
    person : avsep_sb.vision.timeline.Person
        With at least one span.

    Returns
    -------
    (int, np.ndarray)
        The number of the frame with the largest face among those seen from
        the front, or else among those seen at all; and its box, [4].

    Example
    -------
    >>> from avsep_sb.vision.timeline import Person, Span
    >>> boxes = np.array([[0, 0, 9, 9], [0, 0, 5, 5], [0, 0, 6, 6.0]])
    >>> codes = np.array([4, 1, 1])
    >>> best_frame(Person([Span(3, 6, boxes, None, codes, codes)]))[0]
    5
    """
    spans = person.spans
    frames = np.concatenate([np.arange(s.start, s.stop) for s in spans])
    boxes = np.concatenate([span.boxes for span in spans])
    quality = np.concatenate([span.quality for span in spans])
    rank = (quality != Quality.MISSING).astype(float)
    rank += quality == Quality.FOUND
    height = np.ptp(boxes[:, 1::2], axis=1)
    best = int(np.argmax(rank + 0.99 * height / max(height.max(), 1.0)))
    return int(frames[best]), boxes[best]


def portrait(frame, box):
    """Cuts a face with some room around it.

    Arguments
    ---------
    frame : np.ndarray
        uint8 [H, W, 3].
    box : np.ndarray
        Left, top, right, bottom in pixels; may reach out of the frame.

    Returns
    -------
    np.ndarray
        uint8 [160, width, 3].

    Example
    -------
    >>> frame = np.zeros((90, 160, 3), np.uint8)
    >>> portrait(frame, np.array([100.0, 10.0, 140.0, 50.0])).shape
    (160, 160, 3)
    """
    centre = (box[:2] + box[2:]) / 2
    half = (0.5 + _ROOM) * max(np.ptp(box[1::2]), 2.0)
    limits = np.array(frame.shape[1::-1])
    low = np.clip(centre - half, 0, np.maximum(limits - 2, 0)).astype(int)
    high = np.clip(centre + half, low + 2, np.maximum(limits, low + 2))
    image = frame[low[1] : int(high[1]), low[0] : int(high[0])]
    width = max(1, round(PORTRAIT * image.shape[1] / image.shape[0]))
    return cv2.resize(image, (width, PORTRAIT), interpolation=cv2.INTER_AREA)


def _write_png(path, image):
    done, data = cv2.imencode(".png", image[..., ::-1])
    assert done, "cv2 can always write PNG"
    # cv2.imwrite does not know all names that a file may have.
    Path(path).write_bytes(data.tobytes())


def write_sheets(timeline, paths):
    """Writes the mouths of each person as a picture of its own.

    Arguments
    ---------
    timeline : avsep_sb.vision.timeline.FaceTimeline
        The faces.
    paths : list of Path
        A PNG for each person.

    Returns
    -------
    None
    """
    for person, path in zip(timeline.people, paths, strict=True):
        quality_sheet(replace(timeline, people=[person]), path)


def write_videos(video, wavs, paths, progress=None, late_ms=None):
    """Writes the video once for each voice, with that voice alone.

    The picture is copied. One that mp4 cannot hold is encoded for the first
    voice, near its own frame rate, and copied from there for the others.

    Arguments
    ---------
    video : str or Path
        The video.
    wavs, paths : list of Path
        The voices, and the mp4 to write for each.
    progress : callable or None
        Called with the number of files written, after each.
    late_ms : list of float or None
        By how many ms the lips of each are late: the voice comes as late.

    Returns
    -------
    None
        ``VideoError`` is raised if the picture cannot be decoded.
    """
    source = video
    low, high = _FRAME_RATES
    fps = min(high, max(low, round(probe(video).fps or 25)))
    late_ms = late_ms or [0.0] * len(wavs)
    triples = zip(wavs, paths, late_ms, strict=True)
    for number, (wav, path, late) in enumerate(triples, 1):
        sound = WavSamples(wav, late)
        write_video(path, sound, sound.rate, source=source, fps=fps)
        source = path
        if progress is not None:
            progress(number)
