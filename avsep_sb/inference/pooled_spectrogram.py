"""A spectrogram as wide as a picture, of a signal that comes in blocks.

Authors
 * avsep_sb contributors
"""

import math

import numpy as np
import scipy.fft
from scipy.signal.windows import hann

_WINDOW_S = 0.032
_HOP_S = 0.008


class PooledSpectrogram:
    """Levels by frequency and time, averaged to a number of columns.

    A short signal is cut into frames of 32 ms each 8 ms. Where that makes
    more frames than columns, each column is the mean energy of the frames in
    its time, which overlap less then: every sample counts, and hours cost
    about one transform for each 32 ms.

    Arguments
    ---------
    total : int
        Samples of the whole signal.
    sample_rate : int
        Hz.
    columns : int
        Most columns of the result.

    Example
    -------
    >>> spectrogram = PooledSpectrogram(160000, 16000, columns=100)
    >>> for block in np.ones((10, 16000)):
    ...     spectrogram.feed(block)
    >>> levels = spectrogram.levels()
    >>> levels.shape, spectrogram.seconds
    ((257, 100), 10.0)
    >>> float(levels[0].max().round(2)), bool(levels[3:, 1:-1].max() < -100)
    (0.0, True)
    """

    def __init__(self, total, sample_rate, columns=1100):
        self.window = max(2, round(_WINDOW_S * sample_rate))
        hop = max(1, round(_HOP_S * sample_rate))
        width = max(hop, math.ceil(total / columns))
        self.per_column = math.ceil(width / self.window)
        self.hop = math.ceil(width / self.per_column)
        self.columns = max(1, math.ceil(total / (self.hop * self.per_column)))
        self._taper = hann(self.window, sym=False).astype(np.float32)
        self._taper /= self._taper.sum()
        self._energy = np.zeros((self.columns, self.window // 2 + 1))
        self._frames = 0
        #: time from the first column's left to the last one's right
        self.seconds = self.columns * self.hop * self.per_column / sample_rate
        # Frame k is centred on the middle of samples k * hop to (k+1) * hop.
        self._held = np.zeros((self.window - self.hop) // 2, np.float32)

    def feed(self, samples):
        """Takes the next samples, [t]."""
        held = np.concatenate([self._held, np.asarray(samples, np.float32)])
        count = max(0, (len(held) - self.window) // self.hop + 1)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(
                held, self.window
            )[:: self.hop]
            self._add(frames[:count])
        self._held = held[count * self.hop :].copy()

    def _add(self, frames):
        spectra = scipy.fft.rfft(frames * self._taper, axis=1)
        energy = spectra.real**2 + spectra.imag**2
        number = self._frames + np.arange(len(frames))
        column = np.minimum(number // self.per_column, self.columns - 1)
        starts = np.flatnonzero(np.diff(column, prepend=-1))
        sums = np.add.reduceat(energy, starts, axis=0, dtype=np.float64)
        self._energy[column[starts]] += sums
        self._frames += len(frames)

    def levels(self):
        """Ends the signal and tells what it held.

        Returns
        -------
        np.ndarray
            float32 [window // 2 + 1, columns], in dB: a sine of amplitude a
            is at 20 log10(a / 2), and a constant at 20 log10(a).
        """
        wanted = self.columns * self.per_column - self._frames
        if wanted > 0:
            length = (wanted - 1) * self.hop + self.window
            missing = max(0, length - len(self._held))
            self.feed(np.zeros(missing, np.float32))
        energy = self._energy / self.per_column
        return (10 * np.log10(energy + 1e-14)).T.astype(np.float32)
