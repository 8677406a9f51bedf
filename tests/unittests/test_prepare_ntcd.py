"""Proves that NTCD-TIMIT is prepared by two protocols that never meet: each
mixture is its formula, a rerun continues, bad input is one clear sentence."""

import csv

import numpy as np
import pytest
import soundfile

from avsep_sb.dataio.items import ItemReader
from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.manifest import check_manifest, read_manifest
from avsep_sb.dataio.ntcd_clips import CAMERA_FPS, write_mouth
from avsep_sb.dataio.ntcd_corrected import draw
from avsep_sb.errors import ConfigError, DataError, VideoError
from tests.utils.fake_corpora import load_prepare
from tests.utils.mini_ntcd import (
    SPLITS,
    make_sounds,
    noisy_path,
    speech_path,
    syllables,
    write_sound,
)

CLIP = 64000


@pytest.fixture
def ntcd(repo, monkeypatch):
    """The recipe; its "videos" are as long as their sound."""
    module = load_prepare(repo, "NTCD-TIMIT")
    module.seen = []

    def extract(job):
        module.seen.append(job.source)
        if job.source.read_text() != "face":
            raise VideoError(f"{job.source}: no face was found")
        seconds = soundfile.info(job.source.with_suffix(".wav")).duration
        frames = min(120, int(seconds * CAMERA_FPS))
        write_mouth(job.target, np.full((frames, 96, 96), 9, np.uint8))

    monkeypatch.setattr(module, "extract_mouth", extract)
    return module


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "corpus"
    for (spk, fid), _, _ in make_sounds(root):
        speech_path(root, spk, fid).with_suffix(".mp4").write_text("face")
    return root


def prepare(module, tree, protocol="published", **kwargs):
    save = tree.parent / f"manifests_{protocol}"
    module.prepare_ntcd_timit(tree, save, protocol, workers=0, **kwargs)
    return save


def norm16(wave):
    """The formula for signals of 16 kHz, written once more."""
    import soxr

    wave = soxr.resample(wave.astype(np.float32), 16000, 22050, quality="HQ")
    wave = soxr.resample(wave, 22050, 16000, quality="HQ")
    wave = wave - wave.mean()
    return wave / np.abs(wave).max()


def padded(wave, length=CLIP):
    wave = wave[:length]
    return np.pad(wave, (0, length - len(wave)))


def read(path):
    return soundfile.read(path, dtype="float32")[0]


def test_published_mixtures_are_the_formula(ntcd, tree):
    save = prepare(ntcd, tree)
    rows = check_manifest(save / "train.csv", tree, num_spks=2)
    assert [row["ID"] for row in rows[:2]] == [
        "01M_sa1_02F_sx12",
        "01M_sx12_02F_sa1",
    ]
    assert len(rows) == 6
    louder, short = 0, 0
    for row, noise in zip(
        rows, [("Car", -5), ("Babble", 20), ("LR", 10)] * 2, strict=True
    ):
        spk1, fid1, spk2, fid2 = row["ID"].split("_")
        n1 = norm16(read(speech_path(tree, spk1, fid1)))
        n2 = norm16(read(speech_path(tree, spk2, fid2)))
        nx = norm16(read(noisy_path(tree, spk1, fid1, *noise)))
        length = min(len(n1), CLIP)
        mix = padded(n1) + padded(n2)
        mix[:length] += nx[:length]
        expected = padded(norm16(mix))
        found = read(row["mix_wav"])
        assert found.shape == (CLIP,)
        assert np.abs(found - expected).max() < 1e-4
        for k, wave in ((1, n1), (2, n2)):
            assert np.abs(read(row[f"s{k}_wav"]) - padded(wave)).max() < 1e-4
            assert row[f"s{k}_gain"] == 1.0
            # 250 frames always: black where the video has ended
            lips = read_lips(row[f"s{k}_lips"], fps=62.5)
            assert lips.shape == (250, 96, 96)
            ends = len(wave) < CLIP
            assert (lips[-1].max() == 0) == ends and lips[0].min() == 9
            short += ends
        assert (row["s1_spk"], row["s2_spk"]) == (spk1, spk2)
        if noise[1] > 0:
            # the oddity: speaker 1 is there twice, whatever the label
            part = [np.abs(found @ padded(n)) / (n @ n) for n in (n1, n2)]
            louder += part[0] > 1.2 * part[1]
    assert louder >= 3 and short >= 3
    text = (save / "train.csv").read_text()
    assert str(tree) not in text and "$data_root/" in text
    # an item as the models get it
    row = {name: value for name, value in rows[0].items() if name != "ID"}
    reader = ItemReader(2, video_fps=62.5, samples_per_frame=256)
    mix, sources, lips = reader("a", row)
    assert (mix.shape, sources.shape) == ((CLIP,), (CLIP, 2))
    assert lips.shape == (250, 2, 96, 96)


