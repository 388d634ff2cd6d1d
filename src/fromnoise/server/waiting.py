"""Waiting for a job to end, for interfaces that answer with pictures."""

import asyncio
import time

from fromnoise.jobs.job import FINISHED, Job
from fromnoise.server.context import Context
from fromnoise.server.errors import ApiError
from fromnoise.server.feed import Ear

LONGEST_WAIT = 3600.0  # seconds
LOOK_ANYWAY = 10.0  # should an event be missed, as when a job is removed
OUR_FAULT = ("unexpected failure", "out of memory", "the worker")  # how errors begin that are nobody's mistake


async def finished(job: Job, here: Context) -> Job:
    """The job once it is done, failed or cancelled. ApiError 504 where that takes too long; the job goes on."""
    began = time.monotonic()
    with here.feed.heard() as ear:
        after = await asyncio.to_thread(here.queue.last_event)
        while not (found := await asyncio.to_thread(here.queue.get, job.id)).is_finished:
            after = await until_it_ends(job.id, after, here, ear)
            if time.monotonic() - began > LONGEST_WAIT:
                raise ApiError(504, "time", f"the picture is not finished yet; it goes on as the job {job.id}")
    return found


async def until_it_ends(job: str, after: int, here: Context, ear: Ear) -> int:
    """Until a job seems to have ended, or it is time to look; the last event that was heard."""
    until = time.monotonic() + LOOK_ANYWAY
    while time.monotonic() < until:
        after, events = await here.feed.since(after, job=job)
        if any(event.kind in FINISHED for event in events):
            break
        await ear.wait(until - time.monotonic())
    return after


def failure(job: Job) -> ApiError:
    """Why a job has made nothing: 500 where that is nobody's mistake, 422 where the order can't be done, 409 where it
    was cancelled."""
    if job.state == "cancelled":
        return ApiError(409, "cancelled", "the job was cancelled")
    error = job.error or f"the job was {job.state}"
    if error.startswith(OUR_FAULT) or job.state == "done":
        return ApiError(500, "job", error)
    return ApiError(422, "job", error)
