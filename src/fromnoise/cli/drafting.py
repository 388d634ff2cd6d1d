"""From what was typed to a `Recipe`, and from a recipe back to what has to be typed for it."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fromnoise.cli import compact
from fromnoise.cli.messages import say
from fromnoise.cli.networks import read_networks, typed_networks
from fromnoise.cli.options import Order, flag, is_option, recipe_field
from fromnoise.cli.wording import with_styles
from fromnoise.engine.choices import has_choices
from fromnoise.engine.images import open_image
from fromnoise.engine.recipe import MAX_SEED, ImageRef, Recipe
from fromnoise.engine.recipe_files import OWN
from fromnoise.errors import UserError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.sampling.samplers import resolve
from fromnoise.sampling.schedules import SCHEDULES

RANDOM_SEEDS = 2**32
IMG2IMG_STRENGTH = 0.75
BOX = re.compile(r"^\s*(\d+\s*,\s*\d+\s*,\s*\d+\s*,\s*\d+)\s*:\s*(.*\S)\s*$", re.DOTALL)  # "8,8,64,64: a cat"
PREPROCESSED = re.compile(r"\s*(?P<picture>(?P<name>[^:,=\"]+):[^,]*)")  # "canny:photo.png"
SIZE = re.compile(r"\s*(\d{1,6})\s*(?:[xX×*]\s*(\d{1,6})\s*)?")
BY_HAND = {
    "style", "styles", "wildcards", "as_written", "size", "seed", "init", "mask", "sampler", "schedule", "lora",
    "unet", "vae", "text_encoder", "text_encoders", "no_ema",
    "hypernetwork", "networks", "out", "quiet", "allow_unmatched", "device", "memory", "dtype", "local",
}  # fmt: skip


def drafted(order: Order) -> Recipe:
    """The recipe but for what only the model can tell; a UserError where it is wrong already."""
    if order.strength is not None and order.init is None:
        raise UserError(say("--strength needs a start picture: give one with --init"))
    for name in ("outpaint", "inversion", "redraw"):
        if getattr(order, name) is not None and order.init is None:
            raise UserError(f"{name} needs a start picture: give one with --init")
    given = said(order)
    if order.model is None and order.unet is not None:  # a model whose other networks are given besides
        given |= {"model": order.unet, "unet": None}
    usual = {"seed": secrets.randbelow(RANDOM_SEEDS), **({"strength": IMG2IMG_STRENGTH} if order.init else {})}
    return with_styles(Recipe.make(**{"prompt": order.prompt, **usual, **given}), order)


def changed(recipe: Recipe, order: Order) -> Recipe:
    """`recipe` with what was said put in its place, settings of a part one by one."""
    given = said(order, recipe.steps)
    # another model has another hash, and without one its VAE is looked for
    for named in (given, given.get("refiner"), given.get("hires")):
        if named and ("model" in named or ("vae" in named and named["vae"] is None)):
            named["model_hash"] = None
    return with_styles(Recipe.make(**merged(recipe.model_dump(), given)), order)


def merged(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`known` changed by `given`; parts, which are mappings, in the same way."""
    inner = {
        name: merged(known[name], value)
        for name, value in given.items()
        if isinstance(value, Mapping) and isinstance(known.get(name), Mapping)
    }
    return {**known, **given, **inner}


def said(order: Order, steps: int = Recipe.model_fields["steps"].default) -> dict[str, Any]:
    """The fields of the recipe that were given, not yet checked; parts are mappings of their own fields.

    `steps` are those of a recipe that doesn't say.
    """
    found: dict[str, Any] = {}
    if order.size is not None:
        found["width"], found["height"] = sides(order.size)
    if order.seed not in (None, -1):
        found["seed"] = order.seed
    if order.sampler is not None:
        found["sampler"], schedule = resolve(order.sampler)
        found |= {"schedule": schedule} if schedule else {}
    if order.schedule is not None:
        found["schedule"] = SCHEDULES.canonical(order.schedule)
    for name, path in (("init", order.init), ("mask", order.mask)):
        if path is not None:
            found[name] = reference(path).model_dump()
    for name in ("unet", "vae"):
        if (typed := getattr(order, name)) is not None:
            found[name] = vae_file(typed) if name == "vae" else weight_file(typed)
    if order.no_ema:
        found["ema"] = False
    if order.text_encoder:
        found["text_encoders"] = [file for typed in order.text_encoder if (file := weight_file(typed))]
    if order.lora or order.hypernetwork:
        found["networks"] = read_networks(order.lora or (), order.hypernetwork or (), order.steps or steps)
    for field in fields(order):
        value = getattr(order, field.name)
        if value not in (None, [], ()) and is_option(field) and field.name not in BY_HAND:
            put(found, recipe_field(field), read(flag(field), recipe_field(field), value))
    return found


def vae_file(typed: str) -> dict[str, str | None] | None:
    """Nothing for "automatic": the one that belongs to the model; "none" and "off": what is in the model itself."""
    word = typed.strip().lower()
    if word in ("automatic", "auto"):
        return None
    return {"name": OWN, "hash": None} if word in (OWN, compact.OFF) else weight_file(typed)


def weight_file(typed: str) -> dict[str, str | None] | None:
    """The fields of a file of weights; nothing for "off". Its hash is filled in when the picture is made."""
    return None if typed.strip().lower() == compact.OFF else {"name": typed, "hash": None}