def test_corrected_mixtures_hold_what_they_say(ntcd, tree):
    save = prepare(ntcd, tree, "corrected")
    reader = ItemReader(2, video_fps=62.5, samples_per_frame=256)
    swapped, higher = set(), set()
    for name in SPLITS:
        split = {"val": "valid"}.get(name, name)
        for row in check_manifest(save / f"{split}.csv", tree, num_spks=2):
            spk1, fid1, spk2, fid2 = row["ID"].split("_")
            label = float(row["noise_wav"].split("_")[-3])
            mix, sources, lips = reader("a", row)
            noise = mix - sources.sum(axis=1)
            # the shorter utterance ends it: nothing is filled up
            frames = round(len(mix) / 256)
            assert len(mix) <= CLIP and abs(len(lips) - frames) <= 1
            power = []
            for k, spk in enumerate((row["s1_spk"], row["s2_spk"])):
                fid = {spk1: fid1, spk2: fid2}[spk]
                whole = read(row[f"s{k + 1}_wav"]) * row[f"s{k + 1}_gain"]
                power.append(active_speech_level(whole, 16000)[0])
                wave = read(speech_path(tree, spk, fid))[: len(mix)]
                scale = row[f"s{k + 1}_gain"]
                assert np.abs(sources[:, k] - scale * wave).max() < 1e-5
            one, two = 10 * np.log10(power)
            assert abs(one - two) < 10
            ratio = (one + two) / 2 - 10 * np.log10(np.mean(noise**2))
            assert ratio == pytest.approx(label, abs=0.1)
            # no target in the noise, though the noisy file is full of it
            target = read(speech_path(tree, spk1, fid1))[: len(mix)]
            cosine = noise @ target / np.sqrt((noise @ noise) * target @ target)
            assert abs(cosine) < 0.01
            # as loud as can be without a clipped part
            peak = np.abs(np.concatenate([mix, *sources.T, noise])).max()
            assert peak == pytest.approx(0.9, abs=0.001)
            swapped.add(row["s1_spk"] == spk1)
            higher.add(one > two)
    assert swapped == higher == {True, False}


def test_another_crop_is_filled_up_too(ntcd, tree):
    """The sound of the first crop is there; the mouths of the second not."""
    first = check_manifest(prepare(ntcd, tree) / "train.csv", tree)
    save = tree.parent / "manifests_fixed"
    ntcd.prepare_ntcd_timit(tree, save, crop="fixed", workers=0)
    second = check_manifest(save / "train.csv", tree)
    for one, two in zip(first, second, strict=True):
        assert one["mix_wav"] == two["mix_wav"]
        assert len(read_lips(two["s1_lips"], CAMERA_FPS)) == 120
        assert two["s1_lips"] == one["s1_lips"].replace("aligned", "fixed")


def test_noise_is_what_was_added(ntcd, tree):
    rows = make_sounds(tree)
    prepare(ntcd, tree, "corrected")
    for seed, ((spk, fid), _, (kind, snr)) in enumerate(rows[:3]):
        wave = syllables(seed, (3.0, 4.5, 5.0)[seed % 3])
        added = np.random.default_rng(100 + seed).standard_normal(len(wave))
        folder = tree / "avsep_sb" / "corrected" / "noise"
        found = read(folder / f"{kind}_{snr}_{spk}_{fid}.wav")
        added = added[: len(found)]
        added *= found @ added / (added @ added)
        error = np.sum((found - added) ** 2) / np.sum(added**2)
        assert 10 * np.log10(error) < -25, (kind, snr)


