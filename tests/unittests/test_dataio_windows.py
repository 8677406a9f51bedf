"""Proves that windows start on frames, stay inside, and pad at the end.

Also that mouth ROIs keep their time under a change of frame rate, and are
cropped and mirrored as a whole.
"""

import numpy as np
import pytest

from avsep_sb.dataio.lips import convert_fps, crop_flip
from avsep_sb.dataio.windows import (
    check_durations,
    cut_audio,
    cut_frames,
    draw_window,
)
from avsep_sb.errors import DataError


def test_window_is_on_frames_inside_the_audio_and_reaches_both_ends():
    rng = np.random.default_rng(0)
    starts = set()
    for _ in range(200):
        window = draw_window(rng, 10 * 640 + 600, 11, 4 * 640)
        start, stop, first, last = window
        assert (start, stop) == (first * 640, last * 640)
        assert last - first == 4 and 0 <= start and stop <= 10 * 640 + 600
        starts.add(first)
    assert starts == set(range(7))


def test_video_does_not_move_the_window():
    with_video = draw_window(np.random.default_rng(3), 64000, 99, 6400)
    without = draw_window(np.random.default_rng(3), 64000, None, 6400)
    assert with_video == without


@pytest.mark.parametrize("length", [None, 0])
def test_whole_utterance_counts_a_started_frame(length):
    assert draw_window(None, 1000, 2, length) == (0, 1000, 0, 2)


def test_short_clip_gets_zeros_and_its_last_frame():
    start, stop, first, last = draw_window(
        np.random.default_rng(0), 1000, 2, 4 * 640
    )
    assert (start, stop, first, last) == (0, 2560, 0, 4)
    audio = cut_audio(np.ones(1000, np.float32), stop - start)
    assert audio.dtype == np.float32 and audio.sum() == 1000
    assert not audio[1000:].any()
    assert cut_frames(np.array([7, 8]), first, last).tolist() == [7, 8, 8, 8]


def test_window_past_a_single_frame_repeats_it():
    assert cut_frames(np.array([5]), 2, 4).tolist() == [5, 5]


@pytest.mark.parametrize("frames", [48, 50, 52])
def test_two_frames_of_difference_are_allowed(frames):
    check_durations(32000, frames)


@pytest.mark.parametrize("frames", [47, 53])
def test_three_frames_of_difference_are_refused_with_numbers(frames):
    with pytest.raises(DataError, match=rf"32000 .*50\.0 frames, but {frames}"):
        draw_window(None, 32000, frames, None)


def test_only_longer_video_is_allowed_for_cut_sources():
    check_durations(32000, 200, video_may_be_longer=True)
    with pytest.raises(DataError):
        check_durations(32000, 47, video_may_be_longer=True)


@pytest.mark.parametrize(
    "src, dst", [(30, 25), (29.97, 25), (24, 25), (50, 25)]
)
def test_converted_frames_are_the_nearest_in_time(src, dst):
    times = np.arange(300) / src
    converted = convert_fps(times, src, dst)
    wanted = np.arange(len(converted)) / dst
    assert abs(len(converted) - 300 * dst / src) <= 0.5
    # the last frame stands in for what would come after it
    inside = wanted <= times[-1]
    assert np.all(np.abs(converted - wanted)[inside] <= 0.5 / src + 1e-9)


def test_equal_rates_change_nothing():
    frames = np.arange(9)
    assert np.array_equal(convert_fps(frames, 25, 25), frames)


def test_rate_of_zero_is_refused():
    with pytest.raises(DataError, match="positive"):
        convert_fps(np.arange(3), 0, 25)


def coordinates():
    """Frames whose pixels state their row and column."""
    return np.add.outer(16 * np.arange(9), np.arange(9)).astype(np.uint8)[None]


def test_centre_crop_is_the_one_of_the_front_end():
    cropped = crop_flip(coordinates(), (4, 6))
    assert cropped.shape == (1, 4, 6)
    assert divmod(int(cropped[0, 0, 0]), 16) == (2, 1)


def test_random_crop_reaches_all_corners_and_flip_mirrors():
    rng = np.random.default_rng(0)
    corners, mirrored = set(), 0
    for _ in range(200):
        out = crop_flip(
            coordinates(), (8, 8), rng, random_crop=True, horizontal_flip=True
        )
        assert out.dtype == np.uint8 and out.shape == (1, 8, 8)
        step = int(out[0, 0, 1]) - int(out[0, 0, 0])
        mirrored += step == -1
        corners.add(int(out.min()))
    assert corners == {0, 1, 16, 17}
    assert 60 < mirrored < 140


def test_crop_larger_than_the_frames_is_refused():
    with pytest.raises(DataError, match="9x9 pixels cannot be cropped to 10x9"):
        crop_flip(coordinates(), (10, 9))
