"""Embeddings on disk train the same model, once made by the same front end.

Losses with and without the cache, resumption, keys that do not fit, and every
option that a cache cannot be right with.
"""

import os
import shutil

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAML

from avsep_sb import experiment
from avsep_sb.brain import AVSeparationBrain
from avsep_sb.dataio.embedding_cache import KEY_FILE, EmbeddingCache, make_key
from avsep_sb.dataio.embedding_fill import fill_cache, lips_of, open_cache
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.lobes.frame_autoencoder import FrameAutoencoder
from avsep_sb.lobes.light_lip import LightLipNet
from tests.utils.toy_corpus import make_toy_corpus, toy_options


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return folder, make_toy_corpus(folder, mixtures=4, sources=3)


def light(seed=0, **changes):
    """A small frozen front end."""
    torch.manual_seed(seed)
    small = {"out_channels": 6, "channels": (2, 4, 4, 6), "temporal_blocks": 1}
    return LightLipNet(**{**small, "frozen": True, **changes})


def hparams(corpus, cache, frontend=None, **changes):
    """What the data pipeline reads, with a cache."""
    folder, manifests = corpus
    return {
        "data_folder": str(folder),
        **{
            f"{name}_data": str(manifests / f"{name}.csv")
            for name in ("train", "valid", "test")
        },
        "sample_rate": 16000,
        "video_fps": 25,
        "num_spks": 2,
        "training_signal_len": 16000,
        "dynamic_mixing": True,
        "mix_gain_db": [-5, 5],
        "seed": 7,
        "crop_size": [88, 88],
        "random_crop": False,
        "horizontal_flip": False,
        "use_lips": True,
        "modules": {"visual_frontend": frontend or light()},
        "embedding_cache": None if cache is None else str(cache),
        **changes,
    }


def fill(options):
    return fill_cache(options, make_datasets(options), progress=False)


def losses_of_a_run(corpus, output, monkeypatch, repo, **changes):
    """All losses of an epoch of training, its validation and the test."""
    folder, manifests = corpus
    options = {"dataset": "toy", "random_crop": False, "horizontal_flip": False}
    for option in toy_options(folder, output, manifests, epochs=1):
        name, _, value = option[2:].partition("=")
        if value and name != "device":
            options[name] = YAML(typ="safe").load(value)
    options["training_signal_len"] = 32000
    options["save_audio"] = False
    loaders = {"batch_size": 2, "num_workers": 0}
    options["dataloader_opts"] = options["valid_dataloader_opts"] = loaders
    with open(repo / "hparams" / "iianet_synthav.yaml") as file:
        run = {**load_hyperpyyaml(file, options), **changes}
    losses = []

    class Brain(AVSeparationBrain):
        def compute_objectives(self, *args, **kwargs):
            loss = super().compute_objectives(*args, **kwargs)
            losses.append(float(loss.detach()))
            return loss

    monkeypatch.setattr(experiment, "AVSeparationBrain", Brain)
    monkeypatch.setattr(experiment, "finish_run", lambda *args: None)
    run_opts = {"device": "cpu", "noprogressbar": True}
    experiment.train_and_evaluate(run, run_opts)
    return losses


def test_losses_are_those_without_a_cache(corpus, tmp_path, monkeypatch, repo):
    def run(name, **changes):
        where = corpus, tmp_path / name, monkeypatch, repo
        return losses_of_a_run(*where, dynamic_mixing=True, **changes)

    plain = run("plain")
    cached = run("cached", embedding_cache=tmp_path / "cache")
    assert len(plain) == len(cached) == 2 + 1 + 1
    assert max(abs(a - b) for a, b in zip(plain, cached, strict=True)) < 1e-5

    # The lips have a part in these figures, and come from the cache.
    for path in (tmp_path / "cache").rglob("*.npy"):
        np.save(path, np.flip(np.load(path), 0).copy())
    other = run("other", embedding_cache=tmp_path / "cache")
    assert max(abs(a - b) for a, b in zip(plain, other, strict=True)) > 1e-4


def test_windows_of_a_net_without_neighbours_are_exact(corpus, tmp_path):
    torch.manual_seed(0)
    net = FrameAutoencoder(base_channels=2, frozen=True)
    with_cache = hparams(corpus, tmp_path / "cache", net)
    sets = make_datasets(with_cache)
    fill_cache(with_cache, sets, progress=False)
    for cached, plain in zip(
        sets, make_datasets(hparams(corpus, None, net)), strict=True
    ):
        for epoch in (0, 1):
            cached.set_epoch(epoch)
            plain.set_epoch(epoch)
            mine, theirs = cached[1], plain[1]
            assert torch.equal(mine["mix_sig"], theirs["mix_sig"])
            embedded = net(theirs["lips"].transpose(0, 1)[None])[0]
            assert torch.allclose(
                mine["lips"].transpose(0, 1), embedded, atol=1e-5
            )


