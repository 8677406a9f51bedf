"""Proves rules that a linter does not know: size, paths, safe calls."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("avsep_sb", "recipes", "tests", "benchmarks", "tools")
CODE = sorted(
    [p for name in FOLDERS for p in (ROOT / name).rglob("*.py")]
    + [ROOT / "setup.py"]
)
TEXTS = sorted(
    CODE
    + list((ROOT / "hparams").glob("*.yaml"))
    + [
        p
        for name in ("recipes", "pretrained")
        for p in ROOT.glob(f"{name}/*/*.md")
    ]
    + list(ROOT.glob("*.md"))
    + [ROOT / name for name in ("Makefile", "pyproject.toml", ".ci/run")]
)
LONGEST = 400

# Written in pieces so that this file does not find itself.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.<>{}])/" + r"(?:work|root|home|mnt)/\w",
    "a call through a shell": r"shell\s*=\s*" + "True|os\\.sys" + "tem\\(",
    "a load that can run code": r"weights_only\s*=\s*" + "False",
    "a load that may run code": r"allow_pickle\s*=\s*" + "True",
    "a host of a package registry": r"py" + r"pi\.org|download\.py" + "torch",
}


def name_of(path):
    """Path from the root, as the test's id."""
    return path.relative_to(ROOT).as_posix()


def findings(text):
    """What a text holds that it must not, with the line's number."""
    return [
        f"line {number}: {what}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in FORBIDDEN.items()
        if re.search(pattern, line)
    ]


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_holds_nothing_forbidden(path):
    assert findings(path.read_text(encoding="utf-8")) == []


def test_forbidden_things_are_found():
    bad = [
        "open('/" + "work/x')",
        "run(x, shell=" + "True)",
        "torch.load(p, weights_only=" + "False)",
        "np.load(p, allow_pickle=" + "True)",
        "https://py" + "pi.org/simple",
    ]
    for line in bad:
        assert len(findings(line)) == 1, line
    assert findings("'../shared/work/x' and <root>/home/x") == []


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_is_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{lines} lines: split it, one idea per file"


def test_ruff():
    """Format is left to ``make lint``: it differs between ruff's releases."""
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
