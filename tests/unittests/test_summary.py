"""The summary counts what it says it counts.

Multiply-accumulates against hand counts, torch's own counter and figures
measured on the official code; the receptive field against gradients; the
table against the paper; every YAML that ships is described.
"""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avsep_sb import summary
from avsep_sb.errors import ConfigError
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.norms import GlobalLayerNorm
from avsep_sb.macs import count_macs
from avsep_sb.published import PUBLISHED
from avsep_sb.receptive_field import conv_reach

TOY = {
    "out_channels": 6,
    "in_channels": 10,
    "vpre_channels": 7,
    "vin_channels": 4,
    "num_av_cycles": 2,
    "num_audio_cycles": 1,
    "depth": 3,
}


def test_counts_by_hand():
    net = nn.Sequential(
        nn.Conv1d(2, 6, 3, stride=2, padding=1, groups=2),  # 6x5 outputs
        GlobalLayerNorm(6),
        nn.PReLU(),
        nn.ConvTranspose1d(6, 1, 4, stride=2, bias=False),  # 6x5 inputs
    )
    macs = count_macs(net, torch.rand(1, 2, 10))
    assert macs.convs == 30 * 3 + 30 * 4
    assert macs.ptflops == macs.convs + 30 + 2 * 30 + 30


def test_counts_equal_torch():
    """Half of torch's count, plus what one-tap gains and savings hide."""
    net = IIANet(**TOY, control=1, stride=8, kernel_size=16)
    mix, visual = torch.rand(1, 640), torch.rand(1, 1, 4, 7)
    with FlopCounterMode(display=False) as counter:
        net.eval()(mix, visual)
    gates = sum(
        cycles * length * channels
        for cycles, length, channels in (
            (2, net.codec.encode(mix).shape[-1], 6),
            (1, 4, 4),
        )
    )
    counted = count_macs(net, mix, visual)
    assert counted.convs == counter.get_total_flops() / 2 + gates


@pytest.mark.parametrize(
    "changes, published",
    [
        ({"form": "release"}, 18.10),
        ({"form": "release", "num_audio_cycles": 6}, 11.38),
        ({}, 18.64),
        ({"num_audio_cycles": 6}, 11.92),
        ({"form": "release", "inter_middle": False}, 18.08),
        ({"form": "release", "inter_top": False}, 17.97),
        (
            {"form": "release", "num_av_cycles": 1, "num_audio_cycles": 15},
            17.99,
        ),
    ],
)
def test_counts_equal_those_of_the_official_code(changes, published):
    with torch.device("meta"):
        net = IIANet(**changes)
    mix = torch.empty(1, 16000, device="meta")
    visual = torch.empty(1, 1, 25, 512, device="meta")
    macs = count_macs(net, mix, visual).ptflops / 1e9
    assert macs == pytest.approx(published, abs=0.006)
    if changes == {"form": "release"}:
        assert count_macs(net, mix, visual).convs / 1e9 == pytest.approx(
            17.10, abs=0.005
        )


class NoNorm(nn.Module):
    """Leaves a signal as it is."""

    def forward(self, x, repeats=None):
        return x


class Nothing(nn.Module):
    """Lets nothing through."""

    def forward(self, x):
        return torch.zeros_like(x[:, :1])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"form": "release", "kernel_size": 8, "stride": 4},
        {"control": 1},
        {"control": 2, "num_audio_cycles": 0},
        {"num_av_cycles": 1, "num_audio_cycles": 1, "depth": 4},
    ],
)
def test_receptive_field_equals_that_of_the_gradient(changes):
    torch.manual_seed(0)
    net = IIANet(**{**TOY, **changes}).double().eval()
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, GlobalLayerNorm):
                setattr(module, name, NoNorm())
    # Sound that took the way over the lips, at 25 frames per second, would be
    # spread over everything.
    for fusion in (net.top.fusion, net.bottom):
        if fusion is not None:
            fusion.to_video = Nothing()
    reach = conv_reach(net)
    length = 2 * reach + 801
    mix = torch.randn(1, length, dtype=torch.double, requires_grad=True)
    visual = torch.randn(1, 1, 3, 7, dtype=torch.double)
    frames = net.codec.encode(mix)
    # A mask that is never cut off shows all that it depends on.
    features = net.separate(
        net.bottleneck(frames),
        net.visual_projection(visual[0].transpose(1, 2)),
    )
    masked = net.mask_conv(features) * frames
    waves = net.codec.decode(masked[:, None], length)
    waves[0, 0, length // 2].backward()
    seen = mix.grad[0].nonzero()
    measured = int(seen.max() - seen.min()) + 1
    # Repeating frames shifts each cycle by up to one coarsest frame.
    slack = net.num_cycles * 2 ** (len(net.audio_bottom_up.scales) - 1)
    assert abs(measured - reach) <= 2 * slack * net.codec.stride
    assert reach > 4 * net.codec.kernel_size


@pytest.fixture(scope="module")
def shipped(repo):
    """The figures of every separator that ships, by name."""
    paths = sorted((repo / "hparams").glob("iianet*.yaml"))
    return {path.stem: summary.summarise(path, False) for path in paths}


def test_every_variant_ships_and_is_in_the_table(shipped):
    printed = summary.table(list(shipped.values()))
    assert set(PUBLISHED) <= set(shipped)
    for name in shipped:
        assert f"| {name} |" in printed
    for paper in PUBLISHED.values():
        assert paper.note in printed


def test_figures_are_within_3_percent_or_explained(shipped):
    for name, paper in PUBLISHED.items():
        found = shipped[name]
        off = max(
            abs(found.parameters / 1e6 / paper.parameters - 1),
            abs(found.macs.ptflops / 1e9 / paper.macs - 1),
        )
        assert (off > 0.03) == bool(paper.note), name


def test_table_of_one_file(repo, capsys):
    path = repo / "hparams" / "iianet_fast.yaml"
    assert summary.main(["--table", str(path)]) == 0
    assert "| iianet_fast | 3.120 |" in capsys.readouterr().out


def test_one_model_is_described(repo, capsys):
    assert summary.main([str(repo / "hparams" / "iianet.yaml")]) == 0
    printed = capsys.readouterr().out
    for figure in ("3,119,550", "18.64", "11,186,688", "7.90 G"):
        assert figure in printed


def test_describing_leaves_nothing_behind(repo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    summary.summarise(repo / "hparams" / "iianet.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text, said",
    [
        (None, "no hyperparameter file"),
        ("lr: 0.1", "no separator"),
        ("lr: !ref <missing>", "cannot be used"),
        (
            "separator: !new:avsep_sb.lobes.iianet.IIANet\n    stride: 5",
            "stride must divide",
        ),
    ],
)
def test_unusable_yaml_is_refused(tmp_path, text, said):
    path = tmp_path / "model.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        summary.summarise(path)
