"""MS-TCN and DC-TCN: shapes, sizes, and the published layouts of them.

The names and shapes of the published files are written out here by hand,
apart from the code that maps them. Wrong and partial files are refused with
the names that are missing, and leave the front end as it was.
"""

import copy as copying
import functools
from unittest.mock import patch

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from avsep_sb.errors import CheckpointError, ConfigError
from avsep_sb.experiment import load_frontend_weights
from avsep_sb.inference.lip_keys import ours_to_official
from avsep_sb.inference.official import load_official, read_official_file
from avsep_sb.lobes import lip_resnet
from avsep_sb.lobes.lip_dctcn import DenseTCN, LipDCTCN
from avsep_sb.lobes.lip_mstcn import LipMSTCN, MultiScaleTCN
from avsep_sb.lobes.lip_resnet import LipResNet

SMALL = {
    LipMSTCN: {"channels": 6, "num_layers": 2},
    LipDCTCN: {"num_layers": (2, 1), "growth": 3, "reduced_channels": 16},
}
# A narrow trunk: drawing the 11 million weights of the real one takes longer
# than all the rest. The sizes and names of the real ones have their own tests.
TRUNK = (4, 8, 8, 32)
REAL_TRUNK = lip_resnet.STAGE_CHANNELS
NAMES = {LipMSTCN: "lip_mstcn", LipDCTCN: "lip_dctcn"}
KINDS = list(SMALL)


@pytest.fixture(autouse=True)
def narrow_trunk(monkeypatch):
    monkeypatch.setattr(lip_resnet, "STAGE_CHANNELS", TRUNK)


@functools.cache
def make(kind, **options):
    torch.manual_seed(0)
    net = kind("tcn", **SMALL[kind], **options)
    for name, value in net.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
    return net.eval()


@functools.cache
def on_meta():
    """The nets of the papers, without values."""
    with (
        torch.device("meta"),
        patch.object(lip_resnet, "STAGE_CHANNELS", REAL_TRUNK),
    ):
        return {kind: kind("tcn") for kind in KINDS}


def publish(net, path, **changed):
    """A file as lip readers are published, with the word classifier."""
    head = {
        "tcn.tcn_output.weight": torch.ones(5, net.out_channels),
        "tcn.tcn_output.bias": torch.ones(5),
    }
    state = {**ours_to_official(net.state_dict()), **head, **changed}
    state = {name: value for name, value in state.items() if value is not None}
    torch.save({"epoch_idx": 80, "model_state_dict": state}, path)
    return path


def fill(net, path):
    load_frontend_weights(
        {"modules": {"visual_frontend": net}, "frontend_weights": path}
    )


def roi(frames=4):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(1, 2, frames, 32, 32, generator=draw)


@pytest.mark.parametrize("kind", KINDS)
def test_front_end_contract(kind):
    net = make(kind)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    torch.nn.ModuleList([net]).train()
    out = net(roi())
    assert out.shape == (1, 2, 4, net.out_channels)
    assert torch.isfinite(out).all() and not out.requires_grad
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    net = make(kind, frozen=False).train()
    net(roi()).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize("kind", KINDS)
def test_the_trunk_alone_has_no_temporal_network(kind):
    whole, trunk = make(kind), kind()
    assert trunk.out_channels == TRUNK[-1]
    assert not any(k.startswith("tcn") for k in trunk.state_dict())
    trunk.load_state_dict(whole.state_dict(), strict=False)
    plain = LipResNet(relu_type="prelu" if kind is LipMSTCN else "swish")
    plain.load_state_dict(trunk.state_dict())
    assert torch.equal(trunk(roi()), plain(roi()))
    with pytest.raises(ValueError, match="choose 'trunk' or 'tcn'"):
        kind("head")


def test_sizes_are_those_of_the_papers():
    """With the 500-word classifier; the published files agree (139, 201 MiB).

    36.4 M are stated of MS-TCN, 52.54 M of DC-TCN.
    """
    counts = [
        sum(p.numel() for p in net.parameters()) + 500 * net.out_channels + 500
        for net in on_meta().values()
    ]
    assert counts == [36_374_516, 52_548_532]


def test_receptive_fields():
    """Frames reached to each side: 2 convolutions of 7 by dilation."""
    for net, reach in (
        (MultiScaleTCN(4, 6, 2), 2 * 3 * (1 + 2)),
        (DenseTCN(4, (3,), 3, 5, squeeze_excitation=False), 2 * 3 * 8),
    ):
        net.eval().double()
        x = torch.randn(1, 4, 4 * reach, dtype=torch.float64)
        changed = x.clone()
        changed[..., 2 * reach] += 9
        with torch.no_grad():
            moved = (net(x) - net(changed)).abs().sum((0, 1)).nonzero()
        assert moved.min() == reach and moved.max() == 3 * reach


