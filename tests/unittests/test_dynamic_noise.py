"""Proves that noise drawn from a folder has the level that was drawn, and
depends on (seed, epoch, ID) alone, and that nothing else depends on it.
"""

import logging

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch
from torch.utils.data import DataLoader

from avsep_sb.dataio.draws import SharedEpoch
from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.dataio.noise import NoiseFolder
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.dataio.scaling import active_rms
from avsep_sb.errors import ConfigError, DataError
from tests.utils.noisy_corpus import SECONDS, WINDOW, hparams, write_corpus


def refused(call, *args, error=DataError, **options):
    with pytest.raises(error) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


@pytest.fixture
def noises(tmp_path):
    """The corpus, and noises of two lengths in nested folders."""
    write_corpus(tmp_path, noise=False)
    rng = np.random.default_rng(1)
    folder = tmp_path / "noise" / "street"
    folder.mkdir(parents=True)
    for n, count in enumerate((9000, 48000, 48000, 30000)):
        wave = 0.1 * rng.standard_normal((count, 2 if n == 2 else 1))
        kind = "flac" if n % 2 else "wav"
        soundfile.write(folder.parent / f"{n}.{kind}", wave, 16000)
    (folder.parent / "0.wav").rename(folder / "0.wav")
    return tmp_path


def noisy(folder, **changes):
    options = {
        "dynamic_mixing": True,
        "noise_folder": str(folder / "noise"),
        "noise_snr_db": [-6, 3],
    }
    return hparams(folder, **{**options, **changes})


def drawn(folder, epoch):
    """The draws that the pipeline must make."""
    clock = SharedEpoch()
    clock.set(epoch)
    return NoiseFolder(folder / "noise", (-6, 3), 7, clock)


def noise_of(item):
    speech = item["sources"].double().sum(dim=1).numpy()
    return item["mix_sig"].double().numpy() - speech, speech


def test_item_has_the_drawn_snr_and_the_drawn_slice(noises):
    train, _, _ = make_datasets(noisy(noises))
    files, ratios = set(), []
    for epoch in range(15):
        train.set_epoch(epoch)
        folder = drawn(noises, epoch)
        for i in range(4):
            item = train[i]
            added, speech = noise_of(item)
            draw = folder.draw(f"m{i}", WINDOW)
            level = np.sqrt(np.mean(added**2))
            ratio = 20 * np.log10(active_rms(speech) / level)
            assert ratio == pytest.approx(draw.snr_db, abs=1e-3)
            wave, _ = soundfile.read(draw.path, always_2d=True)
            piece = wave.mean(axis=1)[draw.start :][:WINDOW]
            gain = added @ piece / (piece @ piece)
            assert np.allclose(added, gain * piece, atol=1e-6)
            files.add(draw.path)
            ratios.append(ratio)
    assert len(files) == 4  # also the nested one and the stereo one
    assert min(ratios) < -4 and max(ratios) > 1


def test_noise_changes_no_other_draw(noises):
    plain, _, _ = make_datasets(hparams(noises, dynamic_mixing=True))
    train, _, _ = make_datasets(noisy(noises))
    for epoch in range(5):
        plain.set_epoch(epoch)
        train.set_epoch(epoch)
        for i in range(4):
            one, two = plain[i], train[i]
            assert float(two["mix_sig"].abs().max()) < 0.9  # none lowered
            assert torch.equal(one["sources"], two["sources"])
            mixed = one["sources"].sum(dim=1)
            assert torch.allclose(one["mix_sig"], mixed, atol=1e-7)
            assert not torch.equal(one["mix_sig"], two["mix_sig"])


def test_lips_and_crops_change_no_noise(noises):
    bare, _, _ = make_datasets(noisy(noises))
    seeing, _, _ = make_datasets(
        noisy(noises, use_lips=True, crop_size=[6, 6], random_crop=True)
    )
    for i in range(4):
        assert torch.equal(bare[i]["mix_sig"], seeing[i]["mix_sig"])


def test_any_number_of_workers_adds_the_same_noise(noises):
    train, _, _ = make_datasets(noisy(noises, noise_probability=0.5))
    train.set_epoch(3)
    alone = [train[i]["mix_sig"] for i in range(4)]
    other, _, _ = make_datasets(noisy(noises, noise_probability=0.5))
    for workers in (0, 2):
        loader = DataLoader(
            other, 2, num_workers=workers, collate_fn=PaddedBatch
        )
        other.set_epoch(3)  # workers that start now, and a restart
        found = [mix for batch in loader for mix in batch.mix_sig.data]
        assert all(map(torch.equal, alone, found))
    train.set_epoch(4)
    assert not torch.equal(alone[0], train[0]["mix_sig"])


