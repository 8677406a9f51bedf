"""What the reports of the benchmarks have in common.

Authors
 * avsep_sb contributors
"""

import os
import platform
import shlex
from pathlib import Path

import torch

from avsep_sb.errors import ConfigError, DataError


def new_files(out, names):
    """Paths in a folder, which is made; files that are there are kept.

    ``DataError`` names the first that exists, ``ConfigError`` one that two
    results would share.
    """
    out = Path(out)
    paths = [out / name for name in names]
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigError(
                f"Two results would be written to '{path}': give manifests "
                "of different names."
            )
        if path.exists():
            raise DataError(
                f"'{path}' is there already: move it away or give another "
                "--out."
            )
    out.mkdir(parents=True, exist_ok=True)
    return paths


def processor():
    """Name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def footer(script, argv):
    """Lines that tell the machine and the command of a report."""
    return [
        "",
        f"Machine: {processor()}, {os.cpu_count()} cores, torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads.",
        f"Command: python benchmarks/{Path(script).name} {shlex.join(argv)}",
    ]
