"""A server on a database of its own, and a worker that makes grey pictures when it is told to."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Buried, Job, Result
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.server.access import Access, Account, Identity, digest
from fromnoise.server.app import create_app
from fromnoise.server.context import Context

HOST = "http://127.0.0.1:7860"


@dataclass
class Few:
    """Accounts in memory."""

    users: dict[str, Account] = field(default_factory=dict)
    tokens: dict[str, Identity] = field(default_factory=dict)

    def account(self, name: str) -> Account | None:
        return self.users.get(name)

    def by_token(self, given: str) -> Identity | None:
        return self.tokens.get(given)

    def any(self) -> bool:
        return bool(self.users or self.tokens)

    @property
    def changes(self) -> int:
        return hash((*self.users.items(), *self.tokens.items()))


@dataclass
class Served:
    """The server, its parts, and its worker."""

    context: Context
    accounts: Few
    client: TestClient
    leases: Leases

    def work(self, room: int = 8) -> list[Job]:
        """Take what waits, and make a grey picture for each."""
        jobs = self.leases.claim("w", room)
        for job in jobs:
            name = f"{job.id}.png"
            Image.new("RGB", (8, 8), "gray").save(self.context.outputs / name)
            with suppress(Buried):  # it was cancelled meanwhile, and is forgotten
                self.leases.finish("w", job.id, [Result(name, "0" * 64, data={"seed": job.work.body.get("seed", 0)})])
        return jobs

    def token(self, name: str, *, admin: bool = False) -> dict[str, str]:
        """Headers of a user."""
        self.accounts.tokens[digest(f"token of {name}")] = Identity(name, "admin" if admin else "user")
        return {"authorization": f"Bearer token of {name}"}


@contextmanager
def server_in(folder: Path) -> Iterator[Served]:
    """A server whose worker does what it is told to."""
    database = Database.open(f"sqlite:///{folder / 'jobs.db'}")
    accounts, outputs = Few(), folder / "outputs"
    outputs.mkdir()
    context = Context(Queue(database), Access.to(accounts), outputs, folder / "uploads")
    leases = Leases(database)
    leases.enlist("w", "cpu")
    client = TestClient(create_app(context), base_url=HOST, client=("127.0.0.1", 5), raise_server_exceptions=False)
    yield Served(context, accounts, client, leases)
    database.close()


@contextmanager
def worker_of(served: Served) -> Iterator[Served]:
    """The same with the worker at it all the time."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            served.work()

    thread = threading.Thread(target=run)
    thread.start()
    yield served
    stop.set()
    thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with server_in(tmp_path) as served:
        yield served


@pytest.fixture
def working(served: Served) -> Iterator[Served]:
    with worker_of(served):
        yield served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server, and its worker, for all tests of a file."""
    with server_in(tmp_path_factory.mktemp("shared")) as served, worker_of(served):
        yield served


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose worker makes real pictures."""
    from .real import serving

    with serving(tmp_path_factory.mktemp("real")) as served:
        yield served


def png(size: tuple[int, int] = (16, 16), colour: object = "red", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "PNG")  # type: ignore[arg-type]
    return buffer.getvalue()
