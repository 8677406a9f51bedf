"""Word error rates of ``avsep evaluate``: counts, intervals, files, the page.

Proved with a recogniser that knows which voice it hears, so that every rate
is known, and with pocketsphinx on synthetic GRID sentences where it is there.
"""

import csv
import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb import cli
from avsep_sb.dataio.grid_names import coded_sentence
from avsep_sb.dataio.manifest import read_manifest, write_manifest
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.evaluation import judges as judges_module
from avsep_sb.evaluation.grid_judge import GridJudge, grammar
from avsep_sb.evaluation.judges import hear, load_judges, with_texts
from avsep_sb.evaluation.wer import rate95, ratio95, word_errors
from avsep_sb.evaluation.words import groups, word_lines
from tests.utils.gate_model import RATE, write_gate_model, write_turns
from tests.utils.toy_model import write_model

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {"a": "bin blue at f two now", "b": "set red by k nine soon"}


class KnowsVoices:
    """Writes the text of the voice that it hears clearly, else nothing."""

    device = "cpu"
    audio_normalizer = SimpleNamespace(sample_rate=RATE)

    def __init__(self, folder):
        self.known = {
            path.stem: torch.from_numpy(soundfile.read(path)[0]).float()
            for path in sorted(folder.glob("*.wav"))
        }

    def transcribe_batch(self, waves, wav_lens):
        return [self.text(wave) for wave in waves], None

    def text(self, wave):
        for name, voice in self.known.items():
            count = min(len(wave), len(voice))
            pair = torch.stack([wave[:count], voice[:count]])
            if torch.corrcoef(pair)[0, 1] > 0.99:
                return TEXTS[name[0]].upper()
        return ""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    rows = read_manifest(write_turns(folder))
    for row in rows:
        row.update(s1_text=TEXTS["a"], s2_text=TEXTS["b"])
    write_manifest(folder / "told.csv", rows, 2)
    write_gate_model(folder / "gate", 0.05)
    write_gate_model(folder / "blind", 1.0)
    write_model(folder / "twin", audio_only=True)
    return folder


@pytest.fixture
def judge(corpus, monkeypatch):
    knows = KnowsVoices(corpus)

    def load(source, device):
        assert source == "knows"
        return knows

    monkeypatch.setattr(judges_module, "load_asr", load)


def run(corpus, out, *options, model="gate", manifest="told.csv"):
    return cli.main(
        [
            *("evaluate", str(corpus / model), "-j", "0", "--metrics"),
            *("swap", "--manifest", str(corpus / manifest), "--data_root"),
            *(str(corpus), "--out", str(out), *map(str, options)),
        ]
    )


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_errors_are_counted_as_speechbrain_does():
    assert word_errors("a b c d", "a x c") == (2, 4)
    assert word_errors("Isn't it?", "ISN’T IT") == (0, 2)
    assert word_errors("a b", "") == (2, 2)
    assert word_errors("a", "a b c") == (2, 1)


def test_intervals_are_over_mixtures():
    rng = np.random.default_rng(1)
    words = np.full(200, 6)
    errors = rng.binomial(6, 0.2, 200)
    rate, low, high = rate95(errors, words)
    assert rate == errors.sum() / 1200
    assert low < 0.2 < high and 0.03 < high - low < 0.06
    # Mixtures that fail as a whole tell less: the interval widens.
    whole = 6 * (rng.random(200) < 0.2)
    _, low, high = rate95(whole, words)
    assert 0.09 < high - low < 0.13
    assert rate95(errors, words) == rate95(errors, words)
    few, many = (rate95([0] * n, [6] * n)[2] for n in (5, 500))
    assert few > 0.3 and many < 0.01
    assert ratio95([3, 6], [2, 4])[0] == 1.5
    ratio, low, high = ratio95([1, 1, 1], [1, 0, 0])
    assert (ratio, low, high) == (3.0, 1.0, float("inf"))
    assert np.isnan(ratio95([1], [0])[0])


