"""BIN keeps its contract for every policy.

What each of the paper's ideas does can be seen in the output; items do not
leak; what is not a model or not its input is refused.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.errors import CheckpointError
from avsep_sb.inference.bin_keys import (
    infer_model_args,
    official_to_ours,
    ours_to_official,
)
from avsep_sb.lobes.afrcnn import AFRCNN, JoinConv1d
from avsep_sb.lobes.bin import ABLATIONS, BIN, POLICIES
from avsep_sb.lobes.channels_last import FrameNorm, channels_last
from avsep_sb.lobes.norms import GlobalLayerNorm
from avsep_sb.losses import fixed_order
from avsep_sb.macs import count_macs
from avsep_sb.receptive_field import conv_reach
from tests.utils.toy_bin import TOY, build, toy_input

WITH_TOKENS = ("mean", "audio", "video", "separate")


@pytest.mark.parametrize("codec", ["learned", "spectral"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("num_iterations", [1, 2])
def test_policy_uses_the_faces_and_trains(policy, num_iterations, codec):
    net = build(
        token_policy=policy, num_iterations=num_iterations, codec=codec
    ).train()
    mix, visual = toy_input()
    estimate = net(mix, visual)
    assert estimate.shape == (2, 600, 2)
    estimate.square().mean().backward()
    for name, weight in net.named_parameters():
        # Exactly the weights that train get a gradient: distributed training
        # waits for each of them.
        assert (weight.grad is not None) == weight.requires_grad, name
    net.eval()
    with torch.no_grad():
        moved = net(mix, visual) - net(mix, visual + 1.0 + visual.flip(2))
    assert moved.abs().max() > 1e-6


def test_policies_differ():
    """The same weights, and another exchange: another output."""
    mix, visual = toy_input()
    state = build().state_dict()
    outputs = {}
    for policy in WITH_TOKENS:
        net = build(token_policy=policy)
        net.load_state_dict(state)
        outputs[policy] = net(mix, visual)
    for i, first in enumerate(WITH_TOKENS):
        for second in WITH_TOKENS[i + 1 :]:
            moved = outputs[first] - outputs[second]
            assert moved.abs().max() > 1e-5, (first, second)


def test_what_the_tokens_carry():
    """Sound and faces meet in the tokens alone."""
    heard = {}
    for policy in WITH_TOKENS:
        net = build(token_policy=policy)
        net.audio_branch.register_forward_hook(
            lambda module, args, output, policy=policy: heard.setdefault(
                policy, []
            ).append(output[0])
        )
        mix, visual = toy_input()
        net(mix, visual)
        net(mix, visual + 1.0 + visual.flip(2))
    for policy, features in heard.items():
        before = (features[0] - features[2]).abs().max()
        after = (features[1] - features[3]).abs().max()
        # No face reaches the sound before the second iteration, and then only
        # where the video branch's tokens are handed over.
        assert before == 0.0
        assert (after > 1e-6) == (policy in ("mean", "video")), policy


def test_iterations_matter_and_weights_serve_any_number():
    mix, visual = toy_input()
    state = build().state_dict()
    outputs = []
    for num_iterations in (1, 2, 3, 7):
        net = build(num_iterations=num_iterations)
        net.load_state_dict(state)
        outputs.append(net(mix, visual))
    for one, other in zip(outputs[:-1], outputs[1:], strict=True):
        assert (one - other).abs().max() > 1e-6


def test_loop_returns_to_the_early_embedding():
    """Each iteration gets the first features plus what was found last."""
    net = build(num_iterations=3)
    calls = []
    net.audio_branch.register_forward_hook(
        lambda module, args, output: calls.append((args[0], output[0]))
    )
    net(*toy_input())
    first = calls[0][0]
    for (_, found), (entered, _) in zip(calls[:-1], calls[1:], strict=True):
        assert torch.equal(entered, first + found)


def test_adapters_matter():
    mix, visual = toy_input()
    for name in ("adapt_features", "adapt_fusion"):
        for branch in ("audio_branch", "video_branch"):
            net = build()
            before = net(mix, visual)
            setattr(getattr(net, branch), name, nn.Identity())
            moved = net(mix, visual) - before
            assert moved.abs().max() > 1e-6, (branch, name)


def test_join_equals_convolution_of_the_concatenation():
    torch.manual_seed(0)
    join = JoinConv1d(4, 3).double()
    signals = [torch.randn(2, 4, t, dtype=torch.double) for t in (13, 4, 1)]
    long = [F.interpolate(x, size=13, mode="nearest") for x in signals]
    expected = F.conv1d(torch.cat(long, 1), join.weight, join.bias)
    assert torch.allclose(join(*signals), expected, atol=1e-12)
    swapped = join(signals[0], signals[2], signals[1])
    assert not torch.allclose(swapped, expected, atol=1e-3)


def test_residual_adds_the_input_and_nothing_else():
    plain, residual = AFRCNN(4, 8, 3), AFRCNN(4, 8, 3, residual=True)
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4, 21)
    assert torch.equal(residual(x), plain(x) + x)


def test_silence_gives_silence():
    mix, visual = toy_input()
    for policy in POLICIES:
        net = build(token_policy=policy)
        estimate = net(mix * 0.0, visual)
        assert torch.equal(estimate, torch.zeros_like(estimate))
        estimate.sum().backward()
        grads = [w.grad for w in net.parameters() if w.grad is not None]
        assert all(grad.isfinite().all() for grad in grads)


def test_items_do_not_leak():
    net = build()
    for faces in (2, 3):
        mix, visual = toy_input(3, faces=faces)
        together = net(mix, visual)
        for item in range(3):
            alone = net(mix[item : item + 1], visual[item : item + 1])
            assert torch.allclose(together[item], alone[0], atol=1e-6)


def test_other_precisions_stay_close():
    mix, visual = toy_input(faces=3)
    for policy in ("mean", "early"):
        net = build(token_policy=policy)
        single = net(mix, visual)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(mix, visual).float()
        error = (half - single).square().mean()
        assert error < 1e-2 * single.square().mean()
        double = net.double()(mix.double(), visual.double())
        assert double.dtype == torch.float64
        assert torch.allclose(double.float(), single, atol=1e-5)


def test_learns_to_follow_the_faces():
    """Two kinds of noise change places with the faces, the only clue."""
    torch.manual_seed(0)
    net = BIN(
        **{**TOY, "bottleneck_channels": 8, "audio_channels": 16},
        codec="spectral",
        kernel_size=64,
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    low = torch.randn(2, 1600).cumsum(-1)
    low = low - low.mean(-1, keepdim=True)
    voices = torch.stack([low / low.std(), torch.randn(2, 1600)], -1)
    target = torch.cat([voices, voices.flip(-1)])
    faces = torch.stack([torch.ones(2, 3, 7), -torch.ones(2, 3, 7)], 1)
    visual = torch.cat([faces, faces.flip(1)])
    mix = target.sum(-1)
    for _ in range(60):
        loss = fixed_order(net(mix, visual), target)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
    assert loss < -5.0
    swapped = net(mix, visual.flip(1))
    assert fixed_order(swapped, target)[0].mean() > 5.0
    assert fixed_order(swapped, target.flip(-1))[0].mean() < -5.0


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"token_policy": "median"}, "token_policy"),
        ({"num_iterations": 0}, "num_iterations"),
        ({"fusion_channels": 0}, "none"),
        ({"token_length": 0}, "token_length"),
        ({"num_sources": 0}, "num_sources"),
        ({"depth": 1}, "depth"),
        ({"kernel_size": 15}, "even"),
        ({"stride": 7}, "divide"),
        ({"codec": "wavelet"}, "codec"),
    ],
)
def test_what_is_no_model_is_refused(changes, said):
    with pytest.raises(ValueError, match=said) as caught:
        build(**changes)
    assert str(caught.value).endswith(".")


def test_wrong_input_is_refused():
    net = build()
    mix, visual = toy_input()
    for bad_mix, bad_visual, bad_mask, said in (
        (mix, None, None, "no audio-only form"),
        (mix[0], visual, None, "mixture"),
        (mix[:, :0], visual, None, "mixture"),
        (mix, visual[:1], None, "2 mixtures"),
        (mix, visual[:, :0], None, "faces"),
        (mix, visual[:, :, :0], None, "frames"),
        # The reference takes this, and scrambles time.
        (mix, visual[..., :3], None, "embedding_dim"),
        (mix, visual, torch.ones(2, 2, 4), "mask"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            net(bad_mix, bad_visual, bad_mask)
        assert str(caught.value).endswith(".")


def test_sizes_and_costs_of_the_reference():
    """Parameters, and multiply-accumulates for 2 s, measured on its code."""
    few = {"num_iterations": 2}
    for changes, parameters, cost in (
        (few, 6_889_107, 10.73),
        ({**few, "fusion_channels": 512, "token_length": 1}, None, 11.78),
        (ABLATIONS["CAOnly"], 6_889_107, None),
        (ABLATIONS["CVOnly"], 6_889_107, None),
        (ABLATIONS["NoCR"], 6_889_107, None),
        (ABLATIONS["NoC"], 5_740_179, None),
        (ABLATIONS["Early"], 8_394_378, None),
        (ABLATIONS["LowDim"], 5_190_963, 17.71),
        (ABLATIONS["LowDimLate"], 5_155_059, 17.64),
    ):
        with torch.device("meta"):
            net = BIN(**changes)
        count = sum(weight.numel() for weight in net.parameters())
        assert parameters in (None, count)
        if cost is not None:
            shapes = (1, 32000), (1, 2, 50, 1024)
            macs = count_macs(
                net, *[torch.empty(s, device="meta") for s in shapes]
            )
            assert macs.convs / 1e9 == pytest.approx(cost, abs=0.006)
    # Of 4.09 G for joining scales, 2.42 G are left in an audio block; the
    # video block has a sixteenth of it.
    saved = macs.saved / 4 * 16 / 17
    assert saved / 1e9 == pytest.approx(4.09 - 2.42, abs=0.01)


class NoNorm(nn.Module):
    """Leaves a signal as it is."""

    def forward(self, x, repeats=None):
        return x


@pytest.mark.parametrize("policy", ["mean", "early"])
def test_receptive_field_equals_that_of_the_gradient(policy):
    net = build(token_policy=policy).double()
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, GlobalLayerNorm):
                setattr(module, name, NoNorm())
    reach = conv_reach(net)
    length = 160 * (2 * reach // 160 + 5)
    mix, visual = toy_input(1, length)
    mix = mix.double().requires_grad_()
    net(mix, visual.double())[0, length // 2].sum().backward()
    seen = mix.grad[0].nonzero()
    measured = int(seen.max() - seen.min()) + 1
    # Repeating frames shifts each iteration by up to one coarsest frame.
    slack = 2 * net.num_iterations * 2 ** (net.depth - 1) * net.codec.stride
    assert abs(measured - reach) <= slack


def test_keys_go_there_and_back():
    for changes in ({}, {"token_policy": "none"}, {"token_policy": "early"}):
        net = build(**changes)
        state = net.state_dict()
        official = ours_to_official(state)
        assert list(official_to_ours(official)) == list(state)
        args = infer_model_args(official)
        copy = BIN(num_iterations=TOY["num_iterations"], **args).eval()
        copy.load_state_dict(state)
        inputs = toy_input()
        assert torch.equal(copy(*inputs), net(*inputs))


def test_foreign_keys_are_refused():
    with pytest.raises(CheckpointError, match="unknown"):
        official_to_ours({"audio_branch.masker.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="no name"):
        ours_to_official({"codec.window": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="lacks .*mask_net.1.weight"):
        infer_model_args({"audio_encoder.weight": torch.zeros(9, 1, 16)})


def test_norm_of_what_needs_no_gradient():
    """torch's backward pass of an image's group norm would crash here."""
    torch.manual_seed(0)
    norm, x = FrameNorm(6), torch.randn(2, 6, 50)
    for shown in (channels_last(x), x):
        norm.zero_grad()
        (norm(shown) ** 2).sum().backward()
        expected = 2 * norm(x).detach().square().sum((0, 2))
        torch.testing.assert_close(norm.weight.grad, expected)
