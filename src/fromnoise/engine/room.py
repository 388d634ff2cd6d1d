"""Room in memory for recipes: what all that makes their pictures takes, planned before they are begun."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from fromnoise.allocator import trim
from fromnoise.checkpoints.control import LORA_MARK, may_wait, table
from fromnoise.checkpoints.files import read
from fromnoise.engine import shelves
from fromnoise.engine.footprint import BASE, demand, numbers
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Demand, Plan, free, planned, usable
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_networks import named
from fromnoise.errors import FileError, UserError
from fromnoise.nn.unet import UNet, UNetConfig, skip_widths

MOST_CALLS = 8  # side by side
PLENTY = 1 << 13  # bytes for each pixel: with as much, nothing needs a plan


def make_room(recipes: Sequence[Recipe], model: Model, refiner: Model | None = None) -> None:
    """Plan for the largest of `recipes`, and bring weights where the plans want them.

    Within what the models were told to take or, if nothing, what there is now. UserError where no plan is small enough.
    """
    models = [one for one in (model, refiner) if one is not None and one.residence is not None]
    sizes = [size for recipe in recipes for size in sizes_of(recipe)]
    if not models or not sizes:
        return
    size, copies = max(sizes, key=math.prod), copied(recipes, models[0])
    limits = [one.limit for one in models if one.limit is not None]
    here = min(limits, default=free(models[0].placement.device))
    if here is None:
        return
    whole = all(one.residence is not None and one.residence.plan == Plan() for one in models)
    if not limits and whole and here > PLENTY * math.prod(size) + copies:
        for one in models:
            one.settle(Plan())
        return
    calls = min(MOST_CALLS, 2 * len(recipes))
    seamless = any(recipe.seamless is not None for recipe in recipes)
    needed = [demand(one.facts, one.placement, *size, wide=overflows(one), seamless=seamless) for one in models]
    if model in models:
        first = needed[0] = with_others(needed[0], model, recipes, size)
        needed[1:] = [replace(one, base=first.base + first.control) for one in needed[1:]]  # they stay meanwhile
    loosest = Plan(calls) if limits or any(one.budget is not None for one in models) else Plan()
    heights = [one.height(Plan(calls)) for one in needed]
    others = [sum(one.weights for one in needed) - one.weights for one in needed]
    most = max(map(sum, zip(heights, others, strict=True)))
    budget = here if limits else measured(models, most + copies)
    if most <= usable(budget):
        spare = most + copies <= usable(budget)
        if not spare:
            check_second_copies(recipes)
        for one in models:
            one.settle(loosest, spare=spare)
        return
    check_second_copies(recipes)
    plans = [planned(one, budget, calls) for one in needed]
    residences = [one.residence for one in models if one.residence is not None]
    for one, plan in zip(models, plans, strict=True):
        one.settle(plan, tuple(other for other in residences if other is not one.residence))


def measured(models: Sequence[Model], wanted: int) -> int:
    """Bytes that there are for all of the models at work; what the allocator keeps is returned if they seem too few."""
    device = models[0].placement.device
    taken = BASE + sum(one.residence.here + one.kept.copies.size for one in models if one.residence is not None)
    if device.type == "cpu" and taken + (free(device) or 0) < wanted:
        trim()
    return taken + (free(device) or 0)


def copied(recipes: Sequence[Recipe], model: Model) -> int:
    """Bytes of weights that are kept a second time: LoRAs change a copy of the U-Net's, 8-bit products round one."""
    size = numbers(model.unet) * model.placement.dtype.itemsize
    if any(named(one.networks, one.prompt, PROFILES[one.profile].dialect, one.steps) for one in recipes):
        return size
    return size // 2 if any(one.int8 or one.fp8 for one in recipes) else 0


