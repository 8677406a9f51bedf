"""The report and the figures of ``speed.py``.

Authors
 * avsep_sb contributors
"""

import shlex
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from report import footer
from rounds import BUSY, SIZE

from avsep_sb.errors import ConfigError
from avsep_sb.figures import save_figure

# SI-SNRi in dB on LRS2-2Mix, as published: IIANet, IIANet-fast and AVLiT in
# the IIANet paper (Table 1), SepFormer by ClearerVoice on mixtures of its own.
PAPER = "IIANet paper"
PUBLISHED = {
    "iianet": (16.0, PAPER),
    "iianet_fast": (15.1, PAPER),
    "avlit": (12.8, PAPER),
    "SepFormer": (13.5, "by ClearerVoice, own mixtures"),
}
COLOURS = {
    "iianet": "#0072B2",
    "iianet_fast": "#56B4E9",
    "bin": "#D55E00",
    "avlit": "#E69F00",
    "SepFormer": "#009E73",
    "ConvTasNet": "#CC79A7",
    "ReSepFormer": "#000000",
}


def short(model):
    """Name of a model in tables: that of its YAML, and its options.

    Example
    -------
    >>> short("hparams/bin.yaml --num_iterations 12")
    'bin num_iterations=12'
    """
    path, *options = shlex.split(model)
    words = " ".join(options).replace("--", "").replace("=", " ").split()
    pairs = zip(words[::2], words[1::2], strict=False)
    return " ".join([Path(path).stem, *(f"{a}={b}" for a, b in pairs)])


def latest(rows):
    """The last row of each form of each case, by both."""
    return {(*row.case, row.form): row for row in rows}


def number(value, digits=3):
    """A figure of a cell; - where there is none."""
    return "-" if value != value else f"{value:.{digits}f}"


