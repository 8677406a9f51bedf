"""The report as one HTML page that needs no other file and no network.

Authors
 * avsep_sb contributors
"""

import math
from dataclasses import dataclass, field
from html import escape

from avsep_sb.evaluation.page_style import PAGE, STYLE, table
from avsep_sb.evaluation.sounds import data_uri, flac, one_gain
from avsep_sb.evaluation.summary import LABELS
from avsep_sb.evaluation.words import heard_table, word_sections


@dataclass
class Case:
    """A mixture that is shown.

    Arguments
    ---------
    name : str
        Its ID.
    speakers : list of str
        Of its voices.
    voices : list of dict
        Scores of each voice.
    picture : bytes
        PNG of its spectrograms.
    mix, estimate, target : np.ndarray
        [T], [T, S] and [T, S]: what is heard.
    sample_rate : int
        In Hz.
    note : str
        What is to be said of it, such as that it was cut.
    words : list of dict
        What recognisers understood.
    """

    name: str
    speakers: list
    voices: list
    picture: bytes
    mix: object
    estimate: object
    target: object
    sample_rate: int
    note: str = ""
    words: list = field(default_factory=list)


@dataclass
class Report:
    """All that the page shows.

    Arguments
    ---------
    title : str
        Model and manifest.
    facts : list of str
        Sentences on what was scored and how.
    lines : list of Line
        Means of the scores.
    groups : dict
        Name to lines: frontal and side faces, or nothing.
    histograms, gains : bytes or None
        PNGs.
    cases : list of Case
        The worst mixtures.
    notes : list of str
        What is missing, and why.
    rates : list of dict
        Word error rates, of :func:`avsep_sb.evaluation.words.groups`.
    """

    title: str
    facts: list
    lines: list
    groups: dict
    histograms: bytes | None
    gains: bytes | None
    cases: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    rates: list = field(default_factory=list)


def picture(png, text):
    """A picture in the page.

    Arguments
    ---------
    png : bytes
        The picture.
    text : str
        What it shows, for those who cannot see it.

    Returns
    -------
    str
        HTML.

    Example
    -------
    >>> picture(b"", "a & b")
    '<img src="data:image/png;base64," alt="a &amp; b">'
    """
    source = data_uri(png, "image/png")
    return f'<img src="{source}" alt="{escape(text)}">'


def number(value, score):
    """A score as a cell shows it.

    Arguments
    ---------
    value : float
        The score.
    score : str
        Its name.

    Returns
    -------
    str

    Example
    -------
    >>> number(7.123, "sdr_i"), number(float("nan"), "pesq")
    ('7.1', '–')
    """
    if math.isnan(value):
        return "–"
    digits = 1 if LABELS[score][1] == "dB" else 2
    # No "-0.0", which is what rounding leaves of a slight loss.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def render(report):
    """Makes the page.

    Arguments
    ---------
    report : Report
        What it shows.

    Returns
    -------
    str
        HTML, pictures and sounds inside.

    Example
    -------
    >>> page = render(Report("<m>", ["One."], [], {}, None, None))
    >>> "<h1>&lt;m&gt;</h1>" in page, "http" in page
    (True, False)
    """
    parts = [f"<h1>{escape(report.title)}</h1>"]
    parts += [f'<p class="quiet">{escape(text)}</p>' for text in report.facts]
    parts += ["<h2>Means</h2>", _means(report.lines)]
    parts += [f"<p>{escape(text)}</p>" for text in report.notes]
    parts += word_sections(report.rates)
    if report.groups:
        parts += ["<h2>Frontal and side faces</h2>", _groups(report.groups)]
    if report.histograms:
        parts += [
            "<h2>Distribution over the voices</h2>",
            picture(report.histograms, "histograms of the scores"),
        ]
    if report.gains:
        parts += [
            "<h2>Gain over the level in the mixture</h2>",
            picture(report.gains, "SI-SNRi of each voice over its input SNR"),
        ]
    if report.cases:
        parts.append(f"<h2>The {len(report.cases)} worst mixtures</h2>")
        parts.append(_overview(report.cases))
        for place, case in enumerate(report.cases, 1):
            parts.append(_case(place, case))
    body = "\n".join(parts)
    return PAGE.format(title=escape(report.title), style=STYLE, body=body)


