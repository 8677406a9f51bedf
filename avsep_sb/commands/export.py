"""``avsep export``: writes a model as ONNX or TorchScript.

Authors
 * avsep_sb contributors
"""

import sys
from pathlib import Path


def add_arguments(parser):
    """Declares the options.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Of the subcommand.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["iianet-synthav", "--to", "model"]).format
    'onnx'
    """
    parser.add_argument(
        "source", help="pretrained folder, or name of a model that ships"
    )
    parser.add_argument(
        "--format",
        choices=("onnx", "torchscript"),
        default="onnx",
        help="what to write (default: %(default)s)",
    )
    parser.add_argument(
        "--to", metavar="DIR", required=True, help="new folder to write"
    )


def run(args):
    """Exports a model and compares it with the original.

    Arguments
    ---------
    args : argparse.Namespace
        The options.

    Returns
    -------
    int
        0. ``ConfigError`` and ``CheckpointError`` tell what cannot be used.
    """
    # Imported here, so that `avsep --help` does not wait for torch.
    from avsep_sb.commands.models import load_separator
    from avsep_sb.export.onnx_file import check_onnx
    from avsep_sb.export.write import check_target, export_model
    from avsep_sb.inference.shipped import find_model

    check_target(args.to)
    if args.format == "onnx":
        check_onnx()
    folder = find_model(args.source)
    model = load_separator(folder)
    facts = export_model(model, args.to, args.format, folder.name)
    path = Path(args.to) / facts["file"]
    sys.stdout.write(
        f"{path} ({path.stat().st_size / 1e6:.1f} MB), at most "
        f"{facts['largest_difference']:.0e} from the model\n"
    )
    return 0
