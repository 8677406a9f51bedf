"""Runs the recipes as their rows in ``tests/recipes/*.csv`` say.

The columns are SpeechBrain's. In ``test_debug_flags``, ``{corpus}`` stands
for a miniature corpus, ``{output}`` for an empty folder, ``{root}`` for
that of the project; ``{toy}`` for a toy corpus with texts, prepared, and
``{asr}`` for a toy recogniser. The checks are
``file_exists=[name,...]``, below the output folder, and
``performance_check=[file, variable, limit, where]``, for example
``[train_log.txt, train loss, <=15, epoch: 2]``: on the last line that holds
*where*, the number after *variable* keeps the limit.
"""

import csv
import operator
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.asr_folder import make_toy_asr
from tests.utils.toy_corpus import make_toy_corpus

COLUMNS = (
    "Task Dataset Script_file Hparam_file Data_prep_file Readme_file "
    "Result_url HF_repo test_debug_flags test_debug_checks performance"
).split()

LIMITS = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}


def read_rows(folder):
    """All rows of all tables in a folder, as dicts."""
    rows = []
    for path in sorted(Path(folder).glob("*.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            assert reader.fieldnames == COLUMNS, f"{path}: wrong columns"
            rows += list(reader)
    return rows


def run_row(root, row, corpus, output, timeout):
    """Runs a row in a process of its own, from a folder outside the repo."""
    flags = row["test_debug_flags"]
    flags = flags.replace("{corpus}", str(corpus))
    flags = flags.replace("{output}", str(output))
    flags = flags.replace("{root}", str(root))
    if "{asr}" in flags:
        toy = make_toy_asr(Path(output).parent / "asr")
        flags = flags.replace("{asr}", str(toy))
    if "{toy}" in flags:
        toy = Path(output).parent / "toy"
        make_toy_corpus(toy, texts=["bin blue", "set red", "lay", "place"])
        flags = flags.replace("{toy}", str(toy))
    # The YAML is named as in the README, not by its place: that is tested.
    script = [sys.executable, str(root / row["Script_file"])]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(root), os.environ.get("PYTHONPATH")])
        ),
    }
    return subprocess.run(
        [*script, row["Hparam_file"], *shlex.split(flags)],
        cwd=Path(output).parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def failed_checks(row, output):
    """Sentences that say which checks of a row fail."""
    found = []
    checks = re.findall(r"(\w+)=\[([^\]]*)\]", row["test_debug_checks"])
    if not checks:
        return ["the row has no checks"]
    for kind, text in checks:
        parts = [part.strip() for part in text.split(",")]
        if kind == "file_exists":
            found += [
                f"{name} is missing"
                for name in parts
                if not (Path(output) / name).is_file()
            ]
        elif kind == "performance_check":
            found += _check_number(Path(output), *parts)
        else:
            found.append(f"there is no check named {kind}")
    return found


def _check_number(output, name, variable, limit, where):
    if not (output / name).is_file():
        return [f"{name} is missing"]
    lines = (output / name).read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if where in line]
    if not lines:
        return [f"{name} has no line with {where!r}"]
    number = re.search(rf"{re.escape(variable)}: ([-+.\w]+)", lines[-1])
    if number is None:
        return [f"{name} has no {variable!r} in {lines[-1]!r}"]
    sign, bound = re.fullmatch(r"([<>=]+)\s*(\S+)", limit).groups()
    if LIMITS[sign](float(number[1]), float(bound)):
        return []
    return [f"{variable} is {number[1]}, not {limit}"]
