"""A queue with a clock that tests turn."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Limits
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new one: SQLite, or an empty PostgreSQL where FROMNOISE_TEST_DATABASE names one."""
    database = Database.open(os.environ.get("FROMNOISE_TEST_DATABASE") or f"sqlite:///{tmp_path / 'jobs.db'}")
    yield database
    database.close()


@pytest.fixture
def queue(database: Database, clock: Clock) -> Queue:
    return Queue(database, Limits(total=20, per_owner=10), clock)


@pytest.fixture
def leases(database: Database, clock: Clock) -> Leases:
    leases = Leases(database, Limits(deaths=3), lease=10, patience=20, clock=clock)
    leases.enlist("w", "cpu")
    return leases
