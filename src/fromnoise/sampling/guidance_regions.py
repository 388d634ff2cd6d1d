"""Prompts for parts of the picture: each is asked about its area, the answers are averaged by weight where they meet.

As ComfyUI composes them. A region's weight is its strength, times its mask, or fading over up to eight latents at those
sides of its area that are not the picture's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from fromnoise.sampling.areas import Area, Place
from fromnoise.sampling.guidance import Attachment, Cond, Guidance, Guiding, NetworkCall
from fromnoise.sampling.samplers import Evaluate

FADE = 8  # latents over which an area fades, but at most a quarter of its side
NOTHING = 1e-37  # keeps places without a region at 0


@dataclass(frozen=True, eq=False)
class Region:
    """A condition and where, how much and when it counts."""

    cond: Cond
    area: Area | None = None  # None: the whole picture
    mask: Tensor | None = None  # (1 1 h w) in the size of the latents, from 0 to 1
    strength: float = 1.0
    first: float = float("inf")  # noise levels from and to which it counts
    last: float = 0.0

    def weight(self, x: Tensor) -> Tensor:
        """(1 1 h' w') for its area of x (1 c h w)."""
        if self.mask is not None:
            return (self.mask if self.area is None else self.area.of(self.mask)) * self.strength
        part = x[:, :1] if self.area is None else self.area.of(x[:, :1])
        weight = torch.full_like(part, self.strength)
        return weight if self.area is None else weight * faded(self.area, part, x)

    def call(self, ask: Evaluate) -> NetworkCall:
        """What to ask of the network for it."""
        call = NetworkCall(ask.x, ask.sigma, self.cond)
        return call if self.area is None else about(call, self.area)


@runtime_checkable
class Placed(Protocol):
    """An attachment that belongs to places of the picture, such as a ControlNet's hint: an area is shown its part."""

    def within(self, area: Area, of: tuple[int, int]) -> Attachment:
        """What is attached to `area` of a picture of that height and width, in latents."""
        ...


def within(attached: Attachment, place: Place) -> Attachment:
    """What is attached to the whole picture, for a part of it."""
    return attached.within(place.area, place.of) if isinstance(attached, Placed) else attached


def about(call: NetworkCall, area: Area) -> NetworkCall:
    """The same question about an area of the picture alone."""
    height, width = call.x.shape[-2:]
    area = area.inside((height, width))
    here = Place(area, (height, width))
    concat = None if call.cond.concat is None else area.of(call.cond.concat)
    cond = replace(call.cond, concat=concat, attached=tuple(within(one, here) for one in call.cond.attached))
    place = here if call.place is None else call.place.within(area)
    return call._replace(x=area.of(call.x), cond=cond, place=place)


def faded(area: Area, part: Tensor, x: Tensor) -> Tensor:
    """(h' w'): 1, falling linearly to the inner sides of `area`, which is `part` of `x`."""
    sides = zip((area.top, area.left), part.shape[-2:], x.shape[-2:], strict=True)
    down, across = (_ramp(start, length, whole, x) for start, length, whole in sides)
    return down[:, None] * across


def _ramp(start: int, length: int, whole: int, x: Tensor) -> Tensor:
    fade = min(FADE, length // 4)
    rising = ((torch.arange(length, device=x.device, dtype=x.dtype) + 1) / max(1, fade)).clamp_max(1)
    first = rising if start > 0 else torch.ones_like(rising)
    return first * rising.flip(0) if start + length < whole else first


def regional(regions: Sequence[Region]) -> Guidance:
    """The answers of all regions that count at this noise level, averaged by weight; 0 where there is none."""

    def guide(ask: Evaluate) -> Guiding:
        active = [region for region in regions if region.last <= float(ask.sigma) <= region.first]
        answers = yield [region.call(ask) for region in active]
        total, weights = torch.zeros_like(ask.x), torch.full_like(ask.x, NOTHING)
        for region, answer in zip(active, answers, strict=True):
            weight = region.weight(ask.x)
            area = region.area or Area(0, 0, *ask.x.shape[-2:])
            area.of(total).add_(answer * weight)
            area.of(weights).add_(weight)
        denoised = total / weights
        return torch.stack((denoised, denoised)) if ask.split else denoised

    return guide


def opposed(conds: Sequence[Region], unconds: Sequence[Region]) -> tuple[list[Region], list[Region]]:
    """Both sides of guidance, with regions added so that each area has its counterpart on the other side: as large and
    as strong, with the condition of the smallest region there that holds it, as ComfyUI adds them."""
    sides = [list(conds), list(unconds)]
    for mine, other in (sides, sides[::-1]):
        for region in list(mine):
            counterpart = _counterpart(region, other)
            if counterpart is not None:
                other.append(counterpart)
    return sides[0], sides[1]


def _counterpart(region: Region, others: Sequence[Region]) -> Region | None:
    area = region.area
    if area is None:
        return None
    holding = [other for other in others if other.area is not None and other.area.holds(area)]
    whole = [other for other in others if other.area is None]
    found = min(holding, key=lambda other: _size(other.area), default=None) or next(iter(whole), None)
    if found is None or found.area == area:
        return None
    return replace(region, cond=found.cond)


def _size(area: Area | None) -> int:
    return 0 if area is None else area.height * area.width
