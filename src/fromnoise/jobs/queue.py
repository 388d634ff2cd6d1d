"""The queue, as those see it who want work done: the server, the studio, the command line.

    queue = Queue(database)
    [job] = queue.submit([Work.picture(recipe, owner="ann", key="7f3a")])  # stored when this returns
    for event in queue.events(after=0, job=job.id): ...
    queue.results(job.id)

Who comes next is told by `turns.py`. Workers see the queue through `leases.py`.

Every method that names a job takes an `owner`; somebody else's job is then no job. Needs no torch.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.events import note
from fromnoise.jobs.job import (
    ALONE,
    FINISHED,
    PICTURE,
    STATES,
    Event,
    Job,
    KeyReused,
    Limits,
    Member,
    NotNow,
    QueueFull,
    Result,
    State,
    UnknownJob,
    Wish,
    Work,
    new_id,
)
from fromnoise.jobs.tables import EVENTS, JOBS, LINE, PREVIEWS, RESULTS, WORKERS
from fromnoise.jobs.turns import Turns, distinct, in_line

WAITING: tuple[State, ...] = ("queued", "paused", "running")
RECENT = 20  # finished jobs that tell how long one takes
LONGEST_WAIT = 600  # seconds that somebody is asked to come back after


@dataclass(frozen=True)
class Place:
    """Where in the line a job stands."""

    ahead: int  # jobs that come before it
    wait: float | None  # seconds until it begins, as far as can be told


@dataclass(frozen=True)
class Queue:
    """The tables `jobs`, `events`, `results`, `previews` and `line`."""

    database: Database
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = field(default=time.time)

    # asking for work

    def submit(self, works: Sequence[Work]) -> list[Job]:
        """Store jobs, all of them or none; they are on the disk when this returns.

        A work whose key its owner has used before is the job of then. KeyReused where that was another one; QueueFull;
        UserError for what can't be stored.
        """
        bodies = [self._checked(work) for work in works]
        with self.database.writing() as connection:
            known = [self._with_key(connection, work) for work in works]
            self._check_room(connection, [work for work, job in zip(works, known, strict=True) if job is None])
            now, turns = self.clock(), Turns(connection)
            jobs = []
            for work, body, job in zip(works, bodies, known, strict=True):
                if job is None:
                    job = Job(new_id(), replace(work, body=body), "queued", created=now, queued=now)
                    connection.execute(insert(JOBS).values(row_of(job, turns.next(work))))
                    note(connection, job.id, work.owner, now, "queued")
                jobs.append(job)
        return jobs

    def _checked(self, work: Work) -> dict[str, Any]:
        """The body as it will be stored."""
        try:
            text = json.dumps(work.body, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(f"a job can't be stored: {error}") from error
        if len(text) > self.limits.body:
            raise UserError(f"a job has {len(text):,} bytes; at most {self.limits.body:,} are accepted")
        if "\\u0000" in text or "\0" in (work.owner + work.folder + (work.key or "") + (work.group or "")):
            raise UserError("a job can't be stored: a text in it holds a NUL character")
        body: dict[str, Any] = json.loads(text)
        return body

    def _with_key(self, connection: Connection, work: Work) -> Job | None:
        """The job that the owner has asked for with this key before."""
        if work.key is None:
            return None
        query = select(JOBS).where(JOBS.c.owner == work.owner, JOBS.c.key == work.key)
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        job = job_of(row)
        if (job.work.kind, job.work.body) != (work.kind, json.loads(json.dumps(work.body))):
            raise KeyReused(work.key)
        return job

    def _check_room(self, connection: Connection, works: Sequence[Work]) -> None:
        """QueueFull where these would be too many."""
        if not works:
            return
        query = select(JOBS.c.owner, func.count()).where(JOBS.c.state.in_(WAITING)).group_by(JOBS.c.owner)
        waiting: dict[str, int] = dict(connection.execute(query).all())
        over = sum(waiting.values()) + len(works) - self.limits.total
        if over > 0:
            retry_after = self._retry_after(connection, over)
            raise QueueFull(of_owner=False, limit=self.limits.total, retry_after=retry_after)
        for owner in {work.owner for work in works}:
            over = waiting.get(owner, 0) + sum(work.owner == owner for work in works) - self.limits.per_owner
            if over > 0:
                retry_after = self._retry_after(connection, over)
                raise QueueFull(of_owner=True, limit=self.limits.per_owner, retry_after=retry_after)

    def _retry_after(self, connection: Connection, over: int) -> int:
        seconds = over * (self._seconds_each(connection) or 5.0)
        return max(1, min(LONGEST_WAIT, round(seconds)))

    def _seconds_each(self, connection: Connection) -> float | None:
        """How often a job is finished, from the last ones."""
        times = connection.execute(
            select(JOBS.c.finished).where(JOBS.c.state == "done").order_by(JOBS.c.finished.desc()).limit(RECENT)
        )
        ends = sorted(times.scalars())
        return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else None

    # looking

    def get(self, job: str, owner: str | None = None) -> Job:
        """UnknownJob."""
        with self.database.reading() as connection:
            return one(connection, job, owner)

    def jobs(
        self,
        *,
        owner: str | None = None,
        states: Collection[State] = STATES,
        group: str | None = None,
        kind: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Jobs, the newest first; `before` is the last one of the page that was seen before."""
        query = select(JOBS).order_by(JOBS.c.id.desc()).limit(limit)
        if not set(states) >= set(STATES):  # asked for all, SQLite would sort them all
            query = query.where(JOBS.c.state.in_(states))
        for column, value in ((JOBS.c.owner, owner), (JOBS.c.group, group), (JOBS.c.kind, kind)):
            query = query if value is None else query.where(column == value)
        if before is not None:
            query = query.where(JOBS.c.id < before)
        with self.database.reading() as connection:
            return [job_of(row) for row in connection.execute(query)]

    def line(self, limit: int = 100, owner: str | None = None) -> list[Job]:
        """The jobs that wait, in the order in which they will be taken."""
        query = in_line(select(JOBS).where(JOBS.c.state == "queued"))
        query = query if owner is None else query.where(JOBS.c.owner == owner)
        with self.database.reading() as connection:
            return [job_of(row) for row in connection.execute(query.limit(limit))]

    def place(self, job: str, owner: str | None = None) -> Place:
        """How many come before a job, and how long that takes. UnknownJob, NotNow."""
        with self.database.reading() as connection:
            found = one(connection, job, owner)
            if found.state != "queued":
                raise NotNow(f"the job is {found.state}: it stands in no line")
            turn = connection.execute(select(JOBS.c.turn).where(JOBS.c.id == job)).scalar_one()
            priority = found.work.priority
            before = or_(
                JOBS.c.priority > priority,
                (JOBS.c.priority == priority) & (JOBS.c.turn < turn),
                (JOBS.c.priority == priority) & (JOBS.c.turn == turn) & (JOBS.c.id < job),
            )
            ahead = connection.execute(
                select(func.count()).select_from(JOBS).where(JOBS.c.state == "queued", before)
            ).scalar_one()
            each = self._seconds_each(connection)
        return Place(ahead, None if each is None else (ahead + 1) * each)

    def results(self, job: str, owner: str | None = None) -> list[Result]:
        """What a job has made so far. UnknownJob."""
        with self.database.reading() as connection:
            one(connection, job, owner)
            rows = connection.execute(select(RESULTS).where(RESULTS.c.job == job).order_by(RESULTS.c.number)).all()
        return [Result(row.path, row.sha256, row.media, row.data) for row in rows]

    def pace(self) -> float | None:
        """Seconds that pictures of cost 1 took lately, together on all devices; None where none was made yet."""
        query = select(JOBS.c.started, JOBS.c.finished, JOBS.c.cost).where(
            JOBS.c.state == "done", JOBS.c.kind == PICTURE
        )
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(JOBS.c.finished.desc()).limit(RECENT)).all()
        spans = sorted((row.started, row.finished) for row in rows if row.started is not None)
        busy, until = 0.0, 0.0
        for start, end in spans:  # those side by side count once
            busy += max(0.0, end - max(start, until))
            until = max(until, end)
        return busy / sum(row.cost for row in rows) if busy else None

    def times(self, count: int) -> dict[str, list[float]]:
        """Seconds of work, and of waiting before, of the jobs that were done last."""
        query = select(JOBS.c.created, JOBS.c.started, JOBS.c.finished).where(JOBS.c.state == "done")
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(JOBS.c.finished.desc()).limit(count)).all()
        known = [row for row in rows if row.started is not None and row.finished is not None]
        return {
            "work": [row.finished - row.started for row in known], "wait": [row.started - row.created for row in known]
        }  # fmt: skip

    def made(self, sha256: str, owner: str | None = None) -> Result | None:
        """A file of that SHA-256 that one of the owner's jobs has made, if there is one."""
        query = select(RESULTS).join(JOBS, JOBS.c.id == RESULTS.c.job)
        query = query.where(RESULTS.c.sha256 == sha256, RESULTS.c.path.is_not(None)).limit(1)
        with self.database.reading() as connection:
            row = connection.execute(query if owner is None else query.where(JOBS.c.owner == owner)).one_or_none()
        return None if row is None else Result(row.path, row.sha256, row.media, row.data)

    def preview(self, job: str, owner: str | None = None) -> tuple[int, bytes] | None:
        """The step and the JPEG of the newest preview, if there is one. UnknownJob."""
        with self.database.reading() as connection:
            one(connection, job, owner)
            row = connection.execute(select(PREVIEWS).where(PREVIEWS.c.job == job)).one_or_none()
        return None if row is None else (row.step, row.image)

    def events(
        self, after: int = 0, *, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> list[Event]:
        """What happened after the event of that number, in order."""
        query = select(EVENTS).where(EVENTS.c.number > after).order_by(EVENTS.c.number).limit(limit)
        for column, value in ((EVENTS.c.job, job), (EVENTS.c.owner, owner)):
            query = query if value is None else query.where(column == value)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return [Event(row.number, row.job, row.owner, row.time, row.kind, row.data) for row in rows]

    def last_event(self) -> int:
        """The number of the newest event; 0 where there is none."""
        with self.database.reading() as connection:
            return connection.execute(select(func.max(EVENTS.c.number))).scalar() or 0

    def counts(self, owner: str | None = None) -> dict[State, int]:
        """How many jobs there are in each state."""
        query = select(JOBS.c.state, func.count()).group_by(JOBS.c.state)
        with self.database.reading() as connection:
            found = connection.execute(query if owner is None else query.where(JOBS.c.owner == owner)).all()
        return dict.fromkeys(STATES, 0) | dict(found)

    # changing one's mind

    def cancel(self, job: str, owner: str | None = None) -> Job:
        """Stop a job and keep nothing; a running one stops at its next step. UnknownJob, NotNow."""
        return self._ask(job, owner, "cancel")

    def skip(self, job: str, owner: str | None = None) -> Job:
        """Finish a running job now with what is there; cancel one that waits. UnknownJob, NotNow."""
        return self._ask(job, owner, "skip")

    def pause(self, job: str, owner: str | None = None) -> Job:
        """Take a job out of the line until `resume`; a running one keeps what it has. UnknownJob, NotNow."""
        return self._ask(job, owner, "pause")

    def _ask(self, job: str, owner: str | None, wish: Wish) -> Job:
        with self.database.writing() as connection:
            found = one(connection, job, owner)
            if found.is_finished:
                raise NotNow(f"the job is {found.state} already")
            if found.state == "running":
                return self._changed(connection, found, wish=wish)
            if wish == "pause":
                return found if found.state == "paused" else self._turned(connection, found, "paused")
            return self._turned(connection, found, "cancelled", finished=self.clock())

    def resume(self, job: str, owner: str | None = None) -> Job:
        """Put a paused job back where it stood in the line. UnknownJob, NotNow."""
        with self.database.writing() as connection:
            found = one(connection, job, owner)
            if found.state == "running" and found.wish == "pause":
                return self._changed(connection, found, wish=None)
            if found.state != "paused":
                raise NotNow(f"the job is {found.state}, not paused")
            return self._turned(connection, found, "queued", "resumed", queued=self.clock())

    def retry(self, job: str, owner: str | None = None) -> Job:
        """Put a job that failed or was cancelled at the end of its owner's line. UnknownJob, NotNow, QueueFull."""
        with self.database.writing() as connection:
            found = one(connection, job, owner)
            if found.state not in ("failed", "cancelled"):
                raise NotNow(f"the job is {found.state}: only failed and cancelled jobs are tried again")
            self._check_room(connection, [found.work])
            connection.execute(update(JOBS).where(JOBS.c.id == job).values(turn=Turns(connection).next(found.work)))
            fresh: dict[str, Any] = {"deaths": 0, "error": None, "remarks": None, "finished": None, "step": found.kept}
            return self._turned(connection, found, "queued", queued=self.clock(), **fresh)

    def move(self, job: str, before: str | None, owner: str | None = None) -> None:
        """Put a job before another one of the same owner and priority, or at their end. UnknownJob, NotNow."""
        with self.database.writing() as connection:
            moved = one(connection, job, owner)
            alike = in_line(
                select(JOBS.c.id, JOBS.c.turn).where(
                    JOBS.c.state == "queued",
                    JOBS.c.owner == moved.work.owner,
                    JOBS.c.priority == moved.work.priority,
                )
            )
            rows = connection.execute(alike).all()
            order, turns = [row[0] for row in rows], [row[1] for row in rows]
            if job not in order or (before is not None and before not in order):
                raise NotNow("only jobs that wait, of one owner and priority, can change places")
            if before == job:
                return
            order.remove(job)
            order.insert(len(order) if before is None else order.index(before), job)
            for id_, turn in zip(order, distinct(turns), strict=True):
                connection.execute(update(JOBS).where(JOBS.c.id == id_).values(turn=turn))
            note(connection, job, moved.work.owner, self.clock(), "moved")

    def prioritise(self, job: str, priority: int) -> Job:
        """Let a job come before, or after, those of all owners. UnknownJob, NotNow."""
        with self.database.writing() as connection:
            found = one(connection, job, None)
            if found.state not in ("queued", "paused"):
                raise NotNow(f"the job is {found.state}: it stands in no line")
            connection.execute(update(JOBS).where(JOBS.c.id == job).values(priority=priority))
            note(connection, job, found.work.owner, self.clock(), "moved", {"priority": priority})
            return one(connection, job, None)

    def hold(self, held: bool = True) -> None:
        """Let workers take nothing more; `hold(False)` lets them go on."""
        with self.database.writing() as connection:
            connection.execute(update(LINE).values(held=held))

    def is_held(self) -> bool:
        with self.database.reading() as connection:
            return bool(connection.execute(select(LINE.c.held)).scalar_one())

    def remove(self, job: str, owner: str | None = None) -> None:
        """Forget a finished job; its files stay. UnknownJob, NotNow."""
        with self.database.writing() as connection:
            found = one(connection, job, owner)
            if not found.is_finished:
                raise NotNow(f"the job is {found.state}: cancel it first")
            connection.execute(delete(JOBS).where(JOBS.c.id == job))

    def prune(self, *, jobs_before: float, steps_before: float) -> int:
        """Forget jobs that finished before a time, and the steps of those that did before another; how many jobs."""
        finished = select(JOBS.c.id).where(JOBS.c.state.in_(FINISHED), JOBS.c.finished < steps_before)
        with self.database.writing() as connection:
            connection.execute(delete(EVENTS).where(EVENTS.c.kind.in_(("step", "kept")), EVENTS.c.job.in_(finished)))
            connection.execute(delete(PREVIEWS).where(PREVIEWS.c.job.in_(finished)))
            gone = connection.execute(delete(JOBS).where(JOBS.c.state.in_(FINISHED), JOBS.c.finished < jobs_before))
            return gone.rowcount

    def workers(self) -> list[Mapping[str, Any]]:
        """The processes that take jobs: id, device, host, pid, started, lease, draining, info."""
        with self.database.reading() as connection:
            return [dict(row._mapping) for row in connection.execute(select(WORKERS).order_by(WORKERS.c.started))]

    def _changed(self, connection: Connection, job: Job, **values: Any) -> Job:
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(**values))
        return one(connection, job.id, None)

    def _turned(self, connection: Connection, job: Job, state: State, kind: str | None = None, **values: Any) -> Job:
        """Another state, and the event that tells of it."""
        note(connection, job.id, job.work.owner, self.clock(), kind or state)
        return self._changed(connection, job, state=state, wish=None, **values)


def one(connection: Connection, job: str, owner: str | None) -> Job:
    """UnknownJob."""
    row = connection.execute(select(JOBS).where(JOBS.c.id == job)).one_or_none() if "\0" not in job else None
    if row is None or owner not in (None, row.owner):
        raise UnknownJob(job)
    return job_of(row)


def job_of(row: Row[Any]) -> Job:
    """A row of the table."""
    columns = row._mapping
    work = Work(**{name: columns[name] for name in Work.__dataclass_fields__ if name != "member"})
    work = replace(work, member=Member(*columns["member"] or ()))
    told = {name: columns[name] for name in Job.__dataclass_fields__ if name not in ("work", "remarks")}
    return Job(work=work, remarks=tuple(columns["remarks"] or ()), **told)


def row_of(job: Job, turn: float) -> dict[str, Any]:
    """The columns of a new job."""
    work = {name: getattr(job.work, name) for name in Work.__dataclass_fields__}
    work["member"] = None if job.work.member == ALONE else list(job.work.member)
    told = {name: getattr(job, name) for name in Job.__dataclass_fields__ if name != "work"}
    return {**work, **told, "remarks": list(job.remarks) or None, "turn": turn}
