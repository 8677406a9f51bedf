"""Proves that each recipe runs from raw videos to test results.

Every row of ``tests/recipes/*.csv`` is run in debug mode, or for an epoch or
two, with a tiny model, on a miniature corpus of real video files in the layout
of the real one.
"""

from pathlib import Path

import pytest

from tests.utils.mini_corpora import MAKERS
from tests.utils.mini_large import make_lrs3, make_voxceleb2
from tests.utils.mini_lrs3_wham import make_lrs3_wham
from tests.utils.mini_lrw import make_lrw
from tests.utils.mini_ntcd import make_ntcd
from tests.utils.recipe_tests import failed_checks, read_rows, run_row

ROOT = Path(__file__).resolve().parents[2]
ROWS = read_rows(ROOT / "tests" / "recipes")
MAKERS = {
    **MAKERS,
    "LRS3": make_lrs3,
    "VoxCeleb2": make_voxceleb2,
    "NTCD-TIMIT": make_ntcd,
    "LRS3-WHAM": make_lrs3_wham,
    "LRW": make_lrw,
    "SynthAV-ASR": MAKERS["SynthAV"],
}


@pytest.mark.parametrize("row", ROWS, ids=[row["Dataset"] for row in ROWS])
def test_recipe_runs(row, tmp_path):
    corpus = MAKERS[row["Dataset"]](tmp_path / row["Dataset"])
    before = set((ROOT / "recipes").rglob("*.*"))
    done = run_row(ROOT, row, corpus, tmp_path / "output", timeout=240)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert failed_checks(row, tmp_path / "output") == []
    assert not list(Path(corpus).rglob("failures.csv"))
    # What users hand on does not say where it was made.
    for path in (tmp_path / "output").rglob("pretrained/*"):
        assert str(tmp_path).encode() not in path.read_bytes(), path
    made = set((ROOT / "recipes").rglob("*.*")) - before
    assert not [path for path in made if path.suffix != ".pyc"]


def test_wrong_folder_is_one_sentence(tmp_path):
    """No traceback, no half-written output, exit status 2."""
    row = next(row for row in ROWS if row["Dataset"] == "LRS2")
    done = run_row(ROOT, row, tmp_path / "no", tmp_path / "output", 120)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and "holds neither LRS2" in last
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.csv"))
