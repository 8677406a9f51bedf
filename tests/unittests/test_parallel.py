"""Proves that neither an exception nor a dying process stops the others."""

import os

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
