"""Times the scores: our SDR beside SpeechBrain's loop, and both in processes.

    python benchmarks/metric_speed.py --manifest test.csv --data_root DIR \
        --out report.md

SpeechBrain's separation recipes take SDR and its improvement utterance by
utterance from mir_eval's ``bss_eval_sources``, estimates and mixture one
after the other. The same signals are scored by ``avsep_sb.bss_eval``, in
turns, in one process. Told are the ratio of the times, round by round (that
of processor seconds leaves out waiting for a busy machine), and the largest
difference of the values. Then come all scores of ``avsep evaluate`` in one
process and in several, from the first result on. Needs mir_eval.

Authors
 * avsep_sb contributors
"""

import argparse
import sys
import time
import warnings

import numpy as np
import torch
from report import footer, new_files
from rounds import interleaved, spread

from avsep_sb.dataio.items import ItemReader
from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import ConfigError, run_or_explain
from avsep_sb.evaluation.mixtures import read_item, speakers_of
from avsep_sb.evaluation.pool import stream
from avsep_sb.evaluation.scoring import Job, score_job
from avsep_sb.metrics import score_voices

METRICS = ("si-snr", "sdr", "pesq", "stoi", "estoi")


def read_jobs(manifest, data_root, count):
    """Mixtures with estimates that keep some of the other voices.

    Returns
    -------
    list of Job
    """
    rows = check_manifest(manifest, data_root, use_lips=False)[:count]
    reader = ItemReader(speakers_of(rows[0]), use_lips=False)
    rng = np.random.default_rng(0)
    jobs = []
    for row in rows:
        mix, sources, _ = read_item(reader, row)
        target = sources[0].numpy()
        rest = mix[0].numpy()[:, None] - target
        noise = 0.01 * target.std() * rng.standard_normal(target.shape)
        estimate = (target + 0.3 * rest + noise).astype(np.float32)
        jobs.append(
            Job(
                row["ID"],
                mix[0].numpy(),
                estimate,
                target,
                None,
                None,
                reader.sample_rate,
                METRICS,
            )
        )
    return jobs


def ours(jobs):
    """SDR and SDRi of each voice, [utterances, 2, S]."""
    tables = []
    for job in jobs:
        rows = score_voices(
            job.mix, job.estimate, job.target, job.sample_rate, ("sdr",)
        )
        tables.append([[r[name] for r in rows] for name in ("sdr", "sdr_i")])
    return np.array(tables)


def speechbrain_loop(jobs, search=True):
    """The same as SpeechBrain's recipes take it.

    Arguments
    ---------
    jobs : list of Job
        The mixtures.
    search : bool
        Whether mir_eval looks for the best order of the voices, as it does
        unless told otherwise; the recipes leave it so.

    Returns
    -------
    np.ndarray
        [utterances, 2, S]
    """
    from mir_eval.separation import bss_eval_sources

    tables = []
    for job in jobs:
        target = job.target.T.astype(np.float64)
        mix = np.repeat(job.mix[None].astype(np.float64), len(target), 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            sdr, before = (
                bss_eval_sources(target, x, compute_permutation=search)[0]
                for x in (job.estimate.T.astype(np.float64), mix)
            )
        tables.append([sdr, sdr - before])
    return np.array(tables)


def main(argv):
    """Writes the report that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--data_root", required=True)
    parser.add_argument("--count", type=int, default=3, help="mixtures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, nargs="*", default=[2])
    parser.add_argument("--out", help="file for the report")
    args = parser.parse_args(argv)
    try:
        import mir_eval.separation  # noqa: F401
    except ImportError as err:
        raise ConfigError(
            "mir_eval is not installed: pip install mir_eval."
        ) from err
    path = new_files(".", [args.out])[0] if args.out else None
    torch.set_num_threads(1)
    jobs = read_jobs(args.manifest, args.data_root, args.count)
    seconds = sum(len(job.mix) for job in jobs) / jobs[0].sample_rate
    gap = float(np.abs(ours(jobs) - speechbrain_loop(jobs)).max())
    taken = interleaved(
        {
            "ours": lambda: ours(jobs),
            "loop": lambda: speechbrain_loop(jobs),
            "loop without search": lambda: speechbrain_loop(jobs, False),
        },
        args.rounds,
    )
    lines = [
        f"SDR and SDRi of {len(jobs)} mixtures of {jobs[0].target.shape[1]} "
        f"voices, {seconds:.1f} s in all; median and range over the rounds.",
        "",
        "| | seconds | times ours | processor seconds, times ours |",
        "|---|---|---|---|",
        f"| avsep_sb.bss_eval | {spread(taken.seconds('ours'))} | 1 | 1 |",
    ]
    for name, text in (
        ("loop", "SpeechBrain's loop (mir_eval)"),
        ("loop without search", "the same without the search of an order"),
    ):
        cells = [
            spread(taken.seconds(name)),
            spread(taken.ratios(name, "ours")),
            spread(taken.ratios(name, "ours", cpu=True)),
        ]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    lines += ["", f"Largest difference of a value: {gap:.1e} dB.", ""]
    lines += [taken.note(), ""]
    lines += ["| processes | start, s | mixtures per s |", "|---|---|---|"]
    for workers in [0, *args.jobs]:
        start = time.perf_counter()
        results = stream(score_job, iter(jobs * 8), workers)
        next(results)
        first = time.perf_counter()
        done = len(list(results))
        rate = done / (time.perf_counter() - first)
        name = workers or "this one"
        lines.append(f"| {name} | {first - start:.1f} | {rate:.2f} |")
    lines += footer(__file__, argv)
    text = "\n".join(lines) + "\n"
    if path is not None:
        path.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
