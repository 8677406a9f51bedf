"""Fixtures shared by all tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repo():
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared(repo):
    """The folder of reference material beside the checkout, if there is one."""
    folder = repo.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the reference material beside the checkout is absent")
    return folder
