"""The order of the line: who comes next.

That is told by priority, then by turn. A job's turn is when, by the costs of all, the one before it of the same owner
would have ended, but never before the turn of the job that was taken last (start-time fair queueing; Goyal, Vin and
Cheng 1996): owners share the workers evenly whenever they ask, and nobody saves up turns. Needs no torch.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, not_, or_, select

from fromnoise.jobs.job import FINISHED, SHEET, Work
from fromnoise.jobs.tables import JOBS, LINE, TAKEN


class Turns:
    """Hands out places in the line, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now: float = connection.execute(select(LINE.c.turn)).scalar_one()
        self.ends: dict[tuple[str, int], float] = {}  # by owner and priority: when the last job would have ended

    def next(self, work: Work) -> float:
        """The turn of a new job."""
        key = work.owner, work.priority
        turn = max(self.now, self.ends[key] if key in self.ends else self._end(*key))
        self.ends[key] = turn + work.cost
        return turn

    def _end(self, owner: str, priority: int) -> float:
        """Of the last job that was taken or waits; of jobs that were cancelled meanwhile nothing counts."""
        taken = select(TAKEN.c.ends).where(TAKEN.c.owner == owner, TAKEN.c.priority == priority)
        waiting = select(func.max(JOBS.c.turn + JOBS.c.cost)).where(
            JOBS.c.owner == owner, JOBS.c.priority == priority, JOBS.c.state.in_(("queued", "paused"))
        )
        return max(self.connection.execute(query).scalar() or 0.0 for query in (taken, waiting))


def distinct(turns: Sequence[float]) -> list[float]:
    """Rising numbers near these, so that an order holds."""
    rising: list[float] = []
    for turn in turns:
        rising.append(turn if not rising or turn > rising[-1] else rising[-1] + 1e-6)
    return rising


def in_line(query: Select[Any]) -> Select[Any]:
    """In the order in which jobs are taken."""
    return query.order_by(JOBS.c.priority.desc(), JOBS.c.turn, JOBS.c.id)


def ready() -> ColumnElement[bool]:
    """Not a sheet of pictures of which some are still to be made."""
    other = JOBS.alias()
    unfinished = select(other.c.id).where(
        other.c.group == JOBS.c.group,
        other.c.owner == JOBS.c.owner,
        other.c.kind != SHEET,
        other.c.state.not_in(FINISHED),
    )
    return or_(JOBS.c.kind != SHEET, not_(exists(unfinished)))
