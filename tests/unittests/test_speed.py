"""Proves that the speed tables hold what was measured, with tiny models."""

import functools
import importlib
from pathlib import Path

import pytest
import torch

from avsep_sb.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]
TOY_BIN = (
    f"{ROOT / 'hparams' / 'bin.yaml'} --num_iterations 1 "
    "--bottleneck_channels 8 --audio_channels 16 --video_channels 8"
)
TOY_IIANET = (
    f"{ROOT / 'hparams' / 'iianet.yaml'} --num_av_cycles 1 "
    "--num_audio_cycles 1 --out_channels 8 --in_channels=16 --depth 2"
)
TOY_AVLIT = (
    f"{ROOT / 'hparams' / 'avlit.yaml'} --audio_blocks 1 --video_blocks 1 "
    "--bottleneck_channels 8 --audio_channels 16 --video_channels 8"
)
FORMS = ("ours", "compiled")
NAMES = [
    "bin num_iterations=1 bottleneck_channels=8 audio_channels=16 "
    "video_channels=8",
    "iianet num_av_cycles=1 num_audio_cycles=1 out_channels=8 "
    "in_channels=16 depth=2",
    "avlit audio_blocks=1 video_blocks=1 bottleneck_channels=8 "
    "audio_channels=16 video_channels=8",
]


