"""Proves that LRS3+WHAM! is prepared by both protocols, and never mixed:
right mixtures, resumable, one bad file stops nothing, one clear sentence."""

import csv
import logging
import os
import sys

import numpy as np
import pytest
import soundfile
import soxr

from avsep_sb.dataio.items import ItemReader
from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.manifest import check_manifest, read_manifest
from avsep_sb.dataio.wham_lists import read_wham_list, speaker_of
from avsep_sb.errors import ConfigError, DataError
from tests.utils.fake_corpora import load_prepare, write_video
from tests.utils.mini_lrs3_wham import (
    IDS,
    LIST_FILE,
    fake_clips,
    fake_lrs3_wham,
    prepare,
    write_list,
    write_noise,
)


@pytest.fixture
def wham(repo):
    return load_prepare(repo, "LRS3-WHAM")


@pytest.fixture
def vision(monkeypatch):
    return fake_clips(monkeypatch)


@pytest.fixture
def tree(tmp_path, vision):
    return fake_lrs3_wham(tmp_path / "corpus")


def norm(wave, rate=16000):
    """The common audio function of the notes, on its own."""
    if wave.ndim == 2:
        wave = wave.mean(axis=1)
    wave = wave.astype(np.float32)
    if rate != 22050:
        wave = soxr.resample(wave, rate, 22050, quality="HQ")
    wave = soxr.resample(wave, 22050, 16000, quality="HQ")
    wave = wave - wave.mean()
    return wave / (np.abs(wave).max() + np.spacing(1))


def test_published_formula(wham, tree):
    """From files on disk, among them odd rates, to 1e-6 of plain numpy."""
    rng = np.random.default_rng(5)
    for name, rate in (("aa/50001", 16000), ("b_b/50001", 44100)):
        path = tree / "audio" / f"{name}.wav"
        path.parent.mkdir(parents=True)
        wave = 0.1 * rng.standard_normal(round(2.4 * rate)) + 0.02
        soundfile.write(path, wave, rate, subtype="PCM_16")
    write_noise(tree / "wham_noise" / "tr" / "n2.wav", 4.5, 9, rate=48000)
    save = prepare(wham, tree)
    rows = check_manifest(save / "train.csv", tree, num_spks=2)
    assert [row["ID"] for row in rows[:3]] == [
        "aa_50001_b_b_50001",
        "aa_50002_b_b_50002",
        "aa_50001_cc_50001",
    ]
    listed = read_wham_list(tree / "lists" / LIST_FILE.format("train"))
    for row, mixture in zip(rows, listed, strict=True):
        clean = []
        for utterance in mixture.utterances:
            spk, _, utt = utterance.rpartition("_")
            path = tree / "audio" / spk / f"{utt}.wav"
            if path.is_file():
                wave, rate = soundfile.read(path)
            else:
                video = tree / "trainval" / spk / f"{utt}.mp4"
                decode = sys.modules["avsep_sb.vision.decode"]
                wave, rate = decode.read_audio(video, 16000), 16000
            clean.append(norm(wave, rate)[:32000])
        noise = norm(
            *soundfile.read(tree / "wham_noise" / "tr" / mixture.noise)
        )
        noise = noise[mixture.start : mixture.start + 32000]
        d, q = mixture.level_db, mixture.noise_db
        total = 10 ** (d / 20) * clean[0] + 10 ** (-d / 20) * clean[1]
        total = norm(total + 10 ** (q / 20) * noise)
        mix, sources, lips = ItemReader(2, length=32000)(row["ID"], row)
        assert mix.shape == (32000,) and lips.shape == (50, 2, 96, 96)
        np.testing.assert_allclose(mix, total, rtol=0, atol=1e-6)
        # targets without the gains of the mixture
        np.testing.assert_allclose(sources, np.stack(clean, 1), atol=1e-6)
        assert soundfile.info(row["mix_wav"]).subtype == "FLOAT"
        assert np.abs(mix).max() == pytest.approx(1.0)
        assert row["duration"] == 2.0
        assert read_lips(row["s1_lips"]).shape == (50, 96, 96)
        assert row["s2_spk"] == speaker_of(mixture.utterances[1])
        assert (row["s1_gain"], row["s2_gain"]) == (1.0, 1.0)
        assert "noise_wav" not in row
    assert rows[0]["s2_spk"] == "b_b"
    text = (save / "train.csv").read_text()
    assert str(tree) not in text and "$data_root/" in text


