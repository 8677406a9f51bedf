"""Changes the sampling rate of a stream of any length, without seams.

Each block is filtered together with the end of the one before and the
beginning of the next, so that the result is sample for sample the one of the
whole signal at once. The filter is symmetric (linear phase) and centred: it
adds no delay.

Authors
 * avsep_sb contributors
"""

import math

import numpy as np
from scipy.signal import firwin, resample_poly

#: zero crossings of the filter on each side, and its Kaiser window
CROSSINGS, KAISER = 10, 5.0


class BlockResampler:
    """A polyphase resampler that is fed block by block.

    Arguments
    ---------
    rate_in : int
        Sampling rate of what is fed, in Hz.
    rate_out : int
        Sampling rate of what comes out, in Hz.

    Example
    -------
    >>> tone = np.sin(0.1 * np.arange(44100)).astype(np.float32)
    >>> resampler = BlockResampler(44100, 16000)
    >>> parts = [resampler.feed(part) for part in np.split(tone, 7)]
    >>> parts.append(resampler.flush())
    >>> whole = resample_poly(tone, 160, 441)
    >>> bool(abs(np.concatenate(parts) - whole).max() < 1e-6)
    True
    """

    def __init__(self, rate_in, rate_out):
        divisor = math.gcd(rate_in, rate_out)
        self.up, self.down = rate_out // divisor, rate_in // divisor
        self.held = np.zeros(0, np.float32)
        self.lead = 0  # samples held that have been put out already
        if self.up == self.down:
            return
        widest = max(self.up, self.down)
        self.filter = firwin(
            2 * CROSSINGS * widest + 1, 1 / widest, window=("kaiser", KAISER)
        ).astype(np.float32)
        # What an output needs on either side; a multiple of ``down``, after
        # which input and output samples fall together again.
        reach = math.ceil(CROSSINGS * widest / self.up)
        self.context = math.ceil(reach / self.down) * self.down
        self.least = rate_in

    def feed(self, block):
        """Takes samples and gives those that are ready.

        Arguments
        ---------
        block : np.ndarray
            float32 [T], any length.

        Returns
        -------
        np.ndarray
            float32, often empty: about a second is put out at a time.
        """
        if self.up == self.down:
            return block
        self.held = np.concatenate([self.held, block])
        ready = len(self.held) - self.lead - self.context
        ready = ready // self.down * self.down
        if ready < self.least:
            return self.held[:0]
        stop = self.lead + ready
        result = self._resample(self.held[: stop + self.context], stop)
        lead = min(self.context, stop)
        self.held, self.lead = self.held[stop - lead :], lead
        return result

    def flush(self):
        """Gives the rest; the resampler is then as new.

        Returns
        -------
        np.ndarray
            float32.
        """
        held, self.held = self.held, np.zeros(0, np.float32)
        if not len(held):
            return held
        result = self._resample(held, None)
        self.lead = 0
        return result

    def _resample(self, samples, stop):
        """Outputs that belong to samples from ``lead`` up to ``stop``."""
        result = resample_poly(
            samples, self.up, self.down, window=self.filter
        ).astype(np.float32)
        begin = self.lead * self.up // self.down
        end = None if stop is None else stop * self.up // self.down
        return result[begin:end]
