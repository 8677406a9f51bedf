"""Proves that VoxCeleb2 is read from its two trees, pictures and sound, and
that lists name its utterances as the public ones do."""

import numpy as np
import pytest
import soundfile

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.errors import DataError
from tests.utils.fake_corpora import fake_vision, load_prepare, write_video

DEV = [f"id000{k}" for k in range(20, 28)]
TEST = ["id00017", "id00061", "id08696"]
VIDEOS = ("5MkXgwdrmJw", "a_b-c_d_e_f")


@pytest.fixture
def vox(repo, monkeypatch):
    module = load_prepare(repo, "VoxCeleb2")
    module.seen = fake_vision(monkeypatch)
    return module


@pytest.fixture
def tree(tmp_path):
    """Sound of another seed than the picture; one clip without an m4a."""
    root = tmp_path / "corpus"
    seed = 0
    for part, speakers in (("dev", DEV), ("test", TEST)):
        for speaker in speakers:
            for video in VIDEOS:
                seed += 1
                inside = f"{speaker}/{video}/00002"
                write_video(root / part / "mp4" / f"{inside}.mp4", seed)
                write_video(root / part / "aac" / f"{inside}.m4a", 100 + seed)
    (root / "dev" / "aac" / DEV[0] / VIDEOS[0] / "00002.m4a").unlink()
    return root


def prepare(module, tree, **kwargs):
    save = tree.parent / "manifests"
    module.prepare_voxceleb2(tree, save, workers=0, **kwargs)
    return save


def give(tree, split, one, two):
    path = tree / "lists" / f"mix_2_spk_{split}.scp"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"/x/{one}.wav 0.7869 /x/{two}.wav -0.7869\n")


def test_public_lists_share_speakers_training_does_not(vox, tree, caplog):
    one, two = f"{TEST[0]}_{VIDEOS[1]}_00002", f"{TEST[1]}_{VIDEOS[0]}_00002"
    give(tree, "cv", two, one)
    give(tree, "tt", one, two)
    save = prepare(vox, tree, make_lists=True, num_train=5)
    row = check_manifest(save / "test.csv", tree, num_spks=2)[0]
    assert row["ID"] == f"{one}_0.7869_{two}_-0.7869"
    assert (row["s1_spk"], row["s2_spk"]) == (TEST[0], TEST[1])
    assert row["duration"] == 2.0
    rows = check_manifest(save / "train.csv", tree, num_spks=2)
    assert len(rows) == 5
    assert {row[f"s{k}_spk"] for row in rows for k in (1, 2)} <= set(DEV)


def test_sound_is_that_of_the_m4a(vox, tree):
    folder = tree / "avsep_sb" / "first_2s"
    assert vox.crop_main([str(tree), "-j", "0"], vox.VoxCeleb2) == 0
    assert len(list((folder / "audio").iterdir())) == 22
    for speaker, seed in ((DEV[0], 1), (DEV[1], 103)):
        name = f"{speaker}_{VIDEOS[0]}_00002"
        wave, _ = soundfile.read(folder / "audio" / f"{name}.flac")
        noise = np.random.default_rng(seed).standard_normal(48000)[:32000]
        expected = np.clip(0.1 * noise / (1 + seed % 3), -1, 1)
        assert np.abs(wave - expected).max() < 1e-4
        with np.load(folder / "mouths" / f"{name}.npz") as file:
            # the picture is that of the mp4
            assert file["data"][0, 0, 0] == (1 if speaker == DEV[0] else 3)


def test_parts_and_a_bare_mp4_folder(vox, tree):
    (tree / "test" / "mp4").rename(tree / "mp4")
    (tree / "test" / "aac").rename(tree / "aac")
    corpus = vox.VoxCeleb2(tree)
    found = corpus.find(f"{TEST[0]}_{VIDEOS[1]}_00002")
    assert found.path == tree / "mp4" / TEST[0] / VIDEOS[1] / "00002.mp4"
    assert found.sound == tree / "aac" / TEST[0] / VIDEOS[1] / "00002.m4a"
    assert len(list(corpus.videos(["mp4"]))) == 6
    assert len(corpus.members("test")) == 6
    assert corpus.find("id00017_nothing_00002") is None


def test_four_speakers_need_four(vox, tree):
    with pytest.raises(DataError, match="test split needs 4 speakers"):
        prepare(vox, tree, num_spks=4)
