"""OpenAI's images API, `/v1/images/...` and `/v1/models`, for clients that speak it.

Fields of ours that it does not have (`steps`, `seed`, `negative_prompt`, `guidance_scale`, `sampler`) may be sent
besides. Pictures are answered in base64; addresses need the same token as everything else.
"""

import asyncio
import base64
import secrets
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.recipe import BUILTIN, Recipe
from fromnoise.jobs.job import Job, Work
from fromnoise.server import uploads
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import RESPONSES, ApiError
from fromnoise.server.native.orders import accepted, check_names
from fromnoise.server.waiting import finished

BUILTIN_SIZE, SIZE = 128, 512
STRENGTH = 0.75

router = APIRouter(prefix="/v1", responses=RESPONSES)


class Generation(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="ignore")

    prompt: str = Field(min_length=1, max_length=32_000)
    model: str | None = None
    n: int = Field(default=1, ge=1, le=10)
    size: str = "auto"
    response_format: Literal["b64_json", "url"] | None = None
    user: str | None = None
    negative_prompt: str = ""
    seed: int | None = Field(default=None, ge=0, le=2**32)
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=0, le=100)
    sampler: str | None = None


class Picture(BaseModel):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class Pictures(BaseModel):
    created: int
    data: list[Picture]


class ModelView(BaseModel):
    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "local"


class Models(BaseModel):
    object: str = "list"
    data: list[ModelView]


@router.get("/models")
def models(here: Here, who: Who) -> Models:
    return Models(data=[ModelView(id=name) for name in here.models()])


@router.post("/images/generations")
async def generations(wanted: Generation, here: Here, who: Who) -> Pictures:
    recipe = recipe_of(wanted)
    return await made(recipe, wanted, here, who)


@router.post("/images/edits")
async def edits(
    here: Here,
    who: Who,
    image: Annotated[UploadFile, File()],
    prompt: Annotated[str, Form(min_length=1, max_length=32_000)],
    mask: Annotated[UploadFile | None, File()] = None,
    model: Annotated[str | None, Form()] = None,
    n: Annotated[int, Form(ge=1, le=10)] = 1,
    size: Annotated[str, Form()] = "auto",
    response_format: Annotated[Literal["b64_json", "url"] | None, Form()] = None,
    seed: Annotated[int | None, Form(ge=0, le=2**32)] = None,
    steps: Annotated[int | None, Form(ge=1, le=1000)] = None,
    strength: Annotated[float, Form(ge=0, le=1)] = 1.0,
) -> Pictures:
    """Change a picture where the mask is transparent; without a mask, all of it."""
    wanted = Generation(prompt=prompt, model=model, n=n, size=size, response_format=response_format, seed=seed,
                        steps=steps)  # fmt: skip
    kept = await taken(image, here)
    fields: dict[str, Any] = {"init": uploads.reference(kept.sha256, here.uploads), "strength": strength}
    if mask is not None:
        hole = await asyncio.to_thread(uploads.keep_hole, await mask.read(), here.uploads)
        fields["mask"] = uploads.reference(hole.sha256, here.uploads)
    recipe = recipe_of(wanted, sides=(kept.width, kept.height))
    return await made(changed(recipe, fields), wanted, here, who)


@router.post("/images/variations")
async def variations(
    here: Here,
    who: Who,
    image: Annotated[UploadFile, File()],
    model: Annotated[str | None, Form()] = None,
    n: Annotated[int, Form(ge=1, le=10)] = 1,
    size: Annotated[str, Form()] = "auto",
    response_format: Annotated[Literal["b64_json", "url"] | None, Form()] = None,
) -> Pictures:
    kept = await taken(image, here)
    wanted = Generation(prompt=" ", model=model, n=n, size=size, response_format=response_format)
    recipe = recipe_of(wanted, sides=(kept.width, kept.height))
    fields = {"init": uploads.reference(kept.sha256, here.uploads), "strength": STRENGTH, "prompt": ""}
    return await made(changed(recipe, fields), wanted, here, who)


async def taken(file: UploadFile, here: Context) -> uploads.Upload:
    return await asyncio.to_thread(uploads.keep, await file.read(), here.uploads)


def changed(recipe: Recipe, fields: dict[str, Any]) -> Recipe:
    return recipe.but(**{name: getattr(value, "model_dump", lambda v=value: v)() for name, value in fields.items()})


def recipe_of(wanted: Generation, sides: tuple[int, int] | None = None) -> Recipe:
    """The recipe of the first picture."""
    model = wanted.model if wanted.model and not wanted.model.startswith(("dall-e", "gpt-image")) else BUILTIN
    width, height = size_of(wanted.size, model, sides)
    optional = {"steps": wanted.steps, "guidance_scale": wanted.guidance_scale, "sampler": wanted.sampler}
    return Recipe.make(
        prompt=wanted.prompt.strip(), negative=wanted.negative_prompt, model=model, width=width, height=height,
        seed=secrets.randbelow(2**32) if wanted.seed is None else wanted.seed,
        **{name: value for name, value in optional.items() if value is not None},
    )  # fmt: skip


def size_of(size: str, model: str, sides: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height; "auto" is that of the picture that was sent, or the model's own, in eights."""
    if size == "auto":
        across, down = sides or ((BUILTIN_SIZE,) * 2 if model == BUILTIN else (SIZE,) * 2)
        return max(8, across // 8 * 8), max(8, down // 8 * 8)
    width, sign, height = size.partition("x")
    if not (sign and width.isdecimal() and height.isdecimal()):
        raise ApiError(422, "request", 'size: write one such as 512x512, or "auto"')
    return int(width), int(height)


async def made(recipe: Recipe, wanted: Generation, here: Context, who: Identity) -> Pictures:
    """Queue the pictures and wait for them."""
    check_names(recipe, here)
    works = [Work.picture(recipe.but(seed=recipe.seed + i), owner=who.name) for i in range(wanted.n)]
    jobs = await asyncio.to_thread(accepted, here.queue, works)
    pictures = [await answered(job, wanted.response_format, here) for job in jobs]
    return Pictures(created=int(time.time()), data=pictures)


async def answered(job: Job, form: str | None, here: Context) -> Picture:
    """The picture of a job once it is done. ApiError where it fails, or takes too long."""
    found = await finished(job, here)
    results = await asyncio.to_thread(here.queue.results, job.id)
    if found.state != "done" or not results or results[0].path is None:
        raise ApiError(500, "job", found.error or f"the job was {found.state}")
    prompt = str(found.work.body.get("prompt", ""))
    if form == "url":
        return Picture(url=f"/api/v1/jobs/{job.id}/results/0", revised_prompt=prompt)
    data = await asyncio.to_thread(here.file(here.outputs, results[0].path).read_bytes)
    return Picture(b64_json=base64.b64encode(data).decode(), revised_prompt=prompt)
