"""Proves that the command line answers fast and explains bad input."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from avsep_sb import __version__, cli
from avsep_sb.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def avsep(*args):
    """Runs the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "avsep_sb.cli", *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_names_every_command():
    done = avsep("--help")
    assert done.returncode == 0
    for name, (_, text) in cli.COMMANDS.items():
        assert name in done.stdout and text.split()[0] in done.stdout
    assert avsep("--version").stdout.strip() == f"avsep {__version__}"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from avsep_sb.cli import build_parser; "
        "build_parser().format_help(); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    loaded = done.stdout.split()
    assert "avsep_sb.cli" in loaded
    assert not {"torch", "numpy", "speechbrain"} & set(loaded)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_its_module(name):
    module = importlib.import_module(cli.COMMANDS[name][0])
    parser = cli.build_parser(name)
    assert callable(module.run)
    with pytest.raises(SystemExit) as left:
        parser.parse_args([name, "--help"])
    assert left.value.code == 0


def test_unknown_command():
    done = avsep("seperate", "x.mp4")
    assert done.returncode == 2 and "invalid choice" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_input_is_one_sentence(monkeypatch, capsys):
    def fail(argv):
        raise DataError("'x.wav' is empty; record it again.")

    monkeypatch.setattr(cli, "run_command", fail)
    assert cli.main(["demo"]) == 2
    assert capsys.readouterr().err == (
        "error: 'x.wav' is empty; record it again.\n"
    )
