"""Proves that LRS2 is prepared from its own tree and lists: right mixtures,
resumable, one bad file stops nothing, wrong input is one clear sentence."""

import csv

import numpy as np
import pytest
import soundfile

from avsep_sb.dataio import corpus_media
from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.manifest import check_manifest, read_manifest
from avsep_sb.dataio.mixture_lists import ListedMixture
from avsep_sb.dataio.mixture_names import mixture_name
from avsep_sb.errors import ConfigError, DataError
from tests.utils.fake_corpora import fake_vision, load_prepare, write_video

IDS = {"tr": ("59", "60", "61"), "cv": ("63", "64"), "tt": ("65", "66")}


@pytest.fixture
def lrs2(repo):
    return load_prepare(repo, "LRS2")


@pytest.fixture
def tree(tmp_path):
    """main, one video in pretrain, and lists in the public format."""
    root = tmp_path / "corpus"
    for split, ids in IDS.items():
        for one in ids:
            for utt in ("00001", "00002"):
                part = "pretrain" if (one, utt) == ("61", "00002") else "main"
                path = root / "mvlrs_v1" / part / one / f"{utt}.mp4"
                write_video(path, int(one) * 10 + int(utt))
        lines = []
        for k, utt in enumerate(("00001", "00002")):
            for two in ids[1:]:
                gain = 1.5 + k
                lines.append(
                    f"../raw_audio/x/{ids[0]}_{utt}.wav {gain} "
                    f"../raw_audio/x/{two}_{utt}.wav {-gain}\n"
                )
        (root / "lists").mkdir(exist_ok=True)
        path = root / "lists" / f"mix_2_spk_{split}.scp"
        path.write_text("".join(lines))
    return root


def prepare(module, tree, **kwargs):
    save = tree.parent / "manifests"
    module.prepare_lrs2(tree, save, workers=0, **kwargs)
    return save


def test_manifests_hold_the_listed_mixtures(lrs2, tree, monkeypatch):
    seen = fake_vision(monkeypatch)
    save = prepare(lrs2, tree)
    assert len(seen) == 14
    rows = check_manifest(save / "train.csv", tree, num_spks=2)
    assert [row["ID"] for row in rows[:2]] == [
        "59_00001_1.5_60_00001_-1.5",
        "59_00001_1.5_61_00001_-1.5",
    ]
    assert len(check_manifest(save / "valid.csv", tree)) == 2
    assert len(check_manifest(save / "test.csv", tree)) == 2
    for row in rows:
        # the published protocol: the first 2 s, levels 2 g dB apart, 0.9
        assert row["duration"] == 2.0
        scaled = []
        for k in "12":
            wave, rate = soundfile.read(row[f"s{k}_wav"])
            assert (len(wave), rate) == (32000, 16000)
            assert read_lips(row[f"s{k}_lips"]).shape == (50, 96, 96)
            scaled.append(row[f"s{k}_gain"] * wave)
        power = [active_speech_level(wave, 16000)[0] for wave in scaled]
        gain = float(row["ID"].split("_")[2])
        level = 10 * np.log10(power[0] / power[1])
        assert level == pytest.approx(2 * gain, abs=0.1)
        peak = np.abs([*scaled, scaled[0] + scaled[1]]).max()
        assert peak == pytest.approx(0.9, rel=1e-5)
    assert (rows[0]["s1_spk"], rows[0]["s2_spk"]) == ("59", "60")
    text = (save / "train.csv").read_text()
    assert str(tree) not in text and "$data_root/" in text


def test_second_run_does_nothing(lrs2, tree, monkeypatch):
    seen = fake_vision(monkeypatch)
    save = prepare(lrs2, tree)
    files = [f for f in tree.parent.rglob("*") if f.is_file()]
    stamps = {file: file.stat().st_mtime_ns for file in files}
    seen.clear()
    prepare(lrs2, tree)
    # also when only a manifest is gone, no video is opened again
    text = (save / "test.csv").read_bytes()
    (save / "test.csv").unlink()
    prepare(lrs2, tree)
    assert not seen
    assert (save / "test.csv").read_bytes() == text
    changed = {f for f in files if f.stat().st_mtime_ns != stamps[f]}
    assert changed <= {save / "test.csv"}
    assert not list(tree.parent.rglob("*.part"))


