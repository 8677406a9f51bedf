"""What ``--compile`` compiles: one cycle of a network, not all of them.

The separators run the same layers over and over with the same weights.
Unrolled, the sixteen cycles of an IIANet are one graph of thousands of
operators, on which a compiler works for longer than anyone waits; one cycle
is compiled in a minute or two and serves for all. Compiled code is kept by
torch between runs (``TORCHINDUCTOR_CACHE_DIR``).

Authors
 * avsep_sb contributors
"""

import os
import shutil
import sys

import torch

from avsep_sb.errors import ConfigError

# What torch.compile looks for where CXX does not name another.
_COMPILER = "clang++" if sys.platform == "darwin" else "g++"


def check_compiler(device):
    """Refuse to compile for a CPU where there is no C++ compiler.

    Arguments
    ---------
    device : str or torch.device
        What is compiled for.

    Returns
    -------
    None
        ``ConfigError`` is raised where it is missing.

    Example
    -------
    >>> check_compiler("cuda:0")
    """
    if str(device) != "cpu":
        return
    compiler = os.environ.get("CXX") or _COMPILER
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"--compile needs a C++ compiler on a CPU, and '{compiler}'"
            " is not there: install it, or leave --compile out."
        )


def compile_repeated(net, **options):
    """Compile in place what a network says that it repeats.

    A module names its parts that run many times in a pass in ``repeated``:
    submodules or methods; those that this form of it lacks are passed over.
    The keys of its state stay as they are. Nothing is compiled before the
    first call.

    Arguments
    ---------
    net : torch.nn.Module
        The network.
    **options
        Those of ``torch.compile``.

    Returns
    -------
    int
        How many parts will be compiled; 0 where none is repeated.

    Example
    -------
    >>> class Net(torch.nn.Module):
    ...     repeated = ("layer",)
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(2, 2)
    >>> compile_repeated(Net(), backend="eager")
    1
    >>> compile_repeated(torch.nn.Linear(2, 2))
    0
    """
    count = 0
    for module in net.modules():
        for name in getattr(module, "repeated", ()):
            part = getattr(module, name, None)
            if isinstance(part, torch.nn.Module):
                part.compile(**options)
            elif part is not None:
                setattr(module, name, torch.compile(part, **options))
            count += part is not None
    return count
