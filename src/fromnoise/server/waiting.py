"""Waiting for a job to end, for interfaces that answer with pictures."""

import asyncio
import time

from fromnoise.jobs.job import Job
from fromnoise.server.context import Context
from fromnoise.server.errors import ApiError

LONGEST_WAIT = 600.0  # seconds
LOOK_EVERY = 0.1


async def finished(job: Job, here: Context) -> Job:
    """The job once it is done, failed or cancelled. ApiError 504 where that takes too long; the job goes on."""
    began = time.monotonic()
    while not (found := await asyncio.to_thread(here.queue.get, job.id)).is_finished:
        if time.monotonic() - began > LONGEST_WAIT:
            raise ApiError(504, "time", f"the picture is not finished yet; it goes on as the job {job.id}")
        await asyncio.sleep(LOOK_EVERY)
    return found
