"""Proves that imports go one way, and that importing costs and does nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "avsep_sb").rglob("*.py"))

# What training adds; lobes, vision and inference live without it.
TRAINING = {
    "avsep_sb.brain",
    "avsep_sb.experiment",
    "avsep_sb.frame_reconstruction",
    "avsep_sb.lip_reading",
    "avsep_sb.word_reading",
    "avsep_sb.run_results",
    "avsep_sb.schedule",
    "avsep_sb.checkpoints",
    "avsep_sb.recovering",
    "avsep_sb.dataio.pipeline",
    "avsep_sb.dataio.mixing",
}
# For each module or room: what it may not import, lazily or at the top. The
# longest name that fits holds; a name stands for all that is below it.
COMMON = {"recipes", "tests", "benchmarks", "avsep_sb.cli"}
RULES = {
    "avsep_sb": COMMON | {"avsep_sb.commands"},
    "avsep_sb.brain": {
        *("avsep_sb.lobes", "avsep_sb.inference", "avsep_sb.vision"),
        *("avsep_sb.experiment", "avsep_sb.synth"),
    },
    "avsep_sb.lobes": {"avsep_sb", "torchaudio", "numpy", "cv2"},
    "avsep_sb.vision": {"avsep_sb", "torch", "speechbrain"},
    "avsep_sb.vision.faces": {"avsep_sb", "speechbrain"},
    "avsep_sb.vision.mtcnn": {"avsep_sb", "speechbrain"},
    "avsep_sb.dataio": {
        *("avsep_sb.brain", "avsep_sb.experiment", "avsep_sb.inference"),
        *("avsep_sb.lobes", "avsep_sb.losses", "avsep_sb.metrics"),
        "avsep_sb.synth",
    },
    "avsep_sb.losses": {
        *("avsep_sb.brain", "avsep_sb.dataio", "avsep_sb.lobes"),
        *("avsep_sb.experiment", "avsep_sb.inference"),
    },
    "avsep_sb.metrics": {
        *("avsep_sb.brain", "avsep_sb.dataio", "avsep_sb.lobes"),
        *("avsep_sb.experiment", "avsep_sb.inference"),
    },
    "avsep_sb.synth": TRAINING | {"torch", "speechbrain", "avsep_sb.inference"},
    "avsep_sb.inference": TRAINING | {"avsep_sb.commands"},
    "avsep_sb.commands": {"avsep_sb.brain", "avsep_sb.experiment"},
}
# Allowed although a rule of the same module forbids the room around it.
ALLOWED = {
    "avsep_sb.lobes": {"avsep_sb.lobes", "avsep_sb.errors"},
    "avsep_sb.vision": {"avsep_sb.vision", "avsep_sb.errors"},
    "avsep_sb.vision.faces": {"avsep_sb.vision", "avsep_sb.errors"},
    "avsep_sb.vision.mtcnn": {"avsep_sb.vision", "avsep_sb.errors"},
}


def below(name, roots):
    """Whether a dotted name is one of the roots or inside one."""
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def imports_of(source):
    """Dotted names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                # "from avsep_sb import brain" names a module too.
                yield f"{node.module}.{alias.name}"


def forbidden_imports(module, source):
    """Imports of a module that its rules forbid."""
    fits = [name for name in RULES if below(module, [name])]
    rule = max(fits, key=len)
    # Only the command line knows its commands; see avsep_sb/cli.py.
    banned = RULES[rule] | COMMON
    allowed = ALLOWED.get(rule, set())
    return sorted(
        name
        for name in set(imports_of(source))
        if below(name, banned) and not below(name, allowed)
    )


def module_name(path):
    """The dotted name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_one_way(path):
    source = path.read_text(encoding="utf-8")
    assert forbidden_imports(module_name(path), source) == []


def test_wrong_imports_are_found():
    lazy = "def f():\n    from avsep_sb import brain\n"
    assert forbidden_imports("avsep_sb.inference.x", lazy) == ["avsep_sb.brain"]
    code = "from avsep_sb.lobes.x import y\nimport avsep_sb.dataio.z\n"
    assert forbidden_imports("avsep_sb.lobes.a", code) == ["avsep_sb.dataio.z"]
    assert forbidden_imports("avsep_sb.lobes_b", "import numpy") == []
    assert forbidden_imports("avsep_sb.vision.mouth", "import torch.nn")
    assert not forbidden_imports("avsep_sb.vision.faces", "import torch.nn")


def modules_after(statement):
    """Top-level packages that a fresh interpreter holds after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_rooms_import_nothing_heavy():
    rooms = ["avsep_sb", "avsep_sb.cli", "avsep_sb.errors"]
    rooms += [module_name(p) for p in FILES if p.name == "__init__.py"]
    loaded = modules_after(f"import {', '.join(rooms)}")
    assert "avsep_sb" in loaded
    assert not loaded & {"torch", "speechbrain", "numpy", "cv2", "av"}


def test_torch_free_parts():
    names = ["decode", "tracks"]
    loaded = modules_after(
        f"import {', '.join(f'avsep_sb.vision.{name}' for name in names)}"
    )
    assert not loaded & {"torch", "speechbrain"}


def acts(node):
    """Whether a statement at the top of a module does more than define."""
    if isinstance(node, ast.Expr):
        # A module may finish a private class of its own, as PyYAML wants it.
        owner = getattr(getattr(node.value, "func", None), "value", None)
        is_own = getattr(owner, "id", "").startswith("_")
        return not (isinstance(node.value, ast.Constant) or is_own)
    if isinstance(node, ast.If):
        return "__name__" not in ast.dump(node.test)
    return not isinstance(
        node,
        (
            *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef),
            *(ast.Assign, ast.AnnAssign),
        ),
    )


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_modules_only_define(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in tree.body if acts(node)] == []


def test_actions_are_found():
    def lines(code):
        return [node.lineno for node in ast.parse(code).body if acts(node)]

    assert lines("print(1)\nfor a in b: pass\nos.makedirs('x')") == [1, 2, 3]
    assert lines("'text'\nX = 1\n_Loader.add(1)\ndef f(): g()") == []
