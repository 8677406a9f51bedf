"""What a user may choose when a video is separated.

Authors
 * avsep_sb contributors
"""

from dataclasses import asdict, dataclass

from avsep_sb.inference.over_time import WINDOW_SECONDS


@dataclass(frozen=True)
class VideoOptions:
    """How a video is separated.

    Arguments
    ---------
    max_faces : int or None
        Keep at most so many faces, those with the most pixels over time.
    speakers : int or None
        Voices to separate by sound alone where there is no face; None
        refuses a recording without one.
    window_seconds : float
        Length of the windows that are separated at once.
    fix_sync : bool
        Whether a voice whose lips are more than 80 ms off comes with them in
        the mp4; the wavs stay on the clock of the video.
    sync_model : str or None
        Folder or shipped name of a SyncNet that finds such lips
        (:class:`avsep_sb.inference.lip_sync.LipSync`); None leaves it to the
        separator itself.
    videos : bool
        Whether an mp4 is written for each voice.
    silence_db : float or None
        A voice more than so many dB below the mixture becomes silence (see
        :func:`avsep_sb.inference.silence_gate.silence_gains`); None leaves
        it as it is.
    all_in_view : bool
        Whether all there is to be heard is said by the faces in sight, so
        that their voices add up to the sound.
    overwrite : bool
        Whether an earlier result may be replaced.
    model, audio_model : str or None
        Names of the models, to be kept with the result.
    weights : str or None
        What tells their weights from others, such as
        :func:`avsep_sb.inference.fingerprint.fingerprint` gives: a result of
        other weights is another result.

    Example
    -------
    >>> "overwrite" in VideoOptions(max_faces=2).settings
    False
    """

    max_faces: int | None = None
    speakers: int | None = None
    window_seconds: float = WINDOW_SECONDS
    fix_sync: bool = False
    sync_model: str | None = None
    videos: bool = True
    silence_db: float | None = 20.0
    all_in_view: bool = False
    overwrite: bool = False
    model: str | None = None
    audio_model: str | None = None
    weights: str | None = None

    @property
    def settings(self):
        """dict: what the result depends on."""
        settings = asdict(self)
        del settings["overwrite"]
        return settings
