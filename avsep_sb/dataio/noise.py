"""Noise that is added to mixtures.

Authors
 * avsep_sb contributors
"""

from avsep_sb.errors import DataError


def check_noise_length(path, count, start, needed):
    """Refuses noise that ends before its mixture: it is never repeated.

    Arguments
    ---------
    path : str or Path
        The file, for the message.
    count : int
        Its length in samples.
    start : int
        First sample that is used.
    needed : int
        Samples wanted from there on.

    Returns
    -------
    None
        ``DataError`` is raised if there are fewer.

    Example
    -------
    >>> check_noise_length("noise.wav", 32000, 16000, 16000)
    """
    if count - start < needed:
        raise DataError(
            f"the noise {path} has {count} samples, but its mixture needs "
            f"{needed} from sample {start} on: choose a longer file or an "
            "earlier noise_start."
        )
