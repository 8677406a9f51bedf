"""What the schedules share whose rate is a function of the epoch alone.

Authors
 * avsep_sb contributors
"""


class ByEpoch:
    """A learning rate that is a function of the epoch.

    It has no state, so a resumed run needs nothing restored. Called like
    SpeechBrain's plateau schedule. Subclasses give ``at``.

    Example
    -------
    >>> class Halving(ByEpoch):
    ...     def at(self, done):
    ...         return 0.5**done
    >>> Halving()([], 1)
    (1.0, 0.5)
    """

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
        raise NotImplementedError

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
