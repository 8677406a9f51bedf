"""Reads the voices of a recording together, in memory that does not grow.

Authors
 * avsep_sb contributors
"""

import numpy as np

from avsep_sb.dataio.audio import num_samples, read_audio
from avsep_sb.errors import DataError

#: seconds of sound that are in memory at once
BLOCK_S = 20.0


def wav_blocks(paths, block_seconds=BLOCK_S):
    """Reads files that belong together, block by block.

    Arguments
    ---------
    paths : list of str or Path
        Files of one sample rate and length, as the voices of a recording.
    block_seconds : float
        Length of a block; whole frames of 10 ms are best.

    Yields
    ------
    np.ndarray
        float32 [t, N], in the order of time. ``DataError`` is raised for a
        file that cannot be read and for files that do not fit together.

    Example
    -------
    >>> import soundfile
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros(2000), 1000)
    >>> [block.shape for block in wav_blocks([path, path], 1.5)]
    [(1500, 2), (500, 2)]
    """
    total, rate = sound_size(paths)
    size = max(1, round(block_seconds * rate))
    for first in range(0, total, size):
        yield np.stack(
            [read_audio(p, first, first + size, rate) for p in paths], axis=1
        )


def sound_size(paths):
    """Length and sample rate that files have in common.

    Arguments
    ---------
    paths : list of str or Path
        At least one.

    Returns
    -------
    (int, int)
        Samples and Hz. ``DataError`` names the first file that differs.
    """
    sizes = [num_samples(path, with_rate=True) for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise DataError(
                f"{path} has {size[0]} samples at {size[1]} Hz, but "
                f"{paths[0]} has {sizes[0][0]} at {sizes[0][1]} Hz: give the "
                "voices of one recording."
            )
    return sizes[0]
