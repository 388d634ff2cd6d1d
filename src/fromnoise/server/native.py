"""Our own API, `/api/v1`: jobs, their events and results, pictures that are sent, and what can be chosen."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from fromnoise import __version__
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.jobs.job import STATES, Event, Job, NotNow, QueueFull, State, UnknownJob, Work
from fromnoise.jobs.queue import Queue
from fromnoise.server import uploads
from fromnoise.server.access import Identity
from fromnoise.server.context import Admin, Context, Here, Who
from fromnoise.server.errors import RESPONSES, ApiError

MOST_RECIPES = 100  # in one call
MOST_AT_ONCE = 200  # jobs or events in one answer
LOOK_EVERY = 0.2  # seconds between looks for events
KEEP_ALIVE = 15.0  # seconds after which a silent stream says that it is there

router = APIRouter(prefix="/api/v1", responses=RESPONSES)

Action = Literal["cancel", "skip", "pause", "resume", "retry"]


class Order(BaseModel):
    """Pictures that are asked for."""

    model_config = ConfigDict(extra="forbid")

    recipes: list[Recipe] = Field(min_length=1, max_length=MOST_RECIPES, description="One job for each.")
    priority: int = Field(default=0, ge=-100, le=100, description="Higher comes first; above 0 for administrators.")
    key: str | None = Field(
        default=None, min_length=1, max_length=200, description="The same key again is the same order, not another one."
    )
    folder: str = Field(default="", max_length=200, description="Below the folder of outputs.")


class JobView(BaseModel):
    """A job as clients see it."""

    id: str
    kind: str
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
    body: dict[str, Any] = Field(description="The recipe, for a picture.")

    @classmethod
    def of(cls, job: Job) -> "JobView":
        return cls(
            id=job.id, kind=job.work.kind, owner=job.work.owner, state=job.state, wish=job.wish,
            priority=job.work.priority, group=job.work.group, created=job.created, started=job.started,
            finished=job.finished, step=job.step, steps=job.steps, progress=job.progress, error=job.error,
            body=dict(job.work.body),
        )  # fmt: skip


class ResultView(BaseModel):
    """Something that a job has made."""

    number: int = Field(description="From 0.")
    media: str
    sha256: str | None
    url: str | None = Field(description="Where its file is, for those who may see it.")
    data: dict[str, Any]


class Jobs(BaseModel):
    """A page of jobs, the newest first."""

    jobs: list[JobView]
    before: str | None = Field(description="Ask for the jobs before this one to go on; none where there are no more.")


class PlaceView(BaseModel):
    """Where in the line a job stands."""

    ahead: int
    wait: float | None = Field(description="Seconds until it begins, as far as can be told.")


class About(BaseModel):
    """What this server is."""

    name: str = "fromnoise"
    version: str
    user: str
    role: str
    counts: dict[str, int] = Field(description="Jobs by state, of this user.")
    workers: list[dict[str, Any]]
    held: bool = Field(description="Whether the queue is held: nothing new begins.")


@router.get("/about")
def about(here: Here, who: Who) -> About:
    counts = {str(state): count for state, count in here.queue.counts(here.owner_of(who)).items()}
    workers = [dict(worker) for worker in here.queue.workers()] if who.is_admin else []
    return About(version=__version__, user=who.name, role=who.role, counts=counts, workers=workers,
                 held=here.queue.is_held())  # fmt: skip


@router.get("/catalogue")
def catalogue(here: Here, who: Who) -> dict[str, Any]:
    """Samplers, schedules and all else that has a name, and the fields of a recipe."""
    found = here.catalogue
    return {
        "samplers": [choice.model_dump() for choice in found.samplers],
        "schedules": [choice.model_dump() for choice in found.schedules],
        **{kind: [choice.model_dump() for choice in choices] for kind, choices in found.others.items()},
        "recipe": Recipe.model_json_schema(),
    }


@router.post("/jobs", status_code=202)
def submit(order: Order, here: Here, who: Who) -> list[JobView]:
    """Ask for pictures. They are stored when this answers."""
    if order.priority > 0 and not who.is_admin:
        raise ApiError(403, "forbidden", "only an administrator's jobs may overtake others")
    wait = here.submissions.wait(who.name, len(order.recipes))
    if wait:
        raise ApiError(429, "rate", "too many jobs at once; come back a little later", retry_after=min(wait, 600.0))
    works = [
        Work.picture(
            with_uploads(recipe, here), owner=who.name, priority=order.priority, folder=safe_folder(order.folder),
            key=order.key if order.key is None else f"{order.key}/{number}", group=order.key,
        )
        for number, recipe in enumerate(order.recipes)
    ]  # fmt: skip
    for recipe in order.recipes:
        check_names(recipe, here)
    return [JobView.of(job) for job in accepted(here.queue, works)]


def accepted(queue: Queue, works: Sequence[Work]) -> list[Job]:
    """Stored jobs; ApiError 429 or 503 where too many wait."""
    try:
        return queue.submit(works)
    except QueueFull as error:
        status = 429 if error.of_owner else 503
        raise ApiError(status, "queue-full", str(error), retry_after=error.retry_after) from error


def check_names(recipe: Recipe, here: Context) -> None:
    """UnknownName for a sampler or schedule that nobody knows, while whoever asked is still listening."""
    here.catalogue.resolve(recipe.sampler)
    if recipe.schedule is not None:
        here.catalogue.schedule(recipe.schedule)


def with_uploads(recipe: Recipe, here: Context) -> Recipe:
    """The recipe with the files of pictures that were sent, named by their SHA-256; paths of clients mean nothing."""
    return Recipe.model_validate(placed(recipe.model_dump(), here))


def placed(value: Any, here: Context) -> Any:
    """Every `ImageRef` in nested tables, where its file is here. ApiError 404 where it is nowhere."""
    if isinstance(value, Mapping):
        if set(value) == set(ImageRef.model_fields):
            return uploads.reference(value["sha256"], here.uploads).model_dump()
        return {key: placed(inner, here) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [placed(inner, here) for inner in value]
    return value


def safe_folder(folder: str) -> str:
    """A folder below the outputs; ApiError 422 for a way out of it."""
    parts = [part for part in folder.replace("\\", "/").split("/") if part not in ("", ".")]
    if any(part == ".." or ":" in part or part.startswith(".") or not part.isprintable() for part in parts):
        raise ApiError(422, "request", "folder: only plain names, parted by slashes")
    return "/".join(parts)


@router.get("/jobs")
def jobs(
    here: Here,
    who: Who,
    state: Annotated[list[State] | None, Query()] = None,
    group: Annotated[str | None, Query(max_length=200)] = None,
    before: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 50,
) -> Jobs:
    """Jobs, the newest first, a page at a time."""
    found = here.queue.jobs(
        owner=here.owner_of(who), states=state or STATES, group=group, before=before, limit=limit + 1
    )
    page = found[:limit]
    return Jobs(jobs=[JobView.of(job) for job in page], before=page[-1].id if len(found) > limit else None)


@router.get("/line")
def line(here: Here, who: Who, limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 50) -> list[JobView]:
    """Jobs that wait, in the order in which they will begin."""
    return [JobView.of(job) for job in here.queue.line(limit, here.owner_of(who))]


@router.get("/jobs/{job}")
def job(job: str, here: Here, who: Who) -> JobView:
    return JobView.of(mine(here, who, job))


def mine(here: Context, who: Identity, name: str) -> Job:
    """ApiError 404 for what is not there, or somebody else's."""
    try:
        return here.queue.get(name, here.owner_of(who))
    except UnknownJob as error:
        raise ApiError(404, "not-found", str(error)) from error


