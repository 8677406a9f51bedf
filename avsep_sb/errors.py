"""Errors that a user can act on, and the way a command line shows them.

Every error raised for bad input derives from :class:`AVSepError`, and its
message is one sentence that says what to do. Anything else is a defect of
ours and keeps its traceback.

Authors
 * avsep_sb contributors
"""

import sys


class AVSepError(Exception):
    """Base of all errors caused by input that avsep_sb cannot use."""


class DataError(AVSepError):
    """A corpus file, manifest, mixture list, wav or mouth ROI is unusable."""


class VideoError(AVSepError):
    """A video cannot be decoded, or shows no face that can be used."""


class CheckpointError(AVSepError):
    """A checkpoint is missing, torn, or belongs to another model."""


class ConfigError(AVSepError):
    """A hyperparameter file or a command-line option is unusable."""


def run_or_explain(main, *args, **kwargs):
    """Runs a command and turns user errors into one sentence on stderr.

    Arguments
    ---------
    main : callable
        The command; an integer it returns is the exit status.
    *args, **kwargs
        Passed on to ``main``.

    Returns
    -------
    int
        0 on success, 2 after an :class:`AVSepError`, 130 after Ctrl-C.

    Example
    -------
    >>> run_or_explain(lambda: None)
    0
    """
    try:
        return int(main(*args, **kwargs) or 0)
    except AVSepError as err:
        # From a data worker the sentence comes as the last line of a traceback.
        lines = str(err).strip().splitlines() or [type(err).__name__]
        sentence = lines[-1].removeprefix(
            f"{type(err).__module__}.{type(err).__name__}: "
        )
        print(f"error: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
