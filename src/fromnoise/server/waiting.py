"""Waiting for a job to end, for interfaces that answer with pictures."""

import asyncio
import time

from fromnoise.jobs.job import Job
from fromnoise.server.context import Context
from fromnoise.server.errors import ApiError

LONGEST_WAIT = 3600.0  # seconds
LOOK_EVERY = 0.1
OUR_FAULT = ("unexpected failure", "out of memory", "the worker")  # how errors begin that are nobody's mistake


async def finished(job: Job, here: Context) -> Job:
    """The job once it is done, failed or cancelled. ApiError 504 where that takes too long; the job goes on."""
    began = time.monotonic()
    while not (found := await asyncio.to_thread(here.queue.get, job.id)).is_finished:
        if time.monotonic() - began > LONGEST_WAIT:
            raise ApiError(504, "time", f"the picture is not finished yet; it goes on as the job {job.id}")
        await asyncio.sleep(LOOK_EVERY)
    return found


def failure(job: Job) -> ApiError:
    """Why a job has made nothing: 500 where that is nobody's mistake, 422 where the order can't be done, 409 where it
    was cancelled."""
    if job.state == "cancelled":
        return ApiError(409, "cancelled", "the job was cancelled")
    error = job.error or f"the job was {job.state}"
    if error.startswith(OUR_FAULT) or job.state == "done":
        return ApiError(500, "job", error)
    return ApiError(422, "job", error)