def test_excitation_sees_the_whole_clip():
    net = DenseTCN(4, (1,), 3, 16).eval()
    x = torch.randn(1, 4, 60)
    changed = x.clone()
    changed[..., 59] += 9
    with torch.no_grad():
        assert (net(x) - net(changed))[..., 0].abs().max() > 0


def test_published_names_of_mstcn():
    state = on_meta()[LipMSTCN].state_dict()
    shapes = {k: tuple(v.shape) for k, v in ours_to_official(state).items()}
    wanted = {k: v for k, v in shapes.items() if not k.startswith("tcn.")}
    counted = ("running_mean", "running_var", "weight", "bias")
    for i in range(4):
        for step in (0, 1):
            for k, size in enumerate((3, 5, 7)):
                root = f"tcn.mb_ms_tcn.network.{i}.cbcr{step}_{k}"
                width = 768 if i or step else 512
                wanted[f"{root}.conv.weight"] = (256, width, size)
                wanted[f"{root}.conv.bias"] = (256,)
                wanted[f"{root}.non_lin.weight"] = (256,)
                norm = f"{root}.batchnorm"
                wanted.update({f"{norm}.{c}": (256,) for c in counted})
                wanted[f"{norm}.num_batches_tracked"] = ()
        root = f"tcn.mb_ms_tcn.network.{i}"
        wanted[f"{root}.downsample.weight"] = (768, 768 if i else 512, 1)
        wanted[f"{root}.downsample.bias"] = (768,)
        wanted[f"{root}.relu_final.weight"] = (768,)
    assert shapes == wanted


