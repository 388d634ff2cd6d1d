"""Fixtures of every test: where the checkout is, and its recorded numbers."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is loaded; waiting threads leave busy cores alone

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """golden("sampling/sigmas.json") is the path of that file of recorded numbers, which must exist."""

    def find(name: str) -> Path:
        path = ROOT / "tests" / "golden" / name
        assert path.is_file(), f"{path} is missing: recorded numbers belong to the checkout"
        return path

    return find
