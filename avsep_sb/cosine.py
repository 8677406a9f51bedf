"""A learning rate that falls along half a cosine, for runs of fixed length.

The plateau schedule of the papers needs days to come down; a run that must
end after a set number of epochs comes down in time with this one.

Authors
 * avsep_sb contributors
"""

import math

from avsep_sb.by_epoch import ByEpoch


class CosineDecay(ByEpoch):
    """Half a cosine from the first to the last epoch (Loshchilov 2017).

    Arguments
    ---------
    initial_value : float
        Rate of epoch 1.
    final_value : float
        Rate after the last epoch.
    epochs : int
        Length of the run.

    Example
    -------
    >>> schedule = CosineDecay(1e-3, 1e-5, epochs=10)
    >>> old, new = schedule([], 5, -3.0)
    >>> f"{old:.2e} {new:.2e}"
    '6.58e-04 5.05e-04'
    """

    def __init__(self, initial_value, final_value, epochs):
        self.initial_value = initial_value
        self.final_value = final_value
        self.epochs = epochs

    def at(self, done):
        """The rate after some epochs.

        Arguments
        ---------
        done : int
            Number of epochs that have ended.

        Returns
        -------
        float
            Learning rate of the next epoch.
        """
        part = 0.5 + 0.5 * math.cos(math.pi * min(done / self.epochs, 1.0))
        return self.final_value + part * (self.initial_value - self.final_value)
