"""The noise levels of one pass of sampling, and the latents it starts from, as a profile wants them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fromnoise.engine.profiles import Profile
from fromnoise.sampling.samplers import SamplerSpec
from fromnoise.sampling.schedules import NO_OPTIONS, SCHEDULES, NoiseTable, sigmas_for

NEARLY_ALL = 0.999  # AUTOMATIC1111 never replaces more of a start picture than this


@dataclass(frozen=True)
class Plan:
    """Where a sampler steps. `sigmas` is empty where a start picture stays as it is."""

    sigmas: Tensor  # float32, highest first
    planned: Tensor  # the same before a start picture cut it short
    from_noise: bool  # there is no start picture
    scale: float  # of the starting noise
    picture_scale: float = 1.0  # of the start picture's latents
    end_scale: float = 1.0  # of the result

    def start(self, noise: Tensor, latents: Tensor | None) -> Tensor:
        """What the sampler starts from: unit `noise` and, perhaps, clean `latents`, both (1 c h w)."""
        x = noise * self.scale
        return x if latents is None else latents * self.picture_scale + x

    @property
    def steps(self) -> int:
        """Intervals between noise levels."""
        return max(0, len(self.sigmas) - 1)


def make_plan(
    profile: Profile,
    table: NoiseTable,
    spec: SamplerSpec,
    schedule: str,
    steps: int,
    strength: float | None = None,
    *,
    exact_steps: bool = False,
    options: Mapping[str, float] = NO_OPTIONS,
    drop_penultimate: bool = False,
    whole_variance: bool = False,
) -> Plan:
    """The plan of a pass of `steps` steps. `strength`: of a start picture, in [0, 1]; None without one.

    `exact_steps` makes AUTOMATIC1111's rule take as many steps as were asked for. `options` are the schedule's.
    `drop_penultimate`: the last level above 0 is left out with samplers, too, that do not ask for it themselves.
    `whole_variance`: noise that no picture is under begins with sqrt(1 + sigma^2), whatever the profile does.
    """
    if strength == 0:
        return Plan(torch.empty(0), torch.empty(0), False, 0.0)
    if profile.single_precision_table:
        table = single_precision(table)
    if spec.name in profile.timestep_samplers:
        return timestep_plan(table, spec.name, steps, strength, exact_steps)
    drop = drop_penultimate or profile.drops_penultimate(spec)
    if strength is None:
        planned = sigmas = sigmas_for(schedule, table, steps, drop_penultimate=drop, options=options)
    elif profile.strength == "stretch":
        planned = sigmas_for(schedule, table, int(steps / strength), drop_penultimate=drop, options=options)
        sigmas = planned if strength == 1 else planned[-(steps + 1) :]
    else:
        total, taken = counted(profile, steps, strength, exact_steps)
        planned = sigmas_for(schedule, table, total, drop_penultimate=drop, options=options)
        sigmas = planned[max(0, total - taken) :]
    if len(sigmas) < 2 and strength is not None:  # too weak for a single step
        return Plan(torch.empty(0), planned, False, 0.0)
    scale = start_scale(profile, table, sigmas[0], strength is None)
    if whole_variance and strength is None:
        scale = float((1 + sigmas[0] ** 2).sqrt())
    return Plan(sigmas, planned, strength is None, scale)


def counted(profile: Profile, steps: int, strength: float, exact_steps: bool) -> tuple[int, int]:
    """(steps that are planned, steps that are taken) with a start picture."""
    if profile.strength == "shorten":
        return steps, min(steps, int(steps * strength))
    share = min(strength, NEARLY_ALL)
    return (int(steps / share), steps) if exact_steps else (steps, int(share * steps) + 1)


def start_scale(profile: Profile, table: NoiseTable, sigma: Tensor, from_noise: bool) -> float:
    """What unit noise is multiplied by at the first level `sigma`."""
    if profile.start_scale == "denoise":
        pure = math.isclose(float(sigma), table.sigma_max, rel_tol=1e-5) or float(sigma) > table.sigma_max
    else:
        pure = profile.start_scale == "variance" and from_noise
    return float((1 + sigma**2).sqrt() if pure else sigma)


def timestep_plan(table: NoiseTable, sampler: str, steps: int, strength: float | None, exact_steps: bool) -> Plan:
    """The walk over whole timesteps of the original LDM code, which AUTOMATIC1111 took for DDIM, PLMS and UniPC.

    It counts in variance-preserving latents, x / sqrt(1 + sigma^2): starting noise has unit variance there, and the
    result is left at the lowest timestep's noise level. A start picture is noised for the timestep after the one at
    which sampling starts.
    """
    taken = None
    if strength is not None:
        share = min(strength, NEARLY_ALL)
        taken = steps - 1 if exact_steps else int(share * steps)
        steps = int(steps / share) if exact_steps else steps
    last = len(table.sigmas) - 1
    timesteps = (torch.arange(0, last + 1, max(1, (last + 1) // steps)) + 1).clamp(max=last)
    walked = timesteps if taken is None else timesteps[:taken]
    if len(walked) < 2:
        return Plan(torch.empty(0), torch.empty(0), False, 0.0)
    planned = levels(table, sampler, timesteps, last)
    sigmas = planned if taken is None else levels(table, sampler, walked, int(walked[-1]))
    vp = float((1 + sigmas[0] ** 2).sqrt())
    end = float((1 + sigmas[-1] ** 2).rsqrt())
    if taken is None:
        return Plan(sigmas, planned, True, vp, end_scale=end)
    noised = table.sigmas[timesteps[min(taken, len(timesteps) - 1)]]
    signal = float((1 + noised**2).rsqrt()) * vp
    return Plan(sigmas, planned, False, float(noised) * signal, signal, end)


def levels(table: NoiseTable, sampler: str, timesteps: Tensor, highest: int) -> Tensor:
    """Sigmas, highest first, at rising `timesteps`; UniPC takes as many even steps from timestep `highest` to 0."""
    if sampler != "uni_pc":
        return table.sigmas[timesteps].flip(0)
    return table.sigma(torch.linspace(highest, 0, len(timesteps) + 1))


def single_precision(table: NoiseTable) -> NoiseTable:
    """The table as one gets it from alphas_cumprod in float32: the lowest sigmas differ in their fifth digit."""
    rounded = NoiseTable(table.alphas_cumprod)
    rounded.sigmas = ((1 - table.alphas_cumprod) / table.alphas_cumprod).sqrt()
    rounded.log_sigmas = rounded.sigmas.log()
    return rounded


def chosen_schedule(profile: Profile, named: str | None, sampler: str, family: str, own: str) -> str:
    """The schedule of a recipe that may name one; UserError where there is none of that name."""
    name = SCHEDULES.canonical(named) if named else profile.schedule(sampler, own)
    return profile.sdxl_schedules.get(name, name) if family.startswith("sdxl") else name
