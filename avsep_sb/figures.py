"""Draws what a run did: training curves, and spectrograms of the voices.

Figures are built from objects, without pyplot, so that drawing neither needs
a screen nor touches the figures of the program that calls it.

Authors
 * avsep_sb contributors
"""

import math
import os
from pathlib import Path

import numpy as np
import scipy.signal
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avsep_sb.errors import DataError
from avsep_sb.measures import si_snr

_WINDOW_S = 0.032
_HOP_S = 0.008
# Below the loudest point of all panels, what lies deeper is drawn black.
_RANGE_DB = 80.0
# A panel has no more columns than a screen shows.
_MAX_COLUMNS = 1500
# Colours that colour-blind readers can tell apart (Okabe and Ito).
_COLOURS = {"train": "#0072B2", "valid": "#D55E00", "test": "#009E73"}


def save_figure(figure, out_png):
    """Writes a PNG under a temporary name, then puts it in its place.

    Arguments
    ---------
    figure : matplotlib.figure.Figure
        What to write.
    out_png : str or pathlib.Path
        The file; its folder is made.

    Returns
    -------
    pathlib.Path
        The file.
    """
    out_png = Path(out_png)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    partial = out_png.with_name(out_png.name + ".partial")
    FigureCanvasAgg(figure)
    figure.savefig(partial, format="png", dpi=110)
    os.replace(partial, out_png)
    return out_png


