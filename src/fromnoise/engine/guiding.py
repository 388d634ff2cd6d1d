"""Guides that change in the course of a picture: with the prompt, with the model, and with the mask."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fromnoise.sampling.guidance import Guidance, Guiding
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


def of_second_model(guide: Guidance) -> Guidance:
    """`guide`, whose questions are for the executor's second model."""

    def asking(ask: Evaluate) -> Guiding:
        guiding, answers = guide(ask), None
        try:
            while True:
                calls = next(guiding) if answers is None else guiding.send(answers)
                answers = yield [call._replace(cond=replace(call.cond, refiner=True)) for call in calls]
        except StopIteration as stop:
            denoised: Tensor = stop.value
            return denoised

    return asking


def shown_clean(guide: Guidance, latents: Tensor, mask: Tensor) -> Guidance:
    """What AUTOMATIC1111's DDIM, PLMS and UniPC do: the network is shown the kept part without noise, and its
    prediction of the noise is applied to what the sampler has."""

    def kept(ask: Evaluate) -> Guiding:
        clean = latents * (1 + ask.sigma**2).sqrt()  # these samplers count in x / sqrt(1 + sigma^2)
        x = torch.lerp(clean, ask.x, mask)
        answer = yield from guide(ask._replace(x=x))
        return answer + (ask.x - x)

    return kept
