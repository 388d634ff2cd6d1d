"""Guides that change in the course of a picture: with the prompt, with the model, and with the mask."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fromnoise.engine.recipe_parts import SoftInpaint
from fromnoise.sampling.guidance import Guidance, Guiding, keep
from fromnoise.sampling.samplers import Evaluate
from fromnoise.sampling.schedules import NoiseTable

StepOf = Callable[[Evaluate], int]


def step_by_level(sigmas: Tensor) -> StepOf:
    """The step, from 0, that a noise level belongs to: no other state, so that every solver keeps its order."""
    ends = sigmas[1:-1] * (1 + 1e-6)  # levels at which a next step begins, with room for rounding
    return lambda ask: int((ends >= ask.sigma).sum())


def changing(stages: Sequence[tuple[int, Guidance]], step_of: StepOf) -> Guidance:
    """The guide of the last of `stages`, (first step, guide), that has begun."""
    if len(stages) == 1:
        return stages[0][1]
    starts = [start for start, _ in stages]

    def guide(ask: Evaluate) -> Guiding:
        index = max(0, bisect_right(starts, step_of(ask)) - 1)
        return (yield from stages[index][1](ask))

    return guide


def handed_over(base: Guidance, refiner: Guidance, table: NoiseTable, switch_at: float) -> Guidance:
    """`refiner` once that share of the timesteps is done, `base` before."""

    def guide(ask: Evaluate) -> Guiding:
        highest = len(table.sigmas) - 1
        done = (highest - float(table.timestep(ask.sigma, "interpolate"))) / len(table.sigmas)
        return (yield from (refiner if done > switch_at else base)(ask))

    return guide


def keep_gradually(
    guide: Guidance, latents: Tensor, mask: Tensor, noise: Tensor | None, table: NoiseTable, sigmas: Tensor
) -> Guidance:
    """Differential diffusion: a part whose mask is m may change in the last share m of the timesteps.

    Levin and Fried (2023), arXiv 2306.00950. Arguments as of `keep`; `sigmas` are the run's.
    """
    lowest = sigmas[-1].clamp(min=table.sigma_min)
    first, last = (float(table.timestep(sigma)) for sigma in (sigmas[0], lowest))

    def kept(ask: Evaluate) -> Guiding:
        left = (float(table.timestep(ask.sigma)) - last) / max(first - last, 1.0)
        return (yield from keep(guide, latents, (mask >= left).to(mask), noise)(ask))

    return kept


def keep_softly(guide: Guidance, latents: Tensor, mask: Tensor, options: SoftInpaint) -> Guidance:
    """AUTOMATIC1111's soft inpainting: the mask gives way as noise falls, and blended latents keep their length."""

    def kept(ask: Evaluate) -> Guiding:
        answer = yield from guide(ask)
        share = mask ** (float(ask.sigma) ** options.bias * options.preservation)
        return blended(latents.expand_as(answer), answer, share, options.contrast)

    return kept


def blended(low: Tensor, high: Tensor, share: Tensor, contrast: float) -> Tensor:
    """From `low` to `high` (... c h w) in a line; lengths over c are power means of exponent `contrast`."""
    mixed = torch.lerp(low, high, share.expand_as(high))
    lengths = [x.double().norm(dim=-3, keepdim=True) for x in (low, high, mixed)]
    wanted = ((1 - share) * lengths[0] ** contrast + share * lengths[1] ** contrast) ** (1 / contrast)
    scaled: Tensor = mixed * wanted / (lengths[2] + 1e-5)
    return scaled.to(high.dtype)


def shown_clean(guide: Guidance, latents: Tensor, mask: Tensor) -> Guidance:
    """What AUTOMATIC1111's DDIM, PLMS and UniPC do: the network is shown the kept part without noise, and its
    prediction of the noise is applied to what the sampler has."""

    def kept(ask: Evaluate) -> Guiding:
        clean = latents * (1 + ask.sigma**2).sqrt()  # these samplers count in x / sqrt(1 + sigma^2)
        x = torch.lerp(clean, ask.x, mask)
        answer = yield from guide(ask._replace(x=x))
        return answer + (ask.x - x)

    return kept
