"""The routes of `/sdapi/v1` and `/internal` that clients of AUTOMATIC1111 use."""

import asyncio
import base64
import io
import json
import secrets
import time
from typing import Any

from fastapi import APIRouter
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.recipe import BUILTIN, Recipe
from fromnoise.jobs.job import Job, State, Work
from fromnoise.server import uploads
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.orders import accepted
from fromnoise.server.sdapi.bodies import Answer, ImageToImage, Shared, TextToImage
from fromnoise.server.sdapi.translate import Translator, info
from fromnoise.server.waiting import finished

router = APIRouter()
SDAPI = "/sdapi/v1"
RUNNING: tuple[State, ...] = ("running",)
OPTIONS: dict[str, Any] = {  # what clients may read and, but for the rest, set
    "sd_model_checkpoint": BUILTIN,
    "sd_vae": "Automatic",
    "CLIP_stop_at_last_layers": 1,
    "eta_noise_seed_delta": 0,
    "randn_source": "CPU",
    "samples_format": "png",
    "live_previews_enable": True,
    "s_min_uncond": 0.0,
    "tiling": False,
}


@router.post(f"{SDAPI}/txt2img")
async def txt2img(body: TextToImage, here: Here, who: Who) -> Answer:
    recipes = translator(here).text_to_image(body)
    return await made(recipes, body, here, who)


@router.post(f"{SDAPI}/img2img")
async def img2img(body: ImageToImage, here: Here, who: Who) -> Answer:
    if not body.init_images:
        raise ApiError(404, "image", "Init image not found")
    init = await kept(body.init_images[0], here)
    mask = await kept(body.mask, here) if body.mask else None
    start = uploads.reference(init.sha256, here.uploads)
    hole = uploads.reference(mask.sha256, here.uploads) if mask else None
    recipes = translator(here).image_to_image(body, start, hole)
    return await made(recipes, body, here, who)


def translator(here: Context) -> Translator:
    return Translator(here.catalogue, {**OPTIONS, **here.options})


async def kept(text: str, here: Context) -> uploads.Upload:
    return await asyncio.to_thread(lambda: uploads.keep(uploads.from_base64(text), here.uploads))


async def made(recipes: list[Recipe], body: Shared, here: Context, who: Identity) -> Answer:
    """Queue the pictures, wait for them, and answer as AUTOMATIC1111 does."""
    group = body.force_task_id or f"task({secrets.token_hex(8)})"
    works = [Work.picture(recipe, owner=who.name, group=group) for recipe in recipes]
    jobs = await asyncio.to_thread(accepted, here.queue, works)
    done = [await finished(job, here) for job in jobs]
    files = [await asyncio.to_thread(picture, job, here) for job in done]
    images = [base64.b64encode(file).decode() for file in files] if body.send_images else []
    texts = [parameters_of(file) for file in files]
    echo = body.model_dump(exclude={"init_images", "mask"} if isinstance(body, ImageToImage) else set())
    if isinstance(body, ImageToImage):
        shown = body.include_init_images
        echo |= {"init_images": body.init_images if shown else None, "mask": body.mask if shown else None}
    return Answer(images=images, parameters=echo, info=json.dumps(info(recipes, texts), ensure_ascii=False))


def picture(job: Job, here: Context) -> bytes:
    """The bytes of a job's picture. ApiError where there is none."""
    results = here.queue.results(job.id)
    if job.state != "done" or not results or results[0].path is None:
        raise ApiError(500, "job", job.error or f"the job was {job.state}")
    return here.file(here.outputs, results[0].path).read_bytes()


