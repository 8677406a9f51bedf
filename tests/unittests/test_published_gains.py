"""Proves that the public lists come out of the preparation with the levels
that they state, to 1e-6."""

import numpy as np
import pytest
import soundfile

from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.dataio.manifest import read_manifest, write_manifest
from avsep_sb.dataio.mixture_lists import read_mixture_list, write_mixture_list
from avsep_sb.dataio.mixture_rows import mixture_rows
from tests.utils.fake_corpora import load_prepare

LISTS = [
    ("LRS2", "tr", 20000),
    ("LRS2", "cv", 5000),
    ("LRS2", "tt", 3000),
    ("LRS3", "cv", 5000),
    ("LRS3", "tt", 3000),
    ("VoxCeleb2", "cv", 10000),
    ("VoxCeleb2", "tt", 2965),
]


@pytest.mark.parametrize("corpus, split, count", LISTS)
def test_lists_are_read_and_written_again(
    shared, repo, tmp_path, corpus, split, count
):
    path = shared / "lists" / corpus / f"mix_2_spk_{split}.scp"
    mixtures = read_mixture_list(path)
    assert len(mixtures) == count
    write_mixture_list(tmp_path / "again.scp", mixtures)
    assert read_mixture_list(tmp_path / "again.scp") == mixtures
    stated = np.loadtxt(path, usecols=(1, 3), dtype=np.float64, comments=None)
    gains = np.array([mixture.gains_db for mixture in mixtures])
    assert np.abs(gains - stated).max() < 1e-6
    # Names are read as the recipe files them.
    module = load_prepare(repo, corpus)
    tree = getattr(module, corpus)(tmp_path)
    ids = {
        tree.speaker(name) for mix in mixtures[:500] for name in mix.utterances
    }
    lengths = {"LRS2": {19}, "LRS3": {11}, "VoxCeleb2": {7}}
    assert {len(one) for one in ids} == lengths[corpus]


@pytest.mark.parametrize("corpus", ["LRS2", "LRS3", "VoxCeleb2"])
def test_gains_of_the_manifest_are_those_of_the_list(shared, tmp_path, corpus):
    """Factors stand in the ratio that levels and dB demand, after the way
    through the CSV."""
    path = shared / "lists" / corpus / "mix_2_spk_tt.scp"
    mixtures = read_mixture_list(path)[:25]
    names = sorted({n for mix in mixtures for n in mix.utterances})
    rng = np.random.default_rng(0)
    sources, levels = {}, {}
    for number, name in enumerate(names):
        wave = 0.05 * rng.standard_normal(8000) * (1 + number % 4)
        wave[: 400 * (number % 7)] = 0
        wav = tmp_path / f"{number}.flac"
        soundfile.write(wav, wave, 16000)
        wave, _ = soundfile.read(wav, dtype="float32")
        levels[name] = active_speech_level(wave, 16000)[0]
        sources[name] = {"wav": wav, "lips": "", "spk": name}
    rows = mixture_rows(mixtures, sources, progress=False)
    write_manifest(tmp_path / "test.csv", rows, 2)
    rows = read_manifest(tmp_path / "test.csv")
    assert len(rows) == len(mixtures)
    for row, mixture in zip(rows, mixtures, strict=True):
        one, two = (levels[name] for name in mixture.utterances)
        # level of each scaled source, over the list's
        found = 20 * np.log10(row["s1_gain"] / row["s2_gain"])
        found += 10 * np.log10(one / two)
        stated = mixture.gains_db[0] - mixture.gains_db[1]
        assert abs(found - stated) < 1e-6
