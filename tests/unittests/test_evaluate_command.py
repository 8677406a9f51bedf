"""Proves ``avsep evaluate`` from the command line to its files."""

import csv
import shutil

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb import cli
from avsep_sb.dataio.manifest import read_manifest, write_manifest
from avsep_sb.evaluation import evaluate
from tests.utils.gate_model import RATE, write_gate_model, write_turns
from tests.utils.toy_model import write_model

LEAK = 0.1  # 20 dB less of the other voice


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Manifest of turns, and models: one that looks, one that does not."""
    folder = tmp_path_factory.mktemp("corpus")
    write_turns(folder)
    write_gate_model(folder / "gate", LEAK)
    write_model(folder / "twin", audio_only=True)
    return folder


def run(corpus, out, *options, model="gate", manifest="turns.csv"):
    """Exit status of the command; scores in this process."""
    return cli.main(
        [
            *("evaluate", str(corpus / model), "-j", "0"),
            *("--manifest", str(corpus / manifest)),
            *("--data_root", str(corpus), "--out", str(out)),
            *map(str, options),
        ]
    )


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


QUICK = ("--metrics", "sdr", "swap", "--worst", "0")


def test_known_scores_reach_the_files(corpus, tmp_path, capsys):
    assert run(corpus, tmp_path / "e", *QUICK, "--worst", "1") == 0
    folder = tmp_path / "e"
    names = ["report.html", "summary.csv", "utterances.csv", "voices.csv"]
    assert sorted(p.name for p in folder.iterdir()) == names
    voices = rows_of(folder / "voices.csv")
    assert [(v["ID"], v["voice"], v["speaker"]) for v in voices[:3]] == [
        ("mix0", "1", "a"),
        ("mix0", "2", "b"),
        ("mix1", "1", "a"),
    ]
    for row in voices:
        # The leak is the only error; gains are 0.5 and 1.
        assert float(row["si-snr_i"]) == pytest.approx(20.0, abs=0.05)
        level = 20 * np.log10(0.5) * (1 if row["voice"] == "1" else -1)
        assert float(row["input_snr"]) == pytest.approx(level, abs=0.3)
        assert float(row["wrong_speaker"]) == 0.0
        assert float(row["sdr_i"]) > 19
    rows = rows_of(folder / "utterances.csv")
    assert [r["snt_id"] for r in rows][-2:] == ["avg", "ci95"]
    assert [r["snt_id"] for r in rows][:-2] == ["mix0", "mix1", "mix2"]
    assert rows[0]["swap_right"] == "1.0000"
    means = {r["score"]: r for r in rows_of(folder / "summary.csv")}
    assert float(means["si-snr_i"]["mean"]) == pytest.approx(20.0, abs=0.05)
    assert float(means["rtf"]["mean"]) > 0 and means["rtf"]["count"] == "3"
    assert float(means["swap_right"]["low95"]) < 1.0
    page = (folder / "report.html").read_text()
    assert "The 1 worst mixtures" in page and "no landmarks" in page
    assert "SI-SNRi: 20.0" in capsys.readouterr().out


def test_a_model_blind_to_faces_fails_the_swap(corpus, tmp_path):
    write_gate_model(tmp_path / "blind", leak=1.0)  # gives back the mixture
    assert run(corpus, tmp_path / "e", *QUICK, model=tmp_path / "blind") == 0
    means = {r["score"]: r for r in rows_of(tmp_path / "e/summary.csv")}
    assert float(means["swap_right"]["mean"]) == 0.0
    # The louder of the two is nearest to the mixture: it is wrong for one.
    assert float(means["wrong_speaker"]["mean"]) == 0.5


def test_twin_and_processes(corpus, tmp_path):
    options = ["--audio-only", corpus / "twin", "--limit", "2", "-j", "1"]
    assert run(corpus, tmp_path / "e", *QUICK, *options) == 0
    rows = rows_of(tmp_path / "e" / "utterances.csv")
    assert len(rows) == 2 + 2
    for row in rows[:2]:
        gap = float(row["si-snr_i"]) - float(row["audio_si-snr_i"])
        assert float(row["gap_si-snr_i"]) == pytest.approx(gap, abs=1e-3)
        assert gap > 10


@pytest.mark.parametrize("people", [1, 3, 4])
def test_any_number_of_faces_with_noise(corpus, tmp_path, people):
    row = read_manifest(corpus / "turns.csv")[0]
    rng = np.random.default_rng(1)
    hiss = 0.01 * rng.standard_normal(40000)
    soundfile.write(tmp_path / "hiss.wav", hiss, RATE)
    new = {"ID": "m", "duration": row["duration"]}
    for k in range(1, people + 1):
        for name in ("wav", "gain", "lips", "spk"):
            new[f"s{k}_{name}"] = row[f"s{1 + (k - 1) % 2}_{name}"]
        new[f"s{k}_gain"] = 0.3 * k
    new.update(noise_wav=str(tmp_path / "hiss.wav"), noise_start=0.1)
    new["noise_gain"] = 0.5
    write_manifest(tmp_path / "m.csv", [new], people)
    manifest = tmp_path / "m.csv"
    assert run(corpus, tmp_path / "e", *QUICK, manifest=manifest) == 0
    voices = rows_of(tmp_path / "e" / "voices.csv")
    assert len(voices) == people
    if people == 1:
        assert np.isnan(float(voices[0]["wrong_speaker"]))
        summary = (tmp_path / "e" / "summary.csv").read_text()
        assert "swap" not in summary and "si-snr_i" in summary


def test_orientation_from_a_table_and_from_files(corpus, tmp_path):
    for path in corpus.glob("*.*"):
        shutil.copy(path, tmp_path)
    shutil.copytree(corpus / "gate", tmp_path / "gate")
    for path in tmp_path.glob("b*.npz"):
        data = np.load(path)["data"]
        np.savez(path, data=data, quality=np.full(len(data), 3))
    table = tmp_path / "o.csv"
    table.write_text("lips,orientation\n$data_root/a0.npz,frontal\n")
    assert run(tmp_path, tmp_path / "e", *QUICK, "--orientation", table) == 0
    rows = rows_of(tmp_path / "e" / "voices.csv")
    found = [row["orientation"] for row in rows]
    assert found == ["frontal", "side", "", "side", "frontal", "side"]
    page = (tmp_path / "e" / "report.html").read_text()
    assert "Frontal and side faces" in page and "no landmarks" not in page


def test_results_are_kept_unless_told(corpus, tmp_path, capsys):
    out = tmp_path / "e"
    out.mkdir()
    (out / "summary.csv").write_text("precious")
    assert run(corpus, out, *QUICK) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["summary.csv"]
    assert run(corpus, out, *QUICK, "--overwrite", "--limit", "1") == 0
    assert "precious" not in (out / "summary.csv").read_text()


def test_a_stopped_test_goes_on(corpus, tmp_path, monkeypatch):
    separated = []
    job = evaluate.MixtureSet.job

    def stops(tests, row, **options):
        if row["ID"] == "mix2":
            raise KeyboardInterrupt
        return job(tests, row, **options)

    def counted(tests, row, **options):
        separated.append(row["ID"])
        return job(tests, row, **options)

    monkeypatch.setattr(evaluate.MixtureSet, "job", stops)
    assert run(corpus, tmp_path / "e", *QUICK) == 130
    left = [p.name for p in (tmp_path / "e").iterdir()]
    assert left == ["scores.jsonl.partial"]
    monkeypatch.setattr(evaluate.MixtureSet, "job", counted)
    assert run(corpus, tmp_path / "e", "--metrics", "swap") == 2  # others
    assert run(corpus, tmp_path / "e", *QUICK) == 0
    assert separated == ["mix2"]
    assert len(rows_of(tmp_path / "e" / "utterances.csv")) == 3 + 2
    assert not (tmp_path / "e" / "scores.jsonl.partial").exists()


def test_training_folders_stand_for_their_models(corpus, tmp_path, capsys):
    shutil.copytree(corpus / "gate", tmp_path / "run" / "pretrained")
    (tmp_path / "run" / "save").mkdir()
    assert run(corpus, tmp_path / "e", *QUICK, model=tmp_path / "run") == 0
    assert "<h1>run on turns.csv</h1>" in (
        tmp_path / "e" / "report.html"
    ).read_text(encoding="utf-8")
    (tmp_path / "begun" / "save").mkdir(parents=True)
    assert run(corpus, tmp_path / "f", *QUICK, model=tmp_path / "begun") == 2
    assert "without a checkpoint" in capsys.readouterr().err


def test_without_pesq_the_results_say_so(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("avsep_sb.metrics.pesq_package", lambda: None)
    options = ("--metrics", "pesq", "--limit", "1", "--worst", "0")
    assert run(corpus, tmp_path / "e", *options) == 0
    assert "There is no PESQ" in capsys.readouterr().out
    assert "There is no PESQ" in (tmp_path / "e/report.html").read_text()
    assert "pesq" not in (tmp_path / "e/utterances.csv").read_text()


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--metrics", "wer"], "unknown metric wer"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["-j", "-1"], "--jobs must be at least 0"),
        (["--manifest", "none.csv"], "none.csv is missing"),
        (["--data_root", "nowhere"], "is no folder"),
        (["--device", "tpu9"], "not available"),
        (["--audio-only", "{}/gate"], "needs faces"),
        (["--orientation", "none.csv"], "check --orientation"),
    ],
)
def test_bad_options_are_one_sentence(
    corpus, tmp_path, capsys, options, sentence
):
    options = [x.format(corpus) for x in options]
    assert run(corpus, tmp_path / "e", *options) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert sentence in lines[-1] and lines[-1].startswith("error: ")
    assert not (tmp_path / "e").exists()


def test_bad_models_and_files_are_one_sentence(corpus, tmp_path, capsys):
    rows = read_manifest(corpus / "turns.csv", corpus)
    alone = {k: v for k, v in rows[0].items() if not k.startswith("s2_")}
    write_manifest(tmp_path / "one.csv", [alone], 1)
    torn = dict(rows[1], s1_lips=str(tmp_path / "torn.npz"))
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04")
    write_manifest(tmp_path / "torn.csv", [torn], 2)
    for model, manifest, sentence in (
        ("nothing", "turns.csv", "is not a folder"),
        ("twin", tmp_path / "one.csv", "separates 2 voices"),
        ("gate", tmp_path / "torn.csv", "torn.npz cannot be read"),
    ):
        out = tmp_path / "e"
        assert run(corpus, out, *QUICK, model=model, manifest=manifest) == 2
        assert sentence in capsys.readouterr().err.strip().splitlines()[-1]
        assert not out.exists()
    assert torch.get_num_threads() >= 1
