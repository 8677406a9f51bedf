"""Word error rates of a test: over all, per input SNR and per speaker.

Authors
 * avsep_sb contributors
"""

import math
from html import escape
from typing import NamedTuple

from avsep_sb.evaluation.judges import SOUNDS
from avsep_sb.evaluation.page_style import table
from avsep_sb.evaluation.wer import rate95, ratio95

#: width of the groups of input SNR, in dB
BIN_DB = 2.5
#: speakers that the page shows; all are in the table of the groups
MOST_SPEAKERS = 40
ALL, SNR, SPEAKER = "all", "input SNR", "speaker"


class WordLine(NamedTuple):
    """A rate over all voices, as a :class:`Line` of the means."""

    score: str
    mean: float
    low: float
    high: float
    count: int
    label: str

    def text(self):
        """Rate and interval as they are printed.

        Returns
        -------
        (str, str)

        Example
        -------
        >>> WordLine("wer", 0.125, 0.1, 0.15, 9, "WER").text()
        ('12.5 %', '10.0 to 15.0')
        """
        factor, unit = (1, "times") if "times" in self.label else (100, "%")
        digits = 2 if factor == 1 else 1
        shown = [
            "–" if math.isnan(x) else f"{factor * x:.{digits}f}"
            for x in (self.mean, self.low, self.high)
        ]
        return f"{shown[0]} {unit}", f"{shown[1]} to {shown[2]}"


def word_rows(rows, scores):
    """A row for each voice, sound and recogniser.

    Arguments
    ---------
    rows : list of dict
        Of the manifest.
    scores : dict
        ID to scores, with ``words`` of
        :func:`avsep_sb.evaluation.judges.hear`.

    Returns
    -------
    list of dict
        These, with ``ID``, ``speaker`` and ``input_snr`` before.

    Example
    -------
    >>> heard = {"judge": "a", "voice": 1, "sound": "clean", "errors": 1}
    >>> entry = {"words": [heard], "voices": [{"input_snr": 2.0}]}
    >>> word_rows([{"ID": "m", "s1_spk": "p"}], {"m": entry})[0]["speaker"]
    'p'
    """
    return [
        {
            "ID": row["ID"],
            "speaker": row[f"s{heard['voice']}_spk"],
            "input_snr": scores[row["ID"]]["voices"][heard["voice"] - 1][
                "input_snr"
            ],
            **heard,
        }
        for row in rows
        for heard in scores[row["ID"]].get("words", ())
    ]


def groups(words):
    """Rates of all voices, of each range of input SNR and of each speaker.

    Arguments
    ---------
    words : list of dict
        Of :func:`word_rows`.

    Returns
    -------
    list of dict
        ``judge``, ``group``, ``name``, ``sound``, ``wer``, ``low95``,
        ``high95``, ``errors``, ``words`` and ``voices``.

    Example
    -------
    >>> row = dict(ID="m", speaker="p", input_snr=-1.0, judge="a", errors=1,
    ...     voice=1, sound="clean", words=4)
    >>> [(x["name"], x["wer"]) for x in groups([row])]
    [('all', 0.25), ('-2.5 to 0 dB', 0.25), ('p', 0.25)]
    """
    found = []
    for judge in dict.fromkeys(row["judge"] for row in words):
        for group, place in ((ALL, _all), (SNR, _bin), (SPEAKER, _speaker)):
            own = [row for row in words if row["judge"] == judge]
            keys = sorted({place(row) for row in own} - {None})
            for key in keys:
                some = [row for row in own if place(row) == key]
                name = _range(key) if group == SNR else key
                for sound in _sounds(some):
                    found.append(_rate(some, judge, group, name, sound))
    return found


def _all(row):
    return ALL


def _speaker(row):
    return row["speaker"] or None


def _bin(row):
    """Number of the range of input SNR; None for a silent voice."""
    snr = row["input_snr"]
    return math.floor(snr / BIN_DB) if math.isfinite(snr) else None


def _range(number):
    return f"{number * BIN_DB:g} to {(number + 1) * BIN_DB:g} dB"


def _sounds(rows):
    there = {row["sound"] for row in rows}
    return [sound for sound in SOUNDS if sound in there]


def by_mixture(rows, sound):
    """Errors and words of each mixture.

    Arguments
    ---------
    rows : list of dict
        Of :func:`word_rows`, of one recogniser.
    sound : str
        One of ``SOUNDS``.

    Returns
    -------
    (list of int, list of int)
        In the order of the mixtures.
    """
    errors, words = {}, {}
    for row in rows:
        if row["sound"] == sound:
            name = row["ID"]
            errors[name] = errors.get(name, 0) + row["errors"]
            words[name] = words.get(name, 0) + row["words"]
    return list(errors.values()), list(words.values())