def test_rates_reach_tables_and_page(corpus, tmp_path, judge, capsys):
    options = ("--asr", "knows", "--audio-only", corpus / "twin")
    assert run(corpus, tmp_path / "e", *options, "--worst", 1) == 0
    means = {r["score"]: r for r in rows_of(tmp_path / "e/summary.csv")}
    expected = {"clean": 0, "separated": 0, "mixture": 1, "twin": 1}
    for sound, rate in expected.items():
        line = means[f"wer_{sound}"]
        assert float(line["mean"]) == rate and line["count"] == "6", sound
    heard = rows_of(tmp_path / "e/transcripts.csv")
    assert {(r["ID"], r["voice"], r["sound"]) for r in heard} == {
        (f"mix{i}", k, sound)
        for i in range(3)
        for k in "12"
        for sound in expected
    }
    first = [r for r in heard if r["ID"] == "mix0" and r["voice"] == "1"]
    assert {r["reference"] for r in first} == {TEXTS["a"]}
    texts = {r["sound"]: r["text"] for r in first}
    assert texts["clean"] == texts["separated"] == TEXTS["a"]
    assert texts["mixture"] == texts["twin"] == ""
    rates = rows_of(tmp_path / "e/wer.csv")
    places = {(r["group"], r["name"]) for r in rates}
    assert {("speaker", "a"), ("speaker", "b"), ("all", "all")} <= places
    snrs = [name for group, name in places if group == "input SNR"]
    assert sorted(snrs) == ["-7.5 to -5 dB", "5 to 7.5 dB"]
    page = (tmp_path / "e/report.html").read_text(encoding="utf-8")
    assert "Word errors, knows" in page and TEXTS["b"] in page
    assert "WER, separated (knows): 0.0 %" in capsys.readouterr().out
    # A test without recognisers leaves none of their files behind.
    assert run(corpus, tmp_path / "e", "--worst", 0) == 2
    assert run(corpus, tmp_path / "e", "--worst", 0, "--overwrite") == 0
    assert not (tmp_path / "e/wer.csv").exists()