def _means(lines):
    header = ["score", "mean", "95 % interval", "values"]
    rows = [[escape(x.label), *x.text(), str(x.count)] for x in lines]
    return table(header, rows)


def _groups(groups):
    """One row per score, one pair of columns per orientation."""
    header = ["score"]
    for name, lines in groups.items():
        voices = max(x.count for x in lines)
        header += [f"{name} ({voices} voices)", "95 % interval"]
    by_score = {
        name: {x.score: x for x in lines} for name, lines in groups.items()
    }
    rows = []
    for score in LABELS:
        if not any(score in known for known in by_score.values()):
            continue
        row = [escape(LABELS[score][0])]
        for known in by_score.values():
            row += known[score].text() if score in known else ("–", "–")
        rows.append(row)
    return table(header, rows)


def _overview(cases):
    rows = []
    for place, case in enumerate(cases, 1):
        gains = [v["si-snr_i"] for v in case.voices]
        known = [g for g in gains if not math.isnan(g)]
        rows.append(
            [
                f'<a href="#case{place}">{escape(case.name)}</a>',
                number(sum(known) / len(known), "si-snr_i"),
                ", ".join(number(g, "si-snr_i") for g in gains),
                ", ".join(
                    number(v["input_snr"], "input_snr") for v in case.voices
                ),
                escape(", ".join(case.speakers)),
                _wrong(case.voices),
            ]
        )
    header = ["mixture", "SI-SNRi [dB]", "per voice", "input SNR [dB]"]
    return table([*header, "speakers", "wrong speaker"], rows)


def _wrong(voices):
    wrong = [k for k, v in enumerate(voices, 1) if v["wrong_speaker"] == 1.0]
    if not wrong:
        return "no"
    return f'<span class="bad">voice {", ".join(map(str, wrong))}</span>'


def _case(place, case):
    """Scores, sounds and spectrograms of a mixture."""
    scores = [
        name
        for name in ("input_snr", "si-snr_i", "sdr_i", "pesq", "stoi", "estoi")
        if any(not math.isnan(v.get(name, math.nan)) for v in case.voices)
    ]
    # What is heard comes first: a narrow screen shows no more.
    header = ["voice", "estimate", "target", "speaker"]
    header += [LABELS[name][0].split(" (")[0] for name in scores]
    mix, estimate, target = one_gain(case.mix, case.estimate, case.target)
    rows = []
    for k, voice in enumerate(case.voices):
        label = f"voice {k + 1}"
        if voice["wrong_speaker"] == 1.0:
            label = f'<span class="bad">{label},<br>wrong speaker</span>'
        cells = [number(voice[name], name) for name in scores]
        sounds = [
            _sound(x[:, k], case.sample_rate, f"{kind} {k + 1}")
            for x, kind in ((estimate, "estimate"), (target, "target"))
        ]
        rows.append([label, *sounds, escape(case.speakers[k]), *cells])
    note = f'<p class="quiet">{escape(case.note)}</p>' if case.note else ""
    return (
        f'<section class="case" id="case{place}">'
        f"<h3>{place}. {escape(case.name)}</h3>{note}"
        f"<p>Mixture {_sound(mix, case.sample_rate, 'mixture')}</p>"
        f"{table(header, rows)}{heard_table(case.words)}"
        f"{picture(case.picture, f'spectrograms of {case.name}')}</section>"
    )


def _sound(signal, sample_rate, text):
    source = data_uri(flac(signal, sample_rate), "audio/flac")
    return (
        f'<audio controls preload="metadata" src="{source}" '
        f'aria-label="{escape(text)}"></audio>'
    )
