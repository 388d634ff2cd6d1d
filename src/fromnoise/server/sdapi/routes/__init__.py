"""The routes of `/sdapi/v1`, `/controlnet` and `/internal` that clients of AUTOMATIC1111 use, by subject."""

from fastapi import APIRouter

from fromnoise.server.sdapi.routes import controlnet, extras, lists, pictures, progress, settings, training

router = APIRouter()
for part in (pictures, progress, extras, settings, lists, controlnet, training):
    router.include_router(part.router)