def parameters_of(data: bytes) -> str:
    """The infotext in a picture; "" where there is none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return str(image.info.get("parameters", ""))
    except (OSError, ValueError, SyntaxError):
        return ""


@router.get(f"{SDAPI}/samplers")
def samplers(here: Here, who: Who) -> list[dict[str, Any]]:
    return [
        {"name": choice.label, "aliases": [choice.name, *choice.aliases], "options": {}}
        for choice in here.catalogue.samplers
    ]


@router.get(f"{SDAPI}/schedulers")
def schedulers(here: Here, who: Who) -> list[dict[str, Any]]:
    automatic = {"name": "automatic", "label": "Automatic"}
    found = [automatic, *({"name": c.name, "label": c.label} for c in here.catalogue.schedules)]
    return [{**one, "aliases": None, "default_rho": -1.0, "need_inner_model": False} for one in found]


@router.get(f"{SDAPI}/upscalers")
def upscalers(here: Here, who: Who) -> list[dict[str, Any]]:
    nothing = {"model_name": None, "model_path": None, "model_url": None, "scale": 4}
    found = here.catalogue.others.get("upscalers", ())
    return [{"name": choice.label, **nothing} for choice in found]


@router.get(f"{SDAPI}/sd-models")
def sd_models(here: Here, who: Who) -> list[dict[str, Any]]:
    return [
        {"title": name, "model_name": name, "hash": None, "sha256": None, "filename": name, "config": None}
        for name in here.models()
    ]


@router.get(f"{SDAPI}/options")
def options(here: Here, who: Who) -> dict[str, Any]:
    return {**OPTIONS, **here.options}


@router.post(f"{SDAPI}/options")
def set_options(wanted: dict[str, Any], here: Here, who: Who) -> None:
    """Only what is sent changes, and only for pictures from this interface."""
    if not who.is_admin:
        raise ApiError(403, "forbidden", "only an administrator may change settings")
    name = wanted.get("sd_model_checkpoint")
    if name and str(name).partition(" [")[0] not in here.models():
        raise ApiError(500, "RuntimeError", f"Unknown checkpoint: {name}")
    here.options.update({key: value for key, value in wanted.items() if key in OPTIONS})


class Progress(BaseModel):
    progress: float
    eta_relative: float
    state: dict[str, Any]
    current_image: str | None
    textinfo: str | None


@router.get(f"{SDAPI}/progress")
def progress(here: Here, who: Who, skip_current_image: bool = False) -> Progress:
    """Of the picture of this user that is being made."""
    running = here.queue.jobs(owner=here.owner_of(who), states=RUNNING, limit=1)
    job = running[0] if running else None
    state = {
        "skipped": False, "interrupted": job is not None and job.wish == "cancel", "stopping_generation": False,
        "job": job.id if job else "", "job_count": 1 if job else 0, "job_timestamp": "0", "job_no": 0,
        "sampling_step": job.step if job else 0, "sampling_steps": job.steps if job else 0,
    }  # fmt: skip
    image = None
    if job and not skip_current_image and (seen := here.queue.preview(job.id)):
        image = base64.b64encode(seen[1]).decode()
    done = job.progress if job else 0.0
    since = time.time() - job.started if job and job.started else 0.0
    eta = since / done - since if done else 0.0
    return Progress(progress=done, eta_relative=eta, state=state, current_image=image, textinfo=None)


@router.post(f"{SDAPI}/interrupt")
def interrupt(here: Here, who: Who) -> dict[str, Any]:
    """Cancel what is being made for this user."""
    for job in here.queue.jobs(owner=here.owner_of(who), states=RUNNING, limit=100):
        here.queue.cancel(job.id)
    return {}


@router.post(f"{SDAPI}/skip")
def skip(here: Here, who: Who) -> None:
    """Finish what is being made with what is there."""
    for job in here.queue.jobs(owner=here.owner_of(who), states=RUNNING, limit=100):
        here.queue.skip(job.id)


class PngInfo(BaseModel):
    image: str


@router.post(f"{SDAPI}/png-info")
async def png_info(body: PngInfo, here: Here, who: Who) -> dict[str, Any]:
    """What is written in a picture."""
    data = uploads.from_base64(body.image)
    items = await asyncio.to_thread(uploads.texts, data, here.uploads)
    text = items.get("parameters", "")
    return {"info": text, "items": items, "parameters": {}}


class PendingTasks(BaseModel):
    size: int
    tasks: list[str]


@router.get("/internal/pending-tasks")
def pending(here: Here, who: Who) -> PendingTasks:
    tasks = list(dict.fromkeys(job.work.group or job.id for job in here.queue.line(1000, here.owner_of(who))))
    return PendingTasks(size=len(tasks), tasks=tasks)


class TaskProgress(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id_task: str = Field(max_length=200)
    id_live_preview: int = -1
    live_preview: bool = True


@router.post("/internal/progress")
def task_progress(body: TaskProgress, here: Here, who: Who) -> dict[str, Any]:
    """Of a task by its own id: queued, active or completed."""
    jobs = here.queue.jobs(owner=here.owner_of(who), group=body.id_task, limit=200)
    running = [job for job in jobs if job.state == "running"]
    queued = any(job.state in ("queued", "paused") for job in jobs)
    done = sum(job.progress for job in jobs) / len(jobs) if jobs else None
    over = bool(jobs) and not running and not queued
    preview, shown = None, body.id_live_preview
    if running and body.live_preview and (seen := here.queue.preview(running[0].id)) and seen[0] != shown:
        preview, shown = f"data:image/jpeg;base64,{base64.b64encode(seen[1]).decode()}", seen[0]
    return {
        "active": bool(running), "queued": queued and not running, "completed": over,
        "progress": done, "eta": None, "live_preview": preview, "id_live_preview": shown, "textinfo": None,
    }  # fmt: skip


@router.get("/internal/ping")
def ping() -> dict[str, Any]:
    return {}


@router.get(f"{SDAPI}/cmd-flags")
def cmd_flags(who: Who) -> dict[str, Any]:
    return {"api": True, "nowebui": False}


@router.get(f"{SDAPI}/memory")
def memory(who: Who) -> dict[str, Any]:
    return {"ram": {"error": "not measured"}, "cuda": {"error": "not measured"}}


@router.get(f"{SDAPI}/scripts")
def scripts(who: Who) -> dict[str, list[str]]:
    return {"txt2img": [], "img2img": []}


@router.get(f"{SDAPI}/script-info")
def script_info(who: Who) -> list[Any]:
    return []


@router.get(f"{SDAPI}/latent-upscale-modes")
def latent_upscale_modes(who: Who) -> list[dict[str, str]]:
    names = ("Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)",
             "Latent (nearest-exact)")  # fmt: skip
    return [{"name": name} for name in names]


def empty_list(who: Who) -> list[Any]:
    """Nothing of this kind is offered through this interface."""
    return []


for path in ("sd-vae", "hypernetworks", "face-restorers", "realesrgan-models", "prompt-styles", "loras", "extensions"):
    router.add_api_route(f"{SDAPI}/{path}", empty_list, methods=["GET"])


def nothing_to_do(who: Who) -> None:
    """Models are found and loaded as they are needed."""


for path in ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings", "unload-checkpoint",
             "reload-checkpoint"):  # fmt: skip
    router.add_api_route(f"{SDAPI}/{path}", nothing_to_do, methods=["POST"])


@router.get(f"{SDAPI}/embeddings")
def embeddings(who: Who) -> dict[str, Any]:
    return {"loaded": {}, "skipped": {}}
