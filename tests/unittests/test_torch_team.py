"""Proves that torch's own threads do loops, and hand on what goes wrong."""

import threading

import pytest
import torch

from avsep_sb.lobes import torch_team
from avsep_sb.lobes.torch_team import TorchTeam
from avsep_sb.lobes.workers import Workers

parallel = torch_team._parallel()
needs_gomp = pytest.mark.skipif(parallel is None, reason="torch has no libgomp")


@needs_gomp
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_part_is_done_once(threads):
    done = []
    TorchTeam(parallel, threads).share(done.append, 50)
    assert sorted(done) == list(range(50))


@needs_gomp
def test_threads_work_at_a_time():
    meet = threading.Barrier(2, timeout=20)
    TorchTeam(parallel, 2).share(lambda number: meet.wait(), 2)


@needs_gomp
def test_what_fails_is_raised_here():
    def fail(number):
        raise ValueError(f"part {number}")

    with pytest.raises(ValueError, match="part"):
        TorchTeam(parallel, 2).share(fail, 4)


@needs_gomp
def test_of_the_size_that_torch_has():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch_team.torch_team().count == 3
    finally:
        torch.set_num_threads(before)


def test_without_gnu_openmp_there_is_a_team(monkeypatch):
    monkeypatch.setattr(torch_team, "_parallel", lambda: None)
    assert isinstance(torch_team.torch_team(), Workers)
