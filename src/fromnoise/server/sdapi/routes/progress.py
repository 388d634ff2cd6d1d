"""How far pictures are, and changing one's mind about them."""

import base64
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from fromnoise.jobs.job import Job, NotNow, State
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.sdapi.bodies import Body
from fromnoise.server.sdapi.routes.common import new_router

RUNNING: tuple[State, ...] = ("running",)
WAITING: tuple[State, ...] = ("queued", "paused")
MOST_JOBS = 1000  # of one call

ROUTERS = public, internal = new_router(), new_router("/internal")


class Progress(BaseModel):
    """Of the pictures of this user that are being made."""

    progress: float = Field(ge=0, le=1)
    eta_relative: float = Field(description="Seconds that it will take yet.")
    state: dict[str, Any]
    current_image: str | None = Field(description="The newest preview, in base64.")
    textinfo: str | None


@public.get("/progress")
def progress(here: Here, who: Who, skip_current_image: bool = False) -> Progress:
    """Of the pictures of this user that are being made."""
    owner = here.owner_of(who)
    running = here.queue.jobs(owner=owner, states=RUNNING, limit=1)
    job = running[0] if running else None
    group = jobs_beside(job, here, owner)
    ended = [one for one in group if one.is_finished]
    skipped = job is not None and job.wish == "skip"
    more = any(one.state in WAITING for one in group)
    state = {
        "skipped": skipped and more,
        "interrupted": job is not None and (job.wish == "cancel" or (skipped and not more)),
        "stopping_generation": False,
        "job": (job.work.group or job.id) if job else "",
        "job_count": len(group),
        "job_timestamp": f"{datetime.fromtimestamp(job.created if job else 0):%Y%m%d%H%M%S}" if job else "0",
        "job_no": len(ended),
        "sampling_step": job.step if job else 0,
        "sampling_steps": job.steps if job else 0,
    }
    image = None
    if job and not skip_current_image and (seen := here.queue.preview(job.id)):
        image = base64.b64encode(seen[1]).decode()
    done = share(group)
    return Progress(progress=done, eta_relative=eta(group, done), state=state, current_image=image, textinfo=None)


def jobs_beside(job: Job | None, here: Context, owner: str | None) -> list[Job]:
    """All jobs that were asked for with one."""
    if job is None:
        return []
    return here.queue.jobs(owner=owner, group=job.work.group, limit=MOST_JOBS) if job.work.group else [job]


def share(jobs: Sequence[Job]) -> float:
    """How much of some jobs is done, from 0 to 1."""
    return sum(1.0 if job.is_finished else job.progress for job in jobs) / len(jobs) if jobs else 0.0


def eta(jobs: Sequence[Job], done: float) -> float:
    """Seconds that they will take yet, if they go on as they did."""
    began = min((job.started for job in jobs if job.started), default=None)
    if began is None or not done:
        return 0.0
    since = max(0.0, time.time() - began)
    return since / done - since


@public.post("/interrupt")
def interrupt(here: Here, who: Who) -> dict[str, Any]:
    """Finish what is being made for this user with what is there, and make nothing more of the same call."""
    owner = here.owner_of(who)
    for job in here.queue.jobs(owner=owner, states=RUNNING, limit=MOST_JOBS):
        for other in jobs_beside(job, here, owner):
            ask(other, here, who, skip=other.state == "running")
    return {}


@public.post("/skip")
def skip(here: Here, who: Who) -> None:
    """Finish what is being made with what is there, and go on with what is next."""
    for job in here.queue.jobs(owner=here.owner_of(who), states=RUNNING, limit=MOST_JOBS):
        ask(job, here, who, skip=True)


def ask(job: Job, here: Context, who: Identity, *, skip: bool) -> None:
    """Skip or cancel a job; one that has ended meanwhile is left alone."""
    if job.is_finished:
        return
    try:
        (here.queue.skip if skip else here.queue.cancel)(job.id, here.owner_of(who))
    except NotNow:
        return


class PendingTasks(BaseModel):
    size: int
    tasks: list[str]


@internal.get("/pending-tasks")
def pending_tasks(here: Here, who: Who) -> PendingTasks:
    """What waits, by the names that calls gave it."""
    tasks = list(dict.fromkeys(job.work.group or job.id for job in here.queue.line(MOST_JOBS, here.owner_of(who))))
    return PendingTasks(size=len(tasks), tasks=tasks)


class TaskWanted(Body):
    id_task: str | None = Field(default=None, max_length=200)
    id_live_preview: int = -1
    live_preview: bool = True


class TaskProgress(BaseModel):
    """Of a task by its own id."""

    active: bool
    queued: bool
    completed: bool
    progress: float | None
    eta: float | None
    live_preview: str | None = Field(description="A data URI, where it is another than the one that was shown.")
    id_live_preview: int | None
    textinfo: str | None


@internal.post("/progress")
def task_progress(body: TaskWanted, here: Here, who: Who) -> TaskProgress:
    """Of a task by its own id: queued, active or completed; what AUTOMATIC1111's web page polls."""
    owner = here.owner_of(who)
    jobs = here.queue.jobs(owner=owner, group=body.id_task, limit=MOST_JOBS) if body.id_task else []
    running = [job for job in jobs if job.state == "running"]
    queued = any(job.state in WAITING for job in jobs) and not running
    completed = bool(jobs) and not running and not queued
    done = share(jobs) if jobs else None
    preview, shown = None, body.id_live_preview
    if running and body.live_preview and (seen := here.queue.preview(running[0].id)):
        number = 1000 * sum(job.is_finished for job in jobs) + seen[0]
        if number != shown:
            preview, shown = f"data:image/jpeg;base64,{base64.b64encode(seen[1]).decode()}", number
    return TaskProgress(
        active=bool(running), queued=queued, completed=completed, progress=done,
        eta=eta(jobs, done) if running and done else None, live_preview=preview, id_live_preview=shown,
        textinfo="In queue..." if queued else None,
    )  # fmt: skip
