"""What a pass tells the network from each step on: prompts, those of regions, and what some rules ask for besides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fromnoise.engine.conditioning import Prompts, Words, spoken
from fromnoise.engine.guides import Told
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_guidance import Region as Wanted
from fromnoise.engine.start import open_reference, pixels_of
from fromnoise.sampling.areas import Area
from fromnoise.sampling.guidance import Cond
from fromnoise.sampling.guidance_regions import Region
from fromnoise.sampling.schedules import NoiseTable


@dataclass(frozen=True)
class Channels:
    """What inpainting and instruct-pix2pix models are shown besides the noisy latents."""

    concat: Tensor  # (1 c h w)
    unseen: bool  # the unconditional answer is also wanted without it: instruct-pix2pix

    def seen(self, cond: Cond) -> Cond:
        return replace(cond, concat=self.concat)

    def hidden(self, cond: Cond) -> Cond:
        """Brooks et al. (2023): zeros where the picture is unseen."""
        return replace(cond, concat=torch.zeros_like(self.concat))


def told(
    model: Model, recipe: Recipe, words: Words, channels: Channels | None = None, *, refiner: bool = False
) -> list[tuple[int, Told]]:
    """(first step, what is told from it on), in order."""
    wanted = recipe.regional.regions if recipe.regional else ()
    base = spoken(model, recipe, words, refiner=refiner)
    others = [spoken(model, recipe, replace(words, prompt=region.prompt), refiner=refiner) for region in wanted]
    places = [Place.of(region, model, recipe, words) for region in wanted]
    empty = None
    if recipe.guidance and recipe.guidance.perp_neg:
        empty = spoken(model, recipe, replace(words, prompt=""), refiner=refiner)[0].cond
    found = []
    for start in sorted({prompts.start for said in (base, *others) for prompts in said}):
        regions = [
            (region.negative, replace(made, cond=replace(made.cond, negative=region.negative)))
            for region, said, place in zip(wanted, others, places, strict=True)
            for made in place.regions(at(said, start), channels)
        ]
        positive, negative = (tuple(made for side, made in regions if side is wanted) for wanted in (False, True))
        one = Told(at(base, start), positive, negative, empty)
        found.append((start, one if channels is None else shown(one, channels)))
    return found


def at(said: Sequence[Prompts], step: int) -> Prompts:
    """What is said at a step."""
    return next(prompts for prompts in reversed(said) if prompts.start <= step or prompts is said[0])


def shown(told: Told, channels: Channels) -> Told:
    """The same with more input channels; regions have them already."""
    prompts = told.prompts
    conds = tuple((channels.seen(cond), weight) for cond, weight in prompts.conds)
    return replace(
        told,
        prompts=replace(prompts, conds=conds, uncond=channels.seen(prompts.uncond)),
        empty=told.empty and channels.seen(told.empty),
        unseen=channels.hidden(prompts.uncond) if channels.unseen else None,
    )


@dataclass(frozen=True, eq=False)
class Place:
    """Where and when the prompt of a region counts."""

    area: Area | None
    mask: Tensor | None  # (1 1 h w)
    strength: float
    first: float  # noise levels from and to which
    last: float

    @classmethod
    def of(cls, region: Wanted, model: Model, recipe: Recipe, words: Words) -> "Place":
        """FileError where its mask is missing or has changed."""
        factor = model.vae.config.downscale
        size = words.height // factor, words.width // factor
        mask = None if region.mask is None else latent_mask(region, size)
        whole = (region.left, region.top, region.width, region.height) == (0, 0, 1, 1)
        area = None if whole else Area.shares(region.top, region.left, region.height, region.width, of=size)
        if mask is not None and region.bounds:
            area = Area.around(mask)
        mask = None if mask is None else model.placement.hold(mask)
        first = float("inf") if region.start <= 0 else level(model.table, region.start)
        last = 0.0 if region.end >= 1 else level(model.table, region.end)
        return cls(area, mask, region.strength, first, last)

    def regions(self, prompts: Prompts, channels: Channels | None) -> list[Region]:
        """One for each subprompt; those whose weight is not above 0 have no place here."""
        return [
            Region(
                cond if channels is None else channels.seen(cond),
                self.area,
                self.mask,
                self.strength * weight,
                self.first,
                self.last,
            )
            for cond, weight in prompts.conds
            if weight > 0
        ]


def latent_mask(region: Wanted, size: tuple[int, int]) -> Tensor:
    """(1 1 h w) in [0, 1]."""
    assert region.mask is not None
    pixels = pixels_of(open_reference(region.mask).convert("L"))
    return torch.nn.functional.interpolate(pixels, size=size, mode="bilinear")


def level(table: NoiseTable, share: float) -> float:
    """The noise level after that share of the timesteps."""
    return float(table.sigma(torch.tensor((len(table.sigmas) - 1) * (1 - share))))
