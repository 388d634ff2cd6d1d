"""Masks with greys: `keep` with a mask that depends on the noise level, and AUTOMATIC1111's soft inpainting.

mask (1 1 h w) in the size of the latents: 0 keeps the start picture, 1 repaints it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from fromnoise.sampling.guidance import Guidance, Guiding, keep
from fromnoise.sampling.samplers import Evaluate
from fromnoise.sampling.schedules import NoiseTable

MaskAt: TypeAlias = Callable[[Tensor], Tensor]  # noise level -> mask


def keep_by_level(guide: Guidance, latents: Tensor, mask_at: MaskAt, noise: Tensor | None) -> Guidance:
    """`keep` with the mask `mask_at(sigma)`."""
    return lambda ask: keep(guide, latents, mask_at(ask.sigma), noise)(ask)


def differential(mask: Tensor, sigmas: Tensor, table: NoiseTable, strength: float = 1.0) -> MaskAt:
    """Levin and Fried (2023), "Differential Diffusion": each place joins when its grey exceeds what is left of the way,
    as in ComfyUI's node, which counts the way in timesteps.

    `sigmas` are those of the run. strength below 1 mixes the soft mask in, except that 0 counts as 1.
    """
    end = sigmas[-1].clamp_min(table.sigma_min)
    first, last = float(table.timestep(sigmas[0])), float(table.timestep(end))

    def mask_at(sigma: Tensor) -> Tensor:
        left = (float(table.timestep(sigma)) - last) / max(first - last, 1.0)
        open_now = (mask >= left).to(mask.dtype)
        return torch.lerp(mask, open_now, strength) if 0 < strength < 1 else open_now

    return mask_at


@dataclass(frozen=True)
class Softness:
    """AUTOMATIC1111's settings of soft inpainting, with its defaults."""

    bias: float = 1.0  # "Schedule bias", 0 to 8: above 1 keeps the original more while noise is high
    preservation: float = 0.5  # "Preservation strength", 0 to 8
    contrast: float = 4.0  # "Transition contrast boost", 1 to 32
    mask_influence: float = 0.0  # 0 to 1: of the mask on which pixels come from the original
    difference_threshold: float = 0.5  # 0 to 8: change at which a pixel comes half from the original
    difference_contrast: float = 2.0  # 0 to 8: how sudden that is


def keep_softly(guide: Guidance, latents: Tensor, mask: Tensor, softness: Softness) -> Guidance:
    """The guide's answer blended with `latents` (1 c h w) by mask ** (preservation * sigma ** bias).

    The mask is not rounded, and the final blend of the latents is left out: the pixels follow `changed`.
    """

    def kept(ask: Evaluate) -> Guiding:
        answer = yield from guide(ask)
        share = mask ** (ask.sigma**softness.bias * softness.preservation)
        if not ask.split:
            return blended(latents, answer, share, softness.contrast)
        return torch.stack([blended(latents, part, share, softness.contrast) for part in answer])

    return kept


def blended(a: Tensor, b: Tensor, share: Tensor, contrast: float) -> Tensor:
    """From a to b (1 c h w) by `share` (1 1 h w): vectors of channels are mixed linearly, then given the power mean of
    their lengths with exponent `contrast`; 1 mixes the lengths linearly, more favours the greater."""
    mixed = a * (1 - share) + b * share
    length = mixed.norm(dim=1, keepdim=True).double() + 0.00001
    powers = [t.norm(dim=1, keepdim=True).double() ** contrast for t in (a, b)]
    wanted = (powers[0] * (1 - share) + powers[1] * share) ** (1 / contrast)
    factor: Tensor = wanted / length
    return mixed * factor.to(mixed.dtype)


def changed(before: Tensor, after: Tensor, mask: Tensor, softness: Softness) -> Tensor:
    """(1 1 h w) from 0, where the pixels are to be the original's, to 1, where they are to be the repainted ones: how
    far the latents (1 c h w) have moved, freed of specks.

    The caller enlarges it to the picture and blurs it with a Gaussian of radius 4 pixels.
    """
    bias = 1 - mask.clamp(0, 1) ** (softness.preservation / 2)
    bias = 0.5 * (1 - softness.mask_influence) + bias * softness.mask_influence
    half_way = (softness.difference_threshold * bias / (1.00001 - bias)).clamp_min(1e-30)
    distance = (after - before).norm(dim=1, keepdim=True).double()
    distance = ranked_mean(ranked_mean(distance, 0.9, 1.0), 0.25, 0.75)
    kept = 1 / (1 + (distance / half_way) ** softness.difference_contrast)
    return (1 - smootherstep(kept)).to(mask.dtype)


def smootherstep(x: Tensor) -> Tensor:
    """6 x^5 - 15 x^4 + 10 x^3, for x from 0 to 1: Perlin (2002)."""
    return x**3 * (x * (6 * x - 15) + 10)


def ranked_mean(image: Tensor, low: float, high: float) -> Tensor:
    """image (1 1 h w): the weighted mean of the part of each 5 x 5 surrounding that ranks from `low` to `high` (0 to 1)
    of its weight, or, where that is a weight below 1, of a weight of 1 about its middle.

    Weights are a Gaussian's exp(-r^2 / 1.5^2), lowered to meet 0 at r = 3; there are none outside the picture.
    """
    height, width = image.shape[-2:]
    kernel = _kernel(image)
    values = torch.nn.functional.unfold(image, 5, padding=2)[0]  # (25 h*w)
    weights = torch.nn.functional.unfold(torch.ones_like(image), 5, padding=2)[0] * kernel[:, None]
    values, order = values.sort(dim=0, stable=True)
    weights = weights.gather(0, order)
    ends = weights.cumsum(dim=0)
    total = ends[-1]
    start, end = _window(total, low, high)
    overlap = (torch.minimum(ends, end) - torch.maximum(ends - weights, start)).clamp_min(0)
    return ((values * overlap).sum(dim=0) / overlap.sum(dim=0)).view(1, 1, height, width)


def _kernel(like: Tensor) -> Tensor:
    """(25)"""
    offsets = torch.arange(-2, 3, device=like.device, dtype=like.dtype)
    falling = (-(offsets[:, None] ** 2 + offsets**2) / 1.5**2).exp().flatten()
    edge = torch.tensor(-(3**2) / 1.5**2, dtype=like.dtype).exp().to(like.device)
    return ((falling - edge) / (1 - edge)).clamp_min(0)


def _window(total: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """From and to which cumulative weight, at least 1 apart, inside 0 to `total`."""
    start, end = total * low, total * high
    narrow = end - start < 1
    middle = (start + end) / 2
    start, end = torch.where(narrow, middle - 0.5, start), torch.where(narrow, middle + 0.5, end)
    over = narrow & (end > total)
    start, end = torch.where(over, total - 1, start), torch.where(over, total, end)
    under = narrow & (start < 0)
    return start.masked_fill(under, 0), end.masked_fill(under, 1)
