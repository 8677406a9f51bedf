"""The command line: ``avsep separate | transcribe | evaluate | ...``.

Only the module of the chosen command is imported, so ``avsep --help`` answers
before torch could be loaded. Bad input ends in one sentence and status 2.

Authors
 * avsep_sb contributors
"""

import argparse
import importlib
import sys

from avsep_sb import __version__
from avsep_sb.errors import run_or_explain

# Name of the command: (its module, one line for the help).
COMMANDS = {
    "separate": (
        "avsep_sb.commands.separate",
        "separate the voices of a video, one wav per face",
    ),
    "transcribe": (
        "avsep_sb.commands.transcribe",
        "write who says what in a video: text, subtitles and times per face",
    ),
    "evaluate": (
        "avsep_sb.commands.evaluate",
        "score a model on a test manifest and make a page of the results",
    ),
    "import-official": (
        "avsep_sb.commands.import_official",
        "turn an official IIANet, BIN or AVLiT into a folder that loads",
    ),
    "export": (
        "avsep_sb.commands.export",
        "write a model as ONNX or TorchScript, to run it without avsep_sb",
    ),
    "synth": (
        "avsep_sb.commands.synth",
        "generate SynthAV, the corpus of synthetic speakers",
    ),
    "demo": (
        "avsep_sb.commands.demo",
        "separate a generated two-speaker video with the shipped checkpoint",
    ),
}


def build_parser(command=None):
    """Makes the parser, with the options of one command only.

    Arguments
    ---------
    command : str, optional
        Name of the command whose module is imported to add its options.

    Returns
    -------
    argparse.ArgumentParser
        After parsing, ``run`` in the namespace is the command's function.

    Example
    -------
    >>> build_parser().parse_args(["demo"]).command
    'demo'
    """
    parser = argparse.ArgumentParser(
        prog="avsep",
        description="Audio-visual speech separation: one voice per face.",
    )
    parser.add_argument(
        "--version", action="version", version=f"avsep {__version__}"
    )
    choices = parser.add_subparsers(
        dest="command", metavar="command", required=True
    )
    for name, (module_name, text) in COMMANDS.items():
        sub = choices.add_parser(name, help=text, description=text)
        if name == command:
            module = importlib.import_module(module_name)
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def run_command(argv):
    """Parses the arguments and runs the command.

    Arguments
    ---------
    argv : list of str
        Without the program's name.

    Returns
    -------
    int
        The command's exit status.
    """
    command = argv[0] if argv and argv[0] in COMMANDS else None
    args = build_parser(command).parse_args(argv)
    return args.run(args)


def main(argv=None):
    """Entry point of the console script ``avsep``.

    Arguments
    ---------
    argv : list of str, optional
        Arguments; those of the process if not given.

    Returns
    -------
    int
        0, or 2 after input that cannot be used.
    """
    return run_or_explain(run_command, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
