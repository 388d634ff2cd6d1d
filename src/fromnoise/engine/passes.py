"""One run of a sampler over a picture's latents; a recipe asks for one or two."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fromnoise.engine.conditioning import Words, networks_named
from fromnoise.engine.plan import Plan
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import Hires
from fromnoise.sampling.guidance import Guidance, Guiding
from fromnoise.sampling.noise import NoiseSource
from fromnoise.sampling.samplers import Evaluate, Option, Sampler, SamplerSpec


@dataclass
class Progress:
    """How far a picture is, and who guides it there: passes keep it."""

    asked: int = 0  # evaluations begun
    began: int = 0  # of these before the pass under way
    under_way: Guidance | None = None  # the guide of that pass

    def begin(self, guide: Guidance) -> None:
        """Another pass is under way."""
        self.began, self.under_way = self.asked, guide

    def step(self, _ask: Evaluate) -> int:
        """The evaluation under way, counted from 0 in its pass."""
        return self.asked - self.began - 1

    def guide(self, ask: Evaluate) -> Guiding:
        """Asks the guide of the pass under way, which counts from 0."""
        assert self.under_way is not None
        return (yield from self.under_way(ask._replace(number=self.step(ask))))


@dataclass(frozen=True)
class Order:
    """What a pass is asked to do; a recipe has one or two."""

    words: Words
    sampler: str
    schedule: str | None
    guidance_scale: float
    strength: float | None  # of a start picture, None without one
    exact_steps: bool
    second: bool = False


@dataclass(frozen=True)
class Pass:
    """One run of a sampler over latents."""

    plan: Plan
    spec: SamplerSpec
    options: Mapping[str, Option]
    starting: Tensor  # (1 c h w), unit noise
    extra: float  # units of it that are added to the start picture besides
    steps: NoiseSource
    guide: Guidance
    kept: tuple[Tensor, Tensor] | None = None  # latents (1 c h w) that come back at the end where a mask (1 1 h w) is 0

    @property
    def evaluations(self) -> int:
        """Of the model, or nearly; 0 where there is nothing to do."""
        return evaluations(self.plan, self.spec)

    def sampler(self, latents: Tensor | None, progress: Progress) -> Sampler:
        """Leads from noise, or from clean `latents`, to clean latents."""
        if self.plan.steps == 0:
            return self.starting if latents is None else latents
        if latents is not None:
            latents = latents.to(self.starting.device)  # where all of the pass is
        x = self.plan.start(self.starting, latents)
        if self.extra and latents is not None:
            x = x + self.starting * self.extra
        progress.begin(self.guide)
        done = yield from counted(self.spec.start(x, self.plan.sigmas, self.steps, self.options), progress)
        done = done * self.plan.end_scale
        return done if self.kept is None else torch.lerp(self.kept[0], done, self.kept[1].expand_as(done))


def evaluations(plan: Plan, spec: SamplerSpec) -> int:
    """Of the model, or nearly, where `spec` follows `plan`; 0 where there is nothing to do."""
    return max(1, plan.steps * spec.evaluations - (spec.evaluations - 1)) if plan.steps else 0


def counted(sampler: Sampler, progress: Progress) -> Sampler:
    """`sampler`, with its questions counted."""
    try:
        ask = next(sampler)
        while True:
            progress.asked += 1
            ask = sampler.send((yield ask))
    except StopIteration as stop:
        latents: Tensor = stop.value
        return latents


def orders(recipe: Recipe) -> list[Order]:
    """The passes that a recipe asks for."""
    first = Order(
        Words.of(recipe),
        recipe.sampler,
        recipe.schedule,
        recipe.guidance_scale,
        recipe.strength if recipe.init else None,
        recipe.exact_steps,
    )
    return [first] if recipe.hires is None else [first, second_order(recipe, recipe.hires)]


def second_order(recipe: Recipe, hires: Hires) -> Order:
    """The second pass: what is not said is as in the first."""
    width, height = hires.size(recipe.width, recipe.height)
    prompt = recipe.prompt if hires.prompt is None else hires.prompt
    words = Words(
        prompt,
        recipe.negative if hires.negative is None else hires.negative,
        width,
        height,
        hires.steps or recipe.steps,
        first_pass=recipe.steps,
        networks=networks_named(recipe, prompt, hires.steps or recipe.steps),
    )
    return Order(
        words,
        hires.sampler or recipe.sampler,
        hires.schedule or (None if hires.sampler else recipe.schedule),
        recipe.guidance_scale if hires.guidance_scale is None else hires.guidance_scale,
        hires.strength,
        exact_steps=True,
        second=True,
    )
