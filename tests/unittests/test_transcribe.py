"""From voices on disk to a transcript with names, whole or not at all.

The recogniser is a stand-in that tells how loud an utterance is and how long,
so that each text proves which stretch of which voice it was given; the toy
recogniser of SpeechBrain's parts proves that a real one goes the same way.
"""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from avsep_sb.cli import main
from avsep_sb.commands import transcribe as command
from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference import video_files
from avsep_sb.inference.subtitles import Segment, format_srt, format_vtt
from avsep_sb.inference.transcribe import TranscriptOptions, transcribe_folder
from avsep_sb.inference.transcript import FOLDER, speaker_names
from avsep_sb.inference.utterances import cut_utterances, widened

RATE = 16000


class Loudness:
    """Says "<level in per cent> for <seconds>" of what it hears."""

    device = "cpu"
    audio_normalizer = SimpleNamespace(sample_rate=RATE)

    def __init__(self):
        self.calls = []

    def transcribe_batch(self, waves, wav_lens):
        sizes = (wav_lens * waves.shape[1]).round().long().tolist()
        self.calls.append(sizes)
        texts = []
        for wave, size in zip(waves, sizes, strict=True):
            heard = wave[:size].abs()
            level = round(100 * float(heard.max()))
            texts.append(
                f"{level}  for {round(float((heard > 0).sum()) / RATE)} "
            )
        return texts, None


def talk(seconds, spans, level):
    wave = np.zeros(round(seconds * RATE), np.float32)
    for start, stop in spans:
        wave[round(start * RATE) : round(stop * RATE)] = level
    return wave


@pytest.fixture
def voices(tmp_path):
    """The folder of a separated video: two who speak and one who does not."""
    folder = tmp_path / "Zwei Köpfe"
    folder.mkdir()
    speech = {
        "face1": [(1.0, 3.0), (3.3, 4.0), (8.0, 9.0)],
        "face2": [(2.0, 7.0)],
        "face3": [],
    }
    faces = []
    for number, (name, spans) in enumerate(speech.items(), 1):
        wave = talk(10, spans, number / 10)
        soundfile.write(folder / f"{name}.wav", wave, RATE)
        faces.append({"name": name, "wav": f"{name}.wav", "mp4": None})
        faces[-1]["speech"] = [list(span) for span in spans]
    soundfile.write(folder / "residual.wav", talk(10, [], 0), RATE)
    table = {
        "version": video_files.FORMAT,
        "video": "Zwei Köpfe.mp4",
        "bytes": 77,
        "settings": {"weights": "abc"},
        "sample_rate": RATE,
        "seconds": 10.0,
        "gain": 1.0,
        "residual": "residual.wav",
        "faces": faces,
    }
    video_files.write_table(folder, table)
    return folder


def test_each_utterance_is_heard_at_its_time(voices):
    asr = Loudness()
    found = transcribe_folder(asr, voices)
    assert [(s.start, s.stop, s.speaker, s.text) for s in found.segments] == [
        (1.0, 4.0, "face1", "10 for 3"),
        (2.0, 7.0, "face2", "20 for 5"),
        (8.0, 9.0, "face1", "10 for 1"),
    ]
    assert found.texts["face1"] == "10 for 3 10 for 1"
    # A margin on both sides; the shortest come first, together.
    assert asr.calls == [[round(s * RATE) for s in (1.3, 3.3, 5.3)]]
    assert found.folder == voices / FOLDER and not found.skipped


def test_the_folder_holds_what_it_says(voices):
    names = {"face1": "Anna", "face2": "Ben & Co"}
    found = transcribe_folder(Loudness(), voices, TranscriptOptions(names))
    there = sorted(path.name for path in found.folder.iterdir())
    table = json.loads((found.folder / "transcript.json").read_text("utf-8"))
    assert table == found.table and table["files"] == there
    text = {name: (found.folder / name).read_text("utf-8") for name in there}
    assert text["face1.txt"] == "10 for 3\n10 for 1\n"
    assert text["face3.txt"] == text["face3.srt"] == ""
    assert text["face3.vtt"] == "WEBVTT\n\n"
    assert text["transcript.txt"].splitlines()[1] == (
        "[00:00:02.00 - 00:00:07.00] Ben & Co: 20 for 5"
    )
    assert text["face2.srt"] == (
        "1\n00:00:02,000 --> 00:00:07,000\n20 for 5\n\n"
    )
    assert "<v Ben &amp; Co>20 for 5\n" in text["transcript.vtt"]
    assert "\n2\n00:00:02,000 --> " in text["transcript.srt"]
    rows = [line.split() for line in text["transcript.rttm"].splitlines()]
    assert [(r[1], r[3], r[4], r[7]) for r in rows] == [
        ("Zwei_Köpfe", "1.000", "2.000", "Anna"),
        ("Zwei_Köpfe", "2.000", "5.000", "Ben_&_Co"),
        ("Zwei_Köpfe", "3.300", "0.700", "Anna"),
        ("Zwei_Köpfe", "8.000", "1.000", "Anna"),
    ]


