"""How the infotext names what enlarges: the extension Tiled Diffusion, and AUTOMATIC1111's scripts."""

import json
from collections.abc import Iterator, Mapping

from fromnoise.engine.metadata.draft import SIZE, Draft
from fromnoise.engine.metadata.numbers import number
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_upscale import FACE_LABELS, Redraw, TiledDiffusion
from fromnoise.registry import Registry
from fromnoise.upscalers import LATENT_UPSCALERS, UPSCALERS, LatentUpscaler, UpscalerSpec

TILED = "Tiled Diffusion"
TILED_UPSCALER, TILED_FACTOR = "Tiled Diffusion upscaler", "Tiled Diffusion scale factor"
INIT_UPSCALER = "Start picture upscaler"  # ours, where no extension has a place for it
METHODS = {"multidiffusion": "MultiDiffusion", "mixture of diffusers": "Mixture of Diffusers"}
TILE_KEYS = {"Tile tile width": "width", "Tile tile height": "height", "Tile Overlap": "overlap"}
SD_UPSCALE, ULTIMATE = "SD upscale", "Ultimate SD upscale"
ULTIMATE_KEYS = {"mask_blur": "blur", "padding": "padding"}
NONE = "None"
BATCH = 4  # tiles that the extension computes at once by default; here it is no part of the picture
OF_TILES = ("Mask blur", "Inpaint area", "Masked area padding", "Masked content")  # said of each
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
    if recipe.redraw is not None:
        yield from redraw_fields(recipe, recipe.redraw)
    if recipe.tiles is not None:
        if recipe.init_upscaler is not None:
            yield TILED_UPSCALER, upscaler_label(recipe.init_upscaler)
        yield TILED, Json(json.dumps(tiled_values(recipe.tiles, recipe.init_upscaler), ensure_ascii=False))
    elif recipe.init_upscaler is not None and recipe.redraw is None:
        yield INIT_UPSCALER, upscaler_label(recipe.init_upscaler)


def redraw_fields(recipe: Recipe, part: Redraw) -> Iterator[tuple[str, str]]:
    """What the scripts "SD upscale" and "Ultimate SD upscale" write; the rest is said in our own words."""
    through = NONE if recipe.init_upscaler is None else upscaler_label(recipe.init_upscaler)
    if part.method == "tiles":
        yield f"{SD_UPSCALE} overlap", str(part.overlap)
        yield f"{SD_UPSCALE} upscaler", through
        return
    yield f"{ULTIMATE} upscaler", through
    yield f"{ULTIMATE} tile_width", str(recipe.width)
    yield f"{ULTIMATE} tile_height", str(recipe.height)
    yield f"{ULTIMATE} mask_blur", number(part.blur)
    yield f"{ULTIMATE} padding", str(part.padding)


def written_size(recipe: Recipe) -> str:
    """Width and height as AUTOMATIC1111 writes them: of a tile for "SD upscale", else of the picture."""
    if recipe.redraw is None or recipe.redraw.method == "tiles" or recipe.redraw.size is None:
        return f"{recipe.width}x{recipe.height}"
    return "{}x{}".format(*recipe.redraw.size)


def tiled_values(part: TiledDiffusion, upscaler: str | None) -> dict[str, object]:
    """What the extension writes."""
    values: dict[str, object] = {"Method": METHODS[part.method]}
    values |= {key: getattr(part, name) for key, name in TILE_KEYS.items()}
    return values | {"Tile batch size": BATCH} | ({} if upscaler is None else {"Upscaler": upscaler_label(upscaler)})


def take_upscale(draft: Draft, fields: dict[str, str]) -> None:
    """Take what enlarges out of `fields`."""
    if (face := fields.get("Face restoration", "").lower()) in FACE_LABELS:
        draft.part("restore_faces", "by", face, fields.pop("Face restoration"))
    if INIT_UPSCALER in fields:
        draft.set("init_upscaler", fields.pop(INIT_UPSCALER), INIT_UPSCALER)
    if TILED in fields:
        take_tiles(draft, fields)
    if f"{SD_UPSCALE} overlap" in fields:
        key = f"{SD_UPSCALE} overlap"
        draft.part("redraw", "overlap", fields.pop(key), key)
        if not take_upscaler(draft, fields, f"{SD_UPSCALE} upscaler"):
            draft.part("redraw", "scale", 1, key)
    if f"{ULTIMATE} tile_width" in fields or f"{ULTIMATE} tile_height" in fields:
        take_ultimate(draft, fields)


def take_upscaler(draft: Draft, fields: dict[str, str], key: str) -> bool:
    """Set the upscaler of a script; whether there is one."""
    name = fields.pop(key, NONE)
    return name != NONE and draft.set("init_upscaler", name, key)


def take_ultimate(draft: Draft, fields: dict[str, str]) -> None:
    """The fields of "Ultimate SD upscale", whose size is that of the picture, not of a tile."""
    draft.part("redraw", "method", "linear", ULTIMATE)
    take_upscaler(draft, fields, f"{ULTIMATE} upscaler")
    for name, ours in ULTIMATE_KEYS.items():
        if (key := f"{ULTIMATE} {name}") in fields:
            draft.part("redraw", ours, fields.pop(key), key)
    sides = [fields.pop(f"{ULTIMATE} tile_{name}", "0") for name in ("width", "height")]
    width, height = (int(side) if side.isdecimal() else 0 for side in sides)
    draft.sides(width or height or 512, height or width or 512, ULTIMATE)
    if (found := SIZE.fullmatch(fields.get("Size", ""))) is not None:
        draft.part("redraw", "size", [int(found[1]), int(found[2])], "Size")
        del fields["Size"]
    for key in OF_TILES:
        fields.pop(key, None)


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