@router.get("/jobs/{job}/place")
def place(job: str, here: Here, who: Who) -> PlaceView:
    mine(here, who, job)
    try:
        found = here.queue.place(job, here.owner_of(who))
    except NotNow as error:
        raise ApiError(409, "state", str(error)) from error
    return PlaceView(ahead=found.ahead, wait=found.wait)


@router.get("/jobs/{job}/results")
def results(job: str, here: Here, who: Who) -> list[ResultView]:
    mine(here, who, job)
    return [
        ResultView(number=number, media=one.media, sha256=one.sha256, data=dict(one.data),
                   url=f"/api/v1/jobs/{job}/results/{number}" if one.path else None)
        for number, one in enumerate(here.queue.results(job, here.owner_of(who)))
    ]  # fmt: skip


@router.get("/jobs/{job}/results/{number}", response_class=FileResponse)
def result(job: str, number: int, here: Here, who: Who) -> FileResponse:
    """The file."""
    mine(here, who, job)
    found = here.queue.results(job, here.owner_of(who))
    if not 0 <= number < len(found) or found[number].path is None:
        raise ApiError(404, "not-found", f"the job has no result {number}")
    one = found[number]
    return FileResponse(here.file(here.outputs, str(one.path)), media_type=one.media)


@router.get("/jobs/{job}/preview", response_class=Response)
def preview(job: str, here: Here, who: Who) -> Response:
    """The newest preview, a JPEG; 204 before there is one."""
    mine(here, who, job)
    found = here.queue.preview(job, here.owner_of(who))
    if found is None:
        return Response(status_code=204)
    return Response(found[1], media_type="image/jpeg", headers={"X-Step": str(found[0]), "Cache-Control": "no-store"})


