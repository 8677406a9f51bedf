"""What kind of file a user gave, before minutes of work on it.

Authors
 * avsep_sb contributors
"""

from pathlib import Path
from typing import NamedTuple

import av

from avsep_sb.errors import VideoError
from avsep_sb.vision.container import open_video


class Source(NamedTuple):
    """A file to separate.

    Arguments
    ---------
    path : Path
        The file.
    has_picture : bool
        Whether it is a video; a cover picture does not count.
    seconds : float or None
        Its duration, if the header tells.
    """

    path: Path
    has_picture: bool
    seconds: float | None

    def frames(self, model):
        """Frames at the rate of a model, int or None."""
        if self.seconds is None:
            return None
        return round(self.seconds * float(model.hparams.video_fps))


def inspect_source(path):
    """Looks at the header of a file.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    Source
        ``VideoError`` is raised for a file that cannot be opened, and for one
        without a sound track.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros(800), 16000)
    >>> inspect_source(path)[1:]
    (False, 0.05)
    """
    with open_video(path) as container:
        cover = av.stream.Disposition.attached_pic
        pictures = [
            s for s in container.streams.video if not s.disposition & cover
        ]
        if not container.streams.audio:
            raise VideoError(
                f"{path}: has no sound track; give a video with the mixture "
                "of voices in it."
            )
        seconds = container.duration
        return Source(
            Path(path),
            bool(pictures),
            seconds / av.time_base if seconds else None,
        )
