"""The table of inputs that break other tools, run through the command.

Proves that each row ends as it says: in a right result (one wav per voice, as
long as the sound, at its place, beside the voices of the plain scene), or in
status 2 and one sentence that says what to do, with nothing written.
"""

import re
from pathlib import Path

import pytest

from avsep_sb.cli import main
from avsep_sb.inference import overview
from tests.torture.checks import (
    check_refused,
    check_right,
    check_videos,
    lag_ms,
    likeness_db,
)
from tests.torture.readme import BEGIN, END, README, ROWS, table_text
from tests.torture.rows import Refused


def name_of(row):
    return re.sub(r"[^\w.]+", "_", row.name)


def contents(folder):
    """All files below a folder, and what is in them."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_row(row, scene, plain, quick, tmp_path, capfd, monkeypatch):
    if row.skip and row.skip():
        pytest.skip(row.skip())
    monkeypatch.chdir(tmp_path)
    given = row.make(scene, tmp_path)
    capfd.readouterr()
    before = contents(tmp_path)
    out = tmp_path / "results"
    argv = ["separate", "--out", str(out), *row.options, *given.options]
    if not row.videos:
        argv.append("--no-video")
    if not row.overview:
        monkeypatch.setattr(overview, "draw_overview", lambda *_: None)
    status = main([*argv, "--", *given.paths])
    error = capfd.readouterr().err
    assert not list(tmp_path.rglob("*part*")), "something is half-written"
    if isinstance(row.ends, Refused):
        assert status == 2
        check_refused(row, error)
        if row.ends.leaves:
            assert (out / row.ends.leaves / "faces.json").is_file()
        else:
            assert contents(tmp_path) == before
        return
    assert status == 0, error
    assert "Traceback" not in error and "error:" not in error
    result = out / (given.result or Path(given.paths[-1]).stem)
    check_right(row, given, result, scene, plain)
    videos = sorted(path.stem for path in result.glob("*.mp4"))
    assert (result / "overview.png").is_file() == row.overview
    if row.videos:
        assert len(videos) == row.ends.voices
        check_videos(given, result, videos)
    else:
        assert not videos


def test_another_voice_would_be_told(plain):
    """The floors of the table mean something."""
    one, two = plain["face1"], plain["face2"]
    assert likeness_db(one, two) < -3
    assert abs(lag_ms(one[160:], one)) == 10


def test_the_table_is_long_and_has_no_row_twice():
    names = [name_of(row) for row in ROWS]
    assert len(names) >= 40
    assert len(set(names)) == len(names)


def test_the_readme_shows_the_table():
    shown = README.read_text("utf-8").split(BEGIN)[1].split(END)[0]
    assert shown == table_text(ROWS), "run write_readme of readme.py"
