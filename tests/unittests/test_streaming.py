"""A stream in pieces gives what the model gives of the whole, in time."""

import numpy as np
import pytest
import torch

from avsep_sb.dataio.lips import hold_missing
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference.stream import SeparationStream
from avsep_sb.lobes.causal_blocks import look_back
from avsep_sb.lobes.causal_iianet import CausalIIANet
from avsep_sb.lobes.causal_lip import CausalLightLipNet
from avsep_sb.lobes.causal_memory import Memory
from avsep_sb.lobes.causal_norm import CumulativeNorm, normalise
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet

FRAME = 640


@pytest.fixture(scope="module")
def models():
    """A toy separator and lip net whose every layer has something to say."""
    torch.manual_seed(3)
    net = CausalIIANet(8, 12, 6, 4, 2, 1, depth=3, norm_seconds=0.5)
    lips = CausalLightLipNet(6, channels=(4, 4, 8, 8))
    for module in (net, lips):
        for name, weight in module.named_parameters():
            if weight.dim() == 1 or "ahead" in name:
                torch.nn.init.normal_(weight, 0.5, 0.3)
    torch.nn.init.constant_(net.mask_conv.bias, 1.0)
    return net.eval(), lips.eval()


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def scene(rng, faces, samples):
    """A mixture, mouths and where they are seen."""
    frames = -(-samples // FRAME)
    mix = torch.from_numpy(rng.normal(0, 0.1, samples).astype("f"))
    mouths = rng.integers(0, 256, (faces, frames, 96, 96), dtype=np.uint8)
    seen = rng.random((faces, frames)) > 0.3
    return mix, torch.from_numpy(mouths), torch.from_numpy(seen)


@torch.no_grad()
def whole(models, mix, mouths, seen):
    """What the batch models give, [T, S]."""
    net, lips = models
    held = np.stack(
        [
            hold_missing(face, there)
            for face, there in zip(mouths.numpy(), seen.numpy(), strict=True)
        ]
    )
    visual = lips(torch.from_numpy(held)[None])
    return net(mix[None], visual, seen[None])[0]


def difference_db(found, wanted):
    """Energy of the difference, relative to what was wanted."""
    assert found.shape == wanted.shape
    power = (found - wanted).double().square().sum()
    return float(10 * torch.log10(power / wanted.double().square().sum()))


def feed(stream, mix, mouths, seen, rng, most=4000, jitter=0):
    """Feed pieces of random sizes; lips early or late by some frames."""
    done, at, shown = [], 0, 0
    while at < len(mix):
        stop = min(len(mix), at + int(rng.integers(1, most)))
        due = stop // FRAME + 1 + int(rng.integers(-jitter, jitter + 1))
        due = min(max(shown, due), mouths.shape[1])
        if due > shown:
            lips = mouths[:, shown:due], seen[:, shown:due]
        else:
            lips = None, None
        done.append(stream.feed(mix[at:stop], *lips))
        at, shown = stop, due
    if shown < mouths.shape[1]:
        rest = mouths[:, shown:], seen[:, shown:]
        done.append(stream.feed(mix[:0], *rest))
    return torch.cat([*done, stream.flush()])


@pytest.mark.parametrize("faces", [1, 2, 3])
@pytest.mark.parametrize("samples", [1, 700, 16001, 25600])
def test_a_stream_is_the_whole(models, rng, faces, samples):
    mix, mouths, seen = scene(rng, faces, samples)
    wanted = whole(models, mix, mouths, seen)
    stream = SeparationStream(*models, faces=faces, patience=10)
    found = feed(stream, mix, mouths, seen, rng, jitter=4)
    assert difference_db(found, wanted) < -80


def test_the_size_of_pieces_does_not_matter(models, rng):
    mix, mouths, seen = scene(rng, 2, 9000)
    wanted = whole(models, mix, mouths, seen)
    for most in (20, 300, 20000):
        stream = SeparationStream(*models, faces=2, patience=10)
        found = feed(stream, mix, mouths, seen, rng, most)
        assert difference_db(found, wanted) < -80


def test_lips_that_never_come_count_as_unseen(models, rng):
    mix, mouths, seen = scene(rng, 2, 12000)
    wanted = whole(models, mix, mouths, torch.zeros_like(seen))
    stream = SeparationStream(*models, faces=2)
    pieces = [stream.feed(piece) for piece in mix.split(640)]
    waiting = stream.codec.samples - stream.given
    assert waiting <= stream.latency_samples + stream.patience + 640
    found = torch.cat([*pieces, stream.flush()])
    assert difference_db(found, wanted) < -80


def test_lips_that_come_too_late_are_left_out(models, rng):
    mix, mouths, seen = scene(rng, 1, 32000)
    seen[:] = True
    stream = SeparationStream(*models, patience=0.0)
    done = [stream.feed(mix[:16000], mouths[:, :5])]
    given_up = stream.lips.count
    done.append(stream.feed(mix[16000:16640], mouths[:, 5:26]))
    for at in range(26, 50):
        piece = mix[at * FRAME : (at + 1) * FRAME]
        done.append(stream.feed(piece, mouths[:, at : at + 1]))
    found = torch.cat([*done, stream.flush()])
    assert given_up == 25
    unseen = seen.clone()
    unseen[:, 5:given_up] = False
    assert difference_db(found, whole(models, mix, mouths, unseen)) < -80


@pytest.mark.parametrize("what", ["sound", "lips"])
def test_latency_is_what_the_code_says(models, rng, what):
    net, lips = models
    mix, mouths, seen = scene(rng, 1, 32000)
    seen[:] = True
    latency = SeparationStream(*models).latency_samples
    assert latency == 1791 == net.latency_with_lips(lips.look_ahead)
    wanted = whole(models, mix, mouths, seen)
    earliest = []
    # A change at any time changes nothing that lies more than the latency
    # before it, and for some time it changes all that does not.
    for shift in range(0, 128, 16) if what == "sound" else [0]:
        at = 25 * FRAME + shift
        other, pictures = mix.clone(), mouths.clone()
        if what == "sound":
            other[at:] += torch.from_numpy(rng.normal(0, 1, 32000 - at))
        else:
            pictures[:, at // FRAME :] = 255 - pictures[:, at // FRAME :]
        found = whole(models, other, pictures, seen)
        changed = ((found - wanted).abs() > 1e-5).nonzero()[:, 0]
        earliest.append(at - int(changed.min()))
    assert max(earliest) <= latency
    if what == "sound":  # windows are 0 at their edges
        assert max(earliest) > latency - 64


def test_a_stream_gives_what_the_latency_promises(models, rng):
    mix, mouths, seen = scene(rng, 2, 16000)
    stream = SeparationStream(*models, faces=2)
    for number in range(25):
        piece = mix[number * FRAME : (number + 1) * FRAME]
        stream.feed(piece, mouths[:, number : number + 1])
        waiting = (number + 1) * FRAME - stream.given
        assert waiting <= stream.latency_samples


def test_state_does_not_grow(models, rng):
    stream = SeparationStream(*models, faces=2)
    sizes = set()
    for number in range(60):
        mix, mouths, seen = scene(rng, 2, FRAME)
        stream.feed(mix, mouths, seen)
        if number >= 20:
            sizes.add(stream.num_values)
    assert max(sizes) < 1.2 * min(sizes)
    assert len(sizes) <= 10


def test_a_face_comes_and_another_goes(models, rng):
    mix, mouths, seen = scene(rng, 2, 48000)
    seen[1, :40], seen[1, 40] = False, True
    wanted = whole(models, mix, mouths, seen)
    stream = SeparationStream(*models, faces=1, growing=True)
    done, last = [], []
    for at in range(75):
        if at == 40:
            assert stream.add_face() == 1
            begin = stream.given
        if at == 60:
            stream.remove_face(0)
        rows = slice(0, 1) if at < 40 else slice(0 if at < 60 else 1, 2)
        piece = mix[at * FRAME : (at + 1) * FRAME]
        out = stream.feed(
            piece, mouths[rows, at : at + 1], seen[rows, at : at + 1]
        )
        (done if at < 60 else last).append(out)
    last = torch.cat([*last, stream.flush()])[:, 0]
    first = torch.cat([piece[:, 0] for piece in done])
    second = torch.cat([piece[:, 1] for piece in done[40:]])
    stop = len(first)
    assert difference_db(first, wanted[:stop, 0]) < -80
    assert difference_db(second, wanted[begin:stop, 1]) < -80
    assert difference_db(last, wanted[stop:, 1]) < -80


def test_weights_of_a_model_that_is_not_causal_fit():
    plain = IIANet(
        out_channels=8,
        in_channels=12,
        vpre_channels=6,
        vin_channels=4,
        num_av_cycles=2,
        num_audio_cycles=1,
        depth=3,
        kernel_size=512,
        stride=128,
        codec="spectral",
    )
    net = CausalIIANet(8, 12, 6, 4, 2, 1, depth=3)
    names = net.load_state_dict(look_back(plain.state_dict()), strict=False)
    assert not names.unexpected_keys
    assert {name.split(".")[0] for name in names.missing_keys} == {"ahead"}
    lips = LightLipNet(6, channels=(4, 4, 8, 8))
    causal = CausalLightLipNet(6, channels=(4, 4, 8, 8))
    causal.load_state_dict(look_back(lips.state_dict()))


@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_gradient_of_the_norm(decay):
    torch.manual_seed(0)
    norms = [CumulativeNorm(3, decay).double() for _ in range(2)]
    weights = [w for norm in norms for w in norm.parameters()]
    for weight in weights:
        torch.nn.init.normal_(weight)
    x = torch.randn(2, 6, 7, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, *_: normalise(x, Memory(), norms), (x, *weights)
    )


def test_norm_is_of_the_past():
    x, norm = torch.randn(1, 4, 300), CumulativeNorm(4)
    past = x[..., :200]
    wanted = (x[..., 199] - past.mean()) / past.std(correction=0)
    found = norm(x, Memory())[..., 199]
    assert torch.allclose(found, wanted, atol=1e-4)


def test_it_trains_in_mixed_precision():
    torch.manual_seed(2)
    net = CausalIIANet(8, 12, 6, 4, 1, 1, depth=2)
    mix, visual = torch.randn(1, 6400), torch.randn(1, 2, 10, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        voices = net(mix, visual)
    wanted = net(mix, visual).detach()
    assert difference_db(voices.detach().float(), wanted) < -20
    voices.square().sum().backward()
    assert net.bottleneck.weight.grad.isfinite().all()


def test_everything_is_trained():
    net = CausalIIANet(8, 12, 6, 4, 2, 1, depth=3)
    net(
        torch.randn(2, 6400), torch.randn(2, 2, 10, 6)
    ).square().sum().backward()
    idle = {n for n, w in net.named_parameters() if w.grad is None}
    assert not idle


@pytest.mark.parametrize(
    "audio, frames",
    [
        (torch.zeros(2, 3), None),
        (torch.zeros(3, dtype=torch.int16), None),
        (torch.full((3,), float("nan")), None),
        (torch.zeros(3), torch.zeros(2, 1, 96, 96, dtype=torch.uint8)),
        (torch.zeros(3), torch.zeros(1, 1, 96, 96)),
    ],
)
def test_wrong_pieces_are_refused(models, audio, frames):
    with pytest.raises(DataError):
        SeparationStream(*models).feed(audio, frames)


def test_a_stream_ends_once(models):
    stream = SeparationStream(*models)
    assert stream.flush().shape == (0, 1)
    with pytest.raises(ConfigError, match="over"):
        stream.feed(torch.zeros(1))


def test_models_that_are_not_causal_are_refused(models):
    net, lips = models
    with pytest.raises(ConfigError, match="whole recording"):
        SeparationStream(torch.nn.Linear(1, 1), lips)
    with pytest.raises(ConfigError, match="all frames"):
        SeparationStream(net, LightLipNet(6, channels=(4, 4, 8, 8)))