def read_train_log(path):
    """Reads the lines that SpeechBrain's FileTrainLogger writes.

    Arguments
    ---------
    path : str or pathlib.Path
        A ``train_log.txt``.

    Returns
    -------
    dict
        (stage, name) -> {epoch: value}; stage is "train", "valid", or
        "" for what belongs to the epoch, such as the learning rate. An epoch
        logged twice (after a restart) keeps its last value.

    Example
    -------
    >>> log = getfixture("tmp_path") / "train_log.txt"
    >>> _ = log.write_text(
    ...     "epoch: 1, lr: 1.00e-03 - train loss: -1.45e+01 - "
    ...     "valid loss: nan, valid si-snr_i: 8.25\\n"
    ... )
    >>> curves = read_train_log(log)
    >>> curves["train", "loss"], curves["valid", "si-snr_i"]
    ({1: -14.5}, {1: 8.25})
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path} is not there: give the train_log.txt of a training run"
        )
    curves = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        items = {}
        for item in line.replace(" - ", ", ").split(", "):
            name, _, value = item.rpartition(": ")
            stage, _, rest = name.partition(" ")
            key = (stage, rest) if stage in _COLOURS else ("", name)
            try:
                items[key] = float(value)
            except ValueError:
                continue  # not a number, such as a name
        # Lines without an epoch tell test results ("Epoch loaded: ...").
        epoch = items.pop(("", "epoch"), None)
        if epoch is None or math.isnan(epoch):
            continue
        for key, value in items.items():
            curves.setdefault(key, {})[int(epoch)] = value
    return curves


def _with_unit(name, names):
    """The label of a quantity; a loss is in dB where an SNR is logged too,
    and in joint training the part of it that is of the separation."""
    ratios = [n for n in names if "snr" in n or "sdr" in n]
    loss = "separation" if "separation" in names else "loss"
    in_db = name in ratios or (name == loss and ratios)
    units = {"ctc": " [nats per token]", "wer": " [%]"}
    return name + (" [dB]" if in_db else units.get(name, ""))


def training_curves(train_log_path, out_png):
    """Draws every number of a training log over the epochs.

    One panel per quantity, with its training and validation curves, and the
    learning rate on a logarithmic axis.

    Arguments
    ---------
    train_log_path : str or pathlib.Path
        What SpeechBrain's FileTrainLogger wrote.
    out_png : str or pathlib.Path
        Where to draw; an existing file is replaced.

    Returns
    -------
    pathlib.Path
        The file written.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "log.txt").write_text(
    ...     "epoch: 1, lr: 1.00e-03 - train loss: 3.00 - valid loss: 4.00\\n"
    ...     "epoch: 2, lr: 1.00e-03 - train loss: 2.00 - valid loss: 3.50\\n"
    ... )
    >>> training_curves(folder / "log.txt", folder / "curves.png").name
    'curves.png'
    """
    curves = read_train_log(train_log_path)
    # What is watched first, the schedule last.
    names = list(dict.fromkeys(name for _, name in curves))
    names.sort(key=_is_rate)
    if not names:
        raise DataError(
            f"{train_log_path} has no line of an epoch: train for at least "
            "one epoch first"
        )
    figure = Figure(figsize=(7.5, 2.6 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for panel, name in zip(panels, names, strict=True):
        for stage in ("train", "valid", ""):
            curve = curves.get((stage, name))
            if curve is None:
                continue
            epochs = sorted(curve)
            panel.plot(
                epochs,
                [curve[epoch] for epoch in epochs],
                marker="." if len(epochs) < 60 else None,
                color=_COLOURS.get(stage, "black"),
                drawstyle="steps-mid" if _is_rate(name) else "default",
                label={"valid": "validation", "train": "training"}.get(stage),
            )
        panel.grid(alpha=0.3)
        if _is_rate(name):
            panel.set_yscale("log")
            panel.set_ylabel(name[:-2] + "learning rate")
        else:
            panel.set_ylabel(_with_unit(name, names))
            panel.legend()
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    return save_figure(figure, out_png)


def _is_rate(name):
    """A learning rate: ``lr``, or one of several, such as ``asr lr``."""
    return name.split()[-1] == "lr"


def _spectrogram(signal, sample_rate):
    """Magnitudes in dB, [frequencies, frames]."""
    window = int(_WINDOW_S * sample_rate)
    hop = max(int(_HOP_S * sample_rate), math.ceil(len(signal) / _MAX_COLUMNS))
    transform = scipy.signal.ShortTimeFFT(
        scipy.signal.windows.hann(window, sym=False),
        hop,
        sample_rate,
        scale_to="magnitude",
    )
    if len(signal) < window:
        signal = np.pad(signal, (0, window - len(signal)))
    return 20 * np.log10(np.abs(transform.stft(signal)) + 1e-12)


def _columns(signal, what):
    """A float64 array [T, S] from whatever holds the signals."""
    if torch.is_tensor(signal):
        signal = signal.detach().cpu().float()
    signal = np.asarray(signal, np.float64)
    if signal.ndim == 1:
        signal = signal[:, None]
    if signal.ndim != 2 or not len(signal):
        raise DataError(
            f"cannot draw {what} of shape {signal.shape}: give [T, S] with "
            "at least one sample"
        )
    return np.nan_to_num(signal, nan=0.0, posinf=0.0, neginf=0.0)


def _improvements(mix, estimates, targets):
    """SI-SNRi in dB per voice; None where it is not defined."""
    mix = np.broadcast_to(mix, targets.shape).copy()
    after, before = (
        si_snr(torch.from_numpy(x)[None], torch.from_numpy(targets)[None])[0]
        for x in (estimates, mix)
    )
    silent = ~targets.any(0)
    return [
        None if s else float(a - b)
        for s, a, b in zip(silent, after, before, strict=True)
    ]


def separation_figure(mix, estimates, targets, sample_rate, out_png):
    """Draws spectrograms of a mixture and of the voices found in it.

    The mixture on top, one row per voice below, beside its target if there
    are targets. All panels share one colour scale, so that what is left of
    the other voice shows at its true level.

    Arguments
    ---------
    mix : torch.Tensor or numpy.ndarray
        The mixture, [T].
    estimates : torch.Tensor or numpy.ndarray
        Separated voices, [T, S].
    targets : torch.Tensor or numpy.ndarray
        Target voices in the same order, [T, S], or None.
    sample_rate : int
        In Hz.
    out_png : str or pathlib.Path
        Where to draw; an existing file is replaced.

    Returns
    -------
    pathlib.Path
        The file written.

    Example
    -------
    >>> png = getfixture("tmp_path") / "voices.png"
    >>> voices = torch.randn(4000, 2)
    >>> separation_figure(voices.sum(1), voices, None, 16000, png).name
    'voices.png'
    """
    mix = _columns(mix, "a mixture")
    estimates = _columns(estimates, "estimates")
    gains = [None] * estimates.shape[1]
    rows = [[("mixture", mix[:, 0])]]
    if targets is not None:
        targets = _columns(targets, "targets")
        if targets.shape != estimates.shape or len(mix) != len(targets):
            raise DataError(
                f"mixture {mix.shape}, estimates {estimates.shape} and "
                f"targets {targets.shape} differ in length or voices: give "
                "the same [T, S] for all"
            )
        gains = _improvements(mix, estimates, targets)
        rows[0].append(None)
    for k, gain in enumerate(gains):
        title = f"voice {k + 1}, estimated"
        if gain is not None:
            title += f" (SI-SNRi {gain:+.1f} dB)"
        row = [(title, estimates[:, k])]
        if targets is not None:
            row.append((f"voice {k + 1}, target", targets[:, k]))
        rows.append(row)
    return save_figure(_draw_grid(rows, sample_rate), out_png)


def _draw_grid(rows, sample_rate):
    """A figure with a spectrogram per (title, signal), None left free."""
    spectra = [
        [cell and _spectrogram(cell[1], sample_rate) for cell in row]
        for row in rows
    ]
    top = max(s.max() for row in spectra for s in row if s is not None)
    shape = (len(rows), len(rows[0]))
    figure = Figure(
        figsize=(1.5 + 5.5 * shape[1], 2.3 * shape[0]), layout="constrained"
    )
    panels = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    image = None
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            panel = panels[i, j]
            if cell is None:
                panel.set_axis_off()
                continue
            title, signal = cell
            image = panel.imshow(
                spectra[i][j],
                origin="lower",
                aspect="auto",
                cmap="magma",
                vmin=top - _RANGE_DB,
                vmax=top,
                extent=(0, len(signal) / sample_rate, 0, sample_rate / 2000),
            )
            panel.set_title(title, fontsize=10)
            if j == 0:
                panel.set_ylabel("frequency [kHz]")
            if i == len(rows) - 1:
                panel.set_xlabel("time [s]")
    figure.colorbar(image, ax=panels, label="level [dB]", aspect=40)
    return figure
