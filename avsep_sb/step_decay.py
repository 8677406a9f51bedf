"""A learning rate that falls by one factor every so many epochs.

AVLiT is trained with it on LRS3+WHAM! (a third every 25 epochs).

Authors
 * avsep_sb contributors
"""


class StepDecay:
    """torch's StepLR, called like SpeechBrain's plateau schedule.

    SpeechBrain's own StepScheduler steps one epoch earlier. It has no state:
    the rate is a function of the epoch, so a resumed run needs nothing
    restored.

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

    def __call__(self, optimizers, epoch, loss=None):
        """Gives the rate of this epoch and of the next.

        Arguments
        ---------
        optimizers : list of torch.optim.Optimizer
            Not touched; the Brain applies the rate.
        epoch : int
            The epoch that has just ended, from 1.
        loss : float
            Not used.

        Returns
        -------
        (float, float)
            Rate of this epoch and of the next.
        """
        return self.at(epoch - 1), self.at(epoch)
