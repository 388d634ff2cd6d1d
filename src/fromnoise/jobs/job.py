"""A job: a piece of work that was accepted, from the moment it is stored to its results.

    queued ──► running ──► done, failed or cancelled
      ▲ │         │
      │ ▼         ▼            a running job whose worker dies, or is told to stop, is queued again and goes on from
     paused ◄─────┘            the last step that was kept

What a job does is told by its `kind`, the name of a task that workers know (`picture`, ...), and its `body`, JSON that
the task understands: the recipe of a picture, the settings of a training. Needs no torch.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self, get_args

from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights
from fromnoise.errors import FromnoiseError, UserError

State = Literal["queued", "paused", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
FINISHED: tuple[State, ...] = ("done", "failed", "cancelled")

Wish = Literal["cancel", "skip", "pause"]
"""What is asked of a running job: stop and keep nothing; finish now with what is there; stop and go on later."""

EventKind = Literal[
    "queued", "started", "step", "kept", "interrupted", "paused", "resumed", "done", "failed", "cancelled", "moved",
    "remarked",
]  # fmt: skip

LOCAL = "local"  # the owner where nobody has an account
PICTURE = "picture"
COMMAND = "command"  # typed at the command line; its words and what it says are for who typed it alone
SPOKEN = ("out", "said")  # figures of a command's steps
SHEET = "sheet"  # begins when its group has no other job left to do


class Member(NamedTuple):
    """Of a picture among those that were asked for together, for names of files."""

    number: int = 0  # from 0 ...
    total: int = 1  # ... of so many
    batch: int = 1  # how many of them are called one batch
    first_seed: int | None = None  # None: its own
    last_seed: int | None = None


ALONE = Member()


def members(seeds: Sequence[int], batch: int | None = None) -> list[Member]:
    """One for each picture of these seeds, in batches of so many; by default they are one batch."""
    return [Member(number, len(seeds), batch or len(seeds), seeds[0], seeds[-1]) for number in range(len(seeds))]


@dataclass(frozen=True)
class Work:
    """What somebody asks for."""

    kind: str
    body: Mapping[str, Any]
    owner: str = LOCAL
    priority: int = 0  # higher comes first, whoever the owner is
    key: str | None = None  # of the owner's: the same key again is the same job, not another one
    group: str | None = None  # what jobs that were asked for together have in common
    affinity: str | None = None  # jobs of the same may run side by side; None runs alone
    cost: float = 1.0  # what it takes, beside others: fairness counts it
    folder: str = ""  # below the folder of outputs
    trace: bool = False  # keep what shows how the picture comes about: traces.py
    member: Member = ALONE

    @classmethod
    def picture(
        cls,
        recipe: Recipe,
        *,
        owner: str = LOCAL,
        priority: int = 0,
        key: str | None = None,
        group: str | None = None,
        folder: str = "",
        trace: bool = False,
        member: Member = ALONE,
    ) -> Self:
        """A picture to be made. It runs beside others of the same model."""
        size = recipe.width * recipe.height * recipe.steps / (512 * 512 * 20)
        weights = Weights.of(recipe)
        names = [recipe.model, next((one.model for one in Weights.others(recipe)), "")]
        names += [] if weights == Weights(recipe.model) else [repr(weights)]
        return cls(
            PICTURE, recipe.to_table(), owner, priority, key, group, "\n".join(names), max(size, 0.01), folder, trace,
            member,
        )  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A piece of work, and how far it is."""

    id: str  # later ones sort after earlier ones
    work: Work
    state: State
    wish: Wish | None = None
    created: float = 0.0  # seconds since 1970, as all times
    queued: float = 0.0  # since when it waits, or waited last
    started: float | None = None  # the first time
    finished: float | None = None
    attempts: int = 0  # how often a worker took it
    deaths: int = 0  # workers that died of it, or beside it, since the last step that was kept
    step: int = 0  # steps done ...
    steps: int = 0  # ... of so many; 0 where nobody knows yet
    kept: int = 0  # the step from which it would go on
    worker: str | None = None
    file: str | None = None  # the name that its result has or will have, below the folder of outputs
    error: str | None = None
    remarks: tuple[str, ...] = ()  # what there was to say of how it was done, such as that memory ran out

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        if self.state == "done":
            return 1.0
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True)
class Result:
    """A file, or a short text or table, that a job has made."""

    path: str | None = None  # below the folder of outputs, with slashes
    sha256: str | None = None
    media: str = "image/png"
    data: Mapping[str, Any] = field(default_factory=dict)  # width, height, seed, the recipe as it was made, ...


@dataclass(frozen=True)
class Event:
    """Something that happened to a job. Events of all jobs are numbered in their order."""

    number: int
    job: str
    owner: str
    time: float
    kind: EventKind
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """How much may wait."""

    total: int = 2000  # jobs that are not finished
    per_owner: int = 500
    body: int = 1 << 20  # bytes of one job's JSON
    deaths: int = 3  # workers that may die of a job before it fails


class UnknownJob(UserError):
    """There is no such job, or it is somebody else's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no job {name!r}: it may have been removed")


class NotNow(UserError):
    """The state of a job does not allow what is asked."""


class KeyReused(UserError):
    """An idempotency key that stands for another job."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the idempotency key {key!r} belongs to another job: use a new one")


class QueueFull(FromnoiseError):
    """So much waits that nothing more is accepted; `of_owner` tells whose fault it is."""

    def __init__(self, *, of_owner: bool, limit: int, retry_after: int) -> None:
        self.of_owner, self.retry_after = of_owner, retry_after
        whose = "you have" if of_owner else "there are"
        super().__init__(f"{whose} {limit} jobs waiting, which is the limit: try again in {retry_after} s")


class Buried(FromnoiseError):
    """A worker was declared dead, or a job was taken from it: it must stop and write nothing more."""


def new_id() -> str:
    """28 hexadecimal digits: milliseconds since 1970, then chance."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"
