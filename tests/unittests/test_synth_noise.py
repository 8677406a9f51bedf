"""Proves that the noises of SynthAV are the same bytes for the same seed,
differ between splits, kinds and files, and hold no voice of another split.
"""

import numpy as np
import pytest
import soundfile

from avsep_sb.errors import DataError
from avsep_sb.synth import noise as noise_module
from avsep_sb.synth.noise import generate_noises, kind_of, make_noise
from avsep_sb.synth.voices import SPLITS, speakers_of

KINDS = ["babble", "coloured", "hum", "fan", "knocks"]


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.flac")
    }


def test_same_bytes_for_the_same_seed(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        noise_module._bank.cache_clear()
        generate_noises(tmp_path / name, "valid", 5, seconds=2, seed=seed)
    one, two, other = (files(tmp_path / name) for name in "abc")
    assert one == two and len(one) == 5
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one)


def test_more_files_begin_with_the_same_ones_and_keep_them(tmp_path):
    generate_noises(tmp_path, "test", 2, seconds=1, seed=3)
    few = files(tmp_path)
    paths = generate_noises(tmp_path, "test", 4, seconds=1, seed=3)
    assert [kind_of(n) for n in range(4)] == [
        path.stem.split("_")[1] for path in paths
    ]
    more = files(tmp_path)
    assert len(more) == 4 and few.items() <= more.items()


def test_files_are_as_asked(tmp_path):
    for path in generate_noises(tmp_path, "train", 10, seconds=3, seed=1):
        wave, rate = soundfile.read(path)
        assert rate == 16000 and wave.shape == (48000,)
        assert 0.005 < np.sqrt(np.mean(wave**2)) < 0.0501
        assert 0.05 < np.abs(wave).max() <= 0.9001
        # no second is silent: noise of any window can be brought to a level
        for second in wave.reshape(3, 16000):
            assert np.sqrt(np.mean(second**2)) > 1e-4


def spectrum(wave):
    """Mean power in 16 bands of 500 Hz, as shares."""
    power = np.abs(np.fft.rfft(wave)[:-1]) ** 2
    bands = power.reshape(16, -1).sum(axis=1)
    return bands / bands.sum()


def test_splits_and_files_differ_in_more_than_their_samples():
    for kind in range(5):
        shapes = [
            spectrum(make_noise(split, kind + 5 * n, 2, seed=1))
            for split in SPLITS
            for n in range(2)
        ]
        gaps = [
            np.abs(a - b).sum()
            for i, a in enumerate(shapes)
            for b in shapes[:i]
        ]
        assert np.median(gaps) > 0.1, KINDS[kind]


def test_kinds_sound_as_they_are_called():
    hum = np.abs(np.fft.rfft(make_noise("train", 2, 4, seed=1))) ** 2
    # lines: a hundredth of the bins hold nearly all power
    assert np.sort(hum)[-len(hum) // 50 :].sum() > 0.7 * hum.sum()
    knocks = make_noise("train", 4, 4, seed=1)
    assert np.mean(knocks**4) > 10 * np.mean(knocks**2) ** 2
    coloured = make_noise("train", 1, 4, seed=1)
    assert np.mean(coloured**4) < 6 * np.mean(coloured**2) ** 2


def test_babble_holds_many_voices_of_its_split_only(monkeypatch):
    asked = []
    real = noise_module.make_utterance

    def listen(seed, speaker, number):
        asked.append((speaker.name, number))
        return real(seed, speaker, number)

    monkeypatch.setattr(noise_module, "make_utterance", listen)
    noise_module._bank.cache_clear()
    for split in ("valid", "test"):
        asked.clear()
        make_noise(split, 0, 1, seed=2)
        names = {name for name, _ in asked}
        assert names <= {speaker.name for speaker in speakers_of(split)}
        assert len(names) >= 6
        # sentences that no corpus holds
        assert min(number for _, number in asked) > 10**5
    noise_module._bank.cache_clear()


def test_all_kinds_but_babble_need_no_synthesizer(monkeypatch):
    def refuse(split, seed):
        raise AssertionError("the synthesizer was asked")

    monkeypatch.setattr(noise_module, "_bank", refuse)
    with pytest.raises(AssertionError):
        make_noise("train", 0, 1, seed=1)
    for number in range(1, 5):
        assert make_noise("train", number, 1, seed=1).shape == (16000,)


def sentence(call, *args, **options):
    with pytest.raises(DataError) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_one_folder_holds_one_seed_and_one_length(tmp_path):
    generate_noises(tmp_path, "test", 2, seconds=1, seed=3)
    before = files(tmp_path)
    text = sentence(generate_noises, tmp_path, "test", 2, seconds=1, seed=4)
    assert "'seed': 3" in text and "another folder" in text
    sentence(generate_noises, tmp_path, "test", 2, seconds=2, seed=3)
    assert files(tmp_path) == before


def test_impossible_noises_are_refused(tmp_path):
    assert "'dev'" in sentence(generate_noises, tmp_path, "dev", 1)
    assert "0 noises" in sentence(generate_noises, tmp_path, "test", 0)
    sentence(generate_noises, tmp_path, "test", 1, seconds=0.1)
    assert not list(tmp_path.iterdir())
