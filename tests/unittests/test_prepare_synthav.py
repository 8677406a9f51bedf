"""Proves what the preparation of SynthAV lists: voices of one split, noise of
the same split at the level asked for, and settings that do not change unseen.
"""

import numpy as np
import pytest
import soundfile

from avsep_sb.dataio.items import ItemReader
from avsep_sb.dataio.manifest import check_manifest, read_manifest
from avsep_sb.dataio.scaling import active_rms
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.synth import noise as noise_module
from tests.utils.fake_corpora import load_prepare

NAMES = ("train", "valid", "test", "test_same")
COUNTS = {"num_train": 8, "num_valid": 4, "num_test": 4, "utts_per_speaker": 2}
NOISE = {"noise_db": [-6, 3], "num_noises": 5, "noise_seconds": 3}


def fake_generate(root, utts_per_speaker, seed, workers, train_speakers=None):
    """Writes a corpus of the real layout, without a synthesizer."""
    rows = []
    for k, split in enumerate(("train", "valid", "test")):
        for n in range(3 * utts_per_speaker):
            spk = f"spk{3 * k + n // utts_per_speaker:02d}"
            name, count = f"{spk}_{n % utts_per_speaker:03d}", 16000 + 640 * n
            folder = root / split / spk
            folder.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng([k, n])
            wave = 0.1 * rng.standard_normal(count)
            wave[4000:8000] = 0
            soundfile.write(folder / f"{name}.flac", wave, 16000)
            (folder / f"{name}.npz").touch()
            rows.append({"ID": name, "split": split, "spk": spk})
            rows[-1]["duration"] = f"{count / 16000:.6f}"
            rows[-1]["text"] = f"says {name}"
    return rows


@pytest.fixture
def prepare(repo, tmp_path, monkeypatch):
    module = load_prepare(repo, "SynthAV")
    monkeypatch.setattr(module, "generate", fake_generate)
    monkeypatch.setattr(noise_module, "_BANK", 4)
    noise_module._bank.cache_clear()

    def call(save="manifests", **changes):
        folder = tmp_path / save
        module.prepare_synthav(
            tmp_path / "data", folder, **{**COUNTS, **changes}
        )
        return folder

    yield call
    noise_module._bank.cache_clear()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_noise_lies_at_the_level_asked_for(prepare, tmp_path):
    folder = prepare(**NOISE)
    reader = ItemReader(2, use_lips=False)
    ratios = []
    for name in NAMES:
        split = name.split("_")[0]
        rows = check_manifest(folder / f"{name}.csv", tmp_path / "data")
        for row in rows:
            assert row["noise_wav"].startswith(
                f"{tmp_path}/data/noise/{split}/"
            )
            mix, sources, _ = reader(row["ID"], row)
            assert np.abs(mix).max() <= 0.9001
            speech = sources.sum(axis=1)
            level = np.sqrt(np.mean((mix - speech) ** 2))
            ratios.append(20 * np.log10(active_rms(speech) / level))
    assert -6.001 < min(ratios) < -3 and 0 < max(ratios) < 3.001
    splits = {p.parent.name for p in tmp_path.glob("data/noise/*/*.flac")}
    assert splits == {"train", "valid", "test"}


def test_noise_changes_neither_voices_nor_their_ratio(prepare):
    clean, noisy = prepare("clean"), prepare("noisy", **NOISE)
    for name in NAMES:
        before = read_manifest(clean / f"{name}.csv")
        after = read_manifest(noisy / f"{name}.csv")
        assert "noise_wav" not in before[0]
        for one, two in zip(before, after, strict=True):
            same = [k for k in one if not k.endswith("_gain")]
            assert [one[k] for k in same] == [two[k] for k in same]
            ratio = two["s1_gain"] / one["s1_gain"]
            assert 0 < ratio <= 1
            assert two["s2_gain"] / one["s2_gain"] == pytest.approx(ratio)


