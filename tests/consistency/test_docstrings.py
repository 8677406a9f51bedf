"""Proves that what is public is documented, with every argument by name."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    [
        *(ROOT / "avsep_sb").rglob("*.py"),
        *(ROOT / "recipes").rglob("*.py"),
        *(ROOT / "benchmarks").rglob("*.py"),
        *(ROOT / "tools").rglob("*.py"),
    ]
)


def arguments_of(node):
    """Names of a function's arguments, without self and cls."""
    args = node.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    every += [arg for arg in (args.vararg, args.kwarg) if arg]
    return [arg.arg for arg in every if arg.arg not in ("self", "cls")]


def problems_of_function(node, is_method):
    """What is missing from the docstring of a function."""
    text = ast.get_docstring(node)
    if not text:
        yield "has no docstring"
        return
    names = arguments_of(node)
    if "Arguments\n---------" in text:
        absent = [name for name in names if name not in text]
        if absent:
            yield f"does not document {', '.join(absent)}"
    # A method may lean on its class or on what it overrides, and main(argv)
    # is called by nobody else.
    elif names and not is_method and node.name != "main":
        yield f"has no Arguments section for {', '.join(names)}"


def problems(source, library=True):
    """Sentences that say what lacks documentation in a module."""
    tree = ast.parse(source)
    text = ast.get_docstring(tree)
    if not text:
        yield "the module has no docstring"
    elif library and "Authors\n * avsep_sb contributors" not in text:
        yield "the module's docstring names no authors"
    yield from _problems_in(tree.body, False, library)


def _problems_in(body, is_method, library):
    for node in body:
        public = not getattr(node, "name", "_").startswith("_")
        if isinstance(node, ast.ClassDef) and public:
            if not ast.get_docstring(node):
                yield f"line {node.lineno}: {node.name} has no docstring"
            yield from _problems_in(node.body, True, library)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # Scripts document what each function is for, and no more.
            for text in problems_of_function(node, is_method or not library):
                if public:
                    yield f"line {node.lineno}: {node.name} {text}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_documented(path):
    is_room = path.name == "__init__.py"
    library = "avsep_sb" in path.relative_to(ROOT).parts and not is_room
    found = list(problems(path.read_text(encoding="utf-8"), library))
    assert found == []


def test_gaps_are_found():
    head = '"""Says."""\n'
    assert list(problems("x = 1")) == ["the module has no docstring"]
    assert list(problems(head)) == ["the module's docstring names no authors"]
    source = (
        f"{head}class A:\n    def b(self, c): pass\n    def _d(self): pass\n"
        'def e(f):\n    """Says."""\n'
        'def g(h, j):\n    """Says.\n\n    Arguments\n    ---------\n'
        '    h : int\n    """\n'
    )
    assert list(problems(source))[1:] == [
        "line 2: A has no docstring",
        "line 3: b has no docstring",
        "line 5: e has no Arguments section for f",
        "line 7: g does not document j",
    ]
