"""Whether weights fit a module, with the names that differ if not.

Authors
 * avsep_sb contributors
"""

from avsep_sb.errors import CheckpointError

NAMES_SHOWN = 5


def check_fit(state, expected, model):
    """Refuse a state dict that does not fit, with the names that differ.

    Arguments
    ---------
    state : dict
        Names of the release to tensors, from the file.
    expected : dict
        Names of the release to tensors, of the module.
    model : str
        For the message.

    Example
    -------
    >>> import torch
    >>> check_fit({}, {"ln.bias": torch.ones(9)}, "iianet")
    Traceback (most recent call last):
        ...
    avsep_sb.errors.CheckpointError: The checkpoint is not a whole iianet - ...
    """
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    reshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    problems = [
        f"{what}: {len(names)} ({some(names)})"
        for what, names in (
            ("missing keys", missing),
            ("unexpected keys", unexpected),
            ("keys of another shape", reshaped),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"The checkpoint is not a whole {model} - "
            f"{', '.join(problems)}; give the complete file of that model."
        )


def some(names):
    """List the first names of many.

    Arguments
    ---------
    names : list
        Strings.

    Returns
    -------
    str
        The first five, and "..." if there are more.

    Example
    -------
    >>> some(["a", "b"])
    'a, b'
    """
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