def test_what_is_there_is_kept_and_nothing_is_half_written(voices):
    first = transcribe_folder(Loudness(), voices)
    again = transcribe_folder(None, voices)
    assert again.skipped and again.table == first.table
    other = TranscriptOptions({"face1": "Anna"})
    with pytest.raises(ConfigError, match="other options"):
        transcribe_folder(None, voices, other)

    class Broken(Loudness):
        def transcribe_batch(self, waves, wav_lens):
            raise DataError("broken")

    mine = first.folder / "mine.txt"
    mine.write_text("kept")
    replaced = TranscriptOptions({"face1": "Anna"}, overwrite=True)
    with pytest.raises(DataError, match="broken"):
        transcribe_folder(Broken(), voices, replaced)
    assert transcribe_folder(None, voices).skipped
    made = transcribe_folder(Loudness(), voices, replaced)
    assert made.segments[0].speaker == "Anna" and mine.exists()
    assert not [p for p in voices.iterdir() if p.name.startswith(".")]
    with pytest.raises(ConfigError, match="no result of avsep"):
        transcribe_folder(None, voices, replaced, voices)


def test_long_speech_is_cut_where_it_is_soft(voices):
    """No pause: the softest place of the second half is taken."""
    table = video_files.read_table(voices)
    wave = talk(10, [(0.0, 10.0)], 0.3)
    wave[round(3.4 * RATE) : round(3.6 * RATE)] *= 0.5
    soundfile.write(voices / "face2.wav", wave, RATE)
    table["faces"][1]["speech"] = [[0.0, 10.0]]
    video_files.write_table(voices, table)
    found = transcribe_folder(
        Loudness(), voices, TranscriptOptions(longest=5.0)
    )
    own = [s for s in found.segments if s.speaker == "face2"]
    assert own[0].stop == own[1].start == pytest.approx(3.5, abs=0.1)
    assert all(s.stop - s.start <= 5.0 for s in own) and own[-1].stop == 10.0


def test_spans_become_utterances():
    spans = [(0.0, 9.0), (9.4, 18.0), (18.1, 30.0), (33.0, 34.0)]
    assert cut_utterances(spans) == spans
    joined = [(0.0, 9.0), (9.4, 30.0), (33.0, 34.0)]
    assert cut_utterances(spans, longest=25.0) == joined
    assert cut_utterances(spans, longest=30.0)[0] == (0.0, 30.0)
    assert cut_utterances([]) == []
    assert cut_utterances([(0.0, 45.0)]) == [(0, 15), (15, 30), (30, 45)]
    assert widened([(1.0, 2.0), (9.9, 10.0)], 10.0) == [
        (0.85, 2.15),
        (9.75, 10.0),
    ]
    with pytest.raises(ConfigError, match="a second"):
        cut_utterances(spans, longest=float("nan"))


def test_subtitles_are_as_their_players_read_them():
    long = " ".join(f"word{k:02d}" for k in range(24))  # 167 characters
    said = [
        Segment(3599.9996, 3604.0, "Ben <b>", "a --> b & c\n\nd"),
        Segment(0.0, 4.0, "Anna", long),
        Segment(5.0, 5.0, "Anna", "ah"),
        Segment(6.0, 7.0, "Anna", " \n "),
    ]
    cues = format_srt(said).rstrip("\n").split("\n\n")
    assert [cue.split("\n")[0] for cue in cues] == ["1", "2", "3", "4"]
    lines = [cue.split("\n")[2:] for cue in cues]
    assert all(len(own) <= 2 for own in lines)
    assert max(len(line) for own in lines for line in own) <= 42
    assert " ".join(lines[0] + lines[1]) == long
    # Parts share the time by their lengths, without a gap.
    first, second = (cue.split("\n")[1].split(" --> ") for cue in cues[:2])
    assert first[0] == "00:00:00,000" and second[1] == "00:00:04,000"
    assert first[1] == second[0] and "00:00:01,900" < first[1] < "00:00:02,100"
    assert cues[2].split("\n")[1] == "00:00:05,000 --> 00:00:05,001"
    assert cues[3] == "4\n01:00:00,000 --> 01:00:04,000\na -> b & c d"
    vtt = format_vtt(said, names=True)
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert vtt.endswith("<v Ben &lt;b&gt;>a --&gt; b &amp; c d\n\n")
    assert vtt.count("-->") == 4
    with pytest.raises(DataError, match="before the stop"):
        format_vtt([Segment(2.0, 1.0, "Anna", "no")])


