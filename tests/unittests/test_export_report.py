"""Proves that the report on exports holds what was exported."""

import importlib

import pytest
import torch

from avsep_sb.errors import ConfigError, DataError
from tests.unittests.test_benchmarks import ROOT, TOY_BIN


@pytest.fixture
def report(monkeypatch):
    """The script, with forms that need no process of their own."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    report = importlib.import_module("export_report")

    class Here:
        opening = 0.5

        def __init__(self, text, folder, threads):
            self.model = report.load(text)
            self.run = report.open_form(self.model, folder, threads)
            self.exported = folder is not None

        def __call__(self, case, wants_output=False):
            out = self.run(*report.scene(self.model, *case)).detach().numpy()
            # so that a column of zeros would be noticed
            return out + 0.25 if self.exported else out

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(report, "Form", Here)
    return report


def test_rows_hold_cases_and_differences(report, tmp_path):
    threads = str(torch.get_num_threads())
    argv = [TOY_BIN, "--out", str(tmp_path), "--formats", "torchscript"]
    argv += ["--seconds", "0.3", "2.1", "--faces", "1", "3"]
    assert report.main([*argv, "--rounds", "1", "--threads", threads]) == 0
    text = (tmp_path / "export_report.md").read_text()
    rows = [row.split(" | ") for row in text.splitlines()[2:6]]
    assert [row[5:7] for row in rows] == [
        ["0.3", "1"],
        ["0.3", "3"],
        ["2.1", "1"],
        ["2.1", "3"],
    ]
    assert {row[7] for row in rows} == {"2.5e-01"}
    assert (tmp_path / "0-torchscript" / "model.pt").exists()
    assert "1 rounds" in text and "Command: python benchmarks/exp" in text
    with pytest.raises(DataError, match="is there already"):
        report.main(argv)


def test_scenes_are_as_long_as_wanted(report):
    model = report.load(TOY_BIN)
    mix, lips, seen = report.scene(model, 3.3, 2)
    assert mix.shape == (1, 52800) and mix[0, -800:].any()
    assert lips.shape[:3] == seen.shape == (1, 2, 83)


def test_bad_cases_are_refused(report, tmp_path):
    argv = [TOY_BIN, "--out", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match="three faces"):
        report.main([*argv, "--faces", "4"])
    with pytest.raises(ConfigError, match="above 0"):
        report.main([*argv, "--seconds", "0"])
