"""Lays out the overview of a result: panels, timelines, faces, legend.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from avsep_sb.inference.lanes import lane
from avsep_sb.inference.overview_labels import (
    EMPTY,
    FACE_STATES,
    RUNG_STATES,
    SPEECH_STATES,
    clock,
    facts,
    lanes_of,
    printable,
    time_ticks,
)

# Below the loudest point of all panels, what lies deeper is drawn black.
_RANGE_DB = 70.0
# Inches: the picture is a column of panels, with room for faces at the left.
_WIDTH, _LEFT, _RIGHT = 14.0, 3.2, 0.95
_HEAD, _FOOT, _GAP = 1.0, 0.5, 0.17
_LANE, _SPECTROGRAM, _FACE = 0.17, 0.85, 1.2
# Between the timelines of a voice and its spectrogram.
_APART = 0.06
#: pixels from left to right of the panels, as they are saved
COLUMNS = round((_WIDTH - _LEFT - _RIGHT) * 110)


class OverviewSheet:
    """The picture, filled from the top down.

    Arguments
    ---------
    table : dict
        Of ``faces.json``, with ``speech`` of each face.
    seconds : float
        Length of the recording.
    folder : str or Path
        Where the thumbnails are.

    Example
    -------
    >>> sheet = OverviewSheet({"video": "a.mp4", "faces": []}, 2.0, ".")
    >>> levels = np.full((257, COLUMNS), -60.0, np.float32)
    >>> len(sheet.draw([levels, levels], (0.0, 2.0, 0.0, 8.0)).axes)
    3
    """

    def __init__(self, table, seconds, folder):
        self.table, self.seconds = table, seconds
        self.folder = Path(folder)
        self.lanes = [lanes_of(face) for face in table["faces"]]
        self.edges = np.linspace(0.0, seconds, COLUMNS + 1)
        self.figure, self.height, self.top = None, 0.0, 0.0

    def draw(self, levels, extent):
        """Draws all of it.

        Arguments
        ---------
        levels : list of np.ndarray
            Spectrograms in dB, [F, columns], of the mixture, of each voice
            and of the residual, if there is one.
        extent : (float, float, float, float)
            Of each: from and to in seconds and in kHz.

        Returns
        -------
        matplotlib.figure.Figure
        """
        rows = len(levels) * (_SPECTROGRAM + _GAP)
        rows += sum(_LANE * len(lanes) + _APART for lanes in self.lanes)
        self.height, self.top = _HEAD + rows + _FOOT, _HEAD
        self.figure = Figure(figsize=(_WIDTH, self.height))
        loudest = max(float(part.max()) for part in levels)
        self._image = {
            "extent": extent,
            "vmin": loudest - _RANGE_DB,
            "vmax": loudest,
        }
        self._head()
        self._names(["mixture"])
        first, image = self._spectrogram(levels[0])
        last = first
        faces = self.table["faces"]
        for face, lanes, part in zip(
            faces, self.lanes, levels[1:], strict=False
        ):
            self._names(facts(face), self._portrait(face, lanes))
            for label, states in lanes:
                self._lane(label, states)
            self.top += _APART
            last, _ = self._spectrogram(part)
        for part in levels[1 + len(faces) :]:
            self._names(["residual", "what no voice holds"])
            last, _ = self._spectrogram(part)
        first.tick_params(top=True, labeltop=True)
        last.tick_params(bottom=True, labelbottom=True)
        unit = "h:min:s" if self.seconds >= 3600 else "min:s"
        last.set_xlabel(f"time [{unit}]", fontsize=9)
        bar = self._panel(_HEAD, _SPECTROGRAM, _WIDTH - _RIGHT + 0.1, 0.12)
        self.figure.colorbar(image, cax=bar)
        bar.set_ylabel("level [dB]", fontsize=8)
        bar.tick_params(labelsize=7)
        return self.figure

    def _panel(self, top, height, left=_LEFT, width=None):
        """A panel, in inches from the left and the top."""
        width = width or _WIDTH - _LEFT - _RIGHT
        bottom = self.height - top - height
        return self.figure.add_axes(
            (
                *(left / _WIDTH, bottom / self.height),
                *(width / _WIDTH, height / self.height),
            )
        )

    def _text(self, left, top, text, **options):
        place = left / _WIDTH, 1 - top / self.height
        # A file may be called $1.mp4, and means no formula.
        self.figure.text(*place, text, va="top", parse_math=False, **options)

    def _head(self):
        faces = self.table["faces"]
        kind = "face" if any(face.get("spans") for face in faces) else "voice"
        kind += "" if len(faces) == 1 else "s"
        self._text(
            0.15,
            0.12,
            printable(self.table.get("video") or ""),
            fontsize=12,
            weight="bold",
        )
        line = [clock(self.seconds, int(self.seconds < 10)) + " long"]
        line.append(f"{len(faces)} {kind}")
        if self.table.get("model"):
            line.append(printable(self.table["model"], 40))
        self._text(
            _WIDTH - _RIGHT,
            0.14,
            "     ".join(line),
            fontsize=10,
            ha="right",
        )
        states = {**FACE_STATES, **RUNG_STATES, **SPEECH_STATES}
        patches = [
            Patch(facecolor=colour, edgecolor="#404040", lw=0.5, label=label)
            for colour, label in [*states.values(), EMPTY]
        ]
        self.figure.legend(
            handles=patches,
            loc="upper left",
            bbox_to_anchor=(0.1 / _WIDTH, 1 - 0.36 / self.height),
            ncols=len(patches),
            fontsize=9,
            frameon=False,
            handlelength=1.2,
            columnspacing=1.5,
        )

    def _names(self, lines, left=0.15):
        """Lines beside the next row, the first of them the name."""
        self._text(left, self.top, lines[0], fontsize=10, weight="bold")
        rest = "\n".join(lines[1:])
        self._text(left, self.top + 0.2, rest, fontsize=8, linespacing=1.4)

    def _portrait(self, face, lanes):
        """Draws who it is; returns where the text goes on, in inches."""
        path = self.folder / str(face.get("thumbnail"))
        image = cv2.imread(str(path)) if path.is_file() else None
        if image is None:
            return 0.15
        height = min(_FACE, _SPECTROGRAM + _LANE * len(lanes))
        panel = self._panel(self.top, height, 0.15, _FACE)
        panel.imshow(image[..., ::-1])
        panel.set_anchor("NW")
        panel.set_axis_off()
        return 0.15 + _FACE + 0.1

    def _lane(self, label, states):
        panel = self._panel(self.top + 0.02, _LANE - 0.04)
        panel.set_facecolor(EMPTY[0])
        panel.imshow(
            lane(states, self.edges),
            extent=(0.0, self.seconds, 0.0, 1.0),
            aspect="auto",
            interpolation="nearest",
        )
        self._set_times(panel)
        panel.set_yticks([0.5], [label], fontsize=8)
        panel.tick_params(left=False, bottom=False, pad=2)
        for spine in panel.spines.values():
            spine.set_visible(False)
        self.top += _LANE

    def _spectrogram(self, levels):
        panel = self._panel(self.top, _SPECTROGRAM)
        image = panel.imshow(
            levels, origin="lower", aspect="auto", cmap="magma", **self._image
        )
        self._set_times(panel)
        highest = self._image["extent"][3]
        panel.set_yticks([0.0, highest / 2, highest])
        panel.yaxis.set_major_formatter("{x:g}")
        panel.set_ylabel("kHz", fontsize=8, labelpad=1)
        panel.tick_params(labelsize=8, bottom=False, pad=2)
        self.top += _SPECTROGRAM + _GAP
        return panel, image

    def _set_times(self, panel):
        panel.set_xlim(0.0, self.seconds)
        panel.set_xticks(*time_ticks(self.seconds))
        panel.tick_params(labelbottom=False)
