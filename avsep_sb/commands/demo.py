"""``avsep demo``: hear a mixture of two synthetic speakers come apart.

A video of two held-out SynthAV speakers who talk at once is generated, and
goes through what a real video goes through: decoding, face detection, mouth
crops, separation, recognition. Since the true voices and what they say are
known, it is scored.

Authors
 * avsep_sb contributors
"""

import os
import sys
import tempfile
from pathlib import Path

from avsep_sb.errors import ConfigError, VideoError
from avsep_sb.inference.shipped import ASR_MODEL

SCENE = "two_speakers.mp4"
#: the scene fits into one window
WINDOW_SECONDS = 30.0


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
    >>> parser.parse_args(["--out", "demo_out"]).overwrite
    False
    """
    parser.add_argument(
        "--out",
        default="demo_out",
        metavar="DIR",
        help="folder of the results (default: demo_out)",
    )
    parser.add_argument(
        "--source",
        metavar="DIR",
        help="pretrained folder (default: the checkpoint that ships)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="another number takes other speakers and sentences",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace earlier results"
    )


def run(args):
    """Makes a scene, separates it, scores it and writes all there is to see.

    Arguments
    ---------
    args : argparse.Namespace
        The options of :func:`add_arguments`.

    Returns
    -------
    int
        0.
    """
    if args.seed < 0:
        raise ConfigError("--seed must not be negative.")
    from avsep_sb.commands.separate import load_separator
    from avsep_sb.figures import separation_figure
    from avsep_sb.inference.video import separate_to_folder
    from avsep_sb.inference.video_files import (
        all_or_nothing,
        earlier_result,
        write_table,
    )
    from avsep_sb.inference.video_options import VideoOptions
    from avsep_sb.inference.voices import save_voices
    from avsep_sb.synth.scene import write_scene

    out = Path(args.out)
    earlier_result(out, SCENE, {}, args.overwrite)
    separator = load_separator(args.source)
    utterances = draw_utterances(args.seed)
    options = VideoOptions(
        window_seconds=WINDOW_SECONDS,
        overwrite=args.overwrite,
        # The scene is of two speakers, and of nothing else.
        all_in_view=True,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = tempfile.TemporaryDirectory(dir=out.parent, prefix=".demo.")
    except OSError as err:
        raise ConfigError(
            f"nothing can be written to '{out.parent}' ({err.strerror}); name "
            "another folder with --out."
        ) from err
    with part:
        scene = Path(part.name) / SCENE
        _, targets = write_scene(scene, utterances)
        # All is made beside the folder wanted, so that a run that ends in an
        # error leaves an earlier result as it is.
        made = Path(part.name) / "made"
        result = separate_to_folder(separator, None, scene, made, options)
        if len(result.names) != len(utterances):
            raise VideoError(
                f"the demo shows {len(utterances)} faces but "
                f"{len(result.names)} were found; try another --seed."
            )
        # A sound codec fills its last block up.
        mixture = result.mixture[: len(targets)]
        sources, targets = (
            result.sources[: len(targets)],
            targets[: len(mixture)],
        )
        rate = result.sample_rate
        separation_figure(
            mixture, sources, targets, rate, made / "spectrogram.png"
        )
        save_voices(targets, made, "target", rate)
        os.replace(scene, made / SCENE)
        write_table(made, result.table)
        with all_or_nothing(out) as whole:
            for file in sorted(made.iterdir()):
                os.replace(file, whole / file.name)
    _report(utterances, mixture, sources, targets, rate, out)
    return 0


def draw_utterances(seed):
    """Draws two held-out speakers of different voices, and what they say.

    Arguments
    ---------
    seed : int
        Any number; the same one gives the same scene.

    Returns
    -------
    list of Utterance
        Two, of speakers that no training has seen.

    Example
    -------
    >>> one, other = draw_utterances(0)
    >>> one.speaker.split, one.speaker.variant != other.speaker.variant
    ('test', True)
    """
    import numpy as np

    from avsep_sb.synth.utterance import make_utterance
    from avsep_sb.synth.voices import speakers_of

    rng = np.random.default_rng([seed, 2])
    speakers = speakers_of("test")
    first = speakers[rng.integers(len(speakers))]
    others = [s for s in speakers if s.variant != first.variant]
    second = others[rng.integers(len(others))]
    # The numbers of the corpus start at 0: these sentences are new as well.
    return [
        make_utterance(seed, speaker, 100_000 + index)
        for index, speaker in enumerate((first, second))
    ]


def _report(utterances, mixture, sources, targets, rate, out):
    from avsep_sb.inference.asr import transcribe_sources
    from avsep_sb.inference.asr_load import load_asr
    from avsep_sb.inference.text import normalise_text
    from avsep_sb.metrics import score_utterance

    asr = load_asr(ASR_MODEL, device="cpu")
    heard = transcribe_sources(asr, sources[None], rate, mix=mixture[None])[0]
    lines = [f"wrote {out / SCENE} and its voices to {out}"]
    for k, utterance in enumerate(utterances):
        score = score_utterance(
            mixture,
            sources[:, k : k + 1],
            targets[:, k : k + 1],
            rate,
            metrics=("si-snr",),
        )
        speaker = utterance.speaker.name
        lines.append(
            f"  face {k + 1} ({speaker}): SI-SNRi {score['si-snr_i']:.1f} dB"
            f"  {out / f'face{k + 1}.wav'}"
        )
        lines.append(f"    says:  {normalise_text(utterance.text)}")
        lines.append(f"    heard: {normalise_text(heard[k])}")
    print("\n".join(lines), file=sys.stdout)
