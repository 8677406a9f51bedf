"""Writes a wav file that is whole at any time, though it still grows.

Authors
 * avsep_sb contributors
"""

import struct

import numpy as np

_HEADER = 44


class GrowingWav:
    """A mono wav file of 16 bits, whose header says what is in it so far.

    Arguments
    ---------
    path : str or Path
        Written anew.
    sample_rate : int
        In Hz.
    silence : int
        Samples of silence at the beginning; where the file system can, they
        take no space.

    Example
    -------
    >>> import soundfile
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> wav = GrowingWav(path, 8000, silence=2)
    >>> wav.write(np.array([0.5, 2.0], np.float32))
    >>> soundfile.read(path)[0].round(3).tolist()
    [0.0, 0.0, 0.5, 1.0]
    >>> wav.close()
    """

    def __init__(self, path, sample_rate, silence=0):
        self.sample_rate, self.samples = sample_rate, 0
        self.file = open(path, "wb")
        self._extend(silence)

    def write(self, samples):
        """Put samples at the end.

        Arguments
        ---------
        samples : np.ndarray
            float [t]; beyond -1..1 they are clipped.
        """
        values = np.clip(np.asarray(samples, np.float32), -1.0, 1.0)
        values = np.round(values * 32767.0).astype("<i2")
        self.file.seek(_HEADER + 2 * self.samples)
        self.file.write(values.tobytes())
        self._extend(len(values))

    def close(self):
        """Nothing follows."""
        self.file.close()

    def _extend(self, count):
        # The samples first: a header that promises too much is invalid.
        self.samples += count
        self.file.truncate(_HEADER + 2 * self.samples)
        self.file.flush()
        # Four bytes hold 37 hours at 16 kHz; the file goes on after that.
        size = min(2 * self.samples, 0xFFFFFFFF - _HEADER)
        rate = self.sample_rate
        self.file.seek(0)
        self.file.write(
            b"RIFF"
            + struct.pack("<I", size + _HEADER - 8)
            + b"WAVEfmt "
            + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
            + b"data"
            + struct.pack("<I", size)
        )
        self.file.flush()
