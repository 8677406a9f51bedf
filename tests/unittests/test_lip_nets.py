"""Both lip nets keep the contract of a visual front end.

Shapes in and out, one preprocessing whatever the type of the pixels, the
frozen state (evaluation mode, no gradient, statistics untouched), and one
sentence for input that cannot be used.
"""

import pytest
import torch

from avsep_sb.lobes.light_lip import LightLipNet
from avsep_sb.lobes.lip_input import LipInput, parse_crop
from avsep_sb.lobes.lip_resnet import LipResNet

NETS = [LightLipNet, LipResNet]


def pixels(size=96, frames=3, batch=1, speakers=2):
    draw = torch.Generator().manual_seed(0)
    shape = (batch, speakers, frames, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)


@pytest.mark.parametrize("kind", NETS)
def test_shape_and_range(kind):
    net = kind().eval()
    out = net(pixels(batch=2))
    assert out.shape == (2, 2, 3, net.out_channels)
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()


def test_speakers_are_embedded_each_alone():
    net = LightLipNet().eval()
    roi = pixels(batch=2)
    whole = net(roi)
    alone = net(roi[1:, :1])
    torch.testing.assert_close(whole[1:, :1], alone, atol=1e-5, rtol=1e-5)


def test_one_sequence_of_frames_in_order():
    net = LightLipNet().eval()
    roi = pixels(frames=12)
    later = roi.clone()
    later[:, :, 11] = 0
    # The last frame must not reach the first ones (stem 2 + 2 x 2 frames).
    change = (net(roi) - net(later)).abs().amax((0, 1, 3))
    assert (change[:5] == 0).all()
    assert (change[5:] > 0).all()


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("crop", [(88, 88), "release"])
def test_uint8_equals_normalised_float(kind, crop):
    net = kind(crop=crop).eval()
    roi = pixels()
    rows = 50 if crop == "release" else 88
    by_hand = roi[..., 4 : 4 + rows, 4:92].float() / 255
    by_hand = (by_hand - 0.421) / 0.165
    torch.testing.assert_close(net(roi), net(by_hand), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", NETS)
def test_frozen_stays_frozen(kind):
    net = kind(frozen=True)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    parent = torch.nn.ModuleList([net]).train()
    assert parent.training
    assert not any(m.training for m in net.modules())
    out = net(pixels())
    assert not out.requires_grad
    assert not any(p.requires_grad for p in net.parameters())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("kind", NETS)
def test_trainable_gives_every_parameter_a_gradient(kind):
    net = kind(frozen=False).train()
    net(pixels()).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
    assert net.eval().training is False


def test_light_net_sees_where_the_lips_are():
    """The same spot elsewhere in the ROI gives another embedding."""
    net = LightLipNet().eval()
    high = torch.zeros(1, 1, 1, 96, 96, dtype=torch.uint8)
    low = high.clone()
    high[..., 24:40, 30:66] = 255
    low[..., 56:72, 30:66] = 255
    high, low = net(high), net(low)
    assert (high - low).norm() > 0.1 * high.norm()


def test_light_net_is_light():
    num_params = sum(p.numel() for p in LightLipNet().parameters())
    assert num_params < 400_000


@pytest.mark.parametrize("relu_type", ["relu", "swish"])
def test_other_activations_have_no_slopes(relu_type):
    net = LipResNet(relu_type=relu_type).eval()
    assert not any("relu" in name for name in net.state_dict())
    assert net(pixels(frames=1)).shape == (1, 2, 1, 512)


def test_unusable_input_is_one_sentence():
    net = LightLipNet()
    with pytest.raises(ValueError, match="smaller than the crop of 88 x 88"):
        net(pixels(size=64))
    with pytest.raises(ValueError, match=r"give \[batch, speakers, frames"):
        net(pixels()[0])
    with pytest.raises(ValueError, match="choose 'prelu', 'relu' or 'swish'"):
        LipResNet(relu_type="gelu")
    with pytest.raises(ValueError, match="give \\(height, width\\)"):
        parse_crop("whole")


def test_no_crop_keeps_the_picture():
    assert LipInput(None)(pixels(size=40)).shape == (2, 1, 3, 40, 40)
