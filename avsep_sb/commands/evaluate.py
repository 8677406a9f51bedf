"""``avsep evaluate``: scores of a model, and a page of them.

Authors
 * avsep_sb contributors
"""

import os
import shlex
import sys
import tempfile
from pathlib import Path

from avsep_sb.commands.progress import StageBars
from avsep_sb.errors import ConfigError

#: what is scored unless --metrics names others; SI-SNR always is
METRICS = ("sdr", "pesq", "stoi", "estoi", "swap")
#: what may be named
CHOICES = ("si-snr", *METRICS, "silence")


def add_arguments(parser):
    """Adds the command's options.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        The command's parser.

    Returns
    -------
    None
        The parser is changed in place.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> line = "run --manifest a.csv --data_root data --out scores"
    >>> parser.parse_args(line.split()).run_folder
    'run'
    """
    add = parser.add_argument
    add(
        "run_folder",
        metavar="RUN",
        help="output folder of a training, or a pretrained folder",
    )
    add("--manifest", required=True, metavar="CSV", help="test mixtures")
    add(
        "--data_root",
        "--data-root",
        required=True,
        metavar="DIR",
        help="what $data_root stands for in the manifest",
    )
    add("--out", required=True, metavar="DIR", help="where results go")
    add(
        "--audio-only",
        metavar="RUN",
        help="the audio-only twin, for the gap to it",
    )
    add(
        "--asr",
        action="append",
        default=[],
        metavar="SOURCE",
        help="a recogniser for word error rates: a folder or hub name for "
        "SpeechBrain, one that ships, or pocketsphinx-grid for GRID's "
        "sentences; may be given again for another one",
    )
    add(
        "--texts",
        metavar="CSV",
        help="columns 'ID' (name of the sound file without its ending) and "
        "'text', for manifests without s1_text, s2_text ...",
    )
    add(
        "--metrics",
        nargs="+",
        default=list(METRICS),
        metavar="NAME",
        help=f"among {', '.join(CHOICES)} (default: {' '.join(METRICS)}; "
        "SI-SNR is always taken)",
    )
    add(
        "--orientation",
        metavar="CSV",
        help="columns 'lips' and 'orientation' (frontal or side), for mouth "
        "ROI files that hold no landmarks",
    )
    add(
        "-j",
        "--jobs",
        type=int,
        metavar="N",
        help="processes that score (default: one per processor, fewer for "
        "short tests; 0: none beside the one that separates)",
    )
    add("--limit", type=int, metavar="N", help="only the first N mixtures")
    add(
        "--worst", type=int, default=10, metavar="N", help="shown (default: 10)"
    )
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--overwrite", action="store_true", help="replace earlier results")