def test_probability_is_the_share_and_keeps_the_noise(noises):
    always, _, _ = make_datasets(noisy(noises))
    often, _, _ = make_datasets(noisy(noises, noise_probability=0.6))
    count = 0
    for epoch in range(40):
        always.set_epoch(epoch)
        often.set_epoch(epoch)
        for i in range(4):
            item = often[i]
            added, _ = noise_of(item)
            if np.abs(added).max() > 1e-6:
                count += 1
                assert torch.equal(item["mix_sig"], always[i]["mix_sig"])
    assert 0.5 < count / 160 < 0.7


def test_loud_noise_lowers_mixture_and_sources_together(noises):
    train, _, _ = make_datasets(noisy(noises, noise_snr_db=[-30, -30]))
    item = train[0]
    added, speech = noise_of(item)
    assert float(item["mix_sig"].abs().max()) == pytest.approx(0.9)
    ratio = active_rms(speech) / np.sqrt(np.mean(added**2))
    assert 20 * np.log10(ratio) == pytest.approx(-30, abs=0.01)


def test_silence_gets_no_noise(noises):
    for n in range(4):
        count = round(SECONDS[n] * 16000)
        soundfile.write(noises / f"{n}.wav", np.zeros(count), 16000)
    train, _, _ = make_datasets(noisy(noises))
    assert not train[0]["mix_sig"].any()


def test_validation_gets_no_drawn_noise(noises):
    _, valid, test = make_datasets(noisy(noises))
    for item in (valid[0], test[0]):
        assert torch.equal(item["mix_sig"], item["sources"].sum(dim=1))


def test_short_noises_are_left_out_and_said(noises, caplog):
    with caplog.at_level(logging.WARNING):
        train, _, _ = make_datasets(noisy(noises, training_signal_len=15 * 640))
    assert "1 of 4 files" in caplog.text and "9600 samples" in caplog.text
    for epoch in range(20):
        train.set_epoch(epoch)
        draw = drawn(noises, epoch).draw("m0", 15 * 640)
        assert not draw.path.endswith("0.wav") and train[0] is not None
    text = refused(make_datasets, noisy(noises, training_signal_len=100 * 640))
    assert "has 64000 samples" in text and "48000" in text


def test_dynamic_mixing_of_a_noisy_manifest_without_noise_is_said(
    tmp_path, caplog
):
    write_corpus(tmp_path)
    with caplog.at_level(logging.WARNING):
        make_datasets(hparams(tmp_path, dynamic_mixing=True))
    assert "set noise_folder" in caplog.text


def test_one_face_and_noise(noises):
    """Enhancement: no partner, whatever the ratio of same voices."""
    row = {"ID": "m0", "duration": SECONDS[0], "s1_gain": 1, "s1_spk": "p"}
    row["s1_wav"], row["s1_lips"] = "$data_root/0.wav", "$data_root/0.npz"
    write_manifest(noises / "all.csv", [row], 1)
    keys = {"num_spks": 1, "same_voice_ratio": 1.0}
    # a clean voice alone is nothing to validate on
    text = refused(make_datasets, noisy(noises, **keys), error=ConfigError)
    assert "set valid_noise_folder" in text
    for split in ("valid", "test"):
        keys[f"{split}_noise_folder"] = str(noises / "noise")
    train, _, _ = make_datasets(noisy(noises, **keys))
    assert train[0]["sources"].shape == (WINDOW, 1)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"noise_snr_db": None}, "noise_snr_db is None"),
        ({"noise_snr_db": 3}, "noise_snr_db is 3"),
        ({"noise_snr_db": [3, -6]}, "[lowest, highest]"),
        ({"noise_folder": None}, "noise_folder is not"),
        ({"dynamic_mixing": False}, "set dynamic_mixing: True"),
        ({"noise_probability": 0}, "noise_probability is 0"),
        ({"noise_probability": 1.5}, "noise_probability is 1.5"),
    ],
)
def test_unusable_noise_settings_are_named(noises, changes, words):
    settings = noisy(noises, **changes)
    assert words in refused(make_datasets, settings, error=ConfigError)


def test_unusable_noise_folders_are_named(noises):
    settings = noisy(noises, noise_folder=str(noises / "none"))
    assert "is no folder" in refused(make_datasets, settings)
    (noises / "none").mkdir()
    assert "holds no audio file" in refused(make_datasets, settings)
    soundfile.write(noises / "none" / "a.wav", np.zeros(99999), 44100)
    text = refused(make_datasets, settings)
    assert "a.wav has 44100 Hz but sample_rate is 16000" in text