def check_second_copies(recipes: Sequence[Recipe]) -> None:
    """UserError where a recipe wants products of 8-bit numbers, whose weights are a second time in memory."""
    for name in ("int8", "fp8"):
        if any(getattr(recipe, name) for recipe in recipes):
            raise UserError(
                f"{name} keeps the U-Net's weights a second time, and there is no room: leave it out, or the limit"
            )


def overflows(model: Model) -> bool:
    """Whether the autoencoder may, or did, in float16."""
    return model.kept.wide or model.facts.family.startswith("sdxl")


def sizes_of(recipe: Recipe) -> list[tuple[int, int]]:
    """Width and height in pixels of its passes."""
    size = (recipe.width, recipe.height)
    return [size] if recipe.hires is None else [size, recipe.hires.size(*size)]


def with_others(needed: Demand, model: Model, recipes: Sequence[Recipe], size: tuple[int, int]) -> Demand:
    """The same with the networks besides the model's own that `recipes` name."""
    dtype = model.placement.dtype.itemsize
    found = {
        path: model.kept.files.of_file(sized, path, partial(sized, path, model.unet))
        for path in files_of(model, recipes)
    }
    controls = max(len([control for control in recipe.controls if control.model]) for recipe in recipes)
    seeing = 0 if model.vision is None else numbers(model.vision)
    tiles = [recipe.tiles for recipe in recipes if recipe.tiles is not None]
    if tiles and len(tiles) == len(recipes):  # more than a tile is never asked about at once
        sides = [(8 * one.width, 8 * one.height) for one in tiles]
        part = max(((min(w, size[0]), min(h, size[1])) for w, h in sides), key=math.prod)
        needed = replace(needed, call=demand(model.facts, model.placement, *part, wide=overflows(model)).call)
    return replace(
        needed,
        base=needed.base + (seeing + sum(count for count, waits in found.values() if not waits)) * dtype,
        control=sum(count for count, waits in found.values() if waits) * dtype,
        call=needed.call + controls * residuals(model.unet.config, model.vae.config.downscale, size) * dtype,
    )


def files_of(model: Model, recipes: Sequence[Recipe]) -> Iterator[Path]:
    """Files of networks that recipes name besides the model's own; what is missing is told when it is loaded."""
    for recipe in recipes:
        named: list[tuple[shelves.Kind, str]] = [("controlnet", one.model) for one in recipe.controls if one.model]
        for prompt in recipe.image_prompts:
            named += [("ipadapter", prompt.model)] if prompt.model else []
            named += [("clip_vision", prompt.vision)] if prompt.vision else []
            if prompt.model and not prompt.vision:  # which of them fits is not known yet
                yield from sorted(shelves.listed("clip_vision", model.settings), key=lambda path: -path.stat().st_size)[
                    :1
                ]
        named += [("gligen", recipe.gligen.model)] if recipe.gligen else []
        for kind, name in named:
            with suppress(FileError):
                yield shelves.find(kind, name, model.settings)


def sized(path: Path, unet: UNet) -> tuple[int, bool]:
    """Numbers of the network of a file, and whether they may wait there until they are used.

    A Control-LoRA has the U-Net's own besides, of the way down, of which it makes copies where those wait.
    """
    try:
        state = table(path)
        shared = (unet.input_blocks, unet.middle_block) if LORA_MARK in state else ()
        return sum(map(numbers, shared)) + sum(tensor.numel() for tensor in state.values()), may_wait(state)
    except FileError:
        pass
    with suppress(FileError):
        return sum(tensor.numel() for tensor in read(path).values()), False
    return 0, False


def residuals(config: UNetConfig, downscale: int, size: tuple[int, int]) -> int:
    """Numbers that a control network adds to the U-Net's in one call."""
    places = math.prod(side // downscale for side in size)
    widths, found, level = iter(skip_widths(config)), places * config.model_channels, 0
    next(widths)
    for level in range(len(config.channel_mult)):
        found += sum(next(widths) for _ in range(config.res_blocks)) * (places >> 2 * level)
        found += next(widths, 0) * (places >> 2 * (level + 1))
    return found