def read(flag: str, path: str, value: Any) -> Any:
    """What an option's value is in the recipe's field `path`."""
    if path == "controls":
        value = [with_preprocessor(one) for one in value]
    part = compact.part_type(path)
    if path == "boxes":
        value = [BOX.sub(lambda found: f"{found[1]}, text={json.dumps(found[2])}", one) for one in value]
    if part is not None:
        if isinstance(value, (list, tuple)):
            return [with_files(compact.read_part(flag, one, part), part) for one in value]
        return with_files(compact.read_part(flag, value, part), part)
    return compact.read_table(flag, value) if compact.holds_table(path) else value


def with_preprocessor(text: str) -> str:
    """A control that begins with the name of a preprocessor, "canny:photo.png, model=NAME", in settings alone."""
    found = PREPROCESSED.match(text)
    if found is None or found["name"] not in PREPROCESSORS or Path(found["picture"]).exists():
        return text
    rest = text[found.end("name") + 1 :]
    return f"{rest}, preprocessor={compact.word(PREPROCESSORS.canonical(found['name']))}"


def with_files(given: dict[str, Any] | None, part: type[BaseModel]) -> dict[str, Any] | None:
    """The settings of a part with references to the pictures that they name."""
    names = [name for name, field in part.model_fields.items() if compact.model_in(field.annotation) is ImageRef]
    return given and {**given, **{name: referenced(given[name]) for name in names if name in given}}


def referenced(value: str | list[str]) -> Any:
    """References to one picture or to several."""
    if isinstance(value, list):
        return [reference(Path(one)).model_dump() for one in value]
    return reference(Path(value)).model_dump()


def put(fields: dict[str, Any], path: str, value: Any) -> None:
    """Set `fields["a"]["b"]` for the path a.b; what was said of a before stays."""
    *outer, last = path.split(".")
    for name in outer:
        fields = fields.setdefault(name, {})
    known = fields.get(last)
    fields[last] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value


def typed(recipe: Recipe) -> list[str]:
    """The options that make this recipe."""
    words: list[str] = []
    for name, value in options_of(recipe).items():
        words += [name] if value is True else [word for one in as_list(value) for word in (name, str(one))]
    return words


def as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def options_of(recipe: Recipe) -> dict[str, object]:
    """Flags and values; a part that has an option of its own is not in that of the whole."""
    found: dict[str, object] = {
        "--seed": recipe.seed,
        "--size": f"{recipe.width}x{recipe.height}",
        "--steps": recipe.steps,
        "--guidance": recipe.guidance_scale,
        "--sampler": recipe.sampler,
    }
    if recipe.init:
        found |= {"--init": recipe.init.path, "--strength": recipe.strength}
    if recipe.mask:
        found["--mask"] = recipe.mask.path
    if recipe.schedule:
        found["--schedule"] = recipe.schedule
    if recipe.unet:  # which would be the model
        found["--model"] = recipe.model
    for option, files in (("--unet", [recipe.unet]), ("--text-encoder", recipe.text_encoders), ("--vae", [recipe.vae])):
        if names := [file.name for file in files if file is not None]:
            found[option] = names
    found |= typed_networks(recipe)
    by_path = {recipe_field(field): flag(field) for field in fields(Order) if is_option(field)}
    for path, name in by_path.items():
        if name not in found and path not in BY_HAND and (value := differing(recipe, path, by_path)) is not None:
            found[name] = value
    if has_choices(recipe):
        found["--as-written"] = True
    if recipe.init is None:
        for name in ("--strength", "--outpaint", "--inversion", "--redraw"):  # they say nothing then
            found.pop(name, None)
    return found | {"--dtype": recipe.dtype}


def differing(recipe: Recipe, path: str, by_path: Mapping[str, str]) -> object | None:
    """What to type for the field `path`; None where that is nothing."""
    value: Any = recipe
    for name in path.split("."):
        holder = value
        value = getattr(holder, name, None)
    if holder is None or value == type(holder).model_fields[name].default or value in (None, {}, ()):
        return None
    if isinstance(value, tuple):
        return [compact.written(stated(one, path, by_path)) for one in value]
    if isinstance(value, BaseModel):
        return compact.written(stated(value, path, by_path))
    return compact.written(value) if isinstance(value, dict) else value


def stated(part: BaseModel, path: str, by_path: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a part that differ from their defaults and have no option of their own."""
    return {
        name: paths_of(value)
        for name, value in part
        if value != type(part).model_fields[name].default and f"{path}.{name}" not in by_path
    }


def paths_of(value: Any) -> Any:
    """The path of a picture, the paths of several, or any other value as it is."""
    if isinstance(value, ImageRef):
        return value.path
    return tuple(paths_of(one) for one in value) if isinstance(value, tuple) else value


def sides(size: str) -> tuple[int, int]:
    """Width and height of "512x768", or of "512", a square; UserError for anything else."""
    found = SIZE.fullmatch(size)
    if found is None:
        raise UserError(say("--size {size}: give width and height in pixels, such as 512x768", size=size))
    return int(found[1]), int(found[2] or found[1])


def reference(path: Path) -> ImageRef:
    """A picture to start from, known to be readable."""
    open_image(path)
    return ImageRef.of(path)


def numbered(recipe: Recipe, count: int) -> list[Recipe]:
    """The same with seed, seed + 1, ... (after the highest seed comes 0)."""
    return [recipe.but(seed=(recipe.seed + i) % (MAX_SEED + 1)) for i in range(count)]
