"""Two servers on one data folder share one queue: each job is done once; what a killed one leaves, the other ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Job
from fromnoise.jobs.queue import Queue
from tools.ports import free_port

from .http_crash import Server
from .listening import waited

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM and SIGKILL")


@contextmanager
def two_servers(folder: Path) -> Iterator[tuple[Server, Server, Queue]]:
    (folder / "data").mkdir()
    url = f"sqlite:///{folder / 'data' / 'fromnoise.db'}"
    queue = Queue(Database.open(url))
    servers = [Server(free_port(), folder, folder / f"{name}.log", url) for name in "ab"]
    for server in servers:
        server.start()
    try:
        waited(lambda: len(queue.workers()) == 2)
        yield servers[0], servers[1], queue
    finally:
        for server in servers:
            if server.process is not None and server.process.poll() is None:
                server.stop()


def asked(server: Server, seeds: range, steps: int) -> list[str]:
    """Ids of small pictures that a server is asked for, one call each."""
    recipe = {"prompt": "a red apple", "width": 128, "height": 128, "steps": steps}
    return [
        str(job["id"]) for seed in seeds for job in server.call("/api/v1/jobs", {"recipes": [recipe | {"seed": seed}]})
    ]


def ended(queue: Queue, ids: list[str]) -> list[Job] | None:
    """The jobs, once all have ended."""
    jobs = [queue.get(one) for one in ids]
    return jobs if all(job.state in ("done", "failed", "cancelled") for job in jobs) else None


def holds_each_once(jobs: list[Job], outputs: Path) -> bool:
    return [job.state for job in jobs] == ["done"] * len(jobs) and len(list(outputs.rglob("*.png"))) == len(jobs)


def test_two_servers_share_a_queue(tmp_path: Path) -> None:
    with two_servers(tmp_path) as (first, second, queue):
        ids = asked(first, range(3), 2) + asked(second, range(3, 6), 2)
        assert holds_each_once(waited(lambda: ended(queue, ids)) or [], tmp_path / "outputs")


@pytest.mark.slow
def test_what_a_killed_server_leaves_the_other_ends(tmp_path: Path) -> None:
    """It waits for the lease of the killed one to run out."""
    with two_servers(tmp_path) as (first, second, queue):
        ids = asked(first, range(2), 200) + asked(second, range(2, 4), 200)
        waited(lambda: len({job.worker for one in ids if (job := queue.get(one)).step}) == 2)  # both are at work
        second.kill()
        assert holds_each_once(waited(lambda: ended(queue, ids)) or [], tmp_path / "outputs")