def test_filling_goes_on_where_it_stopped(corpus, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    options = hparams(corpus, cache)
    net, embed = options["modules"]["visual_frontend"], LightLipNet.embed
    calls = []

    def dies(self, x):
        calls.append(1)
        if len(calls) == 3:  # the probe, the first file, the second one
            raise KeyboardInterrupt
        return embed(self, x)

    monkeypatch.setattr(LightLipNet, "embed", dies)
    with pytest.raises(KeyboardInterrupt):
        fill(options)
    monkeypatch.undo()
    assert len(list(cache.rglob("*.npy"))) == 1
    assert not list(cache.rglob("*.part"))
    assert fill(options) == 2
    assert fill(options) == 0
    store = open_cache(options)
    paths = lips_of(make_datasets(options))
    assert len(paths) == 3
    with torch.no_grad():
        frames = np.load(paths[2])["data"][:, 4:92, 4:92]
        expected = net(torch.from_numpy(frames.copy())[None, None])[0, 0]
    assert np.allclose(store.read(paths[2]), expected, atol=1e-6)


def test_a_mouth_that_was_extracted_again_is_embedded_again(corpus, tmp_path):
    folder = tmp_path / "corpus"
    shutil.copytree(corpus[0], folder)
    options = hparams((folder, folder / "manifests"), tmp_path / "cache")
    assert fill(options) == 3
    store = open_cache(options)
    later = store.path(folder / "u1.npz").stat().st_mtime + 5
    os.utime(folder / "u1.npz", (later, later))
    assert fill(options) == 1


def test_corpus_and_cache_may_move(corpus, tmp_path):
    options = hparams(corpus, tmp_path / "cache")
    fill(options)
    moved = tmp_path / "moved"
    shutil.copytree(corpus[0], moved)
    (tmp_path / "cache").rename(tmp_path / "cache2")
    options = hparams((moved, moved / "manifests"), tmp_path / "cache2")
    assert fill(options) == 0


def test_half_precision_takes_half_the_disk(corpus, tmp_path):
    sizes = {}
    for dtype in ("float32", "float16"):
        options = hparams(corpus, tmp_path / dtype, embedding_dtype=dtype)
        fill(options)
        files = list((tmp_path / dtype).rglob("*.npy"))
        sizes[dtype] = sum(path.stat().st_size - 128 for path in files)
        lips = make_datasets(options)[0][0]["lips"]
        assert lips.dtype == getattr(torch, dtype) and lips.shape == (25, 2, 6)
    assert sizes["float32"] == 2 * sizes["float16"] == 3 * 50 * 6 * 4


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"frontend": light(1)}, r"another weights \(\w+, now \w+\): name"),
        ({"video_fps": 12.5}, r"another video_fps \(25, now 12.5\): name"),
        ({"crop_size": [80, 80]}, "another crop_size"),
        ({"embedding_dtype": "float16"}, "another dtype"),
        ({"frontend": light(crop=(80, 80))}, "another crop, normalisation"),
    ],
)
def test_what_another_made_is_refused(corpus, tmp_path, changes, said):
    fill(hparams(corpus, tmp_path / "cache"))
    before = sorted(tmp_path.rglob("*"))
    options = hparams(corpus, tmp_path / "cache", **changes)
    if options["crop_size"] == [80, 80]:
        options["modules"]["visual_frontend"] = light(crop=None)
    with pytest.raises(ConfigError, match=said):
        fill_cache(options, [], progress=False)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_other_things_is_left_alone(corpus, tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ConfigError, match="name a new folder"):
        fill(hparams(corpus, tmp_path))
    (tmp_path / KEY_FILE).write_text("{}")
    with pytest.raises(ConfigError, match="does not say what made"):
        fill(hparams(corpus, tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"random_crop": True}, "random_crop changes the pixels"),
        ({"horizontal_flip": True}, "horizontal_flip changes the pixels"),
        ({"visual_augment": object()}, "visual_augment changes the pixels"),
        ({"silent_target_prob": 0.1}, "silent_target_prob changes the pixels"),
        ({"frontend": light(frozen=False)}, "this one is trained"),
        ({"use_lips": False}, "this model has none"),
        ({"modules": {}}, "this model has none"),
        ({"embedding_dtype": "int8"}, "must be float32 or float16"),
    ],
)
def test_what_no_cache_could_be_right_with_is_refused(
    corpus, tmp_path, changes, said
):
    options = hparams(corpus, tmp_path / "cache", **changes)
    with pytest.raises(ConfigError, match=said) as caught:
        make_datasets(options)
    assert str(caught.value).endswith(".")
    assert not (tmp_path / "cache").exists()


def test_unusable_entries_are_named(tmp_path):
    cache = EmbeddingCache(tmp_path / "cache", tmp_path)
    with pytest.raises(DataError, match=r"of .*a.npz cannot be read"):
        cache.read(tmp_path / "a.npz")
    cache.write(tmp_path / "a.npz", np.ones((5, 3)))
    path = cache.path(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="cannot be read"):
        cache.read(tmp_path / "a.npz")
    with pytest.raises(DataError, match="float64 of shape"):
        np.save(path, np.ones((5, 3)))
        cache.read(tmp_path / "a.npz")
    with pytest.raises(DataError, match="not finite"):
        cache.write(tmp_path / "b.npz", np.full((5, 3), np.nan))
    assert not cache.holds(tmp_path / "b.npz")


def test_the_key_survives_a_file_and_small_rounding(tmp_path):
    key = make_key(light(), (88, 88), 25, "float32")
    cache = EmbeddingCache(tmp_path / "cache", tmp_path)
    cache.claim(key)
    near = [value * (1 + 1e-5) for value in key["probe"]]
    cache.claim({**key, "probe": near, "video_fps": 25.0})
