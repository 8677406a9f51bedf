"""Brings the voices of a model to the level that they have in the mixture.

A model trained with SI-SNR may give its voices at any level, ten times too
loud: nothing in that measure minds. Levels must be right where the rest of
the mixture is wanted, or where two models take turns.

Authors
 * avsep_sb contributors
"""

import numpy as np

#: models this near to the right level (dB) are left as they are
SLACK_DB = 3.0


class LevelMatch:
    """One gain for all voices of a model, found as windows go by.

    It is the gain at which the sum of the voices fits the mixture of all
    windows so far best (least squares). One gain keeps the voices as loud
    relative to each other as they are: a voice that is hardly there is never
    turned up.

    Example
    -------
    >>> mixture = np.array([1.0, -1.0, 2.0])
    >>> voices = np.stack([8 * mixture, 2 * mixture], axis=1)
    >>> LevelMatch()(voices, mixture)[0].round(3).tolist()
    [0.800000011920929, 0.20000000298023224]
    >>> right = voices / 10
    >>> LevelMatch()(right, mixture) is right
    True
    """

    def __init__(self):
        self.cross = self.power = 0.0

    def __call__(self, voices, mixture):
        """Scales the voices of the next window.

        Arguments
        ---------
        voices : np.ndarray
            [t, P]
        mixture : np.ndarray
            [t]

        Returns
        -------
        np.ndarray
            [t, P], float32 unless nothing is scaled.
        """
        total = voices.sum(axis=1, dtype=np.float64)
        self.cross += float(np.asarray(mixture, np.float64) @ total)
        self.power += float(total @ total)
        if self.cross <= 0.0 or self.power <= 0.0:
            return voices
        gain = self.cross / self.power
        if abs(20 * np.log10(gain)) <= SLACK_DB:
            return voices
        return (voices * gain).astype(np.float32)