def test_drawn_ratio_and_seed(ntcd, tree):
    save = prepare(ntcd, tree, "corrected", snr_db=[0, 3], mix_seed=4)
    row = check_manifest(save / "test.csv", tree)[0]
    assert row["noise_gain"] > 0
    mixture = ntcd.find_lists(tree)["test"][0]
    drawn = draw(mixture, 4, (0, 3))
    assert 0 <= drawn.snr_db <= 3
    assert drawn[:2] == draw(mixture, 4)[:2] != draw(mixture, 5)[:2]
    assert draw(mixture, 4).snr_db == float(mixture.noisy.snr)
    with pytest.raises(ConfigError, match="seed 4, now 0"):
        prepare(ntcd, tree, "corrected", snr_db=[0, 3])


def test_protocols_do_not_mix(ntcd, tree, tmp_path):
    with pytest.raises(ConfigError, match="--dataset NTCD-TIMIT-corrected"):
        ntcd.prepare_ntcd_timit(tree, tmp_path / "m", protocol="corrected")
    with pytest.raises(ConfigError, match="is for the corrected protocol"):
        ntcd.prepare_ntcd_timit(tree, tmp_path / "corrected")
    with pytest.raises(ConfigError, match="published or corrected"):
        ntcd.prepare_ntcd_timit(tree, tmp_path / "m", protocol="both")
    with pytest.raises(ConfigError, match="aligned or fixed"):
        ntcd.prepare_ntcd_timit(tree, tmp_path / "m", crop="round")
    with pytest.raises(ConfigError, match="draws nothing"):
        ntcd.prepare_ntcd_timit(tree, tmp_path / "m", mix_seed=1)
    with pytest.raises(ConfigError, match="num_spks is 3"):
        ntcd.prepare_ntcd_timit(tree, tmp_path / "m", num_spks=3)
    with pytest.raises(ConfigError, match="lowest, highest"):
        prepare(ntcd, tree, "corrected", snr_db=[3, 0])
    assert not ntcd.seen and not list(tmp_path.rglob("*.npz"))
    first = prepare(ntcd, tree), prepare(ntcd, tree, "corrected")
    folders = [
        {row["s1_wav"].split("/")[2] for row in read_manifest(f / "test.csv")}
        for f in first
    ]
    assert folders == [{"published"}, {"corrected"}]
    # the mouths are those of the camera, cut once for both
    assert len(ntcd.seen) == len(set(ntcd.seen)) == 14


@pytest.mark.parametrize("protocol", ["published", "corrected"])
def test_second_run_does_nothing(ntcd, tree, protocol):
    save = prepare(ntcd, tree, protocol)
    files = [f for f in tree.parent.rglob("*") if f.is_file()]
    stamps = {file: file.stat().st_mtime_ns for file in files}
    ntcd.seen.clear()
    prepare(ntcd, tree, protocol)
    text = (save / "test.csv").read_bytes()
    (save / "test.csv").unlink()
    prepare(ntcd, tree, protocol)
    assert not ntcd.seen
    assert (save / "test.csv").read_bytes() == text
    changed = {f for f in files if f.stat().st_mtime_ns != stamps[f]}
    assert changed <= {save / "test.csv"}
    assert not list(tree.parent.rglob("*.part"))


@pytest.mark.parametrize("protocol", ["published", "corrected"])
def test_killed_half_way_continues(ntcd, tree, protocol, monkeypatch):
    module = getattr(ntcd, protocol)
    name = "make_mixture" if protocol == "published" else "make_noise"
    original, done = getattr(module, name), []

    def dies(job):
        if len(done) == 3:
            raise KeyboardInterrupt
        original(job)
        done.append(job)

    monkeypatch.setattr(module, name, dies)
    with pytest.raises(KeyboardInterrupt):
        prepare(ntcd, tree, protocol)
    assert not list(tree.parent.glob("manifests*/*.csv"))
    first = list(done)
    done[:] = [None] * 10  # dies no more, counts on
    save = prepare(ntcd, tree, protocol)
    assert len(ntcd.seen) == 14 and len(done) == 10 + 14 - 3
    assert not set(first) & set(done)
    assert len(read_manifest(save / "train.csv")) == 6