def test_killed_half_way_continues(lrs2, tree, monkeypatch):
    seen = fake_vision(monkeypatch)
    save = tree.parent / "manifests"
    original, count = corpus_media.extract_video, [0]

    def dies(video, **kwargs):
        count[0] += 1
        if count[0] == 6:
            raise KeyboardInterrupt
        original(video, **kwargs)

    monkeypatch.setattr(corpus_media, "extract_video", dies)
    with pytest.raises(KeyboardInterrupt):
        prepare(lrs2, tree)
    assert not list(save.glob("*.csv"))
    assert len(seen) == 5
    monkeypatch.setattr(corpus_media, "extract_video", original)
    prepare(lrs2, tree)
    assert len(seen) == len(set(seen)) == 14
    assert len(read_manifest(save / "train.csv")) == 4


def test_failing_video_is_listed_and_left_out(lrs2, tree, monkeypatch):
    fake_vision(monkeypatch)
    bad = tree / "mvlrs_v1" / "main" / "60" / "00002.mp4"
    bad.write_text("torn")
    save = prepare(lrs2, tree)
    media = tree / "avsep_sb" / "first_2s"
    with open(media / "failures.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"file": str(bad), "reason": f"{bad} is corrupt: replace it"}
    ]
    ids = [row["ID"] for row in read_manifest(save / "train.csv")]
    assert len(ids) == 3 and not [i for i in ids if "60_00002" in i]
    # repaired: tried again, and the list of failures goes
    write_video(bad, 7)
    (save / "train.csv").unlink()
    prepare(lrs2, tree)
    assert len(read_manifest(save / "train.csv")) == 4
    assert not (media / "failures.csv").exists()


def test_no_usable_video_says_why(lrs2, tree, monkeypatch):
    fake_vision(monkeypatch)
    for path in (tree / "mvlrs_v1").rglob("*.mp4"):
        path.write_text("torn")
    with pytest.raises(
        DataError, match="no mixture of train is left.*is corrupt"
    ):
        prepare(lrs2, tree)
    assert not list((tree.parent / "manifests").glob("*.csv"))


def test_list_naming_unknown_files(lrs2, tree, monkeypatch):
    seen = fake_vision(monkeypatch)
    path = tree / "lists" / "mix_2_spk_tt.scp"
    path.write_text("../x/65_00001.wav 1 ../x/99_00003.wav -1\n")
    with pytest.raises(DataError, match="names 1 of 2 .*first 99_00003"):
        prepare(lrs2, tree)
    assert not seen and not list((tree.parent / "manifests").glob("*.csv"))


def test_wrong_folders_and_lists(lrs2, tree, tmp_path, monkeypatch):
    fake_vision(monkeypatch)
    with pytest.raises(DataError, match="neither LRS2"):
        prepare(lrs2, tmp_path)
    with pytest.raises(DataError, match="mix_3_spk_tr.scp is not in"):
        prepare(lrs2, tree, num_spks=3, make_lists=False)
    with pytest.raises(DataError, match="mix_2_spk_tr.scp is not in"):
        prepare(lrs2, tree, lists_folder=tmp_path)
    (tree / "lists" / "mix_3_spk_tr.scp").write_text("59_1 1 60_1 -1\n")
    with pytest.raises(DataError, match="mixes 2 speakers but num_spks is 3"):
        prepare(lrs2, tree, num_spks=3)


def test_other_settings_are_refused(lrs2, tree, monkeypatch):
    fake_vision(monkeypatch)
    prepare(lrs2, tree)
    with pytest.raises(ConfigError, match="clip_seconds 2.0, now 1.0"):
        prepare(lrs2, tree, clip_seconds=1.0)


def test_media_elsewhere_and_whole_clips(lrs2, tree, tmp_path, monkeypatch):
    fake_vision(monkeypatch)
    media = tmp_path / "media"
    save = prepare(lrs2, tree, media_folder=media, clip_seconds=None)
    assert not (tree / "avsep_sb").exists()
    rows = check_manifest(save / "test.csv", tree)
    assert rows[0]["duration"] == 3.0
    assert rows[0]["s1_wav"].startswith(str(media / "whole"))


