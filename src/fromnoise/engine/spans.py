"""When something acts: from one share of a pass to another, as each tool counts it."""

from collections.abc import Callable

import torch

from fromnoise.engine.guiding import StepOf
from fromnoise.engine.profiles import Profile
from fromnoise.sampling.samplers import Evaluate
from fromnoise.sampling.schedules import NoiseTable

Holds = Callable[[Evaluate], bool]


def span(profile: Profile, table: NoiseTable, start: float, end: float, step_of: StepOf, steps: int) -> Holds:
    """Whether a question is asked between two shares of a pass of `steps` steps.

    comfyui goes by noise levels, both included; a1111 by the steps that are done, both included; others take the steps
    that lie in between as a whole (diffusers).
    """
    if start <= 0 and end >= 1:
        return lambda ask: True
    if profile.name == "comfyui":
        first = float("inf") if start <= 0 else level(table, start)
        last = 0.0 if end >= 1 else level(table, end)
        return lambda ask: last <= float(ask.sigma) <= first
    if profile.name == "a1111":
        return lambda ask: start <= step_of(ask) / steps <= end
    return lambda ask: start <= step_of(ask) / steps and (step_of(ask) + 1) / steps <= end


def level(table: NoiseTable, share: float) -> float:
    """The noise level after that share of the timesteps."""
    return float(table.sigma(torch.tensor((len(table.sigmas) - 1) * (1 - share))))