@pytest.mark.parametrize("protocol", ["published", "corrected"])
def test_failures_are_listed_and_left_out(ntcd, tree, protocol):
    faceless = speech_path(tree, "01M", "sa1").with_suffix(".mp4")
    faceless.write_text("wall")
    low = speech_path(tree, "02F", "sx12")
    write_sound(low, syllables(0, 3.0)[::2], 8000)
    short = noisy_path(tree, "03M", "sa1", "Babble", 20)
    write_sound(short, read(short)[:16000])
    torn = noisy_path(tree, "06F", "sa1", "Car", -5)
    torn.write_bytes(b"RIFF")
    save = prepare(ntcd, tree, protocol)
    with open(save / "failures.csv", newline="") as file:
        reasons = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert set(reasons) == set(map(str, (faceless, low, short, torn)))
    assert "no face" in reasons[str(faceless)]
    assert "8000 Hz but 16000 Hz or more" in reasons[str(low)]
    assert "lasts 1.00 s but its mixture needs" in reasons[str(short)]
    assert "cannot be read" in reasons[str(torn)]
    # all that used one of them, and no other
    assert [row["ID"] for row in read_manifest(save / "train.csv")] == [
        "01M_sx12_02F_sa1",
        "02F_sa1_03M_sx12",
    ]
    assert len(read_manifest(save / "test.csv")) == 3
    # repaired: tried again, and the list of failures goes
    faceless.write_text("face")
    for path in (low, short, torn):
        path.unlink()
    make_sounds(tree)
    for name in ("train", "test"):
        (save / f"{name}.csv").unlink()
    prepare(ntcd, tree, protocol)
    assert len(read_manifest(save / "train.csv")) == 6
    assert not (save / "failures.csv").exists()


def test_other_rates_and_channels(ntcd, tree):
    """48 kHz stereo gives the mixture of 16 kHz, up to the resampling."""
    before = prepare(ntcd, tree)
    expected = read(read_manifest(before / "test.csv", tree)[0]["mix_wav"])
    from scipy.signal import resample_poly

    for path in (
        speech_path(tree, "06F", "sa1"),
        noisy_path(tree, "06F", "sa1", "Car", -5),
    ):
        wave = np.clip(resample_poly(read(path), 3, 1), -1, 1)
        write_sound(path, np.stack([wave, wave], axis=1), 48000)
    other = tree.parent / "media"
    save = tree.parent / "others"
    ntcd.prepare_ntcd_timit(tree, save, media_folder=other, workers=0)
    found = read(read_manifest(save / "test.csv", tree)[0]["mix_wav"])
    assert not np.array_equal(found, expected)
    error = np.sum((found - expected) ** 2) / np.sum(expected**2)
    assert 10 * np.log10(error) < -15


def test_noisy_file_of_another_utterance(ntcd, tree):
    """The published protocol cannot tell; the corrected one does."""
    path = noisy_path(tree, "06F", "sa1", "Car", -5)
    write_sound(path, 0.5 * syllables(77, 5.0))
    save = prepare(ntcd, tree, "corrected")
    text = (save / "failures.csv").read_text()
    assert str(path) in text and "labelled -5 dB" in text


def test_missing_files(ntcd, tree):
    noisy_path(tree, "06F", "sa1", "Car", -5).unlink()
    with pytest.raises(DataError, match=r"1 of 14 noisy.*Car_-5.tar.gz"):
        prepare(ntcd, tree)
    with pytest.raises(DataError, match="14 of 14 noisy"):
        prepare(ntcd, tree, noise_folder=tree / "no")
    speech_path(tree, "06F", "sa1").unlink()
    speech_path(tree, "07M", "sa1").with_suffix(".mp4").unlink()
    with pytest.raises(DataError, match=r"2 files of 14 .*06F/.*/sa1.wav"):
        prepare(ntcd, tree)
    assert not ntcd.seen and not list(tree.parent.rglob("*/train.csv"))


def test_original_layout(ntcd, tree):
    """As downloaded: volunteers above and Clips below the speaker."""
    (tree / "volunteers").mkdir()
    for speakers in SPLITS.values():
        for spk in speakers:
            (tree / spk).rename(tree / "volunteers" / spk)
            (tree / "volunteers" / spk / "Clips").mkdir()
            (tree / "volunteers" / spk / "straightcam").rename(
                tree / "volunteers" / spk / "Clips" / "straightcam"
            )
    assert len(read_manifest(prepare(ntcd, tree) / "test.csv")) == 4
