"""Separates long recordings window by window, joined without a seam.

Windows start on video frames, overlap, and are cross-faded. Each window is
separated by any function of mixture and mouths; no model is known here. The
face fixes the order of the voices, so windows never need to be matched.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.errors import DataError
from avsep_sb.inference.overlap import fade_weights

SAMPLES_PER_FRAME = 640
#: frames by which audio and video may disagree at the end
MAX_DRIFT = 2


def stitch(
    fn,
    mix,
    lips,
    window_frames,
    hop_frames,
    samples_per_frame=SAMPLES_PER_FRAME,
):
    """Applies a separator to overlapping windows and adds their results.

    All windows have the full length: the last one ends with the video, and
    may overlap more than the others. A recording that fits into one window
    gives exactly ``fn(mix, lips)``.

    Arguments
    ---------
    fn : callable
        ``fn(mix [B, t], lips [B, S, tv, H, W]) -> [B, t, S]``.
    mix : torch.Tensor
        Mixtures, [B, T].
    lips : torch.Tensor
        Mouth ROIs, [B, S, Tv, H, W], of the same duration within 2 frames.
    window_frames : int
        Length of a window in video frames.
    hop_frames : int
        From one window to the next, in video frames; at most the window.
        What they share is cross-faded linearly.
    samples_per_frame : int
        Samples in the time of one frame.

    Returns
    -------
    torch.Tensor
        Sources, [B, T, S]. ``DataError`` is raised for audio and video of
        different duration, ``ValueError`` for impossible windows.

    Example
    -------
    >>> mix, lips = torch.randn(1, 6400), torch.zeros(1, 2, 10, 96, 96)
    >>> def fn(mix, lips):
    ...     return torch.stack([mix, 2 * mix], dim=-1)
    >>> sources = stitch(fn, mix, lips, window_frames=4, hop_frames=3)
    >>> torch.allclose(sources, fn(mix, lips))
    True
    """
    if not 0 < hop_frames <= window_frames:
        raise ValueError(
            f"windows of {window_frames} frames every {hop_frames} frames "
            "leave gaps: the hop must be from 1 to the window"
        )
    total, frames = mix.shape[1], lips.shape[2]
    if abs(total - frames * samples_per_frame) > MAX_DRIFT * samples_per_frame:
        raise DataError(
            f"the audio has {total} samples, which is "
            f"{total / samples_per_frame:.1f} frames, but there are {frames} "
            "frames of video; cut both to the same time."
        )
    if window_frames >= frames:
        return fn(mix, lips)

    result = weight_sum = None
    for begin in window_starts(frames, window_frames, hop_frames):
        end = begin + window_frames
        first = begin * samples_per_frame
        last = total if end == frames else end * samples_per_frame
        part = fn(mix[:, first:last], lips[:, :, begin:end])
        assert part.shape[:2] == (len(mix), last - first), (
            f"a window of {last - first} samples came back as "
            f"{tuple(part.shape)}"
        )
        if result is None:
            result = part.new_zeros(len(mix), total, part.shape[2])
            weight_sum = part.new_zeros(total)
        weight = fade_weights(
            last - first,
            (window_frames - hop_frames) * samples_per_frame,
            fade_in=begin > 0,
            fade_out=end < frames,
        )
        weight = torch.from_numpy(weight).to(part)
        result[:, first:last] += part * weight[:, None]
        weight_sum[first:last] += weight
    assert bool((weight_sum > 0).all()), "a sample is in no window"
    return result / weight_sum[:, None]


def window_starts(frames, window_frames, hop_frames):
    """Where windows begin, so that the last one ends with the video.

    Arguments
    ---------
    frames : int
        Length of the video, at least one window.
    window_frames : int
        Length of a window.
    hop_frames : int
        From one window to the next.

    Returns
    -------
    list of int
        First frame of each window.

    Example
    -------
    >>> window_starts(10, 4, 3)
    [0, 3, 6]
    >>> window_starts(11, 4, 3)
    [0, 3, 6, 7]
    """
    last = frames - window_frames
    starts = list(range(0, last, hop_frames)) + [last]
    assert starts[0] == 0 and starts[-1] + window_frames == frames
    return starts
