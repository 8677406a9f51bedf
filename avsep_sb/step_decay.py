"""A learning rate that falls by one factor every so many epochs.

AVLiT is trained with it on LRS3+WHAM! (a third every 25 epochs).

Authors
 * avsep_sb contributors
"""

from avsep_sb.by_epoch import ByEpoch


class StepDecay(ByEpoch):
    """torch's StepLR; SpeechBrain's StepScheduler steps one epoch earlier.

    Arguments
    ---------
    initial_value : float
        Rate of the first ``step`` epochs.
    factor : float
        What the rate is multiplied with at each step.
    step : int
        Epochs between two steps.

    Example
    -------
    >>> schedule = StepDecay(0.9, factor=1 / 3, step=25)
    >>> [round(new, 3) for _, new in (schedule([], e) for e in (24, 25, 50))]
    [0.9, 0.3, 0.1]
    """

    def __init__(self, initial_value, factor, step):
        self.initial_value = initial_value
        self.factor = factor
        self.step = step

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
        return self.initial_value * self.factor ** (done // self.step)
