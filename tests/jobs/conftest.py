"""A queue with a clock that tests turn."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Limits
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue

from . import postgres


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The URL of a PostgreSQL of the tests' own."""
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    return postgres.another(request.getfixturevalue("cluster"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A new one."""
    database = Database.open(url)
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
