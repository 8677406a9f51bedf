"""Faces that tell each other what they say: order, number, start, gradients.

And the loading of a separator that was trained without this part.
"""

import pytest
import torch

from avsep_sb.errors import CheckpointError
from avsep_sb.experiment import load_separator_weights
from avsep_sb.inference.load import strict_load
from avsep_sb.lobes.cross_face import CrossFace
from avsep_sb.lobes.iianet import IIANet

TOY = {
    "out_channels": 6,
    "in_channels": 10,
    "vpre_channels": 7,
    "vin_channels": 4,
    "num_av_cycles": 2,
    "num_audio_cycles": 1,
    "depth": 3,
}


def build(seed=0, trained=True, **changes):
    """A small IIANet whose faces talk, in evaluation mode."""
    torch.manual_seed(seed)
    net = IIANet(**TOY, **{"cross_face": 5, **changes}).eval()
    if trained and net.cross_face is not None:
        # As after training: the last layer no longer is zero.
        torch.nn.init.normal_(net.cross_face.out.weight, std=0.3)
    return net


def plain_twin(net):
    """The same network without the part."""
    twin = IIANet(**TOY).eval()
    state = net.state_dict()
    twin.load_state_dict({name: state[name] for name in twin.state_dict()})
    return twin


def toy_input(faces=2):
    generator = torch.Generator().manual_seed(1)
    mix = torch.randn(2, 600, generator=generator)
    return mix, torch.randn(2, faces, 5, 7, generator=generator)


@pytest.mark.parametrize("faces", [2, 3, 4])
def test_voices_follow_faces_in_any_order(faces):
    net, (mix, visual) = build(), toy_input(faces)
    order = torch.randperm(faces, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        voices, moved = net(mix, visual), net(mix, visual[:, order])
    assert voices.shape == (2, 600, faces)
    assert torch.allclose(moved, voices[..., order], atol=1e-6)


def test_one_face_alone_is_the_network_without_it():
    net, (mix, visual) = build(), toy_input(1)
    with torch.no_grad():
        assert torch.equal(net(mix, visual), plain_twin(net)(mix, visual))


def test_before_training_it_changes_nothing():
    net, (mix, visual) = build(trained=False), toy_input(3)
    with torch.no_grad():
        expected = plain_twin(net)(mix, visual)
        assert torch.equal(net(mix, visual), expected)


@pytest.mark.parametrize("faces", [2, 4])
def test_after_training_the_other_face_matters(faces):
    net, (mix, visual) = build(), toy_input(faces)
    other = visual.clone()
    other[:, 1:] = other[:, 1:].flip(2)
    with torch.no_grad():
        change = (net(mix, visual) - net(mix, other))[..., 0]
        twin = plain_twin(net)
        none = (twin(mix, visual) - twin(mix, other))[..., 0]
    assert change.abs().max() > 1e-4
    assert none.abs().max() < 1e-6


def test_mixtures_do_not_hear_each_other():
    net, (mix, visual) = build(), toy_input(3)
    with torch.no_grad():
        together, alone = net(mix, visual), net(mix[1:], visual[1:])
    assert torch.allclose(together[1:], alone, atol=1e-6)


def test_the_others_are_averaged():
    """Two of the same are as one: nothing is tied to their number."""
    torch.manual_seed(0)
    net = CrossFace(6, 5)
    torch.nn.init.normal_(net.out.weight)
    own, other = torch.randn(2, 1, 6, 9)
    pair = net(torch.cat([own, other]), 2)[0]
    crowd = net(torch.cat([own, other, other, other]), 4)[0]
    assert torch.allclose(pair, crowd, atol=1e-5)


@pytest.mark.parametrize("draw, solo", [(0.0, True), (0.9, False)])
def test_every_weight_gets_a_gradient_also_in_a_solo_batch(
    draw, solo, monkeypatch
):
    net, (mix, visual) = build(solo_prob=0.5).train(), toy_input()
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(draw))
    assert net.cross_face.draw_solo() == solo
    monkeypatch.undo()
    monkeypatch.setattr(net.cross_face, "draw_solo", lambda: solo)
    net(mix, visual).square().mean().backward()
    for name, weight in net.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
    told = [
        weight.grad.abs().max() > 0 for weight in net.cross_face.parameters()
    ]
    assert not any(told) if solo else all(told)


def test_a_solo_batch_is_as_without_it(monkeypatch):
    net, (mix, visual) = build(solo_prob=0.5), toy_input()
    monkeypatch.setattr(net.cross_face, "draw_solo", lambda: True)
    twin = plain_twin(net)
    net.fast = twin.fast = False  # both by the layers
    with torch.no_grad():
        assert torch.equal(net(mix, visual), twin(mix, visual))


def test_draws_have_the_share_and_only_in_training():
    net = CrossFace(4, 4, solo_prob=0.3)
    torch.manual_seed(0)
    assert 0.2 < sum(net.draw_solo() for _ in range(400)) / 400 < 0.4
    assert not any(net.eval().draw_solo() for _ in range(50))
    assert not any(CrossFace(4, 4).draw_solo() for _ in range(50))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"solo_prob": -0.1}, "from 0 to below 1"),
        ({"solo_prob": 1.0}, "from 0 to below 1"),
        ({"cross_face": None, "solo_prob": 0.5}, "set cross_face too"),
        ({"cross_face": 0}, "at least 1"),
        ({"audio_only": True}, "sees faces"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        build(**changes)


def saved_twin(net, folder, without=()):
    """A checkpoint of the plain network, less some of its weights."""
    state = plain_twin(net).state_dict()
    for name in without:
        del state[name]
    path = folder / "separator.ckpt"
    torch.save(state, path)
    return path


def test_a_file_without_the_new_part_loads(tmp_path):
    old, new = build(seed=0), build(seed=1)
    kept = {
        name: weight.clone()
        for name, weight in new.cross_face.state_dict().items()
    }
    path = saved_twin(old, tmp_path)
    strict_load(new, path, new_parts=["cross_face"])
    for name, weight in new.cross_face.state_dict().items():
        assert torch.equal(weight, kept[name]), name
    mix, visual = toy_input(1)
    with torch.no_grad():
        assert torch.equal(new(mix, visual), old(mix, visual))


def test_what_else_lacks_is_refused(tmp_path):
    net = build()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    whole = saved_twin(net, tmp_path)
    for parts in ((), ["cross"], ["audio_gate"]):
        with pytest.raises(CheckpointError, match="missing cross_face"):
            strict_load(net, whole, new_parts=parts)
    torn = saved_twin(build(seed=2), tmp_path, ["mask_conv.bias"])
    with pytest.raises(CheckpointError, match="missing mask_conv.bias"):
        strict_load(net, torn, new_parts=["cross_face"])
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_a_run_goes_on_from_a_separator_without_the_part(tmp_path):
    old, new = build(seed=0), build(seed=1, trained=False)
    hparams = {
        "modules": {"separator": new},
        "separator_weights": saved_twin(old, tmp_path),
    }
    with pytest.raises(CheckpointError, match="missing cross_face"):
        load_separator_weights(hparams)
    load_separator_weights({**hparams, "new_parts": ["cross_face"]})
    mix, visual = toy_input(3)
    with torch.no_grad():
        expected = plain_twin(old)(mix, visual)
        assert torch.equal(new(mix, visual), expected)
