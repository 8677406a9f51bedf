"""Pretrained separation of streams: ``StreamingSeparation.from_hparams``.

Authors
 * avsep_sb contributors
"""

from avsep_sb.inference.pretrained import PretrainedFolder
from avsep_sb.inference.stream import SeparationStream


class StreamingSeparation(PretrainedFolder):
    """A causal separator that takes sound and lips as they come in.

    Arguments
    ---------
    *args, **kwargs
        Those of :class:`speechbrain.inference.interfaces.Pretrained`.

    Example
    -------
    >>> StreamingSeparation.from_hparams("no/such/folder")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: 'no/such/folder' is not a folder with a...
    """

    HPARAMS_NEEDED = ["sample_rate", "video_fps"]
    MODULES_NEEDED = ["separator", "visual_frontend"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stream = None
        # A model that is not causal is refused at once.
        self.open(0)

    def open(self, faces=1, patience=0.08, growing=False):
        """Begin a stream of its own.

        Arguments
        ---------
        faces, patience, growing
            See :class:`avsep_sb.inference.stream.SeparationStream`.

        Returns
        -------
        SeparationStream
            Several may be open at a time.
        """
        return SeparationStream(
            self.mods.separator,
            self.mods.visual_frontend,
            faces,
            patience,
            growing,
        )

    def feed(self, audio, frames=None, seen=None):
        """Take the next piece of the one stream that needs no opening.

        Arguments
        ---------
        audio, frames, seen
            See :meth:`avsep_sb.inference.stream.SeparationStream.feed`. The
            first frames tell how many faces there are; 1 without.

        Returns
        -------
        torch.Tensor
            [t', S]
        """
        if self.stream is None:
            self.stream = self.open(1 if frames is None else len(frames))
        return self.stream.feed(audio, frames, seen)

    def flush(self):
        """Give the rest of that stream; the next piece begins another one.

        Returns
        -------
        torch.Tensor
            [t', S]
        """
        stream = self.stream or self.open()
        self.stream = None
        return stream.flush()

    @property
    def latency_samples(self):
        """int: how much later than a sample its separation comes out."""
        return self.open(0).latency_samples

    @property
    def latency_seconds(self):
        """float: the same in seconds."""
        return self.latency_samples / self.hparams.sample_rate
