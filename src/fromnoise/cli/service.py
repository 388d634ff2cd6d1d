"""A server that runs on the same folder of data, as the command line finds and follows it. Imports no torch."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fromnoise.cli.messages import say
from fromnoise.errors import FromnoiseError
from fromnoise.jobs.station import SERVING
from fromnoise.settings import Settings

LOOK = 0.1  # seconds between looks at what happened
LIVENESS = 2.0  # seconds between looks for workers
PATIENCE = 30.0  # seconds without any worker until nobody waits any more


@dataclass(frozen=True)
class Service:
    """A server at work."""

    queue: Any  # jobs.queue.Queue, which takes a while to import
    outputs: Path


def running(here: Settings) -> Service | None:
    """The server whose workers have the same shelves; None where there is none."""
    if here.data is None or here.database_url is None or not is_alive(here.data / SERVING):
        return None
    from sqlalchemy.exc import SQLAlchemyError

    from fromnoise.jobs.database import Database
    from fromnoise.jobs.queue import Queue

    try:
        queue = Queue(Database.open(here.database_url))
        workers = alive(queue.workers())
    except (FromnoiseError, SQLAlchemyError):
        return None
    shelves = [str(tree.absolute()) for tree in here.models]
    fitting = [one for one in workers if one.get("shelves") == shelves and one.get("outputs")]
    if len(fitting) < len(workers) or not fitting:
        return None
    return Service(queue, Path(fitting[0]["outputs"]))


def is_alive(file: Path) -> bool:
    """Whether the process that wrote that file runs on this machine."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["host"] != socket.gethostname():
            return False
        if os.name != "nt":
            os.kill(int(told["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def alive(workers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What is known of the workers that answer and take work."""
    return [one["info"] or {} for one in workers if one["lease"] > time.time() and not one["draining"]]


def happenings(service: Service, waiting: Set[str], after: int) -> Iterator[Any]:
    """Events of these jobs, from the event `after` on, while any is waited for. FromnoiseError where nobody works."""
    seen = looked = time.monotonic()
    while waiting:
        events = service.queue.events(after)
        after = events[-1].number if events else after
        yield from (event for event in events if event.job in waiting)
        now = time.monotonic()
        if now - looked > LIVENESS:
            looked = now
            seen = now if alive(service.queue.workers()) else seen
            if now - seen > PATIENCE:
                raise FromnoiseError(say("the server has stopped; --local makes the picture here"))
        if not events:
            time.sleep(LOOK)
