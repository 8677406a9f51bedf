"""``avsep synth``: generates the synthetic corpus.

Authors
 * avsep_sb contributors
"""

import os
import sys


def add_arguments(parser):
    """Declares the options.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Of the subcommand.
    """
    parser.add_argument("--out", required=True, help="folder of the corpus")
    parser.add_argument(
        "--utts-per-speaker",
        type=int,
        default=40,
        help="utterances of each speaker (default: %(default)s)",
    )
    parser.add_argument(
        "--train-speakers",
        type=int,
        metavar="N",
        help="only the first N of the 150 training speakers",
    )
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument(
        "--faces", action="store_true", help="also write full-face videos"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="processes (default: all cores)",
    )


def run(args):
    """Generates the corpus.

    Arguments
    ---------
    args : argparse.Namespace
        Of :func:`add_arguments`.

    Returns
    -------
    int
        0.
    """
    from avsep_sb.synth.corpus import generate

    rows = generate(
        args.out,
        args.utts_per_speaker,
        args.seed,
        args.jobs,
        args.faces,
        args.train_speakers,
    )
    hours = sum(float(row["duration"]) for row in rows) / 3600
    sys.stdout.write(
        f"{len(rows)} utterances, {hours:.2f} hours, in {args.out}\n"
    )
    return 0
