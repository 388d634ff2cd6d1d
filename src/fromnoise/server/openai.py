"""OpenAI's images API, `/v1/images/...` and `/v1/models`, for clients that speak it.

Fields of ours that it does not have (`steps`, `seed`, `negative_prompt`, `guidance_scale`, `sampler`, `strength`) may
be sent besides. Pictures are answered in base64; addresses need the same token as everything else.
"""

import asyncio
import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fromnoise.engine.recipe import BUILTIN, Recipe, explain
from fromnoise.server import uploads
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.openai_answers import Asked, Pictures, made, streamed
from fromnoise.server.strict import StrictRoute

STRENGTH = 0.75
STEPS = {"low": 10, "high": 40, "hd": 40}  # of a quality; the others are the default
THEIRS = (
    "dall-e",
    "gpt-image",
    "chatgpt-image",
)  # models that clients name by default; here they mean the built-in one
SHAPES: dict[int | str, dict[str, Any]] = {
    status: {"model": dict[str, Any], "description": text}
    for status, text in (
        (400, "A bad request, in OpenAI's form."), (401, "No or a wrong token."), (403, "Not allowed."),
        (404, "Not there."), (409, "Cancelled."), (413, "Too large."), (429, "Too many jobs."), (500, "It failed."),
        (503, "The queue is full."), (504, "It takes too long."),
    )
}  # fmt: skip

router = APIRouter(prefix="/v1", responses=SHAPES, route_class=StrictRoute, tags=["OpenAI"])

Format = Literal["png", "jpeg", "webp"]
Quality = Literal["auto", "low", "medium", "high", "standard", "hd"]
Background = Literal["auto", "opaque", "transparent"]


class Generation(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    prompt: str = Field(min_length=1, max_length=32_000)
    model: str | None = Field(default=None, max_length=1000)
    n: int | None = Field(default=1, ge=1, le=10)
    size: str | None = Field(default="auto", max_length=20)
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Format | None = None
    output_compression: int | None = Field(default=None, ge=0, le=100)
    quality: Quality | None = None
    background: Background | None = None
    style: str | None = Field(default=None, max_length=20)
    moderation: str | None = Field(default=None, max_length=20)
    stream: bool | None = False
    partial_images: int | None = Field(default=0, ge=0, le=3)
    user: str | None = Field(default=None, max_length=1000)
    negative_prompt: str = Field(default="", max_length=32_000)
    seed: int | None = Field(default=None, ge=0, le=2**32)
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=0, le=100)
    sampler: str | None = Field(default=None, max_length=200)

    def asked(self, kind: Literal["image_generation", "image_edit"] = "image_generation") -> Asked:
        """How it is to be answered."""
        return Asked(
            kind, self.n or 1, self.response_format or "b64_json", self.output_format or "png",
            95 if self.output_compression is None else self.output_compression, self.partial_images or 0,
            self.size or "auto", self.quality or "auto",
        )  # fmt: skip


class ModelView(BaseModel):
    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "local"


class Models(BaseModel):
    object: str = "list"
    data: list[ModelView]


@router.get("/models")
def list_models(here: Here, who: Who) -> Models:
    """Checkpoints by name."""
    return Models(data=[ModelView(id=name) for name in here.models()])


@router.get("/models/{model:path}")
def get_model(model: str, here: Here, who: Who) -> ModelView:
    """One of them."""
    if model not in here.models():
        raise ApiError(404, "model_not_found", f"the model {model[:200]!r} is not here")
    return ModelView(id=model)


STREAM: dict[str, Any] = {"responses": {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}}


@router.post("/images/generations", response_model=Pictures, **STREAM)
async def generations(wanted: Generation, request: Request, here: Here, who: Who) -> Pictures | StreamingResponse:
    """Make pictures of a prompt; with `stream`, as events with previews."""
    recipe = recipe_of(wanted, here)
    return await answered(recipe, wanted, wanted.asked(), request, here, who)


