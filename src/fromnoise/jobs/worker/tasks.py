"""Work other than pictures: each kind of job is a task, a function that workers know by name.

    @task("sleep")
    def sleep(body: Mapping[str, Any], desk: Desk) -> Task:
        for i in range(10):
            time.sleep(1)
            yield i + 1, 10  # steps done, steps in all
        return [Result(data={"slept": 10})]

What else there is to say of a step is told in a `Moment`. A task that is to be skipped, which is to end now with what
it has, finds `Skipped` raised at its `yield`; one that does not catch it is cancelled.

A task runs alone. Between its steps the worker looks after it: a task that is to be cancelled, or to end with its
worker, is closed at its `yield`, as any generator (a `finally` cleans up); later it starts again, and finds in
`desk.kept` what it put there. Packages outside name theirs in the entry points `fromnoise.tasks`.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fromnoise.engine.memory import Placement
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Job, Result
from fromnoise.jobs.worker.marking import Marks
from fromnoise.registry import Registry
from fromnoise.settings import Settings


@dataclass(frozen=True)
class Moment:
    """How far a task is, and what there is to say of it."""

    step: int
    steps: int
    figures: Mapping[str, float | str] = field(default_factory=dict)  # loss, rate, ...: they come with the event
    preview: bytes | None = None  # a small JPEG
    kept: bool = False  # what it would go on from was just written down


class Skipped(Exception):  # no failure
    """The task is to end now, with what it has."""


Task = Generator[tuple[int, int] | Moment, None, Sequence[Result]]


def nothing() -> None:
    """There is nothing to make room of."""


@dataclass(frozen=True)
class Desk:
    """What a task may use."""

    job: Job
    placement: Placement
    settings: Settings
    outputs: Path  # results belong below it; their paths are told relative to it
    kept: Path  # a folder of the job's own, for what it goes on from; it is removed when the job has ended
    database: Database
    thumbs: Path | None = None  # where small pictures are kept
    marks: Marks = field(default_factory=Marks)  # on pictures that it makes
    make_room: Callable[[], None] = nothing  # lets the models go that lie in the device's memory
    memory: int | None = None  # bytes that a model may take of it; None: what is free


TASKS: Registry[Callable[[Mapping[str, Any], Desk], Task]] = Registry("kind of job", entry_points="fromnoise.tasks")

task = TASKS.register
