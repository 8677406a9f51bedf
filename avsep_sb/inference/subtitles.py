"""Writes what was said as subtitles: SubRip (SRT) and WebVTT.

SRT is what its players agree on: a number, ``HH:MM:SS,mmm --> HH:MM:SS,mmm``,
lines of text, an empty line. VTT follows the W3C recommendation of WebVTT:
``HH:MM:SS.mmm``, ``&``, ``<`` and ``>`` escaped, speakers as voice spans
``<v Anna>``. A cue has two lines of 42 characters at most; what is longer
becomes several cues, which share the time by their numbers of characters, as
a recogniser that gives no times of words leaves nothing better.

Authors
 * avsep_sb contributors
"""

import textwrap
from typing import NamedTuple

from avsep_sb.errors import DataError

#: characters of a line, and lines of a cue
LINE, LINES = 42, 2
#: no cue is shorter than this, in seconds: players count in milliseconds
SHORTEST = 0.001


class Segment(NamedTuple):
    """What one person says without a pause.

    Arguments
    ---------
    start, stop : float
        Seconds of the video.
    speaker : str
        Who says it.
    text : str
        What; empty if no word was recognised.
    """

    start: float
    stop: float
    speaker: str
    text: str


def format_srt(segments, names=False):
    """Subtitles as SubRip.

    Arguments
    ---------
    segments : iterable of Segment
        Those without a text are left out; they are put in the order of time.
    names : bool
        Whether each cue begins with its speaker's name.

    Returns
    -------
    str
        The file's text, empty if nothing was said. ``DataError`` is raised
        for times that are no times.

    Example
    -------
    >>> print(format_srt([Segment(61.5, 62.0, "Ben", "hi there")], names=True))
    1
    00:01:01,500 --> 00:01:02,000
    Ben: hi there
    <BLANKLINE>
    <BLANKLINE>
    """
    cues = []
    for segment in _in_order(segments):
        prefix = f"{_plain(segment.speaker)}: " if names else ""
        for start, stop, lines in _cues(segment, prefix):
            # In SRT nothing can be escaped, and an arrow marks the times.
            text = "\n".join(lines).replace("-->", "->")
            times = f"{_clock(start, ',')} --> {_clock(stop, ',')}"
            cues.append(f"{len(cues) + 1}\n{times}\n{text}\n\n")
    return "".join(cues)


def format_vtt(segments, names=False):
    """Subtitles as WebVTT.

    Arguments
    ---------
    segments : iterable of Segment
        As for :func:`format_srt`.
    names : bool
        Whether each cue is the voice span of its speaker.

    Returns
    -------
    str
        The file's text; only the header if nothing was said.

    Example
    -------
    >>> said = [Segment(0.5, 1.0, "Ann & Co", "a < b")]
    >>> print(format_vtt(said, names=True))
    WEBVTT
    <BLANKLINE>
    00:00:00.500 --> 00:00:01.000
    <v Ann &amp; Co>a &lt; b
    <BLANKLINE>
    <BLANKLINE>
    """
    parts = ["WEBVTT\n\n"]
    for segment in _in_order(segments):
        voice = f"<v {_escaped(_plain(segment.speaker))}>" if names else ""
        for start, stop, lines in _cues(segment):
            text = "\n".join(map(_escaped, lines))
            times = f"{_clock(start, '.')} --> {_clock(stop, '.')}"
            parts.append(f"{times}\n{voice}{text}\n\n")
    return "".join(parts)


def _in_order(segments):
    """Segments that say something, by time."""
    said = [s for s in segments if s.text.split()]
    for segment in said:
        if not 0 <= segment.start <= segment.stop < float("inf"):
            raise DataError(
                f"A subtitle from {segment.start} to {segment.stop} s: give "
                "times from 0 on, the start before the stop."
            )
    return sorted(said, key=lambda s: (s.start, s.stop))


def _cues(segment, prefix=""):
    """Yields (start, stop, lines) of at most two lines each."""
    # No hyphen is a place to break at: names and codes stay whole.
    lines = textwrap.wrap(
        prefix + _plain(segment.text), LINE, break_on_hyphens=False
    )
    groups = [lines[k : k + LINES] for k in range(0, len(lines), LINES)]
    sizes = [sum(map(len, group)) for group in groups]
    length, done = segment.stop - segment.start, 0
    for group, size in zip(groups, sizes, strict=True):
        start = segment.start + length * done / sum(sizes)
        done += size
        stop = segment.start + length * done / sum(sizes)
        yield start, max(stop, start + SHORTEST), group


def _plain(text):
    """One line: an empty one would end the cue."""
    return " ".join(str(text).split())


def _escaped(text):
    for sign, name in (("&", "amp"), ("<", "lt"), (">", "gt")):
        text = text.replace(sign, f"&{name};")
    return text


def _clock(seconds, point):
    """Hours, minutes, seconds and milliseconds."""
    ms = round(1000 * seconds)
    hours, ms = divmod(ms, 3_600_000)
    minutes, ms = divmod(ms, 60_000)
    return f"{hours:02d}:{minutes:02d}:{ms // 1000:02d}{point}{ms % 1000:03d}"