def test_published_names_of_dctcn():
    state = on_meta()[LipDCTCN].state_dict()
    shapes = {k: tuple(v.shape) for k, v in ours_to_official(state).items()}
    wanted = {k: v for k, v in shapes.items() if not k.startswith("tcn.")}

    def norm(name, width):
        for end in ("running_mean", "running_var", "weight", "bias"):
            wanted[f"{name}.{end}"] = (width,)
        wanted[f"{name}.num_batches_tracked"] = ()

    root = "tcn.tcn_trunk.features"
    for i in range(4):
        wanted[f"{root}.transition{i}.conv.weight"] = (
            512,
            1664 if i else 512,
            1,
        )
        norm(f"{root}.transition{i}.norm", 512)
        for j in range(3):
            layer = f"{root}.denseblock{i + 1}.denselayer{j + 1}"
            width = 512 + 384 * j
            for k, size in enumerate((3, 5, 7)):
                for step, before in ((0, width), (1, 384)):
                    conv = f"{layer}.cbcr{step}_{k}.net"
                    wanted[f"{conv}.0.weight"] = (128, before, size)
                    wanted[f"{conv}.0.bias"] = (128,)
                    norm(f"{conv}.1", 128)
                gate = f"{layer}.cbcr0_se_{k}.fc"
                wanted[f"{gate}.0.weight"] = (width // 16, width)
                wanted[f"{gate}.2.weight"] = (width, width // 16)
            wanted[f"{layer}.downsample.weight"] = (384, width, 1)
            wanted[f"{layer}.downsample.bias"] = (384,)
    # The first transition has slopes, although the rest is swish.
    wanted[f"{root}.transition0.prelu.weight"] = (512,)
    norm(f"{root}.norm5", 1664)
    assert shapes == wanted


@pytest.mark.parametrize("relu_type", ["prelu", "swish"])
@pytest.mark.parametrize("kind", KINDS)
def test_published_file_gives_the_same_net(kind, relu_type, tmp_path):
    net = make(kind, relu_type=relu_type)
    path = publish(net, tmp_path / "lips.pth.tar")
    state = read_official_file(path, NAMES[kind])
    loaded = load_official(state, model=NAMES[kind])
    assert torch.equal(loaded(roi()), net(roi()))
    for copy in (
        kind("tcn", relu_type=relu_type, **SMALL[kind]),
        kind("trunk", relu_type=relu_type),
        LipResNet(relu_type=relu_type),
    ):
        fill(copy, path)
        own = net.state_dict()
        for name, value in copy.state_dict().items():
            assert torch.equal(value, own[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_file_fills_net_and_trunk(kind, tmp_path):
    """As lip-reading pretraining leaves it, ``visual_frontend.ckpt``."""
    net, path = make(kind), tmp_path / "visual_frontend.ckpt"
    torch.save(net.state_dict(), path)
    copy, trunk = kind("tcn", **SMALL[kind]), kind()
    fill(copy, path)
    fill(trunk, path)
    assert torch.equal(copy(roi()), net(roi()))
    net = copying.copy(net)
    net._modules = {**net._modules, "tcn": None}
    assert torch.equal(trunk(roi()), net(roi()))


@pytest.mark.parametrize(
    ("name", "embedding", "width"),
    [("mstcn", "trunk", 32), ("dctcn", "trunk", 32), ("mstcn", "tcn", 768)],
)
def test_iianet_sees_through_it(repo, tmp_path, name, embedding, width):
    """The YAML, filled from what recipes/LRW leaves."""
    options = {
        "data_folder": "x",
        "dataset": "LRW",
        "output_folder": str(tmp_path),
        "embedding": embedding,
        "embedding_dim": width,
        "num_av_cycles": 1,
        "num_audio_cycles": 0,
        "depth": 2,
        "in_channels": 16,
        "out_channels": 8,
        "video_channels": 8,
    }
    kind = {"mstcn": LipMSTCN, "dctcn": LipDCTCN}[name]
    whole = kind("tcn") if embedding == "tcn" else make(kind)
    torch.save(whole.state_dict(), tmp_path / "visual_frontend.ckpt")
    text = (repo / "hparams" / f"iianet_{name}.yaml").read_text()
    hparams = load_hyperpyyaml(text, options)
    hparams["frontend_weights"] = tmp_path / "visual_frontend.ckpt"
    load_frontend_weights(hparams)
    modules = hparams["modules"]
    with torch.no_grad():
        visual = modules["visual_frontend"](roi())
        voices = modules["separator"](torch.randn(1, 4 * 640), visual)
    assert visual.shape == (1, 2, 4, width)
    assert voices.shape == (1, 4 * 640, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_partial_file_is_refused_with_the_names(kind, tmp_path):
    net = make(kind)
    tcn = next(
        name
        for name in ours_to_official(net.state_dict())
        if name.endswith("downsample.bias")
    )
    for lost in (tcn, "trunk.layer3.0.bn1.weight"):
        path = publish(net, tmp_path / "part.pth", **{lost: None})
        copy = kind("tcn", **SMALL[kind])
        before = {k: v.clone() for k, v in copy.state_dict().items()}
        with pytest.raises(CheckpointError, match=f"missing keys: 1 .{lost}"):
            fill(copy, path)
        for name, value in copy.state_dict().items():
            assert torch.equal(value, before[name]), name
    fill(kind(), publish(net, tmp_path / "part.pth", **{tcn: None}))
    torch.save({"tcn.a": torch.ones(1)}, tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="frontend3D.0.weight"):
        fill(kind(), tmp_path / "none.pth")


def test_the_other_lip_reader_is_refused(tmp_path):
    dense = publish(make(LipDCTCN), tmp_path / "dctcn.pth")
    multi = publish(make(LipMSTCN), tmp_path / "mstcn.pth")
    with pytest.raises(CheckpointError, match="is a lip_dctcn and not a lip_m"):
        fill(LipMSTCN(), dense)
    with pytest.raises(CheckpointError, match="with mstcn in their name"):
        fill(LipDCTCN(), multi)
    torch.save(make(LipMSTCN).state_dict(), tmp_path / "ours.ckpt")
    with pytest.raises(CheckpointError, match="is a lip_mstcn and not"):
        fill(LipDCTCN("tcn", **SMALL[LipDCTCN]), tmp_path / "ours.ckpt")


def test_other_activations_are_told_by_what_to_set(tmp_path):
    dense = publish(make(LipDCTCN), tmp_path / "dctcn.pth")
    with pytest.raises(
        CheckpointError,
        match="missing keys: the slopes.*relu1.weight; set relu_type to swish",
    ):
        fill(LipResNet(), dense)
    with pytest.raises(CheckpointError, match="set relu_type to prelu"):
        fill(
            LipMSTCN(relu_type="swish"),
            publish(make(LipMSTCN), tmp_path / "mstcn.pth"),
        )


def test_weights_that_need_the_bounds_of_words(tmp_path):
    name = "tcn.tcn_trunk.features.transition0.conv.weight"
    wide = {name: torch.ones(16, TRUNK[-1] + 1, 1)}
    path = publish(make(LipDCTCN), tmp_path / "boundary.pth", **wide)
    state = read_official_file(path, "lip_dctcn")
    with pytest.raises(CheckpointError, match="bounds of each word"):
        load_official(state, model="lip_dctcn")
    net = load_official(state, {"embedding": "trunk"}, "lip_dctcn")
    assert net.out_channels == TRUNK[-1]
    fill(LipDCTCN(), path)


def test_odd_sizes_are_one_sentence():
    with pytest.raises(ValueError, match="give odd"):
        MultiScaleTCN(4, 6, 1, kernel_sizes=(3, 4, 7))
    with pytest.raises(ValueError, match="give a multiple"):
        MultiScaleTCN(4, 7, 1)
    with pytest.raises(ConfigError, match="frozen but has no weights"):
        fill(LipDCTCN(), None)
