"""Jobs: seen, followed, changed, and their results fetched."""

from typing import Annotated, Literal

from fastapi import Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from fromnoise.jobs.job import STATES, Job, NotNow, State, UnknownJob
from fromnoise.server.access import Identity
from fromnoise.server.context import Admin, Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.views import JobView, ResultView
from fromnoise.server.parts import new_part

MOST_AT_ONCE = 200  # jobs in one answer

router = new_part()

Action = Literal["cancel", "skip", "pause", "resume", "retry"]


class Jobs(BaseModel):
    """A page of jobs, the newest first."""

    jobs: list[JobView]
    before: str | None = Field(description="Ask for the jobs before this one to go on; none where there are no more.")


class PlaceView(BaseModel):
    """Where in the line a job stands."""

    ahead: int
    wait: float | None = Field(description="Seconds until it begins, as far as can be told.")


@router.get("/jobs")
def list_jobs(
    here: Here,
    who: Who,
    state: Annotated[list[State] | None, Query()] = None,
    group: Annotated[str | None, Query(max_length=200)] = None,
    kind: Annotated[str | None, Query(max_length=64)] = None,
    before: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 50,
) -> Jobs:
    """Jobs, the newest first, a page at a time."""
    found = here.queue.jobs(
        owner=here.owner_of(who), states=state or STATES, group=group, kind=kind, before=before, limit=limit + 1
    )
    page = found[:limit]
    return Jobs(jobs=[JobView.of(job) for job in page], before=page[-1].id if len(found) > limit else None)


@router.get("/line")
def list_line(here: Here, who: Who, limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 50) -> list[JobView]:
    """Jobs that wait, in the order in which they will begin."""
    return [JobView.of(job) for job in here.queue.line(limit, here.owner_of(who))]


@router.get("/jobs/{job}")
def get_job(job: str, here: Here, who: Who) -> JobView:
    return JobView.of(mine(here, who, job))


def mine(here: Context, who: Identity, name: str) -> Job:
    """ApiError 404 for what is not there, or somebody else's."""
    try:
        return here.queue.get(name, here.owner_of(who))
    except UnknownJob as error:
        raise ApiError(404, "not-found", str(error)) from error


@router.get("/jobs/{job}/place")
def get_place(job: str, here: Here, who: Who) -> PlaceView:
    mine(here, who, job)
    try:
        found = here.queue.place(job, here.owner_of(who))
    except NotNow as error:
        raise ApiError(409, "state", str(error)) from error
    return PlaceView(ahead=found.ahead, wait=found.wait)


@router.get("/jobs/{job}/results")
def list_results(job: str, here: Here, who: Who) -> list[ResultView]:
    mine(here, who, job)
    pictures = {picture.path: picture.id for picture in here.gallery.of_job(job)}
    return [
        ResultView.of(job, number, one, pictures.get(one.path or ""))
        for number, one in enumerate(here.queue.results(job, here.owner_of(who)))
    ]


@router.get("/jobs/{job}/results/{number}", response_class=FileResponse)
def get_result_file(job: str, number: int, here: Here, who: Who) -> FileResponse:
    """The file."""
    mine(here, who, job)
    found = here.queue.results(job, here.owner_of(who))
    if not 0 <= number < len(found) or found[number].path is None:
        raise ApiError(404, "not-found", f"the job has no result {number}")
    one = found[number]
    return FileResponse(here.file(here.outputs, str(one.path)), media_type=one.media)


@router.get("/jobs/{job}/preview", response_class=Response, responses={204: {"description": "There is none yet."}})
def get_preview(job: str, here: Here, who: Who) -> Response:
    """The newest preview, a JPEG; 204 before there is one."""
    mine(here, who, job)
    found = here.queue.preview(job, here.owner_of(who))
    if found is None:
        return Response(status_code=204)
    return Response(found[1], media_type="image/jpeg", headers={"X-Step": str(found[0]), "Cache-Control": "no-store"})


@router.post("/jobs/{job}/{action}")
def change_job(job: str, action: Action, here: Here, who: Who) -> JobView:
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
def move_job(job: str, to: Move, here: Here, who: Who) -> PlaceView:
    """Put a job of one's own elsewhere in the line."""
    mine(here, who, job)
    if to.before is not None:
        mine(here, who, to.before)
    try:
        here.queue.move(job, to.before, here.owner_of(who))
    except NotNow as error:
        raise ApiError(409, "state", str(error)) from error
    return get_place(job, here, who)


@router.delete("/jobs/{job}", status_code=204, response_class=Response)
def forget_job(job: str, here: Here, who: Who) -> Response:
    """Forget a job that is finished; its pictures stay."""
    mine(here, who, job)
    try:
        here.queue.remove(job, here.owner_of(who))
    except NotNow as error:
        raise ApiError(409, "state", str(error)) from error
    return Response(status_code=204)


@router.delete("/line")
def clear_line(here: Here, who: Who) -> list[JobView]:
    """Cancel all of one's jobs that wait; those that were."""
    gone = []
    for one in here.queue.line(10_000, who.name):
        try:
            gone.append(JobView.of(here.queue.cancel(one.id, who.name)))
        except NotNow:  # it has ended meanwhile
            continue
    return gone


class Hold(BaseModel):
    """Whether the queue is held."""

    held: bool


@router.put("/queue")
def hold_queue(wanted: Hold, here: Here, who: Admin) -> Hold:
    """Hold the queue, so that nothing new begins, or let it go on."""
    here.queue.hold(wanted.held)
    return Hold(held=here.queue.is_held())
