"""The queue, as workers and those who watch over them see it.

A worker enlists, and from then on holds a lease that it renews; the jobs that it takes are its own as long as the lease
lasts. One whose lease has run out, or whose process ended, is buried: its jobs are queued again, and whatever it says
later is answered with Buried. A job that several workers died of runs alone, and in the end fails.

    leases.enlist("w1", device="cuda:0")
    jobs = leases.claim("w1", room=4)
    wishes = leases.report("w1", [Update(job.id, step=3, steps=20)])
    leases.finish("w1", job.id, [Result("2025-01-01/00001-7.png", sha256)])

Needs no torch.
"""

import os
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.dialects import sqlite

from fromnoise.jobs.database import Database
from fromnoise.jobs.entering import enter
from fromnoise.jobs.events import note
from fromnoise.jobs.job import Buried, Job, Limits, Result, State, Wish
from fromnoise.jobs.picture import New
from fromnoise.jobs.queue import job_of
from fromnoise.jobs.tables import JOBS, LINE, PREVIEWS, RESULTS, TAKEN, WORKERS
from fromnoise.jobs.turns import in_line, ready

MOST_REMARKS = 20  # of a job


@dataclass(frozen=True)
class Update:
    """How far a job is, after one more step."""

    job: str
    step: int
    steps: int
    preview: bytes | None = None  # a small JPEG
    figures: Mapping[str, float | str] = field(default_factory=dict)  # what else there is to say: loss, rate, ...