def test_names_belong_to_faces():
    faces = ["face1", "face2"]
    for wrong, words in (
        ({"face3": "Cid"}, "no face3 to be named Cid"),
        ({"face1": " "}, "empty"),
        ({"face1": "Ann Lee", "face2": "Ann_Lee"}, "one name"),
        ({"face1": "face2"}, "one name"),
    ):
        with pytest.raises(ConfigError, match=words):
            speaker_names(faces, wrong)
    for wrong in ("face1", "face1=", "=Anna", "face1=A,face1=B"):
        with pytest.raises(ConfigError, match="--names has"):
            command.parse_names(wrong)
    assert command.parse_names(None) == {}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    from tests.asr_folder import make_toy_asr

    return make_toy_asr(tmp_path_factory.mktemp("asr") / "toy")


def test_the_command_takes_what_separate_wrote(voices, toy, capsys):
    """In SpeechBrain's own way, from a folder of folders too."""
    argv = ["transcribe", str(voices), "--asr", str(toy)]
    assert main([*argv, "--names", "face1=Anna"]) == 0
    out = capsys.readouterr().out
    table = json.loads((voices / FOLDER / "transcript.json").read_text())
    assert table["asr"] == "toy" and len(table["segments"]) == 3
    assert {s["speaker"] for s in table["segments"]} == {"Anna", "face2"}
    assert f"utterance(s) -> {voices / FOLDER}" in out
    assert main(argv) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*argv, "--names", "face1=Anna"]) == 0
    assert "already transcribed" in capsys.readouterr().out
    out = voices.parent / "out"
    argv[1] = str(voices.parent)
    assert main([*argv, "--out", str(out)]) == 0
    assert (out / voices.name / FOLDER / "face3.vtt").is_file()


def test_bad_input_is_told_before_any_work(voices, tmp_path, capsys):
    for argv, words in (
        ([str(voices), "--asr", "no/such/folder/here"], "check the path"),
        ([str(voices), "--names", "Anna"], "--names has 'Anna'"),
        ([str(voices), "--longest", "0.5"], "--longest"),
        ([str(voices), str(voices)], "each folder once"),
        ([str(voices), "--asr", str(tmp_path)], "check the path"),
        ([str(voices), "--device", "toaster"], "use --device cpu"),
    ):
        if "--asr" not in argv:
            argv = [*argv, "--asr", str(tmp_path)]
        assert main(["transcribe", *argv]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and re.search(words, err), err
    assert not (voices / FOLDER).exists()


def test_the_default_recogniser_may_be_absent(voices, monkeypatch, capsys):
    monkeypatch.setattr(command, "ASR_MODEL", "asr-of-nowhere")
    assert main(["transcribe", str(voices)]) == 2
    err = capsys.readouterr().err
    assert "'asr-of-nowhere' is not installed here; name one with --asr" in err


def test_a_video_is_separated_only_once(voices, monkeypatch, toy, tmp_path):
    """A second recogniser hears the voices of the first run."""
    import shutil

    from avsep_sb.commands import models
    from avsep_sb.inference import video

    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    runs = []

    def separate(model, audio, path, folder, options, *rest):
        if folder.exists() and not options.overwrite:
            return
        runs.append(options.overwrite)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(voices, folder)
        table = video_files.read_table(folder)
        mark = video_files.result_mark(path, options.settings)
        video_files.write_table(folder, {**table, **mark})

    monkeypatch.setattr(video, "separate_to_folder", separate)
    monkeypatch.setattr(models, "models_of", lambda args: (None, None))
    monkeypatch.setattr(models, "load_face_models", lambda device: (None, None))
    monkeypatch.setattr(
        command,
        "make_options",
        lambda args, *models: video.VideoOptions(overwrite=args.overwrite),
    )
    argv = ["transcribe", str(film), "--asr", str(toy)]
    argv += ["--out", str(tmp_path / "out")]
    assert main(argv) == 0 and runs == [False]
    place = tmp_path / "out" / "film" / FOLDER
    assert (place / "face1.srt").is_file()
    assert main([*argv, "--names", "face1=Anna"]) == 2
    assert main([*argv, "--names", "face1=Anna", "--overwrite"]) == 0
    assert "Anna" in (place / "transcript.rttm").read_text()
    assert runs == [False], "the voices are the same"
    film.write_bytes(b"another")
    assert main([*argv, "--overwrite"]) == 0 and runs == [False, True]
