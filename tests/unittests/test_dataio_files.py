"""Proves that audio, mouth ROI and manifest files are read exactly or refused.

Each refusal is one sentence that names the file.
"""

import numpy as np
import pytest
import soundfile

from avsep_sb.dataio.audio import num_samples, read_audio
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.manifest import (
    check_manifest,
    columns,
    read_manifest,
    write_manifest,
)
from avsep_sb.errors import DataError


def refused(function, *args, **kwargs):
    """The sentence of the DataError that the call raises."""
    with pytest.raises(DataError) as caught:
        function(*args, **kwargs)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


# audio


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_window_of_stereo_is_the_mean_of_its_channels(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    ramp = np.arange(1000) / 2**15
    soundfile.write(path, np.stack([ramp, 3 * ramp], 1), 16000)
    assert num_samples(path) == 1000
    window = read_audio(path, 640, 700)
    assert window.dtype == np.float32
    assert np.allclose(window, 2 * ramp[640:700], atol=1e-4)
    assert len(read_audio(path, 990, 2000)) == 10
    assert len(read_audio(path, 2000, 3000)) == 0


def test_other_sample_rate_is_sent_to_the_preparation(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(10), 8000)
    sentence = refused(read_audio, tmp_path / "a.wav")
    assert "8000 Hz" in sentence and "preparation" in sentence


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_audio_that_is_not_finite_is_refused(tmp_path, bad):
    wave = np.zeros(100, np.float32)
    wave[50] = bad
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    assert "a.wav holds NaN or infinite" in refused(
        read_audio, tmp_path / "a.wav"
    )


def test_both_infinities_do_not_cancel(tmp_path):
    wave = np.array([np.inf, -np.inf], np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    refused(read_audio, tmp_path / "a.wav")


def test_missing_empty_and_corrupt_audio_are_refused(tmp_path):
    assert "a.wav is missing" in refused(read_audio, tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros(0), 16000)
    assert "b.wav holds no samples" in refused(num_samples, tmp_path / "b.wav")
    (tmp_path / "c.wav").write_bytes(b"no audio")
    assert "c.wav cannot be read" in refused(read_audio, tmp_path / "c.wav")


# mouth ROI


def test_npz_and_npy_hold_the_same_frames(tmp_path):
    frames = np.random.default_rng(0).integers(256, size=(5, 9, 8), dtype="u1")
    np.savez(tmp_path / "a.npz", data=frames)
    np.save(tmp_path / "a.npy", frames)
    assert np.array_equal(read_lips(tmp_path / "a.npz"), frames)
    assert np.array_equal(read_lips(tmp_path / "a.npy"), frames)


def test_stated_frame_rate_is_converted(tmp_path):
    frames = np.arange(60, dtype=np.uint8).reshape(60, 1, 1)
    np.savez(tmp_path / "a.npz", data=frames, fps=30)
    lips = read_lips(tmp_path / "a.npz", 25)
    assert lips[:6, 0, 0].tolist() == [0, 1, 2, 4, 5, 6] and len(lips) == 50


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((5, 8, 8), np.float32),
        np.zeros((5, 8, 8, 3), np.uint8),
        np.zeros((0, 8, 8), np.uint8),
    ],
)
def test_other_type_or_shape_is_refused_with_its_shape(tmp_path, frames):
    np.savez(tmp_path / "a.npz", data=frames)
    sentence = refused(read_lips, tmp_path / "a.npz")
    assert str(list(frames.shape)) in sentence and "a.npz" in sentence


