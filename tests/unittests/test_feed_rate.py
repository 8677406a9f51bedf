"""Proves that the feed rate of every setting is measured beside a step."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsep_sb.errors import ConfigError, DataError
from tests.utils.framed_corpus import write_corpus

ROOT = Path(__file__).resolve().parents[2]
MODEL = (
    f"{ROOT / 'hparams' / 'iianet_synthav.yaml'} --num_av_cycles 1 "
    "--num_audio_cycles 1 --out_channels 8 --in_channels=16 --depth 2 "
    "--batch_size 2 --training_signal_len 6400 --crop_size [12,12]"
)


@pytest.fixture
def script(monkeypatch):
    """Imports a script as it is when run: its folder comes first."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("feed_rate")


@pytest.fixture
def argv(tmp_path):
    write_corpus(tmp_path)
    for name in ("noise", "rooms"):
        (tmp_path / name).mkdir()
        wave = np.random.default_rng(0).standard_normal((9000, 4)) * 0.1
        soundfile.write(tmp_path / name / "a.wav", wave, 16000)
    return [
        MODEL,
        *("--data", str(tmp_path)),
        *("--manifest", str(tmp_path / "all.csv")),
        *("--noise", str(tmp_path / "noise")),
        *("--rooms", str(tmp_path / "rooms")),
        *("--batches", "2", "--rounds", "2", "--workers", "0", "1"),
    ]


def test_a_row_for_each_setting(script, argv, capsys):
    script.main(argv)
    text = capsys.readouterr().out
    rows = [line.split("|") for line in text.splitlines() if "| " in line][1:]
    found = [(row[1].strip(), row[2].strip()) for row in rows]
    data = ["listed mixtures", "dynamic mixing"]
    data += [f"dynamic mixing, {what}" for what in ("noise", "rooms")]
    data.append("dynamic mixing, noise, rooms")
    wanted = [(name, workers) for name in data for workers in "01"]
    assert found == [*wanted, ("training step", "-")]
    assert "batches of 2 mixtures of 6400 samples" in text
    rates = [float(row[3]) for row in rows]
    assert all(rate > 0 for rate in rates)
    # two mixtures a batch
    taken = float(rows[0][4].split("(")[0])
    assert rates[0] == pytest.approx(2000 / taken, rel=0.05, abs=1)


def test_lips_of_every_kind(script, argv, capsys):
    """The front end is frozen and small; mp4 gives nearly the same pixels."""
    argv[0] += " --freeze_frontend True"
    script.main([*argv[:5], *argv[9:], "--lips", *script.KINDS])
    text = capsys.readouterr().out
    rows = [line.split("|") for line in text.splitlines() if "| " in line][1:]
    found = [row[1].strip() for row in rows]
    assert found[4:-1:2] == [f"a few, lips as {kind}" for kind in script.KINDS]
    assert all(row[-2].strip() == "-" for row in rows[4:])


def test_mp4_holds_the_same_mouths(script, tmp_path):
    feed_lips = importlib.import_module("feed_lips")
    write_corpus(tmp_path, voices=2)
    (tmp_path / "mp4").mkdir()
    manifest = tmp_path / "all.csv"
    made = feed_lips.as_mp4(manifest, tmp_path, tmp_path / "mp4", 25)
    assert "mp4/0.mp4" in Path(made).read_text()
    before = np.load(tmp_path / "0.npz")["data"].astype(int)
    after = feed_lips.read_any(tmp_path / "mp4" / "0.mp4").astype(int)
    assert after.shape == before.shape
    assert np.abs(after - before).max() < 12


def test_what_a_setting_adds_to_an_epoch(script):
    assert script.added(3.0, 1.0, 9.0, workers=0) == pytest.approx(20.0)
    # beside workers the slower of the two decides
    assert script.added(3.0, 1.0, 9.0, workers=2) == 0
    assert script.added(18.0, 1.0, 9.0, workers=2) == pytest.approx(100.0)


def test_unusable_arguments_are_named(script, argv):
    with pytest.raises(ConfigError, match="above 0"):
        script.main([*argv, "--rounds", "0"])
    argv[0] = argv[0].replace("--batch_size 2", "--batch_size 9")
    with pytest.raises(DataError, match="less than a batch of 9"):
        script.main(argv)