def span(middle, low, high):
    """A median with its range; - where there is none."""
    if middle != middle:
        return "-"
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def table(rows):
    """Markdown lines: a row for each case, its forms side by side."""
    found = latest(rows)
    lines = [
        "| model | s | faces | threads | time (s) | real-time factor "
        "| with front end | plain / ours | share of matmul, ours / plain "
        "| peak memory (MB), ours / plain | difference |",
        "|" + "---|" * 11,
    ]
    cases = dict.fromkeys(row.case for row in rows)
    for case in sorted(cases, key=lambda one: (list(cases).index(one),)):
        ours = found.get((*case, "ours"))
        if ours is None:
            continue
        plain = found.get((*case, "plain"), ours)
        pipeline = found.get((*case, "pipeline"))
        model, seconds, faces, threads = case
        both = plain is not ours
        shares = [number(100 * ours.share, 0)]
        memory = [number(ours.megabytes, 0)]
        if both:
            shares.append(number(100 * plain.share, 0))
            memory.append(number(plain.megabytes, 0))
        mark = "*" if ours.busy or not ours.rounds else ""
        cells = [
            short(model),
            f"{seconds:g}",
            str(faces),
            str(threads),
            ours.note or span(ours.time, ours.low, ours.high) + mark,
            number(ours.time / seconds),
            number(pipeline.time / seconds) if pipeline else "-",
            span(ours.ratio, ours.ratio_low, ours.ratio_high),
            " / ".join(shares) + " %",
            " / ".join(memory),
            "-"
            if ours.difference != ours.difference
            else f"{ours.difference:.1e}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def faces_table(rows):
    """Markdown lines: what more faces cost, over one face."""
    found = latest(rows)
    lines = []
    for row in found.values():
        if row.form != "ours" or row.faces == 1:
            continue
        one = found.get((row.model, row.seconds, 1, row.threads, "ours"))
        if one is None or not (row.time == row.time and one.time == one.time):
            continue
        # Measured at other times: so each is held against its product.
        cost = row.time / row.product / (one.time / one.product)
        lines.append(
            f"| {short(row.model)} | {row.seconds:g} | {row.threads} "
            f"| {row.faces} | {cost:.2f} |"
        )
    if not lines:
        return []
    return [
        "",
        "| model | s | threads | faces | time, one face = 1 |",
        "|---|---|---|---|---|",
        *lines,
    ]


def costs_table(rows):
    """Markdown lines: parameters and products of each model."""
    lines = [
        "",
        "| model | faces | parameters (M) | GMACs per second |",
        "|---|---|---|---|",
    ]
    seen = {}
    for row in rows:
        if row.form in ("plain", "ours") and row.macs == row.macs:
            seen[row.model, row.faces] = row
    for (model, faces), row in seen.items():
        lines.append(
            f"| {short(model)} | {faces} | {row.parameters / 1e6:.2f} "
            f"| {row.macs / row.seconds / 1e9:.2f} |"
        )
    return lines


def draw_lengths(rows, path):
    """Time against length: ours full, plain dashed, a panel per threads."""
    chosen = [
        row
        for row in latest(rows).values()
        if row.faces == 2 and row.form != "pipeline" and row.time == row.time
    ]
    threads = sorted({row.threads for row in chosen})
    if not threads:
        return None
    figure = Figure(
        figsize=(5.5 * len(threads) + 2.2, 4.6), layout="constrained"
    )
    panels = figure.subplots(1, len(threads), sharey=True, squeeze=False)[0]
    for panel, count in zip(panels, threads, strict=True):
        lines = {}
        for row in sorted(chosen, key=lambda one: one.seconds):
            if row.threads == count:
                lines.setdefault((row.model, row.form), []).append(row)
        for (model, form), points in lines.items():
            panel.plot(
                [point.seconds for point in points],
                [point.time for point in points],
                "o-" if form == "ours" else "s--",
                color=colour(model),
                label=short(model) + ("" if form == "ours" else ", plain"),
                markersize=5 if form == "ours" else 4,
                alpha=1.0 if form == "ours" else 0.6,
            )
        ends = [min(p.seconds for p in chosen), max(p.seconds for p in chosen)]
        panel.plot(ends, ends, color="grey", linewidth=1, label="real time")
        panel.set_xscale("log")
        panel.set_yscale("log")
        lengths = sorted({point.seconds for point in chosen})
        panel.set_xticks(lengths, [f"{length:g}" for length in lengths])
        panel.tick_params(axis="x", which="minor", bottom=False)
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        panel.set_xlabel("length of the mixture [s]")
        panel.set_title(f"2 voices, {count} thread{'s'[: count > 1]}")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("time of a pass [s]")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    return save_figure(figure, path)


def draw_quality(rows, path):
    """Published quality against measured cost; those that have both."""
    points = {}
    for row in latest(rows).values():
        name = short(row.model)
        if name in PUBLISHED and row.faces == 2 and row.form != "pipeline":
            if row.time == row.time and row.rounds:
                best = points.get((name, row.form))
                # The most threads, then the length next to 2 s.
                key = (-row.threads, abs(row.seconds - 2.0))
                if best is None or key < best[0]:
                    points[name, row.form] = (key, row)
    if not points:
        return None
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    panel = figure.subplots()
    for (name, form), (_, row) in points.items():
        cost = row.time / row.seconds
        ours = form == "ours"
        panel.plot(
            cost,
            PUBLISHED[name][0],
            "o" if ours else "s",
            color=colour(row.model),
            markersize=10 if ours else 7,
            alpha=1.0 if ours else 0.5,
        )
        source = PUBLISHED[name][1]
        label = name if ours else f"{name}, plain"
        panel.annotate(
            label if source == PAPER else f"{label}\n({source})",
            (cost, PUBLISHED[name][0]),
            xytext=(0, 10 if ours else -15),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    panel.axvline(1.0, color="grey", linewidth=1)
    panel.annotate(
        "real time",
        (1.0, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        color="grey",
        fontsize=9,
    )
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.margins(x=0.18, y=0.22)
    panel.set_xscale("log")
    panel.set_xlabel("measured: real-time factor of the separator, two voices")
    panel.set_ylabel("published, not measured here:\nSI-SNRi on LRS2 [dB]")
    panel.grid(alpha=0.3)
    return save_figure(figure, path)


def colour(model):
    """Colour of a model, by the start of its name."""
    name = short(model).split()[0]
    return COLOURS.get(name, "#999999")


def write_report(rows, out, argv):
    """Writes ``speed.md`` and the figures into a folder.

    Arguments
    ---------
    rows : list of speed_cases.Row
        All that is known; of a case that was measured twice the last counts.
    out : pathlib.Path
        The folder; a report there is replaced, as its CSV only grows.
    argv : list of str
        The command of this part.

    Returns
    -------
    str
        The report.
    """
    if not any(row.form == "ours" for row in rows):
        raise ConfigError("There is no row of form 'ours' to report.")
    busy = sum(row.busy for row in rows)
    lines = [
        "Separators on one mixture, float32 on the CPU, given embeddings; "
        "'with front end' counts the lips as well. Times are medians with "
        "their range. Ratios are of turns taken side by side, each form in a "
        "process of its own; memory is what a process holds at most beyond "
        "the loaded model. The share compares the model's products a second, "
        "those of its plain form, with those of a "
        f"{SIZE} x {SIZE} float32 product on the same threads; it may pass "
        "100 % where products are saved or oneDNN is faster than the BLAS. "
        "SpeechBrain's separators run at 16 kHz, twice their recipe's rate. "
        "An asterisk: rounds in which a product took more than "
        f"{BUSY:g} times the fastest, or one pass alone ({busy} such rounds "
        "in all, left out where three were quiet).",
        "",
        *table(rows),
        *faces_table(rows),
        *costs_table(rows),
        *footer(Path(__file__).with_name("speed.py"), argv),
    ]
    text = "\n".join(lines) + "\n"
    draw_lengths(rows, out / "speed_length.png")
    draw_quality(rows, out / "speed_quality.png")
    (out / "speed.md").write_text(text, encoding="utf-8")
    return text
