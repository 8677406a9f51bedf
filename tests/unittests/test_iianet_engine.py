"""The fast path of IIANet gives what its layers give, or stays away."""

import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes import (
    iianet_descent,
    iianet_engine,
    iianet_kernels,
    iianet_steps,
)
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.iianet_rows import dense, dense_weight, edges_of
from avsep_sb.lobes.workers import Workers, solo
from tests.unittests.test_iianet import AUDIO_ONLY, TOY, VARIANTS, fusion

# What the loops do not stand for goes through the layers.
LAYERS_ONLY = ("strict", "strict_no_b", "control1")
MORE = {
    **{f"depth{depth}": {"depth": depth} for depth in (2, 4, 5)},
    "cross_face": {"cross_face": 3},
    "cross_face_fusion": {"cross_face": 3, **fusion("ca")},
    "spectral": {"codec": "spectral", "kernel_size": 64, "stride": 16},
}


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """The fast path at sizes at which it would be slower."""
    monkeypatch.setattr(iianet_engine, "LEAST", 0)


def build(**changes):
    """A small model with weights that let every part be heard."""
    torch.manual_seed(0)
    net = IIANet(**{**TOY, **changes}).eval()
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.3)
    return net


def both(net, mix, visual=None):
    """What the layers and what the loops give."""
    found = []
    for net.fast in (False, True):
        with torch.no_grad():
            found.append(net(mix, visual))
    return found


def same(net, mix, visual=None):
    """Whether both ways agree."""
    layers, loops = both(net, mix, visual)
    return (layers - loops).abs().max() <= 5e-6 * layers.abs().max() + 1e-7


