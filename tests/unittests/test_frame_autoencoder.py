"""The frame autoencoder: the reference's numbers, the contract, its training.

Stored outputs of the reference, the contract of a visual front end, and a
training on a toy corpus that learns, survives a restart, and leaves weights
which a separator's ``frontend_weights`` takes.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from avsep_sb.errors import CheckpointError, DataError
from avsep_sb.experiment import load_frontend_weights, train_and_evaluate
from avsep_sb.frame_reconstruction import list_videos, make_video_dataset
from avsep_sb.lobes.frame_autoencoder import FrameAutoencoder, FrameInput
from tests.utils.toy_corpus import make_toy_corpus

ROOT = Path(__file__).resolve().parents[2]
YAML = ROOT / "hparams" / "frame_autoencoder.yaml"
TOLERANCE = 1e-5


def pixels(size=96, frames=3, batch=1, speakers=2):
    draw = torch.Generator().manual_seed(0)
    shape = (batch, speakers, frames, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)


@pytest.fixture(scope="module")
def parity(shared):
    folder = shared / "parity" / "bin"
    spec = importlib.util.spec_from_file_location("rule", folder / "rule.py")
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    return folder, rule


def test_equals_the_reference(parity):
    folder, rule = parity
    cases = json.loads((folder / "cases.json").read_text())
    case = cases["frameae4_encode_B"]
    keys = json.loads((folder / "keys_shapes.json").read_text())[case["keys"]]
    net = FrameAutoencoder()
    state = net.state_dict()
    assert {name: list(w.shape) for name, w in state.items()} == keys
    net.load_state_dict(rule.fill(state, rule="B"))
    name = case["frames_name"]
    shape = [int(n) for n in name.split(".")[-1].split("x")]
    frames = 127.5 + rule.mixture("", name, shape, 40.0)
    stored = np.load(folder / case["file"])
    with torch.no_grad():
        ours = net(frames).numpy()
        drawn = net.reconstruct(frames)[:, :, :1].numpy()
    embedding = np.abs(ours - stored["frameae4_encode_B"]).max()
    pictures = np.abs(drawn - stored["frameae4_reconstruct_B"]).max()
    print(f"| embedding {embedding:.1e} | reconstruction {pictures:.1e} |")
    assert max(embedding, pictures) < TOLERANCE


def test_contract_of_a_front_end():
    net = FrameAutoencoder().eval()
    roi = pixels(batch=2)
    out = net(roi)
    assert out.shape == (2, 2, 3, 1024) and out.dtype == torch.float32
    # Neither speakers nor frames know of each other.
    torch.testing.assert_close(out[1:, 1:, 2:], net(roi[1:, 1:, 2:]))
    assert not torch.allclose(out[0, 0, 0], out[0, 1, 0])


def test_embedding_does_not_depend_on_brightness_and_contrast():
    net = FrameAutoencoder().eval()
    frames = pixels(64).float()
    dim = net(0.5 * frames + 20)
    torch.testing.assert_close(net(frames), dim, atol=1e-4, rtol=1e-4)


def test_input_keeps_the_middle_and_the_levels():
    roi = torch.zeros(1, 1, 1, 96, 96, dtype=torch.uint8)
    roi[..., 8:88, 8:88] = 240
    assert bool((FrameInput((80, 80), (64, 64))(roi) == 240).all())
    whole = FrameInput(None, (64, 64))(roi)
    assert float(whole.min()) == 0 and float(whole.max()) == 240
    # The mean of the area, and not a picked pixel.
    stripes = torch.zeros(1, 1, 1, 8, 8, dtype=torch.uint8)
    stripes[..., ::2] = 100
    assert bool((FrameInput(None, (4, 4))(stripes) == 50).all())
    own_size = pixels(64)
    kept = FrameInput((64, 64), (64, 64))(own_size)
    assert torch.equal(kept[:, 0], own_size.flatten(0, 1).float())


def test_frozen_net_does_not_train():
    net = FrameAutoencoder(frozen=True).train()
    assert not net.training and not net(pixels()).requires_grad
    loose = FrameAutoencoder()
    loose(pixels()).square().sum().backward()
    trained = [n for n, p in loose.named_parameters() if p.grad is not None]
    assert trained and all(name.startswith("encoder.") for name in trained)


@pytest.mark.parametrize("size", [(60, 64), (16, 16), (0, 64)])
def test_unusable_size_is_refused(size):
    with pytest.raises(ValueError, match="multiples of 16"):
        FrameAutoencoder(size=size)


def test_unusable_frames_are_refused():
    net = FrameAutoencoder()
    with pytest.raises(ValueError, match="takes 64 x 64"):
        net(torch.rand(1, 1, 2, 32, 64))
    with pytest.raises(ValueError, match="smaller than the crop"):
        net(pixels(70))


def test_three_layers_for_the_original_avlit():
    net = FrameAutoencoder(num_layers=3, size=(32, 64))
    assert net.out_channels == 1024
    assert net.reconstruct(pixels()).shape == (1, 2, 3, 32, 64)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return folder, make_toy_corpus(folder, mixtures=6)


def load(corpus, output, epochs, **more):
    folder, manifests = corpus
    overrides = {
        "data_folder": str(folder),
        "dataset": "toy",
        "output_folder": str(output),
        "manifest_folder": str(manifests),
        "N_epochs": epochs,
        "batch_size": 2,
        "window_frames": 10,
        "pixel_scale": 255,
        "frame_size": [32, 32],
        "dataloader_opts": {"batch_size": 2, "num_workers": 0},
        **more,
    }
    return load_hyperpyyaml(YAML.read_text(), overrides)


def run(corpus, output, epochs, **more):
    hparams = load(corpus, output, epochs, **more)
    brain = train_and_evaluate(
        hparams, {"device": "cpu", "noprogressbar": True}
    )
    return hparams, brain


def losses(output):
    lines = (Path(output) / "train_log.txt").read_text().splitlines()
    return [float(x.split("valid loss: ")[1].split(",")[0]) for x in lines[:-1]]


def test_training_learns_and_goes_on_after_a_stop(corpus, tmp_path):
    whole, _ = run(corpus, tmp_path / "whole", 12)
    seen = losses(tmp_path / "whole")
    assert len(seen) == 12 and seen[-1] < 0.5 * seen[0]
    run(corpus, tmp_path / "parts", 5)
    parts, _ = run(corpus, tmp_path / "parts", 12)
    for name, weight in whole["visual_frontend"].state_dict().items():
        assert torch.equal(weight, parts["visual_frontend"].state_dict()[name])

    # What it leaves is what a separator asks for.
    net = FrameAutoencoder(size=(32, 32), frozen=True)
    weights = tmp_path / "whole" / "visual_frontend.ckpt"
    load_frontend_weights(
        {"modules": {"visual_frontend": net}, "frontend_weights": weights}
    )
    trained = whole["visual_frontend"].eval()
    torch.testing.assert_close(net(pixels()), trained(pixels()))
    assert not list(tmp_path.rglob("*.part"))


def test_nothing_to_test_leaves_no_weights(corpus, tmp_path):
    hparams = load(corpus, tmp_path, 1)
    options = {"device": "cpu", "noprogressbar": True, "test_only": True}
    with pytest.raises(CheckpointError, match="no checkpoint"):
        train_and_evaluate(hparams, options)
    assert not list(tmp_path.rglob("visual_frontend.*"))


def test_windows_follow_seed_epoch_and_length(corpus):
    folder, manifests = corpus
    videos = list_videos(manifests / "train.csv", folder)
    assert sorted(videos) == [f"$data_root/u{k}.npz" for k in range(4)]
    options = {"window_frames": 10, "video_fps": 25, "seed": 1}
    data = make_video_dataset(videos, options, training=True)
    drawn = []
    for epoch in (1, 2, 1):
        data.set_epoch(epoch)
        drawn.append(data[0]["roi"])
    assert drawn[0].shape == (10, 1, 96, 96)
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    fixed = make_video_dataset(videos, options, training=False)
    frames = np.load(folder / "u0.npz")["data"]
    np.testing.assert_array_equal(fixed[0]["roi"][:, 0], frames[20:30])
    options["window_frames"] = 60
    longer = make_video_dataset(videos, options, training=True)[0]["roi"]
    assert len(longer) == 60
    np.testing.assert_array_equal(longer[59, 0], frames[-1])


def test_missing_mouths_are_named(corpus, tmp_path):
    folder, manifests = corpus
    with pytest.raises(DataError, match="4 of 4 mouth ROIs"):
        list_videos(manifests / "train.csv", tmp_path)
    text = (manifests / "train.csv").read_text()
    for k in range(4):
        text = text.replace(f"$data_root/u{k}.npz", "")
    (tmp_path / "sound.csv").write_text(text)
    with pytest.raises(DataError, match="names no mouth ROI"):
        list_videos(tmp_path / "sound.csv", folder)
