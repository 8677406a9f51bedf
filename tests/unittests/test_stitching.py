"""Windowed separation equals separation in one pass.

Proves that a recording in one window is handed on untouched; that any
function without memory gives the same through any windows, to rounding; that
every window is cut at one frame for audio and video; and that the joints of a
function whose windows disagree are cross-faded, not cut.
"""

import pytest
import torch

from avsep_sb.errors import DataError
from avsep_sb.inference.stitching import stitch

FRAME = 640


def recording(frames, surplus=0):
    generator = torch.Generator().manual_seed(frames)
    mix = torch.randn(2, frames * FRAME + surplus, generator=generator)
    # Each frame carries its own number, so that windows can be checked.
    lips = torch.arange(frames).view(1, 1, -1, 1, 1).expand(2, 3, -1, 4, 4)
    return mix, lips


def weighted(mix, lips):
    """Memoryless: each sample times its frame's number and voice."""
    frame = lips[:, :, :, 0, 0].repeat_interleave(FRAME, 2).float()
    surplus = mix.shape[1] - frame.shape[2]
    if surplus > 0:
        frame = torch.nn.functional.pad(frame, (0, surplus), mode="replicate")
    frame = frame[:, :, : mix.shape[1]].transpose(1, 2)
    return mix[:, :, None] * frame * torch.tensor([1.0, 2.0, 3.0])


def test_one_window_is_one_pass():
    mix, lips = recording(10)
    calls = []

    def fn(m, v):
        calls.append((m, v))
        return weighted(m, v)

    out = stitch(fn, mix, lips, window_frames=10, hop_frames=5)
    assert len(calls) == 1 and calls[0][0] is mix and calls[0][1] is lips
    assert torch.equal(out, weighted(mix, lips))


@pytest.mark.parametrize("surplus", [-500, 0, 900])
@pytest.mark.parametrize("window, hop", [(8, 8), (8, 6), (9, 4), (7, 1)])
def test_windows_equal_one_pass(window, hop, surplus):
    mix, lips = recording(29, surplus)
    out = stitch(weighted, mix, lips, window, hop)
    assert out.shape == (2, mix.shape[1], 3)
    assert torch.allclose(out, weighted(mix, lips), atol=1e-4)


def test_windows_start_with_their_frame():
    mix, lips = recording(23)
    where = {float(x): k for k, x in enumerate(mix[0])}
    spans = []

    def fn(m, v):
        assert where[float(m[0, 0])] == int(v[0, 0, 0, 0, 0]) * FRAME
        spans.append((int(v[0, 0, 0, 0, 0]), v.shape[2], m.shape[1]))
        return weighted(m, v)

    stitch(fn, mix, lips, window_frames=8, hop_frames=6)
    assert [s[0] for s in spans] == [0, 6, 12, 15]
    assert all(s[1:] == (8, 8 * FRAME) for s in spans)


def test_joints_are_cross_faded():
    mix, lips = recording(20)
    count = iter(range(10))

    def fn(m, v):  # each window answers with its own number
        return torch.full((len(m), m.shape[1], 1), float(next(count)))

    out = stitch(fn, mix, lips, window_frames=8, hop_frames=6)[0, :, 0]
    assert out[0] == 0 and out[-1] == 2
    assert (out.diff() >= -1e-6).all()
    assert out.diff().max() < 2 / FRAME, "a joint jumps"


def test_impossible_input_is_refused():
    mix, lips = recording(20)
    with pytest.raises(ValueError, match="gaps"):
        stitch(weighted, mix, lips, window_frames=4, hop_frames=5)
    with pytest.raises(DataError, match="cut both"):
        stitch(weighted, mix[:, : 16 * FRAME], lips, 8, 6)
    with pytest.raises(AssertionError, match="came back"):
        stitch(lambda m, v: weighted(m, v)[:, 1:], mix, lips, 8, 6)
