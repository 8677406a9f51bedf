"""Sound as a stream: the same samples as of the whole file at once.

Proves that blocks join without seams at any pair of rates, lie on the clock
of the picture whatever the layout, and that jumps are filled or refused.
"""

from fractions import Fraction

import av
import numpy as np
import pytest
from scipy.signal import resample_poly

from avsep_sb.errors import VideoError
from avsep_sb.vision.audio_stream import _placed, stream_audio
from avsep_sb.vision.decode import read_audio
from avsep_sb.vision.prefetch import run_ahead
from avsep_sb.vision.resample import BlockResampler


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
def test_blocks_join_to_the_resampled_whole(rate):
    rng = np.random.default_rng(rate)
    wav = rng.normal(0, 0.1, 5 * rate + 7).astype(np.float32)
    resampler, begin, parts = BlockResampler(rate, 16000), 0, []
    while begin < len(wav):
        step = int(rng.integers(1, rate))
        parts.append(resampler.feed(wav[begin : begin + step]))
        begin += step
        # What waits is bounded, however much was fed.
        assert len(resampler.held) < 4 * rate
    parts.append(resampler.flush())
    divisor = np.gcd(rate, 16000)
    whole = resample_poly(wav, 16000 // divisor, rate // divisor)
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-6)


def test_a_resampler_that_was_fed_little_or_nothing():
    resampler = BlockResampler(48000, 16000)
    assert len(resampler.flush()) == 0
    resampler.feed(np.ones(5, np.float32))
    assert len(resampler.flush()) == 2


def clip(path, layout, rate, late=0.0, seconds=2.5):
    """A click each half second, in a file of a small grey picture."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    with av.open(str(path), "w") as out:
        video = out.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "gray"
        sound = out.add_stream("flac", rate=rate, layout=layout)
        for k in range(round(25 * seconds)):
            image = np.full((32, 32), k, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="gray")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        data = np.zeros((round(seconds * rate), channels), np.int16)
        data[rate // 2 :: rate // 2] = 20000
        for begin in range(0, len(data), 1024):
            block = np.ascontiguousarray(
                data[begin : begin + 1024].reshape(1, -1)
            )
            frame = av.AudioFrame.from_ndarray(block, "s16", layout)
            frame.sample_rate = rate
            frame.pts = begin + round(late * rate)
            frame.time_base = Fraction(1, rate)
            out.mux(sound.encode(frame))
        out.mux(sound.encode())
    return path


@pytest.mark.parametrize(
    "layout, rate, late",
    [("mono", 8000, 0), ("stereo", 44100, 0.3), ("5.1", 48000, 0.12)],
)
def test_streamed_sound_keeps_its_place(tmp_path, layout, rate, late):
    path = clip(tmp_path / "v.mkv", layout, rate, late)
    blocks = list(stream_audio(path, 16000, block=640))
    assert {len(block) for block in blocks[:-1]} == {640}
    wav = np.concatenate(blocks)
    assert (wav == read_audio(path)).all()
    for click in (0.5, 1.0, 1.5, 2.0):
        at = round((click + late) * 16000)
        near = abs(wav[at - 160 : at + 160])
        assert abs(int(near.argmax()) - 160) <= 16  # 1 ms


def test_gaps_become_silence_and_repeats_are_left_out():
    def blocks(*starts):
        return ((s, np.full(100, k + 1, np.float32), 1000) for k, s in starts)

    placed = _placed(blocks((0, 5.0), (1, 5.3), (2, 5.35)), 4.9, "a")
    wav = np.concatenate([part for part, _ in placed])
    wanted = [0] * 100 + [1] * 100 + [0] * 200 + [2] * 100 + [3] * 50
    assert wav.tolist() == wanted
    with pytest.raises(VideoError, match="jump by 94 s; re-encode"):
        list(_placed(blocks((0, 5.0), (1, 99.0)), 5.0, "a"))
    with pytest.raises(VideoError, match="holds no samples"):
        list(_placed(iter(()), 0.0, "a"))


def test_running_ahead_hands_over_errors_and_stops():
    def items():
        try:
            yield from range(3)
            raise VideoError("torn")
        finally:
            closed.append(True)

    closed = []
    drawn = run_ahead(items())
    assert [next(drawn) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(VideoError, match="torn"):
        next(drawn)
    drawn = run_ahead(items(), depth=1)
    next(drawn)
    drawn.close()
    assert closed == [True, True], "the source was left open"