def test_corrected_levels(wham, tree):
    """d and q are ratios of active levels; order and sign vary by mixture."""
    pairs = [
        f"{one}/{utt}" for one in IDS["train"] for utt in ("50001", "50002")
    ]
    rows = [
        (one, two, 2.5, "n1.wav", 2.0, -3.0)
        for one in pairs
        for two in pairs
        if one[:2] != two[:2]
    ]
    write_list(tree / "lists" / LIST_FILE.format("train"), rows)
    save = prepare(wham, tree, protocol="corrected")
    made = check_manifest(save / "train.csv", tree, num_spks=2)
    assert len(made) == len(rows) == 24
    kinds = set()
    for row, listed in zip(made, rows, strict=True):
        name = f"{listed[0]}_{listed[1]}".replace("/", "_")
        assert row["ID"] == f"{name}_corrected"
        mix, sources, lips = ItemReader(2, length=32000)(row["ID"], row)
        noise = soundfile.read(row["noise_wav"])[0].mean(axis=1)[32000:64000]
        noise = row["noise_gain"] * noise
        # targets and noise add up to the mixture, as they are in it
        np.testing.assert_allclose(mix, sources.sum(1) + noise, atol=1e-6)
        level = [
            10 * np.log10(active_speech_level(wave, 16000)[0])
            for wave in (sources[:, 0], sources[:, 1], noise)
        ]
        assert abs(level[0] - level[1]) == pytest.approx(5.0, abs=0.02)
        speech = (level[0] + level[1]) / 2
        assert level[2] - speech == pytest.approx(-3.0, abs=0.02)
        peak = max(np.abs(x).max() for x in (mix, sources, noise))
        assert peak == pytest.approx(0.9, rel=1e-5)
        # no 22.05 kHz: the target is a plain multiple of the extracted audio
        assert row["s1_wav"].endswith(".flac") and row["mix_wav"] == ""
        swapped = row["s1_spk"] != listed[0].split("/")[0]
        kinds.add((swapped, level[0] > level[1]))
    assert kinds == {(a, b) for a in (False, True) for b in (False, True)}
    again = prepare(wham, tree, "again", protocol="corrected")
    assert (again / "train.csv").read_bytes() == (
        save / "train.csv"
    ).read_bytes()
    other = prepare(wham, tree, "other", protocol="corrected", mix_seed=1)
    assert (other / "train.csv").read_bytes() != (
        save / "train.csv"
    ).read_bytes()


def test_protocols_never_mix(wham, tree):
    """Neither in a folder of the other's name, nor by that name alone."""
    save = prepare(wham, tree)
    marked = prepare(wham, tree, protocol="corrected")
    for folder, protocol, match in (
        (save, "corrected", "add --dataset LRS3-WHAM-corrected"),
        (marked, "published", "is for the corrected protocol: ask for it"),
        (tree.parent / "x", "both", "'both' but must be published or"),
    ):
        with pytest.raises(ConfigError, match=match):
            wham.prepare_lrs3_wham(tree, folder, protocol=protocol)
    renamed = tree.parent / "corrected" / "renamed"
    os.rename(save, renamed)
    (renamed / "test.csv").unlink()
    with pytest.raises(
        ConfigError, match="protocol 'published', now 'corrected': choose"
    ):
        wham.prepare_lrs3_wham(tree, renamed, protocol="corrected")
    assert not (renamed / "test.csv").exists()
    with pytest.raises(ConfigError, match="mixes 2 speakers"):
        wham.prepare_lrs3_wham(tree, tree.parent / "x", num_spks=3)
    assert not (tree.parent / "x").exists()


def test_second_run_does_nothing(wham, tree, vision):
    save = prepare(wham, tree)
    files = [f for f in tree.parent.rglob("*") if f.is_file()]
    stamps = {file: file.stat().st_mtime_ns for file in files}
    assert len(vision) == 14
    prepare(wham, tree)
    text = (save / "test.csv").read_bytes()
    (save / "test.csv").unlink()
    prepare(wham, tree)
    assert len(vision) == 14
    assert (save / "test.csv").read_bytes() == text
    changed = {f for f in files if f.stat().st_mtime_ns != stamps[f]}
    assert changed <= {save / "test.csv", save / "lists.json"} | {
        save / "prepared.json"
    }
    assert not list(tree.parent.rglob("*.part"))
    # other levels for the same pair are another file
    path = tree / "lists" / LIST_FILE.format("test")
    path.write_text(path.read_text().replace(",-3.0,", ",0.5,"))
    (save / "test.csv").unlink()
    prepare(wham, tree)
    assert (save / "test.csv").read_bytes() != text


def test_killed_half_way_continues(wham, tree, monkeypatch):
    rows = wham.published_rows.__globals__
    original, count = rows["write_published_mixture"], [0]

    def dies(job):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        original(job)

    monkeypatch.setitem(rows, "write_published_mixture", dies)
    with pytest.raises(KeyboardInterrupt):
        prepare(wham, tree)
    assert not list(tree.parent.glob("*/manifests/*.csv"))
    save = prepare(wham, tree)
    # two were there already; the one that was interrupted is made again
    assert count[0] == 3 + 8 - 2
    assert len(check_manifest(save / "train.csv", tree)) == 4


