"""Scores a timeline of people against the truth: IDF1.

Ristani et al., "Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking" (2016), section 4.

Authors
 * avsep_sb contributors
"""

import numpy as np
from scipy.optimize import linear_sum_assignment


def idf1(truth, found):
    """F1 of identities: who was found where he or she is, by one number.

    Each true person is paired with at most one found person, in the way that
    agrees in most frames; all other frames of both count as errors.

    Arguments
    ---------
    truth : iterable of dict
        Of each frame: person to region (left, top, right, bottom).
    found : iterable of dict
        Of each frame: person to box (left, top, right, bottom). A box agrees
        with a region that its centre lies in.

    Returns
    -------
    float
        In 0..1; NaN if there is nobody in either.

    Example
    -------
    >>> truth = [{"ann": (0, 0, 9, 9)}] * 4
    >>> found = [{0: (2, 2, 6, 6)}] * 3 + [{1: (2, 2, 6, 6)}]
    >>> idf1(truth, found)
    0.75
    """
    agree, true_frames, found_frames = {}, 0, 0
    for there, boxes in zip(truth, found, strict=True):
        true_frames += len(there)
        found_frames += len(boxes)
        for number, (left, top, right, bottom) in boxes.items():
            x, y = (left + right) / 2, (top + bottom) / 2
            for person, region in there.items():
                if region[0] <= x < region[2] and region[1] <= y < region[3]:
                    key = person, number
                    agree[key] = agree.get(key, 0) + 1
    if true_frames + found_frames == 0:
        return float("nan")
    people = sorted({person for person, _ in agree}, key=str)
    numbers = sorted({number for _, number in agree}, key=str)
    table = np.array(
        [[agree.get((p, n), 0) for n in numbers] for p in people]
    ).reshape(len(people), len(numbers))
    rows, columns = linear_sum_assignment(-table)
    right = int(table[rows, columns].sum())
    return 2 * right / (true_frames + found_frames)


def boxes_by_frame(timeline):
    """The people of each frame, for :func:`idf1`.

    Arguments
    ---------
    timeline : avsep_sb.vision.timeline.FaceTimeline
        What was found.

    Returns
    -------
    list of dict
        Of each frame: number of the person to box; people whose mouth is
        missing are left out.

    Example
    -------
    >>> from avsep_sb.vision.timeline import FaceTimeline
    >>> boxes_by_frame(FaceTimeline(25, 2, (64, 48), [0], [], None))
    [{}, {}]
    """
    frames = [{} for _ in range(timeline.frames)]
    for number, person in enumerate(timeline.people):
        for span in person.spans:
            for at in np.flatnonzero(span.quality):
                frames[span.start + at][number] = tuple(span.boxes[at])
    return frames
