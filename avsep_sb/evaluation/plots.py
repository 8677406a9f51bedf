"""Pictures of the report: histograms, gains over input SNR, spectrograms.

Each is a PNG in memory, small enough to lie in the page.

Authors
 * avsep_sb contributors
"""

import io
import math
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from avsep_sb.evaluation.orientation import FRONTAL, SIDE
from avsep_sb.evaluation.summary import LABELS, mean_of
from avsep_sb.figures import separation_figure

#: scores whose distribution is drawn, if they were taken
DRAWN = ("si-snr_i", "sdr_i", "pesq", "stoi", "estoi")
_PER_ROW = 3
# Colours that colour-blind readers can tell apart (Okabe and Ito).
_BLUE, _ORANGE, _RED = "#0072B2", "#E69F00", "#D55E00"
_GROUPS = {
    FRONTAL: ("frontal face", "o", _BLUE),
    SIDE: ("side face", "^", _ORANGE),
    "": ("voice", "o", _BLUE),
}
# A mean over fewer voices than this says little.
_FEWEST_IN_BIN = 5
_BIN_DB = 2.5


def _png(figure):
    """The bytes of a figure, with as many colours as such drawings need."""
    FigureCanvasAgg(figure)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return _smaller(data.getvalue())


def _smaller(png, colours=256):
    """The same picture in a third of the bytes."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    data = io.BytesIO()
    # Of the methods this one keeps the rare bright colours of the scale.
    image.quantize(
        colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    ).save(data, format="PNG", optimize=True)
    return data.getvalue()


def histograms(voices):
    """Distribution of the scores over the voices.

    Arguments
    ---------
    voices : list of dict
        Scores of each voice.

    Returns
    -------
    bytes or None
        A PNG; None if there is nothing to draw.

    Example
    -------
    >>> histograms([{"sdr_i": 7.0}, {"sdr_i": 9.0}])[1:4]
    b'PNG'
    """
    drawn = []
    for name in DRAWN:
        values = [v.get(name, math.nan) for v in voices]
        values = [x for x in values if math.isfinite(x)]
        if values:
            drawn.append((name, values))
    if not drawn:
        return None
    columns = 2 if len(drawn) == 4 else min(_PER_ROW, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(drawn) :]:
        panel.set_axis_off()
    for panel, (name, values) in zip(panels, drawn, strict=False):
        bins = min(40, max(6, round(2 * math.sqrt(len(values)))))
        panel.hist(values, bins=bins, color=_BLUE, edgecolor="white")
        mean = mean_of(values)
        panel.axvline(mean, color="black", linestyle="--", linewidth=1)
        label, unit = LABELS[name]
        panel.set_title(f"{label}, mean {mean:.2f} {unit}".strip(), fontsize=10)
        panel.set_xlabel(f"{label} [{unit}]" if unit else label)
        panel.yaxis.get_major_locator().set_params(integer=True)
    for panel in panels[::columns]:
        panel.set_ylabel("voices")
    return _png(figure)


def gains(voices):
    """SI-SNRi of each voice over its SNR in the mixture.

    Arguments
    ---------
    voices : list of dict
        With ``input_snr``, ``si-snr_i``, ``wrong_speaker`` and
        ``orientation`` ("" if not known).

    Returns
    -------
    bytes or None
        A PNG; None if there is nothing to draw.

    Example
    -------
    >>> voice = {"input_snr": 0.0, "si-snr_i": 7.0, "wrong_speaker": 0.0}
    >>> gains([{**voice, "orientation": ""}])[1:4]
    b'PNG'
    """
    voices = [
        v
        for v in voices
        if math.isfinite(v["input_snr"]) and math.isfinite(v["si-snr_i"])
    ]
    if not voices:
        return None
    figure = Figure(figsize=(8.0, 4.6), layout="constrained")
    panel = figure.subplots()
    size = 24 if len(voices) < 300 else 9
    groups = dict(_GROUPS)
    if any(v["orientation"] for v in voices):
        groups[""] = ("orientation not known", "o", "#999999")
    for group, (label, marker, colour) in groups.items():
        _points(panel, [v for v in voices if v["orientation"] == group])(
            s=size,
            marker=marker,
            c=colour,
            alpha=0.6,
            linewidths=0,
            label=label,
        )
    wrong = [v for v in voices if v["wrong_speaker"] == 1.0]
    _points(panel, wrong)(
        s=size * 3,
        marker="o",
        facecolors="none",
        edgecolors=_RED,
        linewidths=1.4,
        label="wrong speaker",
    )
    centres, averages = _binned(voices)
    if len(centres) > 1:
        label = f"mean per {_BIN_DB:g} dB"
        panel.plot(centres, averages, "k.-", linewidth=1.2, label=label)
    panel.axhline(0.0, color="grey", linewidth=0.8)
    panel.set_xlabel("SNR of the voice in the mixture [dB]")
    panel.set_ylabel("SI-SNRi [dB]")
    panel.grid(alpha=0.3)
    handles, labels = panel.get_legend_handles_labels()
    # Beside the points, which may lie anywhere.
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    return _png(figure)


def _points(panel, voices):
    """A scatter of some voices, or nothing where there are none."""
    if not voices:
        return lambda **style: None
    x, y = ([v[name] for v in voices] for name in ("input_snr", "si-snr_i"))
    return lambda **style: panel.scatter(x, y, **style)


def _binned(voices):
    """Centres of the bins with enough voices, and their mean gains."""
    place = np.array([v["input_snr"] for v in voices]) / _BIN_DB
    gain = np.array([v["si-snr_i"] for v in voices])
    place = np.floor(place).astype(int)
    bins = [b for b in np.unique(place) if (place == b).sum() >= _FEWEST_IN_BIN]
    return (
        [_BIN_DB * (b + 0.5) for b in bins],
        [gain[place == b].mean() for b in bins],
    )


def spectrograms(mix, estimate, target, sample_rate):
    """Mixture, estimates and targets of a mixture, App. L.

    Arguments
    ---------
    mix : np.ndarray
        [T].
    estimate, target : np.ndarray
        [T, S].
    sample_rate : int
        In Hz.

    Returns
    -------
    bytes
        A PNG.

    Example
    -------
    >>> voices = np.random.default_rng(0).standard_normal((8000, 2))
    >>> spectrograms(voices.sum(1), voices, voices, 16000)[1:4]
    b'PNG'
    """
    with tempfile.TemporaryDirectory() as folder:
        png = separation_figure(
            mix, estimate, target, sample_rate, Path(folder) / "a.png"
        )
        return _smaller(png.read_bytes())