@pytest.mark.parametrize("protocol", ["published", "corrected"])
def test_bad_files_are_listed_and_left_out(wham, tree, protocol, caplog):
    torn = tree / "trainval" / "b_b" / "50001.mp4"
    torn.write_text("torn")
    write_video(tree / "trainval" / "cc" / "50002.mp4", 3, 1.5)
    short = tree / "wham_noise" / "tt" / "n1.wav"
    write_noise(short, 1.9, 0)
    path = tree / "lists" / LIST_FILE.format("test")
    path.write_text(path.read_text().replace("n1.wav", "n2.wav", 1))
    # another rate: resampled as published, refused where nothing is written
    write_noise(tree / "wham_noise" / "cv" / "n1.wav", 6, 1, rate=44100)
    valid = tree / "lists" / LIST_FILE.format("val")
    valid.write_text(valid.read_text().replace("n1.wav", "n2.wav", 1))
    with caplog.at_level(logging.WARNING):
        save = prepare(wham, tree, protocol=protocol)
    ids = [row["ID"] for row in read_manifest(save / "train.csv")]
    end = "_corrected" * (protocol == "corrected")
    assert ids == [
        f"aa_50002_b_b_50002{end}",
        f"aa_50001_cc_50001{end}",
    ]
    assert len(read_manifest(save / "test.csv")) == 1
    count = 2 if protocol == "published" else 1
    assert len(read_manifest(save / "valid.csv")) == count
    with open(save / "failures.csv", newline="") as file:
        reasons = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons.pop(str(torn)) == f"{torn} is corrupt: replace it"
    lasts = reasons.pop(str(tree / "trainval" / "cc" / "50002.mp4"))
    assert "lasts 1.50 s, but mixtures last 2 s" in lasts
    noise = reasons.pop(f"ff_50002_gg_50002{end}")
    assert f"the noise {short} has 30400 samples" in noise
    if protocol == "corrected":
        rate = reasons.pop(f"dd_50002_ee_50002{end}")
        assert "has 44100 Hz but 16000 Hz are needed" in rate
    assert not reasons
    assert "2 of 4 mixtures of train are left out" in caplog.text
    assert "1 of 2 mixtures of test are left out" in caplog.text
    assert "not comparable" in caplog.text


def test_nothing_left_says_why(wham, tree):
    for path in (tree / "wham_noise" / "tr").iterdir():
        write_noise(path, 1.0, 0)
    with pytest.raises(
        DataError, match="no mixture of train is left .*16000 samples"
    ):
        prepare(wham, tree)
    assert not list(tree.parent.glob("*/manifests/train.csv"))


def test_what_is_missing_is_one_sentence(wham, tree, vision):
    def refused(match, **kwargs):
        with pytest.raises(DataError, match=match) as caught:
            prepare(wham, tree, **kwargs)
        assert "\n" not in str(caught.value)
        assert not list(tree.parent.glob("*/manifests/*.csv"))
        assert not vision

    refused("train_fully.*is not in .*make_lists", lists_folder=tree / "test")
    refused("holds no WHAM! noise .tr", wham_folder=tree / "test")
    (tree / "wham_noise" / "cv" / "n1.wav").unlink()
    refused("_val_.*names 1 of 1 noise files .*first n1.wav")
    write_noise(tree / "wham_noise" / "cv" / "n1.wav", 6.0, 1)
    (tree / "test" / "gg" / "50002.mp4").unlink()
    refused("_test_.*names 1 of 4 utterances .*first gg_50002")


def test_shared_speakers(wham, tree, caplog):
    """Kept and named as published; left out of training when corrected."""
    rows = [
        ("dd/50001", "ff/50001", 1.0, "n1.wav", 0.0, 0.0),
        ("dd/50001", "ee/50001", 1.0, "n1.wav", 2.0, 0.0),
    ]
    write_list(tree / "lists" / LIST_FILE.format("val"), rows)
    with caplog.at_level(logging.WARNING):
        save = prepare(wham, tree)
    assert "valid and test share 1 speakers (ff), which" in caplog.text
    assert len(read_manifest(save / "valid.csv")) == 2
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        save = prepare(wham, tree, "other", protocol="corrected")
    assert "1 of 2 mixtures of valid are left out" in caplog.text
    ids = [row["ID"] for row in read_manifest(save / "valid.csv")]
    assert ids == ["dd_50001_ee_50001_corrected"]
    write_list(tree / "lists" / LIST_FILE.format("val"), rows[:1])
    with pytest.raises(DataError, match="no mixture of valid is left, for"):
        prepare(wham, tree, "third", protocol="corrected")
