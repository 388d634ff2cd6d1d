"""Events: what happened to jobs, numbered in order, for whoever follows them.

A reader remembers the last number it saw and asks for what came after (`Queue.events`); nothing is missed, whatever
dies meanwhile. As writers take turns, numbers appear in their order.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert

from fromnoise.jobs.tables import EVENTS


def note(
    connection: Connection, job: str, owner: str, now: float, kind: str, data: Mapping[str, Any] | None = None
) -> None:
    """Add an event, within the transaction of what it tells of."""
    row = {"job": job, "owner": owner, "time": now, "kind": kind, "data": dict(data or {})}
    connection.execute(insert(EVENTS).values(row))