@pytest.fixture
def script(monkeypatch):
    """Imports a script as it is when run: its folder comes first."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


@pytest.fixture
def here(script, monkeypatch):
    """Workers without a process of their own: the same answers, at once."""
    models = script("speed_models")

    class Here:
        def __init__(self, text, form, seconds, faces, threads):
            kind = models.Runner
            if form.startswith("step "):
                kind, form = models.StepRunner, form.removeprefix("step ")
            self.runner = kind(text, form, seconds, faces)

        def ready(self):
            pass

        def ask(self, question):
            if question == "megabytes":
                return 12.0
            if question == "parameters":
                return sum(w.numel() for w in self.runner.net.parameters())
            output = self.runner()
            if isinstance(output, float):
                return None
            answers = {"output": output.numpy, "macs": self.runner.macs}
            return answers.get(question, lambda: None)()

        def stop(self):
            pass

    for name in ("speed_cases", "training_cost"):
        monkeypatch.setattr(script(name), "Worker", Here)


def rows_of(path):
    """Cells of the rows of a report, without its headers."""
    lines = [line for line in path.read_text().splitlines() if "| " in line]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines
    ]


def test_tables_of_tiny_models(script, here, tmp_path, capsys, monkeypatch):
    speed = script("speed")
    out = tmp_path / "out"
    argv = ["--out", str(out), "--models", TOY_BIN, TOY_AVLIT]
    argv += ["--seconds", "0.2", "--threads", "1", "--rounds", "1"]
    speed.main([*argv, "--faces", "1", "2"])
    rows = script("speed_cases").read_rows(out / "speed.csv")
    assert len(rows) == 2 * 2 * 3
    ours = [row for row in rows if row.form == "ours"]
    assert all(0 <= row.difference < 1e-4 for row in ours)
    assert all(row.low <= row.time <= row.high for row in rows)
    assert all(row.macs > 1e5 and row.parameters > 1e3 for row in rows)
    for row in ours:
        plain = next(
            one for one in rows if (one.case, one.form) == (row.case, "plain")
        )
        assert row.ratio == pytest.approx(plain.time / row.time)
        assert row.macs == plain.macs
    table = rows_of(out / "speed.md")
    found = [tuple(row[:4]) for row in table]
    for name in NAMES[::2]:
        for faces in "12":
            assert (name, "0.2", faces, "1") in found
        # What the second face costs.
        assert any(row[:4] == [name, "0.2", "1", "2"] for row in table)
    for name in ("speed_length.png",):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    # What is there is not measured again, and what is new is added.
    monkeypatch.setattr(speed, "measure", None)
    speed.main([*argv, "--faces", "1", "2"])
    monkeypatch.undo()


def test_training_steps_of_every_form(script, here, tmp_path, monkeypatch):
    # torch.compile without its C++, which takes minutes.
    eager = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", eager)
    monkeypatch.setenv("CXX", "true")
    cost, models = script("training_cost"), script("speed_models")
    argv = [TOY_IIANET, TOY_BIN]
    argv += ["--seconds", "0.2", "--faces", "2", "--rounds", "1"]
    cost.main([*argv, "--threads", "1", "--out", str(tmp_path)])
    rows = rows_of(tmp_path / "training_cost.md")[1:]
    assert [row[:2] for row in rows] == [
        *[[NAMES[1], form] for form in ("plain", "ours", "bf16")],
        [NAMES[0], "ours"],
    ]
    assert rows[0][3] == "1.000 (1.000 to 1.000)"
    assert all(float(row[5]) > 0 for row in rows)
    # The loss of the first step is the same in both forms.
    first = [models.StepRunner(TOY_BIN, form, 0.2, 2)() for form in cost.FORMS]
    assert first[0] == pytest.approx(first[1], abs=1e-4)
    assert first[2] == pytest.approx(first[1], abs=0.3)
    assert first[3] == pytest.approx(first[1], abs=1e-4)
    with pytest.raises(DataError, match="is there already"):
        cost.main([*argv, "--out", str(tmp_path)])


def test_speechbrain_has_two_voices_and_one_form(script):
    speed, models = script("speed"), script("speed_models")
    args = {"models": ["ConvTasNet"], "seconds": [1.0], "threads": [1]}
    make = script("argparse").Namespace
    assert speed.cases_of(make(**args, faces=[1, 4])) == []
    assert len(speed.cases_of(make(**args, faces=[1, 2]))) == 1
    runner = models.Runner("ConvTasNet", "ours", 0.1, 2)
    assert runner().shape == (1, 1600, 2)
    # 4 x 6 blocks of 256 x 512 twice, and the ends, at 199 frames.
    assert runner.macs() == pytest.approx(199 * 6.55e6, rel=0.05)


def test_plain_forms_are_known(script):
    with pytest.raises(ConfigError, match="no plain form of this Linear"):
        script("speed_models").plain_form(script("torch.nn").Linear(1, 1))


def test_figures_of_known_rows(script, tmp_path):
    """Ratios, shares and the cost of faces from times that are given."""
    cases, report = script("speed_cases"), script("speed_report")
    size = {"parameters": 3e6, "macs": 2 * 1024**3, "product": 0.01}
    make = lambda form, faces, time, **more: cases.Row(  # noqa: E731
        "hparams/iianet.yaml",
        form,
        2.0,
        faces,
        2,
        **size,
        rounds=4,
        time=time,
        low=time,
        high=time,
        **more,
    )
    rows = [
        make("ours", 1, 0.5, ratio=4.0, ratio_low=3.9, ratio_high=4.1),
        make("plain", 1, 2.0),
        make("pipeline", 1, 0.8),
        make("ours", 2, 0.8),
        make("plain", 2, 4.0),
    ]
    cases.add_rows(tmp_path / "speed.csv", rows[:2])
    cases.add_rows(tmp_path / "speed.csv", rows[2:])
    read = cases.read_rows(tmp_path / "speed.csv")
    assert [(row.form, row.time) for row in read] == [
        (row.form, row.time) for row in rows
    ]
    report.write_report(read, tmp_path, [])
    first = next(r for r in rows_of(tmp_path / "speed.md") if r[0] == "iianet")
    assert first[4:8] == [
        "0.50 (0.50 to 0.50)",
        "0.250",
        "0.400",
        "4.00 (3.90 to 4.10)",
    ]
    # Twice the product's work in 50 and in 200 times its time.
    assert first[8] == "4 / 1 %"
    assert ["iianet", "2", "2", "2", "1.60"] in rows_of(tmp_path / "speed.md")
    assert (tmp_path / "speed_quality.png").is_file()


def test_a_process_of_its_own(script):
    worker = script("speed_worker").Worker(TOY_BIN, "plain", 0.2, 1, 1)
    try:
        worker.ready()
        assert worker.ask("output").shape == (1, 3200, 1)
        assert worker.ask("megabytes") > 0
        worker.process.kill()
        with pytest.raises(ConfigError, match="want of memory"):
            worker.ask("run")
    finally:
        worker.stop()


def test_unusable_arguments_are_named(script, tmp_path):
    speed = script("speed")
    with pytest.raises(ConfigError, match="above 0"):
        speed.main(["--out", str(tmp_path), "--faces", "0"])
    (tmp_path / "speed.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a table of this benchmark"):
        speed.main(["--out", str(tmp_path)])


def test_compiled_layers_give_the_same(script, monkeypatch):
    eager = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", eager)
    models = script("speed_models")
    forms = [models.Runner(TOY_IIANET, form, 0.2, 2) for form in FORMS]
    found = [form() for form in forms]
    assert not forms[1].net.fast and "_av_cycle" in vars(forms[1].net)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_what_a_face_costs(script, capsys):
    cost = script("face_cost")
    threads = torch.get_num_threads()
    argv = [TOY_BIN, "--seconds", "0.2", "--faces", "3", "--rounds", "1"]
    assert cost.main([*argv, "--threads", str(threads)]) == 0
    told = capsys.readouterr().out
    assert "| ours | 1 | " in told and "| pipeline | 3 | " in told
    assert "1.000 (1.000 to 1.000)" in told
    with pytest.raises(ConfigError, match="above 0"):
        cost.main([*argv, "--rounds", "0"])
