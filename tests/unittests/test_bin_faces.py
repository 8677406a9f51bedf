"""BIN takes any length, any frame rate of the video and any number of faces."""

import pytest
import torch
import torch.nn.functional as F

from avsep_sb.lobes.bin_faces import place_faces, share_of_slots
from tests.utils.toy_bin import build, toy_input


def test_thirty_lengths_and_four_counts_of_faces():
    net = build(token_length=1601)
    lengths = [4000 + 1111 * i for i in range(27)] + [31840, 31841, 64000]
    for num_samples in lengths:
        frames = round(num_samples / 640)
        for faces in (1, 2, 3, 4):
            mix, visual = toy_input(1, num_samples, faces, frames)
            with torch.inference_mode():
                estimate = net(mix, visual)
            assert estimate.shape == (1, num_samples, faces)
            assert estimate.isfinite().all()


@pytest.mark.parametrize("num_samples", [1, 2, 19, 20, 21, 159, 160, 161])
@pytest.mark.parametrize("codec", [("learned", 40), ("spectral", 64)])
def test_shortest_lengths(num_samples, codec):
    mix, visual = toy_input(1, num_samples, 1, 1)
    with torch.no_grad():
        estimate = build(codec=codec[0], kernel_size=codec[1])(mix, visual)
    assert estimate.shape == (1, num_samples, 1)
    assert estimate.isfinite().all()


def test_tokens_are_resized_by_one_rule_both_ways():
    """A longer or shorter token equals the one resized beforehand."""
    net = build()
    state = net.state_dict()
    for num_samples in (80, 600, 3000):
        mix, visual = toy_input(1, num_samples)
        length = net.codec.encode(mix).shape[-1]
        assert (length < 11) == (num_samples == 80)
        fitting = build(token_length=length)
        for name in ("audio_token", "video_token"):
            token = F.interpolate(state[name][None], size=length)[0]
            state[name] = token
        fitting.load_state_dict(state)
        assert torch.equal(net(mix, visual), fitting(mix, visual))
        state = net.state_dict()


def test_short_tokens_are_constant_over_time():
    one = build(token_length=1)
    state = one.state_dict()
    for name in ("audio_token", "video_token"):
        state[name] = state[name].expand(-1, 11)
    many = build()
    many.load_state_dict(state)
    mix, visual = toy_input()
    assert torch.allclose(one(mix, visual), many(mix, visual), atol=1e-6)


def test_faces_that_are_missing_leave_empty_slots():
    net = build()
    mix, visual = toy_input()
    empty = visual.clone()
    empty[:, 1] = 0.0
    alone = net(mix, visual[:, :1])
    assert torch.equal(alone, net(mix, empty)[..., :1])
    # A face without a single frame of lips is an empty slot.
    mask = torch.ones(2, 2, 5, dtype=torch.bool)
    mask[:, 1] = False
    assert torch.equal(alone, net(mix, visual, mask)[..., :1])


def test_more_faces_than_slots_are_separated_one_by_one():
    net = build()
    mix, visual = toy_input(faces=3)
    together = net(mix, visual)
    for face in range(3):
        others = [other for other in range(3) if other != face]
        pair = torch.stack([visual[:, face], visual[:, others].mean(1)], 1)
        alone = net(mix, pair)[..., 0]
        assert torch.allclose(together[..., face], alone, atol=1e-6)
    order = [2, 0, 1]
    moved = net(mix, visual[:, order])
    assert torch.allclose(moved, together[..., order], atol=1e-6)


@pytest.mark.parametrize("num_slots", [1, 2, 3])
@pytest.mark.parametrize("num_faces", [1, 2, 3, 4, 5])
def test_each_face_is_somewhere_and_each_slot_is_a_mean(num_slots, num_faces):
    share = share_of_slots(num_faces, num_slots)
    visual = torch.randn(2, num_faces, 4, 3)
    placed = place_faces(visual, num_slots).unflatten(0, (2, -1))
    expected = torch.einsum("psf,bftc->bpstc", share, visual)
    assert torch.allclose(placed, expected, atol=1e-6)
    if num_faces <= num_slots:
        assert share.shape[0] == 1
        return
    assert torch.allclose(share.sum(2), torch.ones(num_faces, num_slots))
    for face in range(num_faces):
        assert share[face, 0, face] == 1.0
        if num_slots > 1:
            assert (share[face].sum(0) > 0).all()


def test_other_counts_of_slots():
    for num_sources in (1, 3):
        net = build(num_sources=num_sources)
        for faces in (1, 2, 3, 4):
            mix, visual = toy_input(faces=faces)
            assert net(mix, visual).shape == (2, 600, faces)


def test_swapped_faces_change_the_output():
    net = build()
    mix, visual = toy_input()
    moved = net(mix, visual.flip(1)) - net(mix, visual)
    assert moved.abs().max() > 1e-6


def test_video_of_any_rate():
    net = build()
    for frames in (1, 30, 31, 32, 500):
        mix, visual = toy_input(frames=frames)
        assert net(mix, visual).isfinite().all()


def test_visual_mask_hides_frames():
    net = build()
    mix, visual = toy_input()
    mask = torch.ones(2, 2, 5, dtype=torch.bool)
    assert torch.equal(net(mix, visual, mask), net(mix, visual))
    mask[:, :, 3:] = False
    hidden = visual.clone()
    hidden[:, :, 3:] = 0.0
    # What is hidden may be anything, even not a number.
    visual[:, :, 3:] = float("nan")
    assert torch.equal(net(mix, visual, mask), net(mix, hidden))
