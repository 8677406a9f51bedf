"""Proves that listed noise lies where the manifest says, and that mixtures
without noise are what they were.
"""

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb.dataio.items import ItemReader
from avsep_sb.dataio.manifest import (
    check_manifest,
    columns,
    read_manifest,
    write_manifest,
)
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.errors import DataError
from tests.utils.noisy_corpus import WINDOW, hparams, write_corpus


def refused(call, *args, **options):
    with pytest.raises(DataError) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_manifest_with_noise_reads_back(tmp_path):
    rows = write_corpus(tmp_path)
    back = read_manifest(tmp_path / "all.csv", "D", num_spks=2)
    assert list(back[0]) == columns(2, noise=True)
    assert back[1]["noise_wav"] == "D/hiss.wav"
    for row, wanted in zip(back, rows, strict=True):
        assert row["noise_start"] == wanted["noise_start"]
        assert row["noise_gain"] == pytest.approx(wanted["noise_gain"])
    check_manifest(tmp_path / "all.csv", tmp_path, use_lips=False)
    # what was read can be written again
    text = (tmp_path / "all.csv").read_bytes()
    write_manifest(tmp_path / "all.csv", read_manifest(tmp_path / "all.csv"), 2)
    assert (tmp_path / "all.csv").read_bytes() == text


def test_one_noisy_row_among_clean_ones(tmp_path):
    rows = write_corpus(tmp_path)
    for name in ("noise_wav", "noise_start", "noise_gain"):
        del rows[0][name]
    write_manifest(tmp_path / "all.csv", rows, 2)
    back = check_manifest(tmp_path / "all.csv", tmp_path, use_lips=False)
    assert back[0]["noise_wav"] == "" and back[1]["noise_wav"]
    _, valid, _ = make_datasets(hparams(tmp_path))
    item = valid[0]
    assert torch.equal(item["mix_sig"], item["sources"].sum(dim=1))


@pytest.mark.parametrize("signal_len", [WINDOW, None])
def test_noise_of_the_item_is_the_same_window_of_the_noise(
    tmp_path, signal_len
):
    rows = write_corpus(tmp_path)
    noise, _ = soundfile.read(tmp_path / "hiss.wav", dtype="float32")
    first = [soundfile.read(tmp_path / f"{n}.wav")[0] for n in range(4)]
    train, valid, _ = make_datasets(
        hparams(tmp_path, training_signal_len=signal_len)
    )
    starts = set()
    for epoch in range(20):
        train.set_epoch(epoch)
        for i, row in enumerate(rows):
            item = train[i]
            count = len(item["mix_sig"])
            # where the window lies, told by the first source
            wave = item["sources"][:, 0].numpy() / 0.5
            places = range(0, max(1, len(first[i]) - count + 1), 640)
            padded = np.pad(first[i], (0, count))
            (start,) = (
                p for p in places if np.allclose(padded[p:][:count], wave)
            )
            starts.add((i, start))
            begin = round(row["noise_start"] * 16000) + start
            wanted = noise[begin:][:count] * np.float32(row["noise_gain"])
            mixed = item["sources"].sum(dim=1).numpy() + wanted
            assert np.array_equal(item["mix_sig"].numpy(), mixed)
    assert len(starts) >= (4 if signal_len is None else 12)
    item = valid[1]
    added = item["mix_sig"] - item["sources"].sum(dim=1)
    wanted = 0.4 * noise[20000:][: len(added)]
    assert np.allclose(added.numpy(), wanted, atol=1e-7)


def test_clean_rows_are_as_before(tmp_path):
    """A manifest of the old form yields the sources and their sum."""
    write_corpus(tmp_path, noise=False)
    assert "noise" not in (tmp_path / "all.csv").read_text()
    clean, _, _ = make_datasets(hparams(tmp_path))
    write_corpus(tmp_path)
    noisy, _, _ = make_datasets(hparams(tmp_path))
    for i in range(4):
        one, two = clean[i], noisy[i]
        assert torch.equal(one["sources"], two["sources"])
        assert torch.equal(one["mix_sig"], one["sources"].sum(dim=1))
        assert not torch.equal(one["mix_sig"], two["mix_sig"])


def test_short_noise_is_refused_and_not_repeated(tmp_path):
    rows = write_corpus(tmp_path)
    rows[0]["noise_start"] = 4.0
    write_manifest(tmp_path / "all.csv", rows, 2)
    text = refused(
        check_manifest, tmp_path / "all.csv", tmp_path, use_lips=False
    )
    assert "hiss.wav has 80000 samples" in text and "22400 from" in text
    train, _, _ = make_datasets(hparams(tmp_path))
    assert "hiss.wav" in refused(train.__getitem__, 0)


def test_noise_of_another_rate_is_refused(tmp_path):
    write_corpus(tmp_path)
    soundfile.write(tmp_path / "hiss.wav", np.zeros(400000), 44100)
    train, _, _ = make_datasets(hparams(tmp_path))
    assert "hiss.wav has 44100 Hz" in refused(train.__getitem__, 0)


def test_missing_noise_is_named_before_the_first_batch(tmp_path):
    write_corpus(tmp_path)
    (tmp_path / "hiss.wav").unlink()
    assert "hiss.wav" in refused(make_datasets, hparams(tmp_path))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"noise_start": -1}, "from -1 s on"),
        ({"noise_gain": float("nan")}, "finite gain"),
        ({"mix_wav": "$data_root/0.wav"}, "a ready mix_wav"),
    ],
)
def test_impossible_noise_is_refused(tmp_path, changes, words):
    rows = write_corpus(tmp_path)
    path = tmp_path / "all.csv"
    text = refused(write_manifest, path, [{**rows[0], **changes}], 2)
    assert "m0" in text and words in text
    lines = path.read_text().splitlines()
    values = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    values |= {name: str(value) for name, value in changes.items()}
    path.write_text("\n".join([lines[0], ",".join(values.values())]))
    assert words in refused(read_manifest, path)


def test_incomplete_noise_is_refused(tmp_path):
    rows = write_corpus(tmp_path)
    del rows[0]["noise_gain"]
    assert "noise_gain" in refused(
        write_manifest, tmp_path / "all.csv", rows, 2
    )
    header = (tmp_path / "all.csv").read_text().replace(",noise_gain", "")
    (tmp_path / "all.csv").write_text(header)
    assert "columns" in refused(read_manifest, tmp_path / "all.csv")


def test_reader_takes_rows_of_both_forms(tmp_path):
    write_corpus(tmp_path)
    row = read_manifest(tmp_path / "all.csv", tmp_path)[0]
    reader = ItemReader(2, use_lips=False)
    noisy, sources, _ = reader("m0", row)
    for name in ("noise_wav", "noise_start", "noise_gain"):
        del row[name]
    clean, same, _ = reader("m0", row)
    assert np.array_equal(sources, same)
    assert np.array_equal(clean, sources.sum(axis=1))
    assert np.abs(noisy - clean).max() > 0.01
