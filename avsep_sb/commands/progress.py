"""Progress bars with the time left, silent where there is no terminal.

Authors
 * avsep_sb contributors
"""


class StageBars:
    """One bar for each stage of a video; the last one goes when all is done.

    Arguments
    ---------
    name : str
        What stands before each bar.
    file : object or None
        Where to draw; None takes stderr.

    Example
    -------
    >>> with StageBars("a.mp4") as bars:
    ...     bars("faces", 10, 250)
    """

    #: what the numbers of a stage count
    UNITS = {"faces": "frame", "voices": "s", "videos": "file", "words": "s"}

    def __init__(self, name, file=None):
        self.name, self.file = name, file
        self.stage = self.bar = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._close()

    def __call__(self, stage, done, total=None):
        """Shows how far a stage is.

        Arguments
        ---------
        stage : str
            Another one than before begins a new bar.
        done : float
            How much is done.
        total : float or None
            Of how much; None if nobody knows.
        """
        if stage != self.stage:
            self._close()
            from tqdm import tqdm

            self.stage = stage
            self.bar = tqdm(
                desc=f"{self.name}: {stage}",
                total=None if total is None else round(total),
                unit=f" {self.UNITS.get(stage, '')}",
                file=self.file,
                disable=None,  # off where nobody looks
                leave=False,
                dynamic_ncols=True,
            )
        if total is not None and done > self.bar.total:
            # Headers are not to be trusted.
            self.bar.total = round(done)
        self.bar.update(round(done) - self.bar.n)

    def _close(self):
        if self.bar is not None:
            self.bar.close()
        self.stage = self.bar = None
