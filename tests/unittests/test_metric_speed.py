"""Proves that the benchmark of the scores runs, and that its sides agree."""

import importlib
import re
from pathlib import Path

import pytest

from tests.utils.gate_model import write_turns

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("metric_speed")


def test_ratios_are_told(script, tmp_path, capsys):
    pytest.importorskip("mir_eval")
    write_turns(tmp_path, frames=8)
    options = f"--data_root {tmp_path} --count 1 --rounds 1 --jobs".split()
    script.main(["--manifest", str(tmp_path / "turns.csv"), *options])
    text = capsys.readouterr().out
    ratios = re.findall(r"\| (\S+) \(\S+ to \S+\) \|\n", text)
    assert (
        len(ratios) == 2
        and text.count("times ours") == 2
        and all(float(x) > 2 for x in ratios)
    )
    gap = float(re.search(r"of a value: (\S+) dB", text).group(1))
    assert gap < 1e-6


def test_values_of_the_loop_are_those_of_the_estimates(script, tmp_path):
    """A loop that scored something else would be no comparison."""
    pytest.importorskip("mir_eval")
    write_turns(tmp_path, frames=8)
    jobs = script.read_jobs(tmp_path / "turns.csv", tmp_path, 2)
    assert [job.name for job in jobs] == ["mix0", "mix1"]
    slow = script.speechbrain_loop(jobs[:1], search=False)
    assert slow.shape == (1, 2, 2)
    worse = jobs[0]._replace(
        estimate=jobs[0].target + 0.9 * jobs[0].mix[:, None]
    )
    assert (script.ours([worse])[0] < slow[0] - 1).all()
