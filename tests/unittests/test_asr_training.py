"""Proves what a recogniser learns from, and that what it learnt ships."""

import csv
import importlib.util

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.inference.ASR import EncoderASR

from avsep_sb.asr_training import make_recogniser_dataset
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference.text import normalise_text
from avsep_sb.lobes.ctc_encoder import ConvBLSTM
from avsep_sb.recogniser_lists import read_sayings, write_sayings
from avsep_sb.synth.corpus import generate
from avsep_sb.synth.utterance import make_utterance, render_roi
from avsep_sb.synth.voices import speakers_of
from tests.asr_folder import make_toy_asr
from tests.utils.fake_corpora import load_prepare


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One utterance of each voice, of four to train; no mouths."""
    folder = tmp_path_factory.mktemp("synthav")
    train = speakers_of("train")[:4]
    for speaker in (*train, *speakers_of("valid"), *speakers_of("test")):
        stem = folder / speaker.split / speaker.name / f"{speaker.name}_000"
        stem.parent.mkdir(parents=True)
        sound = make_utterance(5, speaker, 0).audio
        soundfile.write(f"{stem}.flac", sound, 16000, "PCM_16")
        stem.with_suffix(".npz").touch()
    generate(folder, 1, 5, workers=0, train_speakers=4)
    return folder


@pytest.fixture
def prepare(repo, corpus, tmp_path):
    module = load_prepare(repo, "SynthAV-ASR")

    def call(name="lists", **changes):
        options = {"utts_per_speaker": 1, "corpus_seed": 5, "workers": 0}
        options = {**options, "train_speakers": 4, **changes}
        module.prepare_synthav_asr(corpus, tmp_path / name, **options)
        return {
            split: read_sayings(tmp_path / name / f"{split}.csv")
            for split in ("train", "valid", "test")
        }

    return call


def test_padding_takes_no_part():
    torch.manual_seed(0)
    net = ConvBLSTM(20, 12, 10, num_tokens=7).eval()
    features = torch.randn(2, 40, 20)
    with torch.no_grad():
        both = net(features, torch.tensor([0.6, 1.0]))
        alone = net(features[:1, :24], torch.ones(1))
    assert both.shape == (2, 10, 7)
    assert torch.allclose(both[0, :6], alone[0], atol=1e-5)
    assert torch.allclose(both.exp().sum(-1), torch.ones(2, 10), atol=1e-5)


def test_lists_keep_speakers_apart_and_hold_more_of_training(prepare, corpus):
    lists = prepare()
    speakers = {k: {row["spk_id"] for row in v} for k, v in lists.items()}
    assert [len(speakers[k]) for k in lists] == [4, 6, 10]
    assert not speakers["train"] & (speakers["valid"] | speakers["test"])
    texts = {
        r["ID"]: r["text"] for r in read_sayings(corpus / "utterances.csv")
    }
    for row in lists["test"]:
        assert row["wrd"] == normalise_text(texts[row["ID"]])
        assert row["wav"].startswith("$data_root/test/")
    more = prepare("more", more_per_speaker=1)
    assert len(more["train"]) == 8 and more["test"] == lists["test"]
    new = next(row for row in more["train"] if row["ID"].endswith("_001"))
    number = [s.name for s in speakers_of("train")].index(new["spk_id"])
    same = make_utterance(5, speakers_of("train")[number], 1)
    assert np.allclose(soundfile.read(new["wav"])[0], same.audio, atol=1e-4)
    assert new["wrd"] == normalise_text(same.text)


def test_other_settings_and_strangers_are_refused(prepare, tmp_path):
    lists = prepare()
    with pytest.raises(ConfigError, match="more_per_speaker"):
        prepare(more_per_speaker=1)
    with pytest.raises(ConfigError, match="one voice"):
        prepare("two", num_spks=2)
    write_sayings(tmp_path / "strange.csv", lists["test"][:1])
    with pytest.raises(DataError, match="not for training"):
        prepare("strange", separated=tmp_path / "strange.csv")
    assert not (tmp_path / "strange" / "train.csv").exists()


def test_separated_voices_keep_their_length_and_text(repo, corpus, tmp_path):
    path = repo / "recipes" / "SynthAV-ASR" / "separate_voices.py"
    spec = importlib.util.spec_from_file_location("separate_voices", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    small = tmp_path / "small"
    rows = read_sayings(corpus / "utterances.csv")
    rows = [r for r in rows if r["split"] == "test" and r["duration"] < "3.1"]
    for row in rows[:2]:
        stem = small / "test" / row["spk"] / row["ID"]
        stem.parent.mkdir(parents=True)
        voice = next(s for s in speakers_of("test") if s.name == row["spk"])
        one = make_utterance(5, voice, 0)
        soundfile.write(f"{stem}.flac", one.audio, 16000, "PCM_16")
        np.savez(f"{stem}.npz", data=render_roi(one))
    with (small / "utterances.csv").open("w", newline="") as fout:
        writer = csv.DictWriter(fout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[:2])
    options = ["--data_folder", str(small), "--out", str(tmp_path / "sep")]
    options += ["--split", "test", "--count", "1"]
    script.main(options)
    rows = {r["ID"]: r for r in rows[:2]}
    heard = {}
    for kind in script.KINDS:
        told = read_sayings(tmp_path / "sep" / f"test_{kind}.csv")
        assert len(told) == 2 and told[0]["spk_id"] != told[1]["spk_id"]
        for row in told:
            (own,) = [r for r in rows.values() if r["spk"] == row["spk_id"]]
            assert row["wrd"] == normalise_text(own["text"])
            assert float(row["duration"]) >= float(own["duration"])
        heard[kind] = [soundfile.read(row["wav"])[0] for row in told]
    mixture = heard["mixture"][0]
    assert np.allclose(sum(heard["clean"]), mixture, atol=1e-3)
    for clean, found in zip(heard["clean"], heard["separated"], strict=True):
        before = np.mean((mixture - clean) ** 2)
        assert np.mean((found - clean) ** 2) < 0.5 * before
    with pytest.raises(ConfigError, match="is there"):
        script.main(options)


def test_silence_is_added_in_training_alone(prepare, corpus, tmp_path):
    prepare()
    tokenizer = EncoderASR.from_hparams(str(make_toy_asr(tmp_path / "asr")))
    hparams = {
        "data_folder": corpus,
        "sample_rate": 16000,
        "seed": 1,
        "max_silence": 0.25,
    }
    path = tmp_path / "lists" / "test.csv"
    plain, padded = (
        make_recogniser_dataset(path, hparams, tokenizer.tokenizer, training)
        for training in (False, True)
    )
    one, other = plain[0], padded[0]
    assert tokenizer.tokenizer.decode(one["tokens"].tolist()) == one["wrd"]
    added = len(other["sig"]) - len(one["sig"])
    assert 0 < added <= 8000 and len(padded[0]["sig"]) == len(other["sig"])
    assert other["sig"].abs().sum() == pytest.approx(one["sig"].abs().sum())
    padded.set_epoch(2)
    assert len(padded[0]["sig"]) != len(other["sig"])


def test_two_recordings_of_one_name_are_refused(tmp_path):
    row = {"ID": "a", "duration": 1, "wav": "a", "spk_id": "b", "wrd": "c"}
    with pytest.raises(DataError, match="same ID"):
        write_sayings(tmp_path / "a.csv", [row, row])
    assert not (tmp_path / "a.csv").exists()
    with (tmp_path / "b.csv").open("w", newline="") as fout:
        csv.writer(fout).writerows([["ID", "text"], ["a", "b"]])
    with pytest.raises(DataError, match="no column duration"):
        read_sayings(tmp_path / "b.csv")
