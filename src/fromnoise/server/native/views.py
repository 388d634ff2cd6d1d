"""Jobs and their results as clients see them: without this machine's folders, in numbers that JavaScript keeps."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, Field

from fromnoise.engine.recipe import UNSAID, ImageRef
from fromnoise.errors import without_folders
from fromnoise.jobs.job import COMMAND, Job, Result, State

EXACT = 2**53 - 1  # the largest whole number that a double holds with all smaller ones
PART = 4  # characters of a picture's hash that its addresses carry, times 2: another content has another address


class JobView(BaseModel):
    """A job as clients see it."""

    id: str
    kind: str = Field(description="picture, import, upscale, ...")
    owner: str
    state: State
    wish: str | None = Field(description="What a running job was asked for: cancel, skip or pause.")
    priority: int
    group: str | None = Field(description="Jobs that were asked for together have the same.")
    created: float = Field(description="Seconds since 1970, as all times.")
    started: float | None
    finished: float | None
    step: int
    steps: int = Field(description="0 where nobody knows yet.")
    progress: float = Field(ge=0, le=1)
    error: str | None
    remarks: list[str] = Field(
        description="What there is to say of how it is done: that memory ran out, and it goes on with less at once."
    )
    trace: bool = Field(description="Whether it keeps how its picture comes about.")
    body: dict[str, Any] = Field(
        description="The recipe, for a picture; what is left to the model is not in it. "
        "Whole numbers beyond 2^53 are strings."
    )

    @classmethod
    def of(cls, job: Job) -> "JobView":
        return cls(
            id=job.id, kind=job.work.kind, owner=job.work.owner, state=job.state, wish=job.wish,
            priority=job.work.priority, group=job.work.group, created=job.created, started=job.started,
            finished=job.finished, step=job.step, steps=job.steps, progress=job.progress,
            error=None if job.error is None else without_folders(job.error),
            remarks=[without_folders(one) for one in job.remarks], trace=job.work.trace,
            body=typed(job) if job.work.kind == COMMAND else shown(said(job.work.body)),
        )  # fmt: skip


class ResultView(BaseModel):
    """Something that a job has made."""

    number: int = Field(description="From 0.")
    media: str
    sha256: str | None
    picture: str | None = Field(description="Its id in the gallery.")
    url: str | None = Field(description="Where its file is, for those who may see it.")
    thumb: str | None = Field(description="And a small one.")
    data: dict[str, Any]

    @classmethod
    def of(cls, job: str, number: int, result: Result, picture: str | None) -> "ResultView":
        url = f"/api/v1/jobs/{job}/results/{number}" if result.path else None
        thumb = f"/api/v1/gallery/{picture}/thumb?v={version(result.sha256)}" if picture else None
        return cls(
            number=number, media=result.media, sha256=result.sha256, picture=picture, url=url, thumb=thumb,
            data=shown(result.data),
        )  # fmt: skip


def typed(job: Job) -> dict[str, Any]:
    """Which command it is: all else that was typed may name files of the machine."""
    words = job.work.body.get("words")
    return {"command": str(words[0])} if isinstance(words, list) and words else {}


def version(sha256: str | None) -> str:
    """What changes in an address when the content does."""
    return (sha256 or "")[: 2 * PART]


def shown(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table of JSON for clients."""
    return {key: plain(value) for key, value in table.items()}


def said(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A recipe as it was asked for."""
    unsaid = (UNSAID, *body.get(UNSAID, ()))
    return {name: value for name, value in body.items() if name not in unsaid}


def plain(value: Any) -> Any:
    """Pictures by the names of their files instead of their paths, and large whole numbers as strings."""
    if isinstance(value, Mapping):
        if set(value) == set(ImageRef.model_fields):
            return {**value, "path": PurePath(str(value["path"]).replace("\\", "/")).name}
        return shown(value)
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return str(value)
    return value