def test_the_report_has_the_same_rates(corpus, tmp_path, judge, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    report = importlib.import_module("wer_report")
    test = ["--test", "knows", str(corpus), str(corpus / "told.csv")]
    out = tmp_path / "report"
    report.main(["--av", str(corpus / "gate"), *test, "--out", str(out)])
    rows = (out / "report.md").read_text().splitlines()
    cells = [cell.strip() for cell in rows[2].strip("|").split("|")]
    assert cells[:5] == ["told", "knows", "all", "6", "36"]
    rates = [cell.split(" (")[0] for cell in cells[5:]]
    assert rates == ["0.0 %", "100.0 %", "0.0 %", "–", "–"]
    assert len(rows_of(out / "told_transcripts.csv")) == 18
    with pytest.raises(DataError, match="is there already"):
        report.main(["--av", str(corpus / "gate"), *test, "--out", str(out)])


def test_texts_from_a_table_and_cut_voices(corpus, tmp_path, judge):
    rows = read_manifest(corpus / "turns.csv")
    for row in rows:
        # One voice of each length: the longer one is cut by two frames.
        row["s2_wav"] = row["s2_wav"].replace("b", "long")
    wave, _ = soundfile.read(corpus / "b0.wav")
    for n in (0, 1):
        longer = np.concatenate([wave, wave[: 2 * 640]])
        soundfile.write(corpus / f"long{n}.wav", longer, RATE)
        lips = np.load(corpus / "b0.npz")["data"]
        np.savez(corpus / f"long{n}.npz", data=np.concatenate([lips, lips[:2]]))
    for row in rows:
        row["s2_lips"] = row["s2_lips"].replace("/b", "/long")
    write_manifest(corpus / "cut.csv", rows, 2)
    table = tmp_path / "texts.csv"
    lines = [f"{stem}{n},{TEXTS['a']}" for stem in ("a", "long") for n in "01"]
    table.write_text("\n".join(["ID,text", *lines]))
    options = ("--asr", "knows", "--texts", table, "--worst", 0)
    out = tmp_path / "e"
    assert run(corpus, out, *options, manifest="cut.csv", model="blind") == 0
    heard = rows_of(out / "transcripts.csv")
    assert {r["voice"] for r in heard} == {"1"}
    means = {r["score"]: float(r["mean"]) for r in rows_of(out / "summary.csv")}
    assert (means["wer_clean"], means["wer_separated"]) == (0.0, 1.0)


def test_two_recognisers_stand_side_by_side(corpus, monkeypatch):
    monkeypatch.setattr(
        judges_module, "load_asr", lambda source, device: source
    )
    assert list(load_judges(["x/one", "two"])) == ["one", "two"]
    with pytest.raises(ConfigError, match="'one' twice"):
        load_judges(["x/one", "y/one"])
    row = {"ID": "m", "speaker": "p", "voice": 1, "input_snr": 0.0, "words": 4}
    rows = [
        {**row, "judge": judge, "sound": "clean", "errors": errors}
        for judge, errors in (("one", 1), ("two", 2))
    ]
    rates = {r["judge"]: r["wer"] for r in groups(rows) if r["group"] == "all"}
    assert rates == {"one": 0.25, "two": 0.5}
    scores = [line.score for line in word_lines(rows)]
    assert scores[0] == "wer_clean_one" and "wer_clean_two" in scores


def test_the_level_of_estimates_does_not_matter(corpus):
    """After SI-SNR a voice may be a thousand times too faint."""
    voices = np.stack(
        [soundfile.read(corpus / f"{s}0.wav")[0] for s in "ab"], 1
    )
    sounds = {"clean": voices, "separated": 1e-3 * voices}
    said = [TEXTS["a"], None]
    found = hear({"j": KnowsVoices(corpus)}, said, voices.sum(1), sounds, RATE)
    assert {r["sound"]: r["errors"] for r in found} == {
        "clean": 0,
        "mixture": 6,
        "separated": 0,
    }


@pytest.mark.parametrize(
    "options, manifest, sentence",
    [
        (["--asr", "knows"], "turns.csv", "does not tell what is said"),
        (["--texts", "t.csv"], "told.csv", "--texts is for --asr"),
        (
            ["--asr", "knows", "--texts", "none.csv"],
            "told.csv",
            "check --texts",
        ),
    ],
)
def test_what_is_missing_is_said(
    corpus, tmp_path, judge, capsys, options, manifest, sentence
):
    assert run(corpus, tmp_path / "e", *options, manifest=manifest) == 2
    assert sentence in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "e").exists()


def test_texts_of_the_manifest_come_first():
    rows = [{"ID": "m", "s1_wav": "a.wav", "s1_text": "one", "noise_wav": ""}]
    assert with_texts(rows, {"a": "two"}, "m.csv")[0]["s1_text"] == "one"
    with pytest.raises(DataError, match="prepare it again"):
        with_texts([{"ID": "m", "s1_wav": "a.wav"}], {}, "m.csv")


def test_names_code_sentences():
    assert coded_sentence("lwwf9a") == "lay white with f nine again"
    assert coded_sentence("id2_vcd_swwp2s") == "set white with p two soon"
    for name in ("bbaf0n", "bbawzn", "xbaf2n", "bbaf2", "b_af2n", ""):
        assert coded_sentence(name) is None, name


def test_pocketsphinx_writes_sentences_of_the_grammar():
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("espeakng_loader")
    from avsep_sb.synth.utterance import make_utterance
    from avsep_sb.synth.voices import speakers_of

    judge = GridJudge()
    # Utterances of even numbers are sentences of GRID.
    spoken = make_utterance(7, speakers_of("test")[0], 2)
    wave = torch.from_numpy(spoken.audio)
    short = torch.nn.functional.pad(wave, (0, 8000))
    waves = torch.stack([short, 0.01 * short])
    parts = torch.full((2,), len(wave) / len(short))
    first, faint = judge.transcribe_batch(waves, parts)[0]
    errors, count = word_errors(spoken.text, first)
    assert errors <= 2 and count == 6
    assert faint == first, "the level does not matter"
    words = grammar().replace(";", " ").split()
    assert set(first.split()) <= set(words)
    silence = judge.transcribe_batch(torch.zeros(1, 16000), torch.ones(1))[0]
    assert len(silence) == 1
