"""Proves that two tests are compared mixture by mixture, and only if they
are of the same mixtures."""

import csv
import importlib
from pathlib import Path

import pytest

from avsep_sb.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("joint_report")


def write_test(folder, gains, errors, words=8):
    """What avsep evaluate leaves, as far as it is read."""
    folder.mkdir()
    lines = ["snt_id,si-snr,si-snr_i"]
    lines += [f"m{i},1,{gain}" for i, gain in enumerate(gains)]
    lines += ["avg,1,99", "ci95,1,99"]
    (folder / "utterances.csv").write_text("\n".join(lines))
    with open(folder / "transcripts.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "judge", "voice", "sound", "errors", "words"])
        for i, wrong in enumerate(errors):
            for voice in (1, 2):
                writer.writerow([f"m{i}", "toy", voice, "clean", 0, words])
                row = [f"m{i}", "toy", voice, "separated", wrong, words]
                writer.writerow(row)
    return folder


def test_differences_are_of_the_same_mixtures(report, tmp_path):
    before = write_test(tmp_path / "a", [5.0, 9.0, 13.0], [3, 2, 1])
    after = write_test(tmp_path / "b", [5.5, 9.5, 13.5], [2, 1, 0])
    argv = [str(before), str(after), "--out", str(tmp_path / "out")]
    report.main(argv)
    text = (tmp_path / "out" / "joint_report.md").read_text()
    # Every mixture is better by the same: intervals without width.
    assert "| SI-SNRi [dB] | 9.00 | 9.50 | +0.50 (+0.50 to +0.50) |" in text
    separated = next(x for x in text.splitlines() if "WER, separated" in x)
    assert "25.0 (" in separated and "12.5 (" in separated
    assert "-12.5 (-12.5 to -12.5)" in separated
    with pytest.raises(DataError, match="is there already"):
        report.main(argv)


def test_other_mixtures_are_refused(report, tmp_path):
    before = write_test(tmp_path / "a", [5.0, 9.0], [3, 2])
    with pytest.raises(DataError, match="differ in mixtures"):
        report.compare(before, write_test(tmp_path / "b", [5.0], [3]))
    other = write_test(tmp_path / "c", [5.0, 9.0], [3, 2], words=7)
    with pytest.raises(DataError, match="texts of the two tests differ"):
        report.compare(before, other)
    (before / "transcripts.csv").unlink()
    with pytest.raises(DataError, match="with --asr first"):
        report.compare(before, other)
