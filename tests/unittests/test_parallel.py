"""Proves that neither an exception nor a dying process stops the others, and
that no process outlives a parent that was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avsep_sb.dataio.parallel import CRASHED, outcomes
from avsep_sb.errors import DataError


def work(number):
    """3 dies as a decoder may, 5 raises, 7 is refused."""
    if number == 3:
        os._exit(1)
    if number == 5:
        raise ValueError("odd")
    if number == 7:
        raise DataError("refused")
    return number * 10


def test_dying_process_costs_one_item():
    found = {o.item: o for o in outcomes(work, list(range(12)), workers=2)}
    assert sorted(found) == list(range(12))
    assert found[3].reason == CRASHED
    assert found[5].reason == "ValueError: odd"
    assert found[7].reason == "refused"
    good = [n for n in range(12) if n not in (3, 5, 7)]
    assert [found[n].value for n in good] == [n * 10 for n in good]
    assert all(found[n].reason is None for n in good)


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_to_do(workers):
    assert list(outcomes(work, [], workers)) == []


def announce(folder):
    """Says who works, then works for a minute."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def _is_running(pid):
    """Also False for a zombie, which only waits to be counted."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_no_worker_outlives_a_killed_parent(tmp_path, repo):
    folder = tmp_path / "workers"
    folder.mkdir()
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(repo)!r}, {str(Path(__file__).parent)!r}]\n"
        "from avsep_sb.dataio.parallel import outcomes\n"
        "from test_parallel import announce\n"
        "if __name__ == '__main__':\n"
        f"    list(outcomes(announce, [{str(folder)!r}] * 2, workers=2))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    try:
        end = time.time() + 60
        while len(list(folder.iterdir())) < 2 and time.time() < end:
            time.sleep(0.1)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    workers = [int(path.name) for path in folder.iterdir()]
    assert len(workers) == 2
    end = time.time() + 10
    while any(map(_is_running, workers)) and time.time() < end:
        time.sleep(0.1)
    left = [pid for pid in workers if _is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
