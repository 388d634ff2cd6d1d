"""How the infotext names what enlarges: the extension Tiled Diffusion, and AUTOMATIC1111's scripts."""

import json
from collections.abc import Iterator, Mapping

from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_upscale import TiledDiffusion
from fromnoise.registry import Registry
from fromnoise.upscalers import LATENT_UPSCALERS, UPSCALERS, LatentUpscaler, UpscalerSpec

TILED = "Tiled Diffusion"
TILED_UPSCALER, TILED_FACTOR = "Tiled Diffusion upscaler", "Tiled Diffusion scale factor"
INIT_UPSCALER = "Start picture upscaler"  # ours, where no extension has a place for it
METHODS = {"multidiffusion": "MultiDiffusion", "mixture of diffusers": "Mixture of Diffusers"}
TILE_KEYS = {"Tile tile width": "width", "Tile tile height": "height", "Tile Overlap": "overlap"}
BATCH = 4  # tiles that the extension computes at once by default; here it is no part of the picture
SAYS_NOTHING = ("Tile batch size", "Keep input size", "Upscale factor")  # the size says it


class Json(str):
    """A value that is JSON by itself and is written as it is."""

    __slots__ = ()


def upscaler_label(name: str) -> str:
    """The name of an upscaler as AUTOMATIC1111 writes it."""
    registries: tuple[Registry[UpscalerSpec] | Registry[LatentUpscaler], ...] = (UPSCALERS, LATENT_UPSCALERS)
    return next((known.canonical(name) for known in registries if name in known), name)


def upscale_fields(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """The fields of what enlarges."""
    if recipe.tiles is not None:
        if recipe.init_upscaler is not None:
            yield TILED_UPSCALER, upscaler_label(recipe.init_upscaler)
        yield TILED, Json(json.dumps(tiled_values(recipe.tiles, recipe.init_upscaler), ensure_ascii=False))
    elif recipe.init_upscaler is not None:
        yield INIT_UPSCALER, upscaler_label(recipe.init_upscaler)


def tiled_values(part: TiledDiffusion, upscaler: str | None) -> dict[str, object]:
    """What the extension writes."""
    values: dict[str, object] = {"Method": METHODS[part.method]}
    values |= {key: getattr(part, name) for key, name in TILE_KEYS.items()}
    return values | {"Tile batch size": BATCH} | ({} if upscaler is None else {"Upscaler": upscaler_label(upscaler)})


def take_upscale(draft: Draft, fields: dict[str, str]) -> None:
    """Take what enlarges out of `fields`."""
    if INIT_UPSCALER in fields:
        draft.set("init_upscaler", fields.pop(INIT_UPSCALER), INIT_UPSCALER)
    if TILED in fields:
        take_tiles(draft, fields)


def take_tiles(draft: Draft, fields: dict[str, str]) -> None:
    """The extension's JSON; what it says that has no place here is kept."""
    text, upscaler = fields.pop(TILED), fields.pop(TILED_UPSCALER, None)
    fields.pop(TILED_FACTOR, None)
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, Mapping):
        draft.keep(TILED, text)
        return
    methods = {label: name for name, label in METHODS.items()}
    part = {"method": methods.get(str(values.get("Method")), values.get("Method"))}
    part |= {name: values[key] for key, name in TILE_KEYS.items() if key in values}
    draft.set("tiles", part, TILED)
    if name := values.get("Upscaler") or upscaler:
        draft.set("init_upscaler", name, TILED_UPSCALER)
    for key in values.keys() - TILE_KEYS - {"Method", "Upscaler", *SAYS_NOTHING}:
        draft.keep(f"{TILED}, {key}", values[key])