def check_options(args):
    """Refuses options that cannot be, before anything is loaded.

    Arguments
    ---------
    args : argparse.Namespace
        The options.

    Returns
    -------
    None
        ``ConfigError`` names the first one.
    """
    for name, least in (("limit", 1), ("jobs", 0), ("worst", 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name} must be at least {least}.")
    unknown = sorted(set(args.metrics) - set(CHOICES))
    if unknown:
        raise ConfigError(
            f"unknown metric {', '.join(unknown)}: choose from "
            f"{', '.join(CHOICES)}."
        )
    if args.texts and not args.asr:
        raise ConfigError("--texts is for --asr: name a recogniser as well.")
    if not Path(args.data_root).is_dir():
        raise ConfigError(
            f"'{args.data_root}' is no folder: give that of the corpus with "
            "--data_root."
        )


def run(args):
    """Scores the model and writes the tables and the page.

    Arguments
    ---------
    args : argparse.Namespace
        The options of :func:`add_arguments`.

    Returns
    -------
    int
        0.
    """
    check_options(args)
    from avsep_sb.evaluation.output import check_output

    out = check_output(args.out, args.overwrite)
    with tempfile.TemporaryDirectory() as scratch:
        lines, paths, notes = _evaluate(args, out, Path(scratch))
    for line in lines:
        mean, interval = line.text()
        print(f"{line.label}: {mean} ({interval}, {line.count} values)")
    for note in notes:
        print(note)
    print("\n".join(f"  {path}" for path in paths))
    return 0


def _evaluate(args, out, scratch):
    """(means, files written, notes)."""
    from avsep_sb.commands.separate import load_separator
    from avsep_sb.evaluation.evaluate import (
        MixtureSet,
        check_twin,
        read_rows,
        score_set,
    )
    from avsep_sb.evaluation.journal import Journal
    from avsep_sb.evaluation.judges import load_judges, read_texts, with_texts
    from avsep_sb.evaluation.orientation import read_orientations
    from avsep_sb.evaluation.output import JOURNAL
    from avsep_sb.evaluation.report import Run, make_report
    from avsep_sb.evaluation.runs import find_model

    metrics, notes = metrics_of(args)
    known = {}
    if args.orientation:
        known = read_orientations(args.orientation, args.data_root)
    source, name = find_model(args.run_folder, scratch / "model")
    model = load_separator(source, args.device)
    twin_source = twin = None
    if args.audio_only:
        twin_source, _ = find_model(args.audio_only, scratch / "twin")
        twin = load_separator(twin_source, args.device)
        check_twin(model, twin)
    if "pesq" in metrics and model.hparams.sample_rate != 16000:
        metrics = tuple(m for m in metrics if m != "pesq")
        notes.append(
            "There is no PESQ: wide-band PESQ needs 16000 Hz, and the model "
            f"works at {model.hparams.sample_rate} Hz."
        )
    rows = read_rows(args.manifest, args.data_root, model.sees, args.limit)
    judges = load_judges(args.asr, args.device)
    if judges:
        texts = read_texts(args.texts) if args.texts else {}
        rows = with_texts(rows, texts, args.manifest)
    tests = MixtureSet(
        model, rows, twin, "swap" in args.metrics, metrics, judges
    )
    journal = Journal(
        out / JOURNAL,
        settings_of(args, tests, source, twin_source),
        args.overwrite,
    )
    factors = tests.real_time_factors()
    workers = args.jobs
    if workers is None:
        # A process takes longer to start than ten mixtures to score.
        workers = min(os.cpu_count(), len(rows) // 10)
    with StageBars(f"{name} on {Path(args.manifest).name}") as bars:
        scores = score_set(tests, journal, workers, bars)
    about = Run(
        name=name,
        manifest=Path(args.manifest).name,
        device=args.device,
        factors=factors,
        notes=notes,
        orientations=known,
        worst=args.worst,
        command=f"avsep {shlex.join(sys.argv[1:])}",
    )
    lines, paths, notes = make_report(out, tests, scores, about)
    journal.remove()
    return lines, paths, notes


def metrics_of(args):
    """Metrics that can be taken, and why others cannot.

    Arguments
    ---------
    args : argparse.Namespace
        The options.

    Returns
    -------
    (tuple of str, list of str)
        Names for :func:`avsep_sb.metrics.score_voices`, and sentences.
    """
    from avsep_sb.metrics import COLUMNS, pesq_package

    wanted = {"si-snr", *args.metrics}
    notes = []
    if "pesq" in wanted and pesq_package() is None:
        wanted.discard("pesq")
        notes.append(
            "There is no PESQ: its package is not installed, which needs a C "
            "compiler and the headers of Python (pip install pesq)."
        )
    return tuple(m for m in COLUMNS if m in wanted), notes


def settings_of(args, tests, source, twin_source):
    """What scores depend on; a test goes on only if it is the same.

    Arguments
    ---------
    args : argparse.Namespace
        The options.
    tests : MixtureSet
        What is scored.
    source, twin_source : str or Path
        Pretrained folders; the second may be None.

    Returns
    -------
    dict
    """
    import hashlib

    from avsep_sb import __version__
    from avsep_sb.evaluation.judges import judge_fingerprints
    from avsep_sb.inference.fingerprint import fingerprint

    texts = [
        row.get(f"s{k}_text", "")
        for row in tests.rows
        for k in range(1, tests.num_spks + 1)
        if tests.judges
    ]
    return {
        "version": __version__,
        "model": fingerprint(source),
        "twin": fingerprint(twin_source) if twin_source else "",
        "manifest": hashlib.sha256(
            Path(args.manifest).read_bytes()
        ).hexdigest(),
        "data_root": str(Path(args.data_root).resolve()),
        "metrics": list(tests.metrics),
        "swap": bool(tests.swap),
        "asr": judge_fingerprints(args.asr),
        "texts": hashlib.sha256("\n".join(texts).encode()).hexdigest(),
    }
