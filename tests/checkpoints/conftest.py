"""What tests of files share."""

import mmap
from io import BufferedReader

import pytest

from fromnoise.checkpoints import archive, pickles


def answered_here(file: BufferedReader) -> bytes:
    """What the reading process would print."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return pickles.answer(content).encode()


@pytest.fixture
def pickles_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickles are read in this process, for tests that read thousands."""
    monkeypatch.setattr(archive, "answer_of", answered_here)