@router.post("/jobs/{job}/{action}")
def act(job: str, action: Action, here: Here, who: Who) -> JobView:
    """Cancel, skip (finish now with what is there), pause, resume or retry a job; 409 where its state forbids it."""
    mine(here, who, job)
    owner = here.owner_of(who)
    actions = {"cancel": here.queue.cancel, "skip": here.queue.skip, "pause": here.queue.pause,
               "resume": here.queue.resume, "retry": here.queue.retry}  # fmt: skip
    try:
        return JobView.of(actions[action](job, owner))
    except NotNow as error:
        raise ApiError(409, "state", str(error)) from error


class Move(BaseModel):
    """Where in the line a job goes."""

    before: str | None = Field(description="The job that comes after it; none to put it last.")


@router.put("/jobs/{job}/place")
def move(job: str, to: Move, here: Here, who: Who) -> PlaceView:
    """Put a job of one's own elsewhere in the line."""
    mine(here, who, job)
    if to.before is not None:
        mine(here, who, to.before)
    try:
        here.queue.move(job, to.before, here.owner_of(who))
    except NotNow as error:
        raise ApiError(409, "state", str(error)) from error
    return place(job, here, who)


@router.delete("/jobs/{job}", status_code=204, response_class=Response)
def remove(job: str, here: Here, who: Who) -> Response:
    """Forget a job that is finished; its pictures stay."""
    mine(here, who, job)
    try:
        here.queue.remove(job, here.owner_of(who))
    except NotNow as error:
        raise ApiError(409, "state", str(error)) from error
    return Response(status_code=204)


class Hold(BaseModel):
    """Whether the queue is held."""

    held: bool


@router.put("/queue")
def hold(wanted: Hold, here: Here, who: Admin) -> Hold:
    """Hold the queue, so that nothing new begins, or let it go on."""
    here.queue.hold(wanted.held)
    return Hold(held=here.queue.is_held())


@router.post("/images", status_code=201)
async def send_image(request: Request, here: Here, who: Who) -> uploads.Upload:
    """Send a picture, as the body of the call; recipes name it by its SHA-256."""
    data = await request.body()
    return await asyncio.to_thread(uploads.keep, data, here.uploads)


@router.get("/events", response_class=StreamingResponse)
async def events(
    request: Request,
    here: Here,
    who: Who,
    job: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[int | None, Query(ge=0)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """What happens to one's jobs, as Server-Sent Events, in order; `Last-Event-ID` goes on where a stream broke off."""
    start = after
    if start is None and last_event_id and last_event_id.isdecimal():
        start = int(last_event_id)
    if start is None:
        start = await asyncio.to_thread(here.queue.last_event)
    stream = told(request, here, here.owner_of(who), job, start)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def told(request: Request, here: Context, owner: str | None, job: str | None, after: int) -> AsyncIterator[str]:
    """Events from then on, until nobody listens."""
    silent = 0.0
    yield ": here\n\n"
    while not await request.is_disconnected():
        found = await asyncio.to_thread(here.queue.events, after, job=job, owner=owner, limit=MOST_AT_ONCE)
        for event in found:
            after, silent = event.number, 0.0
            yield written(event)
        if len(found) < MOST_AT_ONCE:
            await asyncio.sleep(LOOK_EVERY)
            silent += LOOK_EVERY
        if silent >= KEEP_ALIVE:
            silent = 0.0
            yield ": still here\n\n"


def written(event: Event) -> str:
    data = {"job": event.job, "time": event.time, **event.data}
    return f"id: {event.number}\nevent: {event.kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
