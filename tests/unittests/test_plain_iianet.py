"""The yardstick of the speed figures computes what the package computes."""

from collections import Counter

import pytest
import torch
from torch import nn

from avsep_sb.inference.iianet_keys import infer_model_args, official_to_ours
from avsep_sb.lobes.iianet import IIANet
from benchmarks.plain import iianet as plain
from tests.unittests.test_iianet_parity import TOLERANCE, Fixtures

TOY = {
    "out_channels": 6,
    "in_channels": 10,
    "vpre_channels": 7,
    "vin_channels": 4,
    "num_av_cycles": 2,
    "num_audio_cycles": 1,
    "depth": 3,
}


def pair(**changes):
    """A plain model and the package's, with the same random weights."""
    torch.manual_seed(0)
    net = IIANet(**{**TOY, **changes}).eval()
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.3)
    yardstick = plain.PlainIIANet(**{**TOY, **changes}).eval()
    yardstick.load_state_dict(net.state_dict(), strict=True)
    return yardstick, net


@pytest.mark.parametrize("form", ["paper", "release"])
@pytest.mark.parametrize("samples", [1, 1001])
def test_equals_ours(form, samples):
    yardstick, net = pair(form=form)
    mix, visual = torch.randn(2, samples), torch.randn(2, 2, 5, 7)
    with torch.no_grad():
        ours = net(mix, visual)
        difference = (yardstick(mix, visual) - ours).abs().max()
    assert difference < 1e-5 * ours.abs().max()


def test_gradients_equal_ours():
    yardstick, net = pair()
    mix, visual = torch.randn(1, 400), torch.randn(1, 2, 3, 7)
    for model in (yardstick, net):
        model.double()(mix.double(), visual.double()).square().sum().backward()
    theirs = dict(yardstick.named_parameters())
    for name, weight in net.named_parameters():
        if weight.grad is not None:
            torch.testing.assert_close(
                theirs[name].grad, weight.grad, rtol=1e-6, atol=1e-9
            )


def test_takes_no_short_cut(monkeypatch):
    # The reference calls 753 norms and 468 resizes; convolutions by its graph.
    counts = Counter()

    def counted(name, function):
        def call(*args, **options):
            counts[name] += 1
            return function(*args, **options)

        return call

    for kind, name in (
        (nn.Conv1d, "conv"),
        (nn.ConvTranspose1d, "conv"),
        (nn.GroupNorm, "norm"),
    ):
        monkeypatch.setattr(kind, "forward", counted(name, kind.forward))
    monkeypatch.setattr(plain, "nearest", counted("resize", plain.nearest))
    small = {"num_av_cycles": 4, "num_audio_cycles": 12, "depth": 5}
    net = plain.PlainIIANet(**{**TOY, **small, "form": "release"})
    with torch.no_grad():
        net(torch.randn(1, 400), torch.randn(1, 1, 3, 7))
    assert counts == {"conv": 811, "norm": 753, "resize": 468}


@pytest.mark.parametrize(
    "case", ["release.odd", "release.batch2_rest16", "misc.2src"]
)
def test_equals_official(shared, case):
    fixtures = Fixtures(shared / "parity" / "iianet")
    group, _, name = case.partition(".")
    config, total = ("2src", 6) if name == "2src" else ("release", 16)
    official = fixtures.weights(config)
    options = infer_model_args(official)
    net = plain.PlainIIANet(
        num_av_cycles=4, num_audio_cycles=total - 4, **options
    )
    net.load_state_dict(official_to_ours(official), strict=True)
    row = fixtures.manifest[case]
    wav = fixtures.input(row["wav"])
    visual = fixtures.input(row["emb"]).transpose(1, 2).unsqueeze(1)
    with torch.inference_mode():
        out = net.eval()(wav.reshape(-1, wav.shape[-1]), visual)
    stored = torch.from_numpy(fixtures.stored[group][f"{case}.out"])
    out = out.transpose(1, 2).reshape(stored.shape)
    assert (out - stored).abs().max() < TOLERANCE
