"""Settings, and what the server tells of itself."""

import asyncio
import json
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fromnoise import __version__
from fromnoise.engine.picture_io import write_whole
from fromnoise.errors import UserError
from fromnoise.server.access import Identity
from fromnoise.server.context import Admin, Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi import names, options
from fromnoise.server.sdapi.routes.common import new_router, settings_of

FILE = "sdapi-options.json"  # beside the folder of uploads
LONGEST = 100_000  # characters of all settings together
FLAGS = (  # AUTOMATIC1111's switches that clients look at; none of them is on here
    "nowebui", "medvram", "lowvram", "medvram_sdxl", "lowram", "no_half", "no_half_vae", "xformers", "share", "listen",
    "allow_code", "enable_insecure_extension_access", "opt_sdp_attention", "opt_channelslast", "disable_nan_check",
    "upcast_sampling", "freeze_settings", "api_log", "api_server_stop", "skip_torch_cuda_test", "no_hashing",
)  # fmt: skip

ROUTERS = public, internal = new_router(), new_router("/internal")


@public.get("/options")
def get_options(here: Here, who: Who) -> dict[str, Any]:
    """All settings."""
    loaded(here)
    found = settings_of(here)
    model = names.checkpoint(found["sd_model_checkpoint"], here)
    known = next((one for one in names.files_of("checkpoints", here) if one.name == model), None)
    title, digest = (known.title, known.sha256) if known else (model, None)
    return {**found, "sd_model_checkpoint": title, "sd_checkpoint_hash": digest or ""}


@public.post("/options")
async def set_options(wanted: dict[str, Any], here: Here, who: Admin) -> None:
    """Change those settings that are sent, for all pictures that are asked for through this interface."""
    await asyncio.to_thread(changed, wanted, here)


def changed(wanted: dict[str, Any], here: Context) -> None:
    """Take settings over and keep them. ApiError in AUTOMATIC1111's form for what it would fail on."""
    loaded(here)
    unknown = next((name for name in wanted if name not in options.defaults()), None)
    if unknown is not None:
        raise ApiError(500, "KeyError", repr(unknown[:200]))
    new = dict(wanted)
    try:
        options.check(new)
        if "sd_model_checkpoint" in new:
            new["sd_model_checkpoint"] = names.checkpoint(new["sd_model_checkpoint"], here)
    except UserError as error:
        raise ApiError(500, "RuntimeError", str(error)) from error
    new.pop("sd_checkpoint_hash", None)
    for name in new:
        if isinstance(options.defaults()[name], (int, float)) and not isinstance(new[name], (int, float)):
            raise ApiError(500, "ValueError", f"{name}: {str(new[name])[:100]!r} is no number")
    kept = {**here.options, **new}
    text = json.dumps(kept, ensure_ascii=False, indent=1)
    if len(text) > LONGEST:
        raise ApiError(413, "HTTPException", "these settings are too long")
    here.options.update(new)
    write_whole(file(here), text.encode())


def file(here: Context) -> Path:
    return here.uploads.parent / FILE


def loaded(here: Context) -> None:
    """Read what was kept, once."""
    if here.options:
        return
    with suppress(OSError, ValueError):
        kept = json.loads(file(here).read_bytes())
        here.options.update({name: value for name, value in kept.items() if name in options.defaults()})


@public.get("/cmd-flags")
def cmd_flags(who: Who) -> dict[str, Any]:
    """What the server was started with, by AUTOMATIC1111's names."""
    return {**dict.fromkeys(FLAGS, False), "api": True, "gradio_queue": True, "subpath": "", "theme": None}


class Memory(BaseModel):
    """Bytes."""

    ram: dict[str, Any]
    cuda: dict[str, Any]


@public.get("/memory")
def memory(here: Here, who: Who) -> Memory:
    """Of this machine; what a graphics card has is told by none of its processes."""
    return Memory(ram=main_memory(), cuda={"error": "unavailable"})


def main_memory() -> dict[str, Any]:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        free, total = page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no such thing
        return {"error": "unavailable"}
    return {"free": free, "used": total - free, "total": total}


def empty(who: Who) -> dict[str, Any]:
    """Models are loaded as they are needed."""
    return {}


def nothing(who: Who) -> None:
    """Files are found when they are asked for."""


for path in ("unload-checkpoint", "reload-checkpoint"):
    public.add_api_route(f"/{path}", empty, methods=["POST"], name=path.replace("-", "_"))
for path in ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings"):
    public.add_api_route(f"/{path}", nothing, methods=["POST"], name=path.replace("-", "_"))


@internal.get("/ping")
def ping() -> dict[str, Any]:
    """Whether the server is there; asked for without a token."""
    return {}


@internal.get("/sysinfo")
def sysinfo(here: Here, who: Admin) -> dict[str, Any]:
    """What helpers ask for: versions and settings, no paths and no names of files."""
    return about(here, who)


@internal.get("/sysinfo-download")
def sysinfo_download(here: Here, who: Admin) -> dict[str, Any]:
    """The same."""
    return about(here, who)


def about(here: Context, who: Identity) -> dict[str, Any]:
    return {
        "Platform": platform.platform(), "Python": sys.version.split()[0], "Version": f"fromnoise {__version__}",
        "CPU": {"model": platform.machine(), "count logical": os.cpu_count()}, "RAM": main_memory(),
        "Extensions": [], "Inactive extensions": [], "Config": {**here.options},
        "Workers": [{"device": worker["device"]} for worker in here.queue.workers()],
    }  # fmt: skip


@internal.get("/profile-startup")
def profile_startup(who: Who) -> dict[str, Any]:
    """Nothing is measured."""
    return {"total": 0.0, "records": {}}