def test_missing_torn_keyless_and_pickled_npz_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    assert "a.npz is missing" in refused(read_lips, path)
    np.savez(path, other=np.zeros(3))
    assert "no key 'data'" in refused(read_lips, path)
    np.savez(path, data=np.zeros((50, 20, 20), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "a.npz cannot be read" in refused(read_lips, path)
    np.savez(path, data=np.array([{}], dtype=object))
    assert "a.npz cannot be read" in refused(read_lips, path)


# manifest


def row(name="m", **changes):
    base = {
        "ID": name,
        "duration": 1.0,
        "mix_wav": "",
        "s1_wav": "$data_root/a.wav",
        "s1_gain": 1 / 3,
        "s1_lips": "$data_root/a.npz",
        "s1_spk": "p1",
        "s2_wav": "$data_root/b.wav",
        "s2_gain": 1,
        "s2_lips": "$data_root/b.npz",
        "s2_spk": "p2",
    }
    return {**base, **changes}


@pytest.fixture
def corpus(tmp_path):
    """Files for row()."""
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(16000), 16000)
        np.savez(tmp_path / f"{name}.npz", data=np.zeros((25, 8, 8), np.uint8))
    return tmp_path


def test_manifest_comes_back_in_order_with_float32_gains(tmp_path):
    path = tmp_path / "new" / "train.csv"
    rows = [row("z"), row("a,b", duration=2.5)]
    assert write_manifest(path, rows, 2) == 2
    back = read_manifest(path, "root")
    assert [r["ID"] for r in back] == ["z", "a,b"]
    assert list(back[0]) == columns(2)
    assert np.float32(back[0]["s1_gain"]) == np.float32(1 / 3)
    assert back[1]["duration"] == 2.5
    assert back[0]["s2_lips"] == "root/b.npz"
    assert read_manifest(path)[0]["s2_lips"] == "$data_root/b.npz"
    first = path.read_bytes()
    write_manifest(path, rows, 2)
    assert path.read_bytes() == first


def test_texts_are_optional_columns(tmp_path):
    path = tmp_path / "train.csv"
    rows = [row("a", s2_text="lay, blue"), row("b")]
    write_manifest(path, rows, 2)
    assert path.read_text().splitlines()[0].endswith(",s1_text,s2_text")
    back = read_manifest(path, num_spks=2)
    texts = [(r["s1_text"], r["s2_text"]) for r in back]
    assert texts == [("", "lay, blue"), ("", "")]
    noise = {"noise_wav": "n", "noise_start": 0, "noise_gain": 1}
    write_manifest(path, [row("a", s1_text="one", **noise)], 3, min_spks=2)
    assert list(read_manifest(path)[0]) == columns(3, noise=True, texts=True)
    write_manifest(path, [row("a")], 2)
    assert "text" not in path.read_text()


def test_failed_write_leaves_the_old_manifest_alone(tmp_path):
    path = tmp_path / "train.csv"
    write_manifest(path, [row()], 2)
    before = path.read_bytes()

    def rows():
        yield row("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_manifest(path, rows(), 2)
    assert "twice" in refused(write_manifest, path, [row(), row()], 2)
    assert "s3_wav" in refused(write_manifest, path, [row()], 3)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["train.csv"]


def test_unusable_manifests_are_refused(tmp_path):
    path = tmp_path / "train.csv"
    assert "train.csv is missing" in refused(read_manifest, path)
    write_manifest(path, [], 2)
    assert "no mixture" in refused(read_manifest, path)
    write_manifest(path, [row()], 2)
    assert "2 speakers but num_spks is 3" in refused(
        read_manifest, path, num_spks=3
    )
    text = path.read_text()
    path.write_text(text.replace("1.000000", "long"))
    assert "'long' for duration" in refused(read_manifest, path)
    path.write_text(text + text.splitlines()[1] + "\n")
    assert "ID m twice" in refused(read_manifest, path)
    path.write_text(text.replace(",p2", ""))
    assert "fields" in refused(read_manifest, path)
    path.write_text(text.replace("s1_spk", "speaker"))
    assert "columns" in refused(read_manifest, path)


def test_check_names_missing_files_once_each(corpus):
    path = corpus / "train.csv"
    write_manifest(path, [row("x"), row("y")], 2)
    assert len(check_manifest(path, corpus)) == 2
    (corpus / "b.npz").unlink()
    sentence = refused(check_manifest, path, corpus)
    assert sentence.count("b.npz") == 1 and sentence.startswith("1 of 4 files")
    assert len(check_manifest(path, corpus, use_lips=False)) == 2


def test_check_wants_real_durations(corpus):
    path = corpus / "train.csv"
    write_manifest(path, [row(duration=1.1)], 2)
    sentence = refused(check_manifest, path, corpus)
    assert "1.100 s but lasts 1.000 s" in sentence
    assert check_manifest(path, corpus, headers=False)


def test_check_wants_lips_only_when_used(corpus):
    path = corpus / "train.csv"
    write_manifest(path, [row(s2_lips="")], 2)
    assert "s2_lips" in refused(check_manifest, path, corpus)
    assert check_manifest(path, corpus, use_lips=False)
