"""Overlap-add of a stream gives the stream back, sample for sample.

Proves that any memoryless function comes out of any windows and any blocks as
it went in, to rounding; that one window is handed on untouched; that windows
start on frames and equal those of ``stitch``; that joints are cross-faded;
and that the stream is not held in memory.
"""

import numpy as np
import pytest
import torch

from avsep_sb.inference.overlap import cut_windows, overlap_add
from avsep_sb.inference.stitching import stitch

FRAME = 20


def cut(signal, size):
    """The signal in blocks."""
    return [signal[k : k + size] for k in range(0, len(signal), size)]


def join(parts):
    """All blocks in a row, having checked that each continues the last."""
    done, blocks = 0, []
    for first, block in parts:
        assert first == done and len(block) > 0 and block.dtype == np.float32
        done += len(block)
        blocks.append(block)
    return np.concatenate(blocks)


def placed(first, samples):
    """Two voices that depend on the place in the stream."""
    place = first + np.arange(len(samples))
    return np.stack([samples * place, samples + place], axis=1)


@pytest.mark.parametrize("total", [1, 99, 100, 101, 119, 121, 437, 600])
@pytest.mark.parametrize("window, hop", [(100, 100), (100, 60), (80, 20)])
@pytest.mark.parametrize("block", [7, 130, 1000])
def test_a_memoryless_function_is_not_changed(total, window, hop, block):
    signal = np.random.default_rng(total).standard_normal(total)
    windows = list(cut_windows(cut(signal, block), window, hop, FRAME))
    assert [w[2] for w in windows] == [False] * (len(windows) - 1) + [True]
    for first, samples, last in windows:
        assert first % FRAME == 0
        assert np.array_equal(samples, signal[first : first + len(samples)])
        if not last:
            assert len(samples) == window
        elif total >= window:
            assert window <= len(samples) < window + FRAME
    out = join(overlap_add(placed, cut(signal, block), window, hop, FRAME))
    assert np.allclose(out, placed(0, signal), atol=1e-4)


def test_one_window_is_one_pass():
    signal = np.random.default_rng(0).standard_normal(90).astype(np.float32)
    fn = lambda first, x: np.stack([x, x / 3], 1)  # noqa: E731
    out = join(overlap_add(fn, [signal], 100, 40, FRAME))
    assert np.array_equal(out, fn(0, signal))
    assert list(overlap_add(fn, [], 100, 40, FRAME)) == []


@pytest.mark.parametrize("total", [437, 460, 600])
def test_equals_stitching_of_a_whole(total):
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(1, total, generator=generator, dtype=torch.float64)
    lips = torch.zeros(1, 1, total // FRAME, 1, 1)

    def centred(x):  # depends on the window
        return (x - x.mean(1, keepdim=True)).unsqueeze(-1)

    whole = stitch(lambda m, v: centred(m), mix, lips, 5, 3, FRAME)
    out = join(
        overlap_add(
            lambda first, x: centred(torch.from_numpy(x)[None])[0].numpy(),
            cut(mix[0].numpy(), 33),
            5 * FRAME,
            3 * FRAME,
            FRAME,
        )
    )
    assert np.allclose(out, whole[0].numpy(), atol=1e-6)


def test_joints_are_cross_faded():
    count = iter(range(10))

    def fn(first, x):  # each window answers with its own number
        return np.full((len(x), 1), float(next(count)))

    out = join(overlap_add(fn, [np.zeros(400)], 160, 120, FRAME))[:, 0]
    assert out[0] == 0 and out[-1] == 2
    assert (np.diff(out) >= -1e-6).all()
    assert np.diff(out).max() < 2 / FRAME, "a joint jumps"


def test_little_is_read_ahead():
    read = 0

    def source():
        nonlocal read
        for _ in range(500):
            read += 10
            yield np.ones(10)

    lead = 0
    for first, block in overlap_add(placed, source(), 100, 60, FRAME):
        lead = max(lead, read - first)
        assert len(block) <= 120
    assert read == 5000 and lead <= 100 + 60 + FRAME + 10


def test_impossible_windows_are_refused():
    with pytest.raises(ValueError, match="gaps"):
        list(overlap_add(placed, [np.ones(9)], 4, 5))
    with pytest.raises(ValueError, match="frames"):
        list(overlap_add(placed, [np.ones(9)], 30, 20, FRAME))
    with pytest.raises(AssertionError, match="came back"):
        list(overlap_add(lambda f, x: placed(f, x)[1:], [np.ones(9)], 4, 2))
