"""Proves that every hyperparameter file loads, and that each key has a use.

A key that nothing reads is an option that does nothing: a user sets it and
waits for an effect that never comes.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.run_opts import RunOptions

from tests.asr_folder import make_toy_asr

ROOT = Path(__file__).resolve().parents[2]
YAMLS = sorted((ROOT / "hparams").glob("*.yaml"))
NAMES = [path.name for path in YAMLS]


def keys_of(text):
    """Top-level keys, in order."""
    return re.findall(r"^([A-Za-z]\w*):", text, re.MULTILINE)


def references(text):
    """Names inside <...> after !ref."""
    lines = [line for line in text.splitlines() if "!ref" in line]
    return {
        name for line in lines for name in re.findall(r"<([A-Za-z]\w*)", line)
    }


def is_hparams(node):
    """Whether an expression is called hparams, alone or as self.hparams."""
    return getattr(node, "id", getattr(node, "attr", None)) == "hparams"


def keys_read(source):
    """Patterns of the keys that a module can read from hparams.

    Attributes of ``hparams`` and every string of the module, as keys are also
    listed in tuples; f-strings count where they index ``hparams``.
    """
    patterns = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and is_hparams(node.value):
            patterns.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.isidentifier():
                patterns.add(node.value)
        elif isinstance(node, ast.Subscript) and is_hparams(node.value):
            if isinstance(node.slice, ast.JoinedStr):
                patterns.add(
                    "".join(
                        re.escape(part.value)
                        if isinstance(part, ast.Constant)
                        else r"\w+"
                        for part in node.slice.values
                    )
                )
    return patterns


def unused_keys(text, patterns):
    """Keys of a YAML that neither the YAML nor the code uses."""
    used = references(text) | set(RunOptions().as_dict())
    return [
        key
        for key in keys_of(text)
        if key not in used and not any(re.fullmatch(p, key) for p in patterns)
    ]


@pytest.fixture(scope="module")
def patterns():
    """Keys read by the recipes and by the training side of the package."""
    files = [
        *(ROOT / "recipes").glob("*/*.py"),
        *(ROOT / "avsep_sb").glob("*.py"),
        *(ROOT / "avsep_sb" / "dataio").glob("*.py"),
    ]
    texts = [path.read_text(encoding="utf-8") for path in files]
    return set().union(*map(keys_read, texts))


@pytest.mark.parametrize("path", YAMLS, ids=NAMES)
def test_loads(path, tmp_path):
    text = path.read_text(encoding="utf-8")
    holes = re.findall(r"^(\w+): !PLACEHOLDER", text, re.MULTILINE)
    known = {"data_folder", "dataset", "separator_weights", "asr_source"}
    assert set(holes) <= known
    overrides = dict.fromkeys(holes, "x")
    if "asr_source" in holes:
        overrides["asr_source"] = str(make_toy_asr(tmp_path / "asr"))
    # Nothing may be written before a run has begun.
    overrides["output_folder"] = str(tmp_path / "output")
    hparams = load_hyperpyyaml(text, overrides)
    assert hparams["modules"]
    counts = {
        name: sum(p.numel() for p in module.parameters())
        for name, module in hparams["modules"].items()
        if name != "mixture_consistency"  # a rule, without weights
    }
    assert all(counts.values()), counts


@pytest.mark.parametrize("path", YAMLS, ids=NAMES)
def test_every_key_is_used(path, patterns):
    assert unused_keys(path.read_text(encoding="utf-8"), patterns) == []


@pytest.mark.parametrize("path", YAMLS, ids=NAMES)
def test_no_key_is_given_twice(path):
    keys = keys_of(path.read_text(encoding="utf-8"))
    assert len(keys) == len(set(keys))


def test_an_unused_key_is_found():
    text = "lr: 1\nx_data: 2\nidle: 3\nopt: !ref <lr>\nseen: 4\nlisted: 5\n"
    source = (
        'hparams[f"{name}_data"]; hparams.seen; self.hparams.opt\n'
        'need = ("listed",)\nother["idle it is"]; hparam.idle\n'
    )
    assert unused_keys(text, keys_read(source)) == ["idle"]


def test_yamllint():
    pytest.importorskip("yamllint")
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "-f", "parsable", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
