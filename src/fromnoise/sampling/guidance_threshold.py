"""Dynamic thresholding: the picture at a high guidance scale with the range of values it has at a lower one.

Saharia et al. (2022), "Photorealistic Text-to-Image Diffusion Models", section 2.3, moved to latents by the extension
"Dynamic Thresholding (CFG Scale Fix)", whose choices these are.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fromnoise.errors import UnknownName
from fromnoise.sampling.guidance_parts import Rule
from fromnoise.sampling.samplers import Evaluate

QUARTER = 1.5707  # of a circle, as the extension has it

# Share of the scale at `progress` (0 to 1) of the picture, with the parameter `power`.
MODES: Mapping[str, Callable[[float, float], float]] = {
    "constant": lambda progress, power: 1.0,
    "linear down": lambda progress, power: 1 - progress,
    "cosine down": lambda progress, power: math.cos(progress * QUARTER),
    "half cosine down": lambda progress, power: math.cos(progress),
    "linear up": lambda progress, power: progress,
    "cosine up": lambda progress, power: 1 - math.cos(progress * QUARTER),
    "half cosine up": lambda progress, power: 1 - math.cos(progress),
    "power up": lambda progress, power: progress**power,
    "power down": lambda progress, power: 1 - progress**power,
    "linear repeating": lambda progress, power: abs(1 - 2 * (progress * power % 1)),
    "cosine repeating": lambda progress, power: math.cos(progress * 6.28318 * power) / 2 + 0.5,
    "sawtooth": lambda progress, power: progress * power % 1,
}


@dataclass(frozen=True)
class Threshold:
    """The extension's settings, with its defaults."""

    mimic_scale: float = 7.0  # the guidance scale whose range of values to keep to
    percentile: float = 1.0  # of the distances from the mean that counts as their range; with variability "range"
    mimic_mode: str = "constant"  # how mimic_scale changes: one of MODES
    mimic_minimum: float = 0.0  # what it changes from or to
    scale_mode: str = "constant"  # the same for the guidance scale
    scale_minimum: float = 0.0
    power: float = 1.0  # of the modes that have one
    per_channel: bool = True
    around: Literal["mean", "zero"] = "mean"
    variability: Literal["range", "deviation"] = "range"
    share: float = 1.0  # of the result; the rest is plain guidance

    def __post_init__(self) -> None:
        for mode in (self.mimic_mode, self.scale_mode):
            if mode not in MODES:
                raise UnknownName("mode of dynamic thresholding", mode, MODES)


def thresholded(scale: float, settings: Threshold, progress: Callable[[Evaluate], float]) -> Rule:
    """Guidance of `scale` whose values keep to the range that `settings.mimic_scale` would give them.

    `progress` says how far a picture is, 0 to 1: `by_number` (AUTOMATIC1111) or `by_timestep` (ComfyUI).
    """

    def guided(ask: Evaluate, cond: Tensor, uncond: Tensor) -> Tensor:
        done = progress(ask)
        mimic = scheduled(settings.mimic_scale, settings.mimic_mode, settings.mimic_minimum, settings.power, done)
        high = scheduled(scale, settings.scale_mode, settings.scale_minimum, settings.power, done)
        target = uncond + (cond - uncond) * high
        if settings.share == 0:
            return target
        confined_target = confined(target, uncond + (cond - uncond) * mimic, settings)
        return confined_target * settings.share + target * (1 - settings.share)

    return guided


def by_number(evaluations: int) -> Callable[[Evaluate], float]:
    """Progress as the number of the evaluation, of all there will be."""
    return lambda ask: min(1.0, ask.number / max(1, evaluations - 1))


def by_timestep(timestep: Callable[[Tensor], Tensor]) -> Callable[[Evaluate], float]:
    """Progress by the model's thousand timesteps; `timestep` gives that of a noise level (`NoiseTable.timestep`)."""
    return lambda ask: (999 - float(timestep(ask.sigma))) / 998


def scheduled(scale: float, mode: str, minimum: float, power: float, progress: float) -> float:
    """`scale` at `progress`."""
    return (scale - minimum) * MODES[mode](progress, power) + minimum


def confined(target: Tensor, mimic: Tensor, settings: Threshold) -> Tensor:
    """`target` (1 c h w) with the spread of `mimic`, by channel or over all of them."""
    dims = (2, 3) if settings.per_channel else (0, 1, 2, 3)
    mean, mimic_mean = (t.mean(dim=(2, 3), keepdim=True) for t in (target, mimic))  # by channel in any case
    spread, mimic_spread = spreads(target - mean, mimic - mimic_mean, dims, settings)
    if settings.around == "zero":
        return target * (mimic_spread / spread)
    if settings.variability == "deviation":
        return (target - mean) / spread * mimic_spread + mean
    widest = torch.maximum(mimic_spread, spread)
    return (target - mean).clamp(-widest, widest) / widest * mimic_spread + mean


def spreads(target: Tensor, mimic: Tensor, dims: tuple[int, ...], settings: Threshold) -> tuple[Tensor, Tensor]:
    """How widely both (1 c h w), with mean 0, are spread over `dims`."""
    if settings.variability == "deviation":
        return target.std(dim=dims, keepdim=True), mimic.std(dim=dims, keepdim=True)
    spread = torch.quantile(target.abs().flatten(dims[0]), settings.percentile, dim=-1)[..., None, None]
    return spread, mimic.abs().amax(dim=dims, keepdim=True)
