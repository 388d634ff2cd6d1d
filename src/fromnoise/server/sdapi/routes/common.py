"""What the routes share."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from fromnoise.engine import shelves
from fromnoise.engine.references import ImageRef
from fromnoise.errors import FileError
from fromnoise.server import uploads
from fromnoise.server.context import Context
from fromnoise.server.sdapi import names, options
from fromnoise.server.sdapi.translate import Translator
from fromnoise.server.strict import StrictRoute
from fromnoise.text.prompt_styles import Style, read_styles

SDAPI = "/sdapi/v1"
SHAPES: Mapping[int | str, dict[str, Any]] = {
    400: {"description": "A name that is not known, in AUTOMATIC1111's form."},
    401: {"description": "No or a wrong token or password."},
    403: {"description": "Not allowed."},
    404: {"description": "Not there."},
    409: {"description": "Cancelled."},
    413: {"description": "Too large."},
    422: {"description": "A bad request: `detail` is a list where a field is wrong, a sentence otherwise."},
    429: {"description": "Too many jobs; come back later."},
    500: {"description": "`error` is the name of an exception, `errors` its words."},
    503: {"description": "The queue is full; come back later."},
}


def new_router(prefix: str = SDAPI) -> APIRouter:
    """For routes of one subject."""
    return APIRouter(prefix=prefix, route_class=StrictRoute, responses=dict(SHAPES), tags=["AUTOMATIC1111"])


def settings_of(here: Context) -> dict[str, Any]:
    """All settings as they are now."""
    return {**options.defaults(), **here.options}


def taken(text: str, here: Context) -> ImageRef:
    """A picture in base64, kept. ApiError."""
    return uploads.reference(uploads.keep(uploads.from_base64(text), here.uploads).sha256, here.uploads)


def styles_of(here: Context) -> list[Style]:
    """The styles of all files; one that can't be read is left out, as it is in AUTOMATIC1111."""
    found: dict[str, Style] = {}
    for path in shelves.listed("styles", here.settings):
        try:
            found |= {style.name: style for style in read_styles(path) if style.name not in found}
        except FileError:
            continue
    return list(found.values())


def upscalers_of(here: Context) -> list[str]:
    """Those of the catalogue, and the files on the shelf."""
    return [*enlargers(here, latent=False), *(known.name for known in names.files_of("upscale_models", here))]


def enlargers(here: Context, *, latent: bool) -> list[str]:
    """Names of what enlarges latents, or pictures."""
    return [one.name for one in here.catalogue.others["upscalers"] if (one.model_extra or {}).get("latent") is latent]


def translator(here: Context, *, with_styles: bool = False) -> Translator:
    """Of bodies to recipes, with what this server has."""
    return Translator(
        here.catalogue,
        settings_of(here),
        styles_of(here) if with_styles else (),
        upscalers_of(here),
        lambda text: taken(text, here),
        lambda given: names.checkpoint(given, here),
    )
