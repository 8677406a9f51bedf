"""What ``faces.json`` says of each voice.

The fields are described in :mod:`avsep_sb.inference.video_files`.

Authors
 * avsep_sb contributors
"""

import numpy as np

from avsep_sb.inference.fallback import Rung
from avsep_sb.vision.quality import Quality


def face_entry(timeline, person):
    """Times, boxes and quality of a face.

    Arguments
    ---------
    timeline : avsep_sb.vision.timeline.FaceTimeline
        The faces.
    person : int
        Which one.

    Returns
    -------
    dict
        ``spans``, ``boxes``, ``quality`` and ``quality_spans``.

    Example
    -------
    >>> from avsep_sb.vision.timeline import FaceTimeline, Person, Span
    >>> boxes = np.tile([10.0, 20.0, 74.0, 100.0], (50, 1))
    >>> codes = np.repeat([1, 0], 25).astype(np.uint8)
    >>> span = Span(25, 75, boxes, np.zeros((50, 5, 2)), codes, codes - 1)
    >>> faces = FaceTimeline(25, 99, (640, 480), [0], [Person([span])], None)
    >>> entry = face_entry(faces, 0)
    >>> entry["boxes"][:2], len(entry["boxes"])
    ([[1.0, 10, 20, 64, 80], [2.0, 10, 20, 64, 80]], 3)
    >>> entry["quality"], entry["quality_spans"][0]
    ({'found': 0.5, 'missing': 0.5}, [1.0, 2.0, 'found'])
    """
    fps, spans = timeline.fps, timeline.people[person].spans
    boxes, runs = [], []
    for span in spans:
        # Each second, and where the face was to be seen last.
        step = max(1, round(fps))
        places = {*range(0, span.stop - span.start, step)}
        for at in sorted(places | {span.stop - span.start - 1}):
            left, top, right, bottom = map(float, span.boxes[at])
            box = [left, top, right - left, bottom - top]
            time = round((span.start + at) / fps, 3)
            boxes.append([time, *(round(side) for side in box)])
        runs += [
            [span.start + start, span.start + stop, code]
            for start, stop, code in _runs(span.quality)
        ]
    total = sum(span.stop - span.start for span in spans)
    shares = {}
    for start, stop, code in runs:
        name = Quality(code).name.lower()
        shares[name] = shares.get(name, 0) + (stop - start) / total
    return {
        "spans": [_seconds(span.start, span.stop, fps) for span in spans],
        "boxes": boxes,
        "quality": {name: round(part, 4) for name, part in shares.items()},
        "quality_spans": [
            [*_seconds(start, stop, fps), Quality(code).name.lower()]
            for start, stop, code in runs
        ],
    }


def _runs(values):
    """Stretches [start, stop, value] of equal values."""
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = [0, *edges.tolist()]
    stops = [*edges.tolist(), len(values)]
    return [
        [start, stop, int(values[start])]
        for start, stop in zip(starts, stops, strict=True)
        if start < stop
    ]


def _seconds(start, stop, rate):
    return [round(start / rate, 3), round(stop / rate, 3)]


def rung_spans(notes, voice, length, sample_rate):
    """By which means a voice was separated, from start to end.

    Windows overlap; each counts up to the middle of what it shares with the
    next one.

    Arguments
    ---------
    notes : list of avsep_sb.inference.fallback.WindowNote
        What was done in each window.
    voice : int
        Which one.
    length : int
        Samples of the recording.
    sample_rate : int
        Hz.

    Returns
    -------
    list of [float, float, str]
        Start and stop in seconds, and the rung; equal neighbours are joined.

    Example
    -------
    >>> from avsep_sb.inference.fallback import WindowNote
    >>> rungs = [Rung.LIPS, Rung.LIPS, Rung.ABSENT]
    >>> notes = [WindowNote(30 * k, 40, (r,)) for k, r in enumerate(rungs)]
    >>> rung_spans(notes, 0, 100, 10)
    [[0.0, 6.5, 'lips'], [6.5, 10.0, 'absent']]
    """
    states = [Rung(note.rungs[voice]).value for note in notes]
    return _spans(notes, states, length, sample_rate)


def add_notes(entries, notes, length, sample_rate):
    """Adds to each voice what was done in the windows.

    Arguments
    ---------
    entries : list of dict
        One for each voice; get ``rungs``, and ``label_confidence`` where
        voices were dealt to faces.
    notes, length, sample_rate
        As of :func:`rung_spans`.

    Example
    -------
    >>> from avsep_sb.inference.fallback import WindowNote
    >>> entries = [{}]
    >>> add_notes(entries, [WindowNote(0, 9, ("audio",), (0.98,))], 9, 9)
    >>> entries[0]["label_confidence"]
    [[0.0, 1.0, 0.98]]
    """
    for voice, entry in enumerate(entries):
        entry["rungs"] = rung_spans(notes, voice, length, sample_rate)
        if all(note.confidences for note in notes):
            sure = [round(note.confidences[voice], 2) for note in notes]
            entry["label_confidence"] = [
                span
                for span in _spans(notes, sure, length, sample_rate)
                if span[2] == span[2]  # NaN: it has no voice
            ]


def _spans(notes, states, length, sample_rate):
    """Stretches of equal states, each up to the middle of the overlap."""
    spans, begin = [], 0
    for number, (note, state) in enumerate(zip(notes, states, strict=True)):
        end = length
        if number + 1 < len(notes):
            end = (notes[number + 1].first + note.first + note.count) // 2
        end = min(end, length)
        if end <= begin:
            continue
        if spans and spans[-1][2] == state:
            spans[-1][1] = end
        else:
            spans.append([begin, end, state])
        begin = end
    return [[*_seconds(a, b, sample_rate), state] for a, b, state in spans]