async def answered(
    recipe: Recipe, wanted: Generation, asked: Asked, request: Request, here: Context, who: Who
) -> Pictures | StreamingResponse:
    """All at once, or as they come."""
    if wanted.stream:
        jobs = await streamed(recipe, asked, here, who)
        return StreamingResponse(jobs, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
    return await made(recipe, asked, str(request.base_url).rstrip("/"), here, who)


@router.post("/images/edits", response_model=Pictures, **STREAM)
async def edits(
    request: Request,
    here: Here,
    who: Who,
    prompt: Annotated[str, Form(min_length=1, max_length=32_000)],
    image: Annotated[list[UploadFile] | None, File()] = None,
    images: Annotated[list[UploadFile] | None, File(alias="image[]")] = None,
    mask: Annotated[UploadFile | None, File()] = None,
    model: Annotated[str | None, Form(max_length=1000)] = None,
    n: Annotated[int | None, Form(ge=1, le=10)] = 1,
    size: Annotated[str | None, Form(max_length=20)] = "auto",
    response_format: Annotated[Literal["b64_json", "url"] | None, Form()] = None,
    output_format: Annotated[Format | None, Form()] = None,
    output_compression: Annotated[int | None, Form(ge=0, le=100)] = None,
    quality: Annotated[Quality | None, Form()] = None,
    background: Annotated[Background | None, Form()] = None,
    stream: Annotated[bool | None, Form()] = False,
    partial_images: Annotated[int | None, Form(ge=0, le=3)] = 0,
    negative_prompt: Annotated[str, Form(max_length=32_000)] = "",
    seed: Annotated[int | None, Form(ge=0, le=2**32)] = None,
    steps: Annotated[int | None, Form(ge=1, le=1000)] = None,
    guidance_scale: Annotated[float | None, Form(ge=0, le=100, allow_inf_nan=False)] = None,
    sampler: Annotated[str | None, Form(max_length=200)] = None,
    strength: Annotated[float, Form(ge=0, le=1, allow_inf_nan=False)] = 1.0,
) -> Pictures | StreamingResponse:
    """Change a picture where the mask is transparent; without a mask, all of it."""
    wanted = checked(
        prompt=prompt, model=model, n=n, size=size, response_format=response_format, output_format=output_format,
        output_compression=output_compression, quality=quality, background=background, stream=stream,
        partial_images=partial_images, negative_prompt=negative_prompt, seed=seed, steps=steps,
        guidance_scale=guidance_scale, sampler=sampler,
    )  # fmt: skip
    given = [*(image or []), *(images or [])]
    if len(given) != 1:
        raise ApiError(400, "image", f"one picture is changed at a time, not {len(given)}")
    kept = await taken(given[0], here)
    fields: dict[str, Any] = {"init": uploads.reference(kept.sha256, here.uploads).model_dump(), "strength": strength}
    if mask is not None:
        hole = await asyncio.to_thread(uploads.keep_hole, await mask.read(), here.uploads)
        fields["mask"] = uploads.reference(hole.sha256, here.uploads).model_dump()
    recipe = recipe_of(wanted, here, sides=(kept.width, kept.height)).but(**fields)
    return await answered(recipe, wanted, wanted.asked("image_edit"), request, here, who)


@router.post("/images/variations")
async def variations(
    request: Request,
    here: Here,
    who: Who,
    image: Annotated[UploadFile, File()],
    model: Annotated[str | None, Form(max_length=1000)] = None,
    n: Annotated[int | None, Form(ge=1, le=10)] = 1,
    size: Annotated[str | None, Form(max_length=20)] = "auto",
    response_format: Annotated[Literal["b64_json", "url"] | None, Form()] = None,
) -> Pictures:
    """Pictures like one that is sent."""
    kept = await taken(image, here)
    wanted = checked(prompt=" ", model=model, n=n, size=size, response_format=response_format)
    recipe = recipe_of(wanted, here, sides=(kept.width, kept.height))
    start = uploads.reference(kept.sha256, here.uploads).model_dump()
    recipe = recipe.but(init=start, strength=STRENGTH, prompt="")
    return await made(recipe, wanted.asked(), str(request.base_url).rstrip("/"), here, who)


def checked(**fields: Any) -> Generation:
    """ApiError for what is out of range."""
    try:
        return Generation(**{name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise ApiError(400, "request", explain(error)) from error


async def taken(file: UploadFile, here: Context) -> uploads.Upload:
    return await asyncio.to_thread(uploads.keep, await file.read(), here.uploads)


def recipe_of(wanted: Generation, here: Context, sides: tuple[int, int] | None = None) -> Recipe:
    """The recipe of the first picture. ApiError, UserError."""
    model = wanted.model if wanted.model and not wanted.model.startswith(THEIRS) else BUILTIN
    if model not in here.models():
        raise ApiError(404, "model_not_found", f"the model {model[:200]!r} is not here")
    if wanted.background == "transparent":
        raise ApiError(400, "background", "pictures here are opaque: choose another background")
    width, height = size_of(wanted.size or "auto", sides)
    steps = wanted.steps or STEPS.get(wanted.quality or "")
    optional = {"steps": steps, "guidance_scale": wanted.guidance_scale, "sampler": wanted.sampler,
                "width": width, "height": height}  # fmt: skip
    recipe = Recipe.make(
        prompt=wanted.prompt.strip(), negative=wanted.negative_prompt, model=model,
        seed=secrets.randbelow(2**32) if wanted.seed is None else wanted.seed,
        **{name: value for name, value in optional.items() if value is not None},
    )  # fmt: skip
    return recipe if wanted.steps else recipe.leaving(["steps"])  # a quality doesn't mean 40 steps to a few-step model


def size_of(size: str, sides: tuple[int, int] | None) -> tuple[int, int] | tuple[None, None]:
    """Width and height; "auto" is that of the picture that was sent, in eights, or None: the model's own."""
    if size == "auto":
        if sides is None:
            return None, None
        return max(8, sides[0] // 8 * 8), max(8, sides[1] // 8 * 8)
    width, sign, height = size.partition("x")
    if not (sign and width.isdecimal() and height.isdecimal()):
        raise ApiError(400, "size", 'size: write one such as 512x512, or "auto"')
    return int(width), int(height)
