"""The words of an overview: names, times, states and their colours.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font

from avsep_sb.inference.lanes import merged

# Colours that colour-blind readers can tell apart (Okabe and Ito), and what
# the legend calls them.
FACE_STATES = {
    "found": ("#009E73", "face found"),
    "interpolated": ("#F0E442", "interpolated"),
    "profile": ("#CC79A7", "profile"),
    "blurred": ("#D55E00", "blurred"),
    "missing": ("#000000", "missing"),
}
RUNG_STATES = {
    "lips": ("#0072B2", "voice by lips"),
    "audio": ("#E69F00", "by sound alone"),
    "held": ("#56B4E9", "by held lips"),
    "no voice": ("#000000", "no voice left"),
}
SPEECH_STATES = {"speech": ("#606060", "speaks")}
EMPTY = ("#ECECEC", "absent, silent")
_STEPS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400),
)


def clock(seconds, digits=0):
    """A time as a player shows it.

    Arguments
    ---------
    seconds : float
        At least 0.
    digits : int
        After the point.

    Returns
    -------
    str
        ``min:s``, with the hours before it from one hour on.

    Example
    -------
    >>> clock(0.25, 1), clock(59.7), clock(10921)
    ('0:00.2', '1:00', '3:02:01')
    """
    unit = 10**digits
    ticks = round(seconds * unit)
    whole, part = divmod(ticks, unit)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}" if hours else f"{minute}"
    return f"{text}:{second:02d}" + (f".{part:0{digits}d}" if digits else "")


def time_ticks(seconds, most=12):
    """Round times along an axis.

    Arguments
    ---------
    seconds : float
        Where the axis ends.
    most : int
        How many there may be.

    Returns
    -------
    (list of float, list of str)
        Times and their labels.

    Example
    -------
    >>> time_ticks(100)
    ([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], [..., '1:40'])
    """
    fits = [step for step in _STEPS if seconds / step < most]
    step = fits[0] if fits else seconds
    times = [k * step for k in range(int(seconds / step + 1e-9) + 1)]
    return times, [clock(time, int(step < 1)) for time in times]


def printable(text, most=80):
    """A name as the picture's font can show it, cut in the middle if long.

    Arguments
    ---------
    text : str
        Such as a file's name.
    most : int
        Characters to keep.

    Returns
    -------
    str
        With a question mark for each letter that the font lacks.

    Example
    -------
    >>> printable("名a.mp4"), printable("x" * 50, most=7)
    ('?a.mp4', 'xxx…xxx')
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    known = FT2Font(str(folder / "DejaVuSans.ttf")).get_charmap()
    text = " ".join(str(text).split())
    text = "".join(c if ord(c) in known else "?" for c in text)
    if len(text) > most:
        half = (most - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return text


def lanes_of(face):
    """The timelines of a voice.

    Arguments
    ---------
    face : dict
        Of ``faces.json``, with ``speech``.

    Returns
    -------
    list of (str, list)
        Label and, for :func:`avsep_sb.inference.lanes.lane`, the states. A
        speaker without a face has no timeline of it.

    Example
    -------
    >>> [label for label, _ in lanes_of({"rungs": [[0, 1, "audio"]]})]
    ['voice by', 'speaks']
    """
    result = []
    if face.get("spans"):
        stays = _by_state(face.get("quality_spans"))
        stays = stays or {"found": face["spans"]}
        result.append(("face", _coloured(FACE_STATES, stays)))
    rungs = _by_state(face.get("rungs"))
    result.append(("voice by", _coloured(RUNG_STATES, rungs)))
    speech = {"speech": face.get("speech") or []}
    result.append(("speaks", _coloured(SPEECH_STATES, speech)))
    return result


def _by_state(spans):
    result = {}
    for start, stop, state in spans or []:
        result.setdefault(str(state).lower(), []).append((start, stop))
    return result


def _coloured(states, spans):
    return [
        (colour, spans.get(name) or []) for name, (colour, _) in states.items()
    ]


def facts(face):
    """What stands beside a voice: its name, and how long what lasts.

    Arguments
    ---------
    face : dict
        Of ``faces.json``, with ``speech``.

    Returns
    -------
    list of str
        Lines.

    Example
    -------
    >>> face = {"name": "face1", "spans": [[0, 3]], "speech": [[0, 1]]}
    >>> facts({**face, "offset_ms": 90.0, "offset_corrected_ms": 90.0})
    ['face1', 'in view 0:03.0', 'speaks 0:01.0', 'lips +90 ms', '(allowed for)']
    """
    lines = [printable(face["name"], 14)]
    if face.get("spans"):
        lines.append(f"in view {_lasts(face['spans'])}")
    speech = face.get("speech")
    lines.append(f"speaks {_lasts(speech)}" if speech else "never speaks")
    if face.get("offset_ms") is not None:
        lines.append(f"lips {face['offset_ms']:+.0f} ms")
        if face.get("offset_corrected_ms"):
            lines.append("(allowed for)")
    return lines


def _lasts(spans):
    seconds = sum(stop - start for start, stop in merged(spans))
    return clock(seconds, int(seconds < 10))
