"""Pictures to judge a face timeline by.

Authors
 * avsep_sb contributors
"""

import os

import cv2
import numpy as np

from avsep_sb.vision.mouth import ROI_SIZE
from avsep_sb.vision.quality import Quality

#: frame colours, RGB
COLOURS = {
    Quality.MISSING: (40, 40, 40),
    Quality.FOUND: (60, 170, 75),
    Quality.INTERPOLATED: (240, 190, 40),
    Quality.PROFILE: (150, 90, 220),
    Quality.BLURRED: (220, 70, 50),
}
_EDGE, _BAR, _TEXT = 4, 26, 16


def quality_sheet(timeline, path_png, columns=16):
    """Draws the mouths of each person, framed in the colour of their quality.

    One row of mouths for each person, time runs right: green found, yellow
    interpolated, violet profile, red blurred, dark missing; the number of the
    frame stands below. A bar over each row shows the whole video in the same
    colours, white where the person is not there.

    Arguments
    ---------
    timeline : avsep_sb.vision.timeline.FaceTimeline
        With at least one person.
    path_png : str or Path
        The picture to write.
    columns : int
        Mouths to show of each person, evenly over the frames of the spans.

    Returns
    -------
    np.ndarray
        uint8 [people * 146, columns * 104, 3], RGB: the picture.
    """
    sheet = np.concatenate(
        [_row(timeline, k, columns) for k in range(len(timeline.people))]
    )
    done, data = cv2.imencode(".png", sheet[..., ::-1])
    assert done, "cv2 can always write PNG"
    part = f"{os.fspath(path_png)}.part"
    with open(part, "wb") as file:
        file.write(data.tobytes())
    os.replace(part, path_png)
    return sheet


def _row(timeline, number, columns):
    person, side = timeline.people[number], ROI_SIZE + 2 * _EDGE
    row = np.full((_BAR + side + _TEXT, columns * side, 3), 255, np.uint8)
    _paint_bar(row[4 : _BAR - 4], timeline, person)
    frames = np.concatenate([np.arange(s.start, s.stop) for s in person.spans])
    shown = np.linspace(0, len(frames) - 1, min(columns, len(frames)))
    for column, frame in enumerate(frames[shown.round().astype(int)].tolist()):
        quality = Quality(timeline.quality(number, frame, frame + 1)[0])
        left = column * side
        tile = row[_BAR : _BAR + side, left : left + side]
        tile[:] = COLOURS[quality]
        mouth = timeline.rois(number, frame, frame + 1)[0, ..., None]
        tile[_EDGE:-_EDGE, _EDGE:-_EDGE] = mouth
        corner = left + _EDGE, _BAR + side + _TEXT - 4
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(row, str(frame), corner, font, 0.4, (0, 0, 0), 1)
    return row


def _paint_bar(bar, timeline, person):
    """The whole video from left to right; the worst of many frames shows."""
    scale = bar.shape[1] / max(timeline.frames, 1)
    for span in person.spans:
        left, right = int(span.start * scale), int(span.stop * scale)
        bar[:, left : max(right, left + 1)] = COLOURS[Quality.FOUND]
        for at in np.flatnonzero(span.quality != Quality.FOUND).tolist():
            left = int((span.start + at) * scale)
            right = max(int((span.start + at + 1) * scale), left + 1)
            bar[:, left:right] = COLOURS[Quality(span.quality[at])]
