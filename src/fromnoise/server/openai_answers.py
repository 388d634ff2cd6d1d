"""Answers in OpenAI's form: pictures that are waited for, or events with previews while they are made."""

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image
from pydantic import BaseModel

from fromnoise.engine.recipe import Recipe
from fromnoise.errors import without_folders
from fromnoise.jobs.job import Job, Work, members
from fromnoise.server.access import Identity
from fromnoise.server.context import Context
from fromnoise.server.errors import ApiError
from fromnoise.server.native.orders import accepted, check_names, check_rate
from fromnoise.server.waiting import LOOK_ANYWAY, failure, finished

Kind = Literal["image_generation", "image_edit"]


@dataclass(frozen=True)
class Asked:
    """How pictures are answered."""

    kind: Kind
    count: int
    response: Literal["b64_json", "url"]
    format: Literal["png", "jpeg", "webp"]
    quality: int  # of JPEG and WebP, from 0 to 100
    previews: int  # while a picture is made, at most
    size: str
    named_quality: str


class Picture(BaseModel):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class Pictures(BaseModel):
    created: int
    data: list[Picture]


async def asked_for(recipe: Recipe, asked: Asked, here: Context, who: Identity) -> list[Job]:
    """The jobs. ApiError."""
    check_names(recipe, here)
    check_rate(asked.count, here, who)
    seeds = [(recipe.seed + i) % 2**64 for i in range(asked.count)]
    works = [
        Work.picture(recipe.but(seed=seed), owner=who.name, member=member)
        for seed, member in zip(seeds, members(seeds), strict=True)
    ]
    return await asyncio.to_thread(accepted, here.queue, works)


async def made(recipe: Recipe, asked: Asked, address: str, here: Context, who: Identity) -> Pictures:
    """Queue the pictures and wait for them; `address` is the server's own."""
    jobs = await asked_for(recipe, asked, here, who)
    pictures = []
    for job in jobs:
        found = await finished(job, here)
        prompt = str(found.work.body.get("prompt", ""))
        data = await picture(found, asked, here)
        if asked.response == "url":
            pictures.append(Picture(url=f"{address}/api/v1/jobs/{job.id}/results/0", revised_prompt=prompt))
        else:
            pictures.append(Picture(b64_json=encoded(data), revised_prompt=prompt))
    return Pictures(created=int(time.time()), data=pictures)


async def picture(job: Job, asked: Asked, here: Context) -> bytes:
    """The file of a job, in the format that is asked for. ApiError where it failed."""
    results = await asyncio.to_thread(here.queue.results, job.id)
    if job.state != "done" or not results or results[0].path is None:
        raise failure(job)
    data = await asyncio.to_thread(here.file(here.outputs, results[0].path).read_bytes)
    return data if asked.format == "png" else await asyncio.to_thread(converted, data, asked)


def converted(data: bytes, asked: Asked) -> bytes:
    """A picture of ours in another format."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.convert("RGB").save(buffer, asked.format.upper(), quality=asked.quality)
    return buffer.getvalue()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def streamed(recipe: Recipe, asked: Asked, here: Context, who: Identity) -> AsyncIterator[str]:
    """Events of the pictures, which are queued when this returns."""
    jobs = await asked_for(recipe, asked, here, who)
    return told(jobs, asked, here)


async def told(jobs: Sequence[Job], asked: Asked, here: Context) -> AsyncIterator[str]:
    """Previews, at most as many as are asked for, and each picture in the end; an error ends it."""
    for job in jobs:
        seen = 0
        async for preview in previews(job, asked.previews, here):
            yield event(f"{asked.kind}.partial_image", asked, encoded(preview), "jpeg", partial_image_index=seen)
            seen += 1
        try:
            data = await picture(await finished(job, here), asked, here)
        except ApiError as error:
            problem = {
                "message": without_folders(str(error)),
                "type": "server_error",
                "code": error.kind,
                "param": None,
            }
            yield f"event: error\ndata: {json.dumps({'type': 'error', 'error': problem}, ensure_ascii=False)}\n\n"
            return
        nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0,
                   "input_tokens_details": {"text_tokens": 0, "image_tokens": 0}}  # fmt: skip
        yield event(f"{asked.kind}.completed", asked, encoded(data), asked.format, usage=nothing)


async def previews(job: Job, most: int, here: Context) -> AsyncIterator[bytes]:
    """Previews of a job as they come, until it has ended; spread over its steps."""
    shown, last = 0, -1
    with here.feed.heard() as ear:
        while most and not (found := await asyncio.to_thread(here.queue.get, job.id)).is_finished:
            seen = await asyncio.to_thread(here.queue.preview, job.id)
            due = shown < most and (not found.steps or found.step * (most + 1) >= (shown + 1) * found.steps)
            if seen is not None and seen[0] > last and due:
                shown, last = shown + 1, seen[0]
                yield seen[1]
            await ear.wait(LOOK_ANYWAY)


def event(name: str, asked: Asked, data: str, form: str, **more: Any) -> str:
    """One event, as the official clients read it."""
    body = {"type": name, "b64_json": data, "created_at": int(time.time()), "size": asked.size,
            "quality": asked.named_quality, "background": "opaque", "output_format": form, **more}  # fmt: skip
    return f"event: {name}\ndata: {json.dumps(body)}\n\n"
