"""Room in memory for recipes: what all that makes their pictures takes, planned before they are begun."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from fromnoise.checkpoints.control import may_wait, table
from fromnoise.checkpoints.files import read
from fromnoise.engine import shelves
from fromnoise.engine.footprint import BASE, demand
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Demand, Plan, free, planned, usable
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError
from fromnoise.nn.unet import UNetConfig, skip_widths

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
    size = max(sizes, key=math.prod)
    budget = room_for(models, size)
    if budget is None:
        return
    calls = min(MOST_CALLS, 2 * len(recipes))
    needed = [demand(one.facts, one.placement, *size, wide=overflows(one)) for one in models]
    if model in models:
        needed[0] = with_others(needed[0], model, recipes, size)
    told = any(one.limit is not None for one in models)
    loosest = Plan(calls) if told or any(one.budget is not None for one in models) else Plan()
    heights = [one.height(Plan(calls)) for one in needed]
    others = [sum(one.weights for one in needed) - one.weights for one in needed]
    if max(map(sum, zip(heights, others, strict=True))) <= usable(budget):
        for one in models:
            one.settle(loosest)
        return
    plans = [planned(one, budget, calls) for one in needed]
    residences = [one.residence for one in models if one.residence is not None]
    for one, plan in zip(models, plans, strict=True):
        one.settle(plan, tuple(other for other in residences if other is not one.residence))


def room_for(models: Sequence[Model], size: tuple[int, int]) -> int | None:
    """Bytes for all of the models at work; None where there is plenty, or where that is not known."""
    limits = [one.limit for one in models if one.limit is not None]
    if limits:
        return min(limits)
    here, residences = free(models[0].placement.device), [one.residence for one in models if one.residence is not None]
    if here is None or (all(one.plan == Plan() for one in residences) and here > PLENTY * math.prod(size)):
        return None
    return here + BASE + sum(one.here for one in residences)


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
    found = {path: model.kept.files.of_file(sized, path, partial(sized, path)) for path in files_of(model, recipes)}
    controls = max(len([control for control in recipe.controls if control.model]) for recipe in recipes)
    seeing = 0 if model.vision is None else sum(parameter.numel() for parameter in model.vision.parameters())
    return replace(
        needed,
        base=needed.base + (seeing + sum(numbers for numbers, waits in found.values() if not waits)) * dtype,
        control=sum(numbers for numbers, waits in found.values() if waits) * dtype,
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


def sized(path: Path) -> tuple[int, bool]:
    """Numbers of a network's file, and whether they may wait there until they are used."""
    try:
        state = table(path)
        return sum(tensor.numel() for tensor in state.values()), may_wait(state)
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
