"""Means and intervals of what was scored, and the worst mixtures.

Authors
 * avsep_sb contributors
"""

import math
from typing import NamedTuple

from avsep_sb.evaluation.orientation import FRONTAL, SIDE
from avsep_sb.results import confidence95, rate95

#: what the scores are called; a share is shown in percent
LABELS = {
    "input_snr": ("input SNR", "dB"),
    "si-snr": ("SI-SNR", "dB"),
    "si-snr_i": ("SI-SNRi", "dB"),
    "sdr": ("SDR", "dB"),
    "sdr_i": ("SDRi", "dB"),
    "pesq": ("PESQ (wide band)", ""),
    "stoi": ("STOI", ""),
    "estoi": ("ESTOI", ""),
    "silence_db": ("level while silent", "dB"),
    "wrong_speaker": ("wrong speaker", "%"),
    "swap_right": ("voices follow exchanged faces", "%"),
    "audio_si-snr_i": ("SI-SNRi, audio-only twin", "dB"),
    "audio_sdr_i": ("SDRi, audio-only twin", "dB"),
    "gap_si-snr_i": ("SI-SNRi over the twin", "dB"),
    "gap_sdr_i": ("SDRi over the twin", "dB"),
    "rtf": ("real-time factor", ""),
}
#: scores that are shares of voices or of mixtures
RATES = ("wrong_speaker", "swap_right")


class Line(NamedTuple):
    """Mean of a score, its 95 % interval, and of how many values."""

    score: str
    mean: float
    low: float
    high: float
    count: int

    @property
    def label(self):
        """str: what the score is called."""
        return LABELS[self.score][0]

    def text(self):
        """Mean and interval as they are printed.

        Returns
        -------
        (str, str)

        Example
        -------
        >>> Line("stoi", 0.81, 0.8, 0.82, 9).text()
        ('0.810', '0.800 to 0.820')
        """
        unit = LABELS[self.score][1]
        percent = unit == "%"
        digits = {"dB": 2, "%": 1}.get(unit, 3)
        shown = [
            "–" if math.isnan(x) else f"{100 * x if percent else x:.{digits}f}"
            for x in (self.mean, self.low, self.high)
        ]
        mean = f"{shown[0]} {unit}".strip()
        return mean, f"{shown[1]} to {shown[2]}"


def line_of(score, values):
    """Summarises the values of a score.

    Arguments
    ---------
    score : str
        Key of ``LABELS``.
    values : iterable of float
        One per mixture or voice; NaN is left out.

    Returns
    -------
    Line
        With Student's interval, or Wilson's for a rate.

    Example
    -------
    >>> line_of("sdr", [7.0, 9.0, float("nan")])[:2]
    ('sdr', 8.0)
    """
    values = [float(v) for v in values if not math.isnan(v)]
    if score in RATES:
        return Line(score, *rate95(values), len(values))
    mean, half = confidence95(values)
    return Line(score, mean, mean - half, mean + half, len(values))


def mean_of(values):
    """Mean of the numbers among some values, NaN if there is none.

    Arguments
    ---------
    values : iterable of float
        May hold NaN.

    Returns
    -------
    float

    Example
    -------
    >>> mean_of([1.0, float("nan"), 3.0])
    2.0
    """
    values = [v for v in values if not math.isnan(v)]
    return sum(values) / len(values) if values else float("nan")


def utterance_scores(entry):
    """Scores of a mixture: means over its voices.

    Arguments
    ---------
    entry : dict
        What :func:`avsep_sb.evaluation.scoring.score_job` gave.

    Returns
    -------
    dict
        A float per score, with the gap to the twin where there is one.

    Example
    -------
    >>> voice = {"si-snr_i": 9.0, "audio_si-snr_i": 4.0}
    >>> scores = utterance_scores({"voices": [voice], "swap_right": 1.0})
    >>> scores["gap_si-snr_i"], scores["swap_right"]
    (5.0, 1.0)
    """
    voices = entry["voices"]
    row = {name: mean_of(v[name] for v in voices) for name in voices[0]}
    row["swap_right"] = entry["swap_right"]
    for name in ("si-snr_i", "sdr_i"):
        if f"audio_{name}" in row:
            row[f"gap_{name}"] = row[name] - row[f"audio_{name}"]
    return row


def means(rows, rtf=()):
    """The lines of the table of means.

    Arguments
    ---------
    rows : list of dict
        Of :func:`utterance_scores`.
    rtf : sequence of float
        Real-time factors.

    Returns
    -------
    list of Line
        In the order of ``LABELS``, without scores that no mixture has.

    Example
    -------
    >>> [x.score for x in means([{"sdr": 1.0}, {"sdr": 2.0}], [0.1])]
    ['sdr', 'rtf']
    """
    lines = []
    for score in LABELS:
        if score == "input_snr":
            continue  # over the voices of a mixture it is near 0 by nature
        values = (
            rtf if score == "rtf" else [r[score] for r in rows if score in r]
        )
        line = line_of(score, values)
        if line.count:
            lines.append(line)
    return lines


def split(voices):
    """Scores of frontal and of side faces, App. J.

    Arguments
    ---------
    voices : list of dict
        Scores of each voice, with its ``orientation``.

    Returns
    -------
    dict
        "frontal" and "side" to their lines; empty if no orientation is
        known.

    Example
    -------
    >>> side = {"si-snr_i": 8.0, "orientation": "side"}
    >>> {k: v[0].mean for k, v in split([side, side]).items()}
    {'side': 8.0}
    """
    groups = {}
    for name in (FRONTAL, SIDE):
        some = [v for v in voices if v["orientation"] == name]
        if some:
            numbers = [
                {k: x for k, x in v.items() if isinstance(x, float)}
                for v in some
            ]
            groups[name] = means(numbers)
    return groups


def worst(rows, count=10):
    """The mixtures with the lowest SI-SNRi, worst first.

    Arguments
    ---------
    rows : dict
        ID to the scores of :func:`utterance_scores`.
    count : int
        How many.

    Returns
    -------
    list of str
        IDs; mixtures without a SI-SNRi are left out.

    Example
    -------
    >>> worst({"a": {"si-snr_i": 3.0}, "b": {"si-snr_i": -1.0}}, 1)
    ['b']
    """
    known = [n for n, row in rows.items() if not math.isnan(row["si-snr_i"])]
    return sorted(known, key=lambda name: rows[name]["si-snr_i"])[:count]
