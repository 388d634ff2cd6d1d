"""The routes of `/sdapi/v1`, `/controlnet` and `/internal` that clients of AUTOMATIC1111 use, by subject."""

from fromnoise.server.sdapi.routes import controlnet, extras, lists, pictures, progress, settings, training

ROUTERS = [
    pictures.router, *progress.ROUTERS, extras.router, *settings.ROUTERS, lists.router, controlnet.router,
    training.router,
]  # fmt: skip