def _rate(rows, judge, group, name, sound):
    errors, words = by_mixture(rows, sound)
    rate, low, high = rate95(errors, words)
    return {
        "judge": judge,
        "group": group,
        "name": name,
        "sound": sound,
        "wer": rate,
        "low95": low,
        "high95": high,
        "errors": sum(errors),
        "words": sum(words),
        "voices": sum(row["sound"] == sound for row in rows),
    }


def word_lines(words):
    """The rates over all voices, for the table of means.

    Arguments
    ---------
    words : list of dict
        Of :func:`word_rows`.

    Returns
    -------
    list of WordLine
        For each recogniser that of each sound, and by how many times that of
        the separated voices is that of the clean ones, unless those have no
        error.

    Example
    -------
    >>> row = dict(ID="m", speaker="p", input_snr=0.0, judge="a", voice=1,
    ...     words=4)
    >>> rows = [dict(row, sound="clean", errors=1),
    ...     dict(row, sound="separated", errors=2)]
    >>> [(line.score, line.mean) for line in word_lines(rows)]
    [('wer_clean', 0.25), ('wer_separated', 0.5), ('wer_times', 2.0)]
    """
    judges = list(dict.fromkeys(row["judge"] for row in words))
    lines = []
    for judge in judges:
        own = [row for row in words if row["judge"] == judge]
        end = f"_{judge}" if len(judges) > 1 else ""
        for sound in _sounds(own):
            rate = _rate(own, judge, ALL, ALL, sound)
            label = f"WER, {sound} ({judge})"
            numbers = (rate[n] for n in ("wer", "low95", "high95", "voices"))
            lines.append(WordLine(f"wer_{sound}{end}", *numbers, label))
        above, _ = by_mixture(own, "separated")
        below, _ = by_mixture(own, "clean")
        if above and sum(below):
            label = f"WER, times that of clean ({judge})"
            count = sum(row["sound"] == "separated" for row in own)
            ratio = ratio95(above, below)
            lines.append(WordLine(f"wer_times{end}", *ratio, count, label))
    return lines


def word_sections(rates):
    """The page's tables of word errors.

    Arguments
    ---------
    rates : list of dict
        Of :func:`groups`.

    Returns
    -------
    list of str
        HTML.

    Example
    -------
    >>> rate = dict(judge="a", group="all", name="all", sound="clean",
    ...     wer=0.25, low95=0.2, high95=0.3, words=40, voices=7)
    >>> "25.0 % (20.0 to 30.0)" in word_sections([rate])[1]
    True
    """
    parts = []
    for judge in dict.fromkeys(rate["judge"] for rate in rates):
        own = [rate for rate in rates if rate["judge"] == judge]
        sounds = [s for s in SOUNDS if any(r["sound"] == s for r in own)]
        rows, shown = [], 0
        for group, name in dict.fromkeys((r["group"], r["name"]) for r in own):
            shown += group == SPEAKER
            if shown > MOST_SPEAKERS:
                continue
            some = {
                r["sound"]: r
                for r in own
                if (r["group"], r["name"]) == (group, name)
            }
            first = next(iter(some.values()))
            title = name if group == ALL else f"{group} {name}"
            rows.append(
                [
                    escape(title),
                    str(first["voices"]),
                    str(first["words"]),
                    *(_cell(some.get(sound)) for sound in sounds),
                ]
            )
        parts.append(f"<h2>Word errors, {escape(judge)}</h2>")
        parts.append(table(["voices of", "number", "words", *sounds], rows))
        if shown > MOST_SPEAKERS:
            parts.append(
                f'<p class="quiet">{shown - MOST_SPEAKERS} more speakers are '
                "in wer.csv.</p>"
            )
    return parts


def _cell(rate):
    if rate is None or math.isnan(rate["wer"]):
        return "–"
    low, high = 100 * rate["low95"], 100 * rate["high95"]
    return f"{100 * rate['wer']:.1f} % ({low:.1f} to {high:.1f})"


def heard_table(heard):
    """What was understood of one mixture, as the page shows it.

    Arguments
    ---------
    heard : list of dict
        Of :func:`avsep_sb.evaluation.judges.hear`.

    Returns
    -------
    str
        HTML; "" where nothing was listened to.

    Example
    -------
    >>> heard_table([])
    ''
    """
    if not heard:
        return ""
    rows = []
    for voice in sorted({row["voice"] for row in heard}):
        own = [row for row in heard if row["voice"] == voice]
        said = [f"voice {voice}", "said", "", escape(own[0]["reference"]), ""]
        rows.append(said)
        for row in own:
            cells = [escape(row[n]) for n in ("sound", "judge", "text")]
            rows.append(["", *cells, str(row["errors"])])
    return table(["", "sound", "recogniser", "text", "errors"], rows)