@pytest.fixture(params=[1, 2], ids=["1thread", "2threads"])
def threads(request):
    """The number of torch's threads, for one test."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def numba():
    """Skips where the extra "speed" is not installed."""
    return pytest.importorskip("numba")


@pytest.mark.parametrize("name", [*VARIANTS, *MORE])
def test_equals_layers(numba, name):
    net = build(**{**VARIANTS, **MORE}[name])
    stream = torch.rand(1, TOY["out_channels"], 9)
    with torch.no_grad():
        assert iianet_engine.fits(net, stream) == (name not in LAYERS_ONLY)
    for samples, faces in ((1, 1), (333, 3)):
        mix, visual = torch.randn(1, samples), torch.randn(1, faces, 4, 7)
        assert same(net, mix, visual)


@pytest.mark.parametrize("name", AUDIO_ONLY)
def test_equals_layers_without_lips(numba, name):
    options = {"audio_only": True, "num_av_cycles": 0, "num_sources": 2}
    net = build(**{**options, **AUDIO_ONLY[name]})
    assert same(net, torch.randn(3, 501))


@pytest.mark.parametrize("faces", [1, 2, 3])
def test_equals_layers_on_all_threads(numba, threads, faces):
    # 1200 frames: several blocks for each thread.
    net = build(cross_face=2)
    mix, visual = torch.randn(1, 4799), torch.randn(1, faces, 7, 7)
    assert same(net, mix, visual)
    if faces > 1:
        net = build()
        assert same(net, mix, visual)


def test_long_items_share_threads(numba, threads, monkeypatch):
    monkeypatch.setattr(iianet_engine, "SIDE_BY_SIDE", 10)
    assert same(build(), torch.randn(1, 999), torch.randn(1, 2, 3, 7))


def test_silence_and_what_is_not_a_number(numba):
    net, visual = build(), torch.randn(1, 1, 3, 7)
    assert same(net, torch.zeros(1, 400), visual)
    broken = torch.randn(1, 400)
    broken[0, 7] = float("nan")
    for found in both(net, broken, visual):
        assert found.isnan().any()


def test_stays_away_where_layers_are_wanted(numba):
    net, stream = build(), torch.rand(1, TOY["out_channels"], 9)
    with torch.no_grad():
        assert iianet_engine.fits(net, stream)
        assert not iianet_engine.fits(net, stream.double())
        assert not iianet_engine.fits(net.train(), stream)
        assert iianet_engine.fits(net.eval(), stream)
        with torch.autocast("cpu", torch.bfloat16):
            assert not iianet_engine.fits(net, stream)
        seen = []
        hook = net.audio_bottom_up.register_forward_hook(
            lambda *_: seen.append(1)
        )
        net(torch.randn(1, 99), torch.randn(1, 1, 3, 7))
        assert len(seen) == 3
        hook.remove()
    assert not iianet_engine.fits(net, stream)
    net(torch.randn(1, 99), torch.randn(1, 1, 3, 7)).sum().backward()
    assert net.mask_conv.weight.grad is not None
    for weight in net.parameters():
        weight.requires_grad_(False)
    assert iianet_engine.fits(net, stream)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_tracing_sees_the_layers(numba):
    net = build(num_av_cycles=1, depth=2)
    example = (torch.randn(1, 200), torch.randn(1, 2, 4, 7))
    with torch.no_grad():
        traced = torch.jit.trace(net, example, check_trace=False)
        assert torch.allclose(traced(*example), net(*example), atol=1e-5)


def test_follows_the_weights(numba):
    net, mix, visual = build(), torch.randn(1, 300), torch.randn(1, 1, 3, 7)
    assert same(net, mix, visual)
    with torch.no_grad():
        net.audio_bottom_up.scales[1].conv.weight.mul_(2)
    assert same(net, mix, visual)


def test_works_without_numba(monkeypatch):
    monkeypatch.setattr(iianet_engine, "compiled", lambda: None)
    net = build()
    with torch.no_grad():
        assert not iianet_engine.fits(net, torch.rand(1, 6, 9))
        assert net(torch.randn(1, 99), torch.randn(1, 1, 3, 7)).isfinite().all()


@pytest.mark.parametrize("stride", [1, 2])
def test_filter_rows_is_norm_prelu_convolution(stride):
    # Plain Python here: what the loops say, not what a compiler makes of it.
    x, taps, bias = torch.randn(9, 3), torch.randn(5, 3), torch.randn(3)
    pre, slope = torch.randn(2, 3), 0.3
    y = F.prelu(x * pre[0] + pre[1], torch.tensor([slope]))
    wanted = F.conv1d(
        y.t()[None], taps.t()[:, None], bias, stride, padding=2, groups=3
    )[0].t()
    curve = torch.tensor([1 + slope, 1 - slope]) / 2
    out, sums = torch.zeros_like(wanted), torch.zeros(2, 3)
    none = torch.empty(0, 3).numpy()
    arrays = [one.numpy() for one in (x, pre, curve, taps, bias)]
    for start, stop in ((0, 2), (2, len(out))):
        iianet_kernels.filter_rows(
            *(arrays[0], (none, none), *arrays[1:]),
            *(stride, out.numpy(), start, stop),
            *(torch.empty(7, 3).numpy(), sums.numpy()),
        )
    torch.testing.assert_close(out, wanted.contiguous())
    torch.testing.assert_close(sums[0], wanted.sum(0))
    torch.testing.assert_close(sums[1], wanted.square().sum(0))


def test_gates_are_sigmoids():
    z = torch.linspace(-90, 90, 721)[:, None]
    coarse = F.pad(z, (0, 0, 2, 2))
    same_map = torch.tensor([[1.0], [0.0]]).numpy()
    # The gate sees the frame itself, the value the frame before.
    taps = torch.zeros(2, 5, 1)
    taps[0, 2] = taps[1, 1] = 1
    gate, value = torch.empty(700, 1), torch.empty(700, 1)
    pair = gate.numpy(), value.numpy()
    iianet_descent.filter_pair(coarse.numpy(), taps.numpy(), 21, 721, *pair)
    numbers = torch.tensor(iianet_descent.SIGMOID).numpy()
    iianet_descent.open_gates(
        *(*pair, 0, 700, same_map, same_map, numbers, *pair)
    )
    assert (gate - torch.sigmoid(z[21:])).abs().max() < 5e-7
    assert torch.equal(value, z[20:-1])


def test_a_block_written_in_place_reads_what_was_there():
    x, taps, bias = torch.randn(23, 3), torch.randn(5, 3), torch.zeros(3)
    same_map = torch.tensor([[1.0] * 3, [0.0] * 3]).numpy()
    wanted = F.conv1d(x.t()[None], taps.t()[:, None], padding=2, groups=3)
    spans = [(9, 18), (0, 9), (18, 23)]
    edges, sums = edges_of(x.numpy(), spans, 2), torch.zeros(2, 3).numpy()
    for start, stop in spans:
        iianet_kernels.filter_rows(
            *(x.numpy(), edges[start], same_map, torch.tensor([1, 0]).numpy()),
            *(taps.numpy(), bias.numpy(), 1, x.numpy(), start, stop),
            *(torch.empty(7, 3).numpy(), sums),
        )
    torch.testing.assert_close(x, wanted[0].t().contiguous())


@pytest.mark.parametrize("length", [1, 2, 5, 600, 1100])
def test_loops_give_the_same_at_any_length(length):
    # Blocks have 512 rows: scales of one block and of several, in place.
    net = build(depth=3, audio_only=True)
    audio = torch.randn(2, net.bottleneck.out_channels, length)
    found = []
    for net.fast in (False, True):
        with torch.no_grad():
            found.append(net.separate(audio))
    scale = found[0].abs().max()
    torch.testing.assert_close(found[1] / scale, found[0] / scale)


def test_short_signals_go_through_the_layers(monkeypatch):
    net = build(audio_only=True)
    audio = torch.randn(1, net.bottleneck.out_channels, 50)
    with torch.no_grad():
        assert iianet_engine.fits(net, audio)
        monkeypatch.setattr(iianet_engine, "LEAST", 1 << 17)
        assert not iianet_engine.fits(net, audio)


def test_gates_made_block_by_block_are_the_same(monkeypatch):
    net = build()
    mix, visual = torch.randn(1, 9000), torch.randn(1, 2, 3, 7)
    layers, whole = both(net, mix, visual)
    monkeypatch.setattr(iianet_steps, "SHORT", 0)
    _, blocks = both(net, mix, visual)
    assert torch.equal(blocks, whole)
    assert not torch.equal(layers, whole)


@pytest.mark.parametrize("size", [1, 3])
def test_dense_is_a_convolution(size):
    layer = nn.Conv1d(6, 4, size)
    rows = torch.randn(11, 6)
    wanted = layer(rows.t()[None])[0].t()
    found = torch.from_numpy(dense(rows.numpy(), *dense_weight(layer)))
    torch.testing.assert_close(found, wanted)


def test_errors_of_workers_are_raised():
    def fail(number):
        raise ValueError(f"block {number}")

    for team in (solo(), Workers(2)):
        with pytest.raises(ValueError, match="block"):
            team.conduct(lambda team=team: team.share(fail, 3))


def test_torch_is_alone_in_each_thread_of_a_team():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        team, met = Workers(2), threading.Barrier(2)
        seen = []

        def ask(number):
            met.wait()
            seen.append(torch.get_num_threads())

        team.conduct(lambda: team.share(ask, 2))
        assert seen == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_is_begun_is_done_even_if_no_thread_is_free():
    for team in (solo(), Workers(2)):
        both = [None, None]
        met = threading.Barrier(2)

        def wait_for(number, team=team, met=met):
            if team.count > 1:
                met.wait()
            return team.begin(lambda: number + 1)()

        for n in range(2):
            both[n] = team.pool and team.pool.submit(wait_for, n)
        found = [
            one.result(30) if one else wait_for(n) for n, one in enumerate(both)
        ]
        assert found == [1, 2]
