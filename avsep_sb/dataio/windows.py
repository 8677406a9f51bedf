"""One window for audio and video, cut on a frame boundary.

The audio is the clock: frame n shows the samples from ``n * 640`` on (16 kHz,
25 fps). The window is drawn from the audio length alone, so an audio-only
run and an audio-visual run with one seed hear the same windows.

Authors
 * avsep_sb contributors
"""

import numpy as np

from avsep_sb.errors import DataError

SAMPLES_PER_FRAME = 640
#: frames by which audio and video of one utterance may disagree
MAX_DRIFT = 2


def check_durations(
    num_samples,
    num_frames,
    name="this utterance",
    video_may_be_longer=False,
    samples_per_frame=SAMPLES_PER_FRAME,
):
    """Refuses audio and video that do not belong together.

    Arguments
    ---------
    num_samples : int
        Length of the audio.
    num_frames : int
        Length of the video.
    name : str
        The utterance, for the message.
    video_may_be_longer : bool
        True for sources that were cut to the shorter one of a ready
        mixture: their mouth ROIs are whole and start at the same time.
    samples_per_frame : int
        Samples in the time of one frame.

    Returns
    -------
    None
        ``DataError`` is raised for more than 2 frames of difference.

    Example
    -------
    >>> check_durations(32000, 49)
    """
    surplus = num_frames - num_samples / samples_per_frame
    if surplus < -MAX_DRIFT or (
        surplus > MAX_DRIFT and not video_may_be_longer
    ):
        raise DataError(
            f"{name} has {num_samples} samples of audio, which is "
            f"{num_samples / samples_per_frame:.1f} frames, but {num_frames} "
            f"frames of video: more than {MAX_DRIFT} frames apart, so check "
            "the frame rate or extract the mouth ROI again."
        )


def draw_window(
    rng, num_samples, num_frames, length, samples_per_frame=SAMPLES_PER_FRAME
):
    """Draws a window that starts on a frame.

    Arguments
    ---------
    rng : np.random.Generator or None
        Source of the draw; None takes the beginning.
    num_samples : int
        Length of the audio.
    num_frames : int or None
        Length of the video, checked against the audio; None without video.
    length : int or None
        Samples wanted; None takes the whole utterance.
    samples_per_frame : int
        Samples in the time of one frame.

    Returns
    -------
    (int, int, int, int)
        First sample, sample after the last, first frame, frame after the
        last. The window is always ``length`` long: what lies past the end
        of the files is padded by :func:`cut_audio` and :func:`cut_frames`.
        ``DataError`` is raised by :func:`check_durations`.

    Example
    -------
    >>> draw_window(None, 48000, 75, 32000)
    (0, 32000, 0, 50)
    >>> draw_window(np.random.default_rng(0), 48000, 75, 32000)
    (14080, 46080, 22, 72)
    """
    if num_frames is not None:
        check_durations(
            num_samples, num_frames, samples_per_frame=samples_per_frame
        )
    if not length:
        length = num_samples
    # whole frames that fit before the window: the window stays in the audio
    room = max(0, (num_samples - length) // samples_per_frame)
    first = 0 if rng is None else int(rng.integers(room + 1))
    start = first * samples_per_frame
    count = -(-length // samples_per_frame)
    return start, start + length, first, first + count


def cut_audio(wave, length):
    """Cuts or pads with zeros at the end.

    Arguments
    ---------
    wave : np.ndarray
        [T] samples.
    length : int
        Samples wanted.

    Returns
    -------
    np.ndarray
        [length], same type.

    Example
    -------
    >>> cut_audio(np.ones(2), 3).tolist()
    [1.0, 1.0, 0.0]
    """
    wave = wave[:length]
    return np.pad(wave, (0, length - len(wave)))


def cut_frames(frames, start, stop):
    """Cuts frames; past the end the last one is repeated.

    A repeated frame is a mouth at rest, which is what a viewer would see; a
    black frame is an event that no camera shows.

    Arguments
    ---------
    frames : np.ndarray
        [Tv, ...] with at least one frame.
    start, stop : int
        First frame and the frame after the last.

    Returns
    -------
    np.ndarray
        [stop - start, ...], same type.

    Example
    -------
    >>> cut_frames(np.arange(4), 2, 6).tolist()
    [2, 3, 3, 3]
    """
    if stop <= len(frames):
        return frames[start:stop]
    return frames[np.minimum(np.arange(start, stop), len(frames) - 1)]