@dataclass(frozen=True)
class Leases:
    """The tables `workers`, `jobs` and what goes with them."""

    database: Database
    limits: Limits = field(default_factory=Limits)
    lease: float = 15.0  # seconds
    patience: float = 20.0  # seconds that the first in line waits at most while others join work under way
    clock: Callable[[], float] = field(default=time.time)

    # a worker's life

    def enlist(self, worker: str, device: str, info: Mapping[str, Any] | None = None) -> None:
        """Register a worker of this process."""
        now = self.clock()
        row = {"id": worker, "device": device, "host": socket.gethostname(), "pid": os.getpid(), "started": now}
        with self.database.writing() as connection:
            more = {"lease": now + self.lease, "draining": False, "info": dict(info or {})}
            connection.execute(insert(WORKERS).values(row | more))

    def beat(self, worker: str, info: Mapping[str, Any] | None = None) -> dict[str, Wish]:
        """Renew the lease, and what is known of the worker; what is asked of its jobs, by id. Buried."""
        with self.database.writing() as connection:
            self._renew(connection, worker, **({} if info is None else {"info": dict(info)}))
            return wishes(connection, worker)

    def drain(self, worker: str) -> None:
        """The worker takes no more. Buried."""
        with self.database.writing() as connection:
            self._renew(connection, worker, draining=True)

    def retire(self, worker: str) -> list[str]:
        """The worker ends in order; what it still holds is queued again, without blame."""
        return self._end(worker, blame=False, why="the worker was stopped")

    def bury(self, worker: str, why: str = "the worker died") -> list[str]:
        """The worker is dead; its jobs, which are queued again or have failed. Nothing where it was buried before."""
        return self._end(worker, blame=True, why=why)

    def bury_expired(self) -> list[str]:
        """Bury every worker whose lease has run out; who they were."""
        with self.database.reading() as connection:
            query = select(WORKERS.c.id).where(WORKERS.c.lease < self.clock())
            expired = list(connection.execute(query).scalars())
        for worker in expired:
            self.bury(worker, "the worker does not answer any more")
        return expired

    def _renew(self, connection: Connection, worker: str, **values: Any) -> None:
        query = update(WORKERS).where(WORKERS.c.id == worker)
        if connection.execute(query.values(lease=self.clock() + self.lease, **values)).rowcount == 0:
            raise Buried(f"the worker {worker} was declared dead")

    def _end(self, worker: str, *, blame: bool, why: str) -> list[str]:
        with self.database.writing() as connection:
            held = held_by(connection, worker)
            for job in held:
                self._return(connection, job, blame=blame, why=why)
            connection.execute(delete(WORKERS).where(WORKERS.c.id == worker))
        return [job.id for job in held]

    def _return(self, connection: Connection, job: Job, *, blame: bool, why: str) -> None:
        """Take a job from its worker: what was asked of it happens now; else it is queued, or fails in the end."""
        now, deaths = self.clock(), job.deaths + blame
        values: dict[str, Any] = {"worker": None, "wish": None, "deaths": deaths, "step": job.kept, "queued": now}
        state: State = "queued"
        if job.wish in ("cancel", "skip"):
            state = "cancelled"
        elif deaths >= self.limits.deaths:
            state = "failed"
            values["error"] = f"{why}, {deaths} times on this job"
        elif job.wish == "pause":
            state = "paused"
        if state in ("cancelled", "failed"):
            values["finished"] = now
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(state=state, **values))
        note(connection, job.id, job.work.owner, now, "interrupted" if state == "queued" else state, {"why": why})

    # taking work

    def claim(self, worker: str, room: int, kinds: Collection[str] | None = None) -> list[Job]:
        """Take up to `room` jobs, of some kinds or of any. Buried.

        An idle worker takes the first in line, and those that may run beside it. A busy one takes more of what it is
        at, unless the first in line has waited too long: then it takes nothing, so as to be free soon.
        """
        if room < 1 or not self._is_worth_a_look():
            return []
        with self.database.writing() as connection:
            self._renew(connection, worker)
            draining = connection.execute(select(WORKERS.c.draining).where(WORKERS.c.id == worker)).scalar_one()
            if draining or connection.execute(select(LINE.c.held)).scalar_one():
                return []
            waiting = in_line(select(JOBS).where(JOBS.c.state == "queued", ready()))
            waiting = waiting if kinds is None else waiting.where(JOBS.c.kind.in_(kinds))
            first = connection.execute(waiting.limit(1)).one_or_none()
            if first is None:
                return []
            held = held_by(connection, worker)
            affinity = self._affinity(job_of(first), held)
            chosen = [] if held else [job_of(first)]
            if affinity is not None and room > len(chosen):
                beside = waiting.where(JOBS.c.affinity == affinity, JOBS.c.deaths == 0)
                beside = beside.where(JOBS.c.id.not_in([job.id for job in chosen])).limit(room - len(chosen))
                chosen += [job_of(row) for row in connection.execute(beside)]
            return [self._take(connection, worker, job) for job in chosen]

    def _is_worth_a_look(self) -> bool:
        """Looking keeps nobody from writing."""
        with self.database.reading() as connection:
            return (
                connection.execute(select(JOBS.c.id).where(JOBS.c.state == "queued", ready()).limit(1)).first()
                is not None
            )

    def _affinity(self, first: Job, held: Sequence[Job]) -> str | None:
        """What more may be taken, besides the first in line where nothing is held."""
        if not held:
            return None if first.deaths else first.work.affinity
        if any(job.deaths for job in held) or held[0].work.affinity is None:
            return None
        late = first.work.affinity != held[0].work.affinity and self.clock() - first.queued > self.patience
        return None if late or first.deaths else held[0].work.affinity

    def _take(self, connection: Connection, worker: str, job: Job) -> Job:
        now = self.clock()
        values = {"state": "running", "worker": worker, "attempts": job.attempts + 1, "started": job.started or now}
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(values))
        turn = connection.execute(select(JOBS.c.turn).where(JOBS.c.id == job.id)).scalar_one()
        connection.execute(update(LINE).where(LINE.c.turn < turn).values(turn=turn))
        key = {"owner": job.work.owner, "priority": job.work.priority}
        self._store(connection, TAKEN, key, {"ends": turn + job.work.cost})
        note(connection, job.id, job.work.owner, now, "started", {"attempt": job.attempts + 1, "from": job.kept})
        return job_of(connection.execute(select(JOBS).where(JOBS.c.id == job.id)).one())

    # doing it

    def report(self, worker: str, updates: Sequence[Update]) -> dict[str, Wish]:
        """Say how far jobs are; this renews the lease, too. What is asked of them, by id. Buried."""
        now = self.clock()
        with self.database.writing() as connection:
            self._renew(connection, worker)
            for one in updates:
                job = mine(connection, worker, one.job)
                values = {"step": one.step, "steps": one.steps}
                connection.execute(update(JOBS).where(JOBS.c.id == one.job).values(values))
                more = {"figures": dict(one.figures)} if one.figures else {}
                told = values | {"preview": one.preview is not None} | more
                note(connection, one.job, job.work.owner, now, "step", told)
                if one.preview is not None:
                    self._store(connection, PREVIEWS, {"job": one.job}, {"step": one.step, "image": one.preview})
            return wishes(connection, worker)

    def _store(self, connection: Connection, table: Table, key: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Insert a row, or replace what was there under its key."""
        into: Any
        if self.database.is_sqlite:
            into = sqlite.insert(table)
        else:
            from sqlalchemy.dialects import postgresql  # which takes its time to import

            into = postgresql.insert(table)
        query = into.values(**key, **row).on_conflict_do_update(index_elements=list(key), set_=dict(row))
        connection.execute(query)

    def keep(self, worker: str, job: str, step: int) -> None:
        """What a job needs to go on from a step is on the disk. Buried."""
        with self.database.writing() as connection:
            found = mine(connection, worker, job)
            connection.execute(update(JOBS).where(JOBS.c.id == job).values(kept=step, deaths=0))
            note(connection, job, found.work.owner, self.clock(), "kept", {"step": step})

    def remark(self, worker: str, job: str, remarks: Sequence[str]) -> None:
        """What there was to say of how a job is done: each sentence is kept with it once. Buried."""
        with self.database.writing() as connection:
            found = mine(connection, worker, job)
            known = (*found.remarks, *(one.replace("\0", "") for one in remarks))
            all_, count = list(dict.fromkeys(known))[:MOST_REMARKS], len(found.remarks)
            if len(all_) > count:
                connection.execute(update(JOBS).where(JOBS.c.id == job).values(remarks=all_))
                note(connection, job, found.work.owner, self.clock(), "remarked", {"remarks": all_[count:]})

    def name_file(self, worker: str, job: str, choose: Callable[[Callable[[str], bool]], str]) -> str:
        """The name of the file that a job makes: the one it was given before, or else a new one that no job has.

        `choose` is given a function that tells whether a name is taken by another job. Buried.
        """
        with self.database.writing() as connection:
            found = mine(connection, worker, job)
            if found.file is not None:
                return found.file

            def taken(name: str) -> bool:
                return connection.execute(select(JOBS.c.id).where(JOBS.c.file == name)).first() is not None

            name = choose(taken)
            connection.execute(update(JOBS).where(JOBS.c.id == job).values(file=name))
            return name

    def finish(self, worker: str, job: str, results: Sequence[Result], pictures: Sequence[New] = ()) -> None:
        """A job is done: its results, whose files are on the disk by now, are stored with it. Buried.

        `pictures` enter the gallery with it.
        """
        now = self.clock()
        with self.database.writing() as connection:
            found = mine(connection, worker, job)
            connection.execute(delete(RESULTS).where(RESULTS.c.job == job))
            rows = [{"job": job, "number": number, **asdict(result)} for number, result in enumerate(results)]
            if rows:
                connection.execute(insert(RESULTS), rows)
            values = {"state": "done", "worker": None, "wish": None, "finished": now, "step": found.steps or found.step}
            connection.execute(update(JOBS).where(JOBS.c.id == job).values(values))
            told = {"results": [result.path for result in results]}
            note(connection, job, found.work.owner, now, "done", told)
            for picture in pictures:
                enter(connection, replace(picture, created=now), sqlite=self.database.is_sqlite)

    def fail(self, worker: str, job: str, error: str) -> None:
        """A job can't be done, and why. Buried."""
        self._leave(worker, job, "failed", {"error": error.replace("\0", "")})

    def set_aside(self, worker: str, job: str, why: str) -> None:
        """A job failed beside others, and nobody knows whose fault it was: it is queued, to run alone. Buried."""
        with self.database.writing() as connection:
            self._return(connection, mine(connection, worker, job), blame=True, why=why)

    def stop(self, worker: str, job: str, state: State) -> None:
        """Leave a job as was asked: `cancelled`, `paused`, or `queued` where the worker ends. Buried."""
        self._leave(worker, job, state, {})

    def _leave(self, worker: str, job: str, state: State, data: Mapping[str, Any]) -> None:
        now = self.clock()
        with self.database.writing() as connection:
            found = mine(connection, worker, job)
            values: dict[str, Any] = {"state": state, "worker": None, "wish": None, **data}
            if state in ("failed", "cancelled"):
                values["finished"] = now
            else:
                values |= {"queued": now, "step": found.kept}
            connection.execute(update(JOBS).where(JOBS.c.id == job).values(values))
            note(connection, job, found.work.owner, now, "interrupted" if state == "queued" else state, data)


def held_by(connection: Connection, worker: str) -> list[Job]:
    """The jobs that a worker is at."""
    query = select(JOBS).where(JOBS.c.worker == worker, JOBS.c.state == "running").order_by(JOBS.c.id)
    return [job_of(row) for row in connection.execute(query)]


def mine(connection: Connection, worker: str, job: str) -> Job:
    """A job that this worker is at. Buried where it is not."""
    query = select(JOBS).where(JOBS.c.id == job, JOBS.c.worker == worker, JOBS.c.state == "running")
    row = connection.execute(query).one_or_none()
    if row is None:
        raise Buried(f"the job {job} is not the worker's any more")
    return job_of(row)


def wishes(connection: Connection, worker: str) -> dict[str, Wish]:
    """What is asked of a worker's jobs."""
    query = select(JOBS.c.id, JOBS.c.wish).where(
        JOBS.c.worker == worker, JOBS.c.state == "running", JOBS.c.wish.is_not(None)
    )
    return dict(connection.execute(query).all())