@pytest.mark.parametrize("num_spks", [2, 3])
def test_lists_are_drawn(lrs2, tree, num_spks, monkeypatch):
    """Of what the public lists name, or else of the corpus's own files."""
    fake_vision(monkeypatch)
    for part, one in (("val", "69"), ("test", "70")):
        write_video(tree / "mvlrs_v1" / "main" / one / "00001.mp4", int(one))
        ids = (*IDS[{"val": "cv", "test": "tt"}[part]], one)
        lines = "".join(f"{name}/00001 NF\n" for name in ids)
        (tree / "mvlrs_v1" / f"{part}.txt").write_text(lines)
    if num_spks == 2:
        (tree / "lists" / "mix_2_spk_tr.scp").unlink()
        with pytest.raises(DataError, match="without train.txt or a list"):
            prepare(lrs2, tree, make_lists=True)
        lines = "".join(f"{name}/00002\n" for name in IDS["tr"])
        (tree / "train.txt").write_text(lines)
    options = {"num_train": 1, "num_valid": 1, "num_test": 1, "mix_seed": 3}
    save = prepare(lrs2, tree, num_spks=num_spks, make_lists=True, **options)
    drawn = check_manifest(save / "train.csv", tree, num_spks=num_spks)[0]
    given = check_manifest(save / "test.csv", tree, num_spks=num_spks)
    speakers = {given[0][f"s{k + 1}_spk"] for k in range(num_spks)}
    assert len(speakers) == num_spks
    if num_spks == 2:
        assert len(given) == 2 and drawn["s1_wav"].endswith("_00002.flac")
    else:
        assert speakers == {"65", "66", "70"}
        gain = float(drawn["ID"].split("_")[2])
        assert drawn["ID"].split("_")[5::3] == ["0", f"{-gain:.5g}"]


def make_ready(root):
    for split, ids in IDS.items():
        mix = ListedMixture((f"{ids[0]}_00001", f"{ids[1]}_00002"), (2.5, -2.5))
        waves = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 8000))
        for name, wave in zip(
            ("mix", "s1", "s2"), (waves.sum(0), *waves), strict=True
        ):
            folder = root / "audio" / "wav16k" / "min" / split / name
            folder.mkdir(parents=True)
            soundfile.write(folder / f"{mixture_name(mix)}.wav", wave, 16000)
        (root / "mouths").mkdir(exist_ok=True)
        for name in mix.utterances:
            data = np.zeros((30, 96, 96), dtype=np.uint8)
            np.savez(root / "mouths" / f"{name}.npz", data=data)


def test_ready_mixtures(lrs2, tmp_path):
    root = tmp_path / "ready"
    make_ready(root)
    save = tmp_path / "manifests"
    lrs2.prepare_lrs2(root, save)
    rows = check_manifest(save / "test.csv", root, num_spks=2)
    assert [row["ID"] for row in rows] == ["65_00001_2.5_66_00002_-2.5"]
    row = rows[0]
    assert row["duration"] == 0.5
    assert row["mix_wav"].endswith("min/tt/mix/65_00001_2.5_66_00002_-2.5.wav")
    assert row["s2_wav"].endswith("min/tt/s2/65_00001_2.5_66_00002_-2.5.wav")
    assert row["s2_lips"] == str(root / "mouths" / "66_00002.npz")
    assert (row["s1_gain"], row["s2_spk"]) == (1.0, "66")


def test_ready_mixtures_that_lack_something(lrs2, tmp_path):
    root = tmp_path / "ready"
    make_ready(root)
    (root / "mouths" / "66_00002.npz").unlink()
    with pytest.raises(DataError, match="1 of 1 mixtures .* have no 2 mouths"):
        lrs2.prepare_lrs2(root, tmp_path / "manifests")
    for file in (root / "audio/wav16k/min/tr/mix").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="tr/mix holds no wav files"):
        lrs2.prepare_lrs2(root, tmp_path / "others")
