"""Proves that each voice of an item comes with what it says, or with nothing
where a part of it is missing.

Utterance n is n + 1 seconds of the number (n + 1) / 10.
"""

import numpy as np
import pytest
import soundfile
from speechbrain.dataio.batch import PaddedBatch

from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import ConfigError, DataError

TEXTS = ["bin blue", "set red", "lay one", ""]


@pytest.fixture
def folder(tmp_path):
    for n in range(4):
        wave = np.full(16000 * (n + 1), (n + 1) / 10)
        soundfile.write(tmp_path / f"{n}.wav", wave, 16000, subtype="FLOAT")
    rows = []
    for i in range(4):
        row = {"ID": f"m{i}", "duration": 1 + min(i, (i + 1) % 4)}
        for k, n in ((1, i), (2, (i + 1) % 4)):
            row[f"s{k}_wav"] = f"$data_root/{n}.wav"
            row[f"s{k}_gain"] = 1.0
            row[f"s{k}_spk"] = f"p{n}"
        rows.append(row)
    write_manifest(tmp_path / "untold.csv", rows, 2)
    for i, row in enumerate(rows):
        row.update(s1_text=TEXTS[i], s2_text=TEXTS[(i + 1) % 4])
    write_manifest(tmp_path / "all.csv", rows, 2)
    return tmp_path


def datasets(folder, manifest="all.csv", **changes):
    names = ("train_data", "valid_data", "test_data")
    return make_datasets(
        {
            "data_folder": str(folder),
            **dict.fromkeys(names, str(folder / manifest)),
            "sample_rate": 16000,
            "video_fps": 25,
            "num_spks": 2,
            "training_signal_len": None,
            "dynamic_mixing": True,
            "mix_gain_db": [-5, 5],
            "seed": 7,
            "crop_size": None,
            "random_crop": False,
            "horizontal_flip": False,
            "use_lips": False,
            "use_texts": True,
            **changes,
        }
    )


def spoken(sources):
    """Which utterance each source is, by the seconds that are not zero."""
    return [int((wave != 0).sum()) // 16000 - 1 for wave in sources.T]


def test_text_goes_where_its_voice_goes(folder):
    train, _, _ = datasets(folder)
    partners = set()
    for epoch in (1, 2, 3):
        train.set_epoch(epoch)
        for item in train:
            voices = spoken(item["sources"])
            assert item["texts"] == [TEXTS[n] or None for n in voices]
            # nothing is cut: the item lasts as long as its longest voice
            assert len(item["mix_sig"]) == 16000 * (max(voices) + 1)
            partners.add(tuple(voices))
    assert len(partners) > 4


def test_listed_mixture_tells_only_whole_voices(folder):
    _, valid, _ = datasets(folder)
    assert [item["texts"] for item in valid] == [
        ["bin blue", None],
        ["set red", None],
        ["lay one", None],
        [None, "bin blue"],
    ]
    assert len(valid[0]["mix_sig"]) == 16000


def test_silent_voice_says_nothing(folder):
    train, _, _ = datasets(folder, silent_target_prob=1.0)
    for item in train:
        silent = [not wave.any() for wave in item["sources"].T]
        assert sum(silent) == 1 and item["texts"][silent.index(True)] == ""
    train, _, _ = datasets(
        folder, silent_target_prob=1.0, silent_pausing_prob=1.0
    )
    assert all(None in item["texts"] for item in train)


def test_batch_keeps_lists_of_texts(folder):
    _, valid, _ = datasets(folder)
    batch = PaddedBatch([valid[0], valid[3]])
    assert batch.texts == [["bin blue", None], [None, "bin blue"]]


def test_without_the_key_nothing_changes(folder):
    for manifest in ("all.csv", "untold.csv"):
        train, _, _ = datasets(folder, manifest, use_texts=False)
        train.set_epoch(1)
        assert set(train[0]) == {"id", "mix_sig", "sources"}
        # cut to the shorter voice
        assert (
            min(spoken(train[3]["sources"]))
            == len(train[3]["mix_sig"]) // (16000) - 1
        )


@pytest.mark.parametrize("key", ["training_signal_len", "valid_signal_len"])
def test_crop_is_refused(folder, key):
    with pytest.raises(ConfigError, match=f"{key} cuts utterances"):
        datasets(folder, **{key: 16000})


def test_manifest_without_texts_is_refused(folder):
    with pytest.raises(DataError, match="untold.csv has no s"):
        datasets(folder, "untold.csv")