def test_same_manifests_from_the_same_seed(prepare):
    one, two = contents(prepare("a", **NOISE)), contents(prepare("b", **NOISE))
    assert one == two and len(one) == 5
    other = contents(prepare("c", mix_seed=8, **NOISE))
    assert all(one[f"{n}.csv"] != other[f"{n}.csv"] for n in NAMES)


def refused(error, call, *args, **changes):
    with pytest.raises(error) as caught:
        call(*args, **changes)
    return str(caught.value)


def test_other_settings_need_another_folder(prepare):
    folder = prepare()
    before = contents(folder)
    prepare()  # the same again
    text = refused(ConfigError, prepare, num_train=9)
    assert "num_train 8, now 9" in text and "--manifest_folder" in text
    assert "noise_db None, now" in refused(ConfigError, prepare, **NOISE)
    assert contents(folder) == before


def test_folders_without_settings_are_accepted_as_before(prepare):
    folder = prepare()
    (folder / "prepared.json").unlink()
    before = contents(folder)
    prepare(num_train=9)
    assert contents(folder) == before
    # but not for mixtures without the noise that is asked for
    assert "without noise" in refused(ConfigError, prepare, **NOISE)
    noisy = prepare("noisy", **NOISE)
    (noisy / "prepared.json").unlink()
    assert "with noise" in refused(ConfigError, prepare, "noisy")


def test_preparation_goes_on_where_it_stopped(prepare):
    folder = prepare(**NOISE)
    before = contents(folder)
    (folder / "test.csv").unlink()
    prepare(**NOISE)
    assert contents(folder) == before


def test_mixtures_of_two_to_four_take_turns(prepare, tmp_path):
    keys = {"num_spks": 3, "min_spks": 1, "num_test_same": 0, "num_test": 7}
    folder = prepare(same_voice_ratio=0.0, **keys)
    assert not (folder / "test_same.csv").exists()
    rows = check_manifest(
        folder / "test.csv", tmp_path / "data", num_spks=3, min_spks=1
    )
    parts = {}
    for i, row in enumerate(rows):
        names = [row[f"s{k}_spk"] for k in (1, 2, 3)]
        there = [name for name in names if name]
        assert len(set(there)) == len(there) == 1 + i % 3
        parts.setdefault(len(there), []).append(row["ID"])
    for number, names in parts.items():
        alone = check_manifest(
            folder / f"test_{number}spk.csv",
            tmp_path / "data",
            num_spks=number,
        )
        assert [row["ID"] for row in alone] == names
    assert "min_spks 1, now 2" in refused(
        ConfigError, prepare, same_voice_ratio=0.0, **{**keys, "min_spks": 2}
    )


def test_one_voice_in_noise(prepare, tmp_path):
    folder = prepare(num_spks=1, **NOISE)
    assert sorted(path.name for path in folder.glob("*.csv")) == [
        "test.csv",
        "train.csv",
        "valid.csv",
    ]
    rows = check_manifest(folder / "test.csv", tmp_path / "data", num_spks=1)
    assert all(row["noise_wav"] for row in rows)


def test_more_voices_than_speakers_are_refused(prepare):
    keys = {"num_spks": 4, "num_test_same": 0, "same_voice_ratio": 0.0}
    assert "split has 3" in refused(DataError, prepare, **keys)
    keys["num_test_same"] = None
    assert "at least 4" in refused(DataError, prepare, **keys)


def test_unusable_noise_is_refused(prepare):
    text = refused(ConfigError, prepare, **{**NOISE, "noise_db": 3})
    assert "noise_db is 3" in text
    text = refused(DataError, prepare, **{**NOISE, "noise_seconds": 1})
    assert "16000 samples" in text and "_" in text


def test_manifests_tell_what_is_said(prepare):
    for row in read_manifest(prepare() / "test.csv"):
        for k in (1, 2):
            stem = row[f"s{k}_wav"].rpartition("/")[2].removesuffix(".flac")
            assert row[f"s{k}_text"] == f"says {stem}"
