"""Boxes that say what is where, through GLIGEN's layers beside a U-Net.

Li et al. (2023), "GLIGEN: Open-Set Grounded Text-to-Image Generation".
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self, cast

import torch
from torch import Tensor, nn

from fromnoise.nn.gligen import Gligen
from fromnoise.nn.ip_adapter import Site, sites
from fromnoise.nn.unet import UNet
from fromnoise.sampling.areas import Area

Sides = tuple[float, float, float, float]  # left, top, right and bottom as shares of the picture
Told = tuple[Sides, Tensor]  # where, and the pooled state (d) of the text that says what


@dataclass(frozen=True, eq=False)
class Boxes:
    """What one call brings along: a GLIGEN model, and what it made of the boxes."""

    network: Gligen
    told: tuple[Told, ...]  # of the whole picture, or of the part that the call is about
    parts: dict[tuple[Area, tuple[int, int]], "Boxes"] = field(default_factory=dict)  # of the picture, as they are made

    @cached_property
    def objects(self) -> Tensor:
        """(1 MAX_BOXES d)"""
        with torch.inference_mode():
            return self.network.objects(self.told)

    def within(self, area: Area, of: tuple[int, int]) -> "Boxes":
        """What is in a part of the picture: `sampling.guidance_regions.Placed`."""
        if (area, of) not in self.parts:
            seen = ((clipped(sides, area, of), text) for sides, text in self.told)
            self.parts[area, of] = Boxes(self.network, tuple((sides, text) for sides, text in seen if sides))
        return self.parts[area, of]

    @property
    def key(self) -> Hashable:
        return "gligen", id(self.network), self.objects.shape

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network`, a U-Net, heeds the boxes of `batch`, one set for each of its calls."""
        objects = torch.cat([member.objects for member in batch])
        with ExitStack() as undo:
            for site in sites(cast(UNet, network)):
                self._wrap(site, objects, undo)
            yield

    def _wrap(self, site: Site, objects: Tensor, undo: ExitStack) -> None:
        fuser, heads = self.network.fuser(site.name), site.block.attn1.heads
        inputs: list[Tensor] = []  # of the block, between the two hooks

        def enter(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            inputs[:] = [args[0]]

        def fuse(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            x = inputs.pop()  # the block adds it to what attends to itself
            fused: Tensor = fuser(x + output, objects.to(x), heads)
            return fused - x

        undo.callback(site.block.register_forward_pre_hook(enter).remove)
        undo.callback(site.block.attn1.register_forward_hook(fuse).remove)


def clipped(sides: Sides, area: Area, of: tuple[int, int]) -> Sides | None:
    """What of a box lies in an area of a picture of that height and width, as shares of the area; None: nothing."""
    starts, lengths = (area.left, area.top), (area.width, area.height)
    inner = [
        min(1.0, max(0.0, (side * of[1 - axis] - starts[axis]) / lengths[axis]))
        for side, axis in zip(sides, (0, 1, 0, 1), strict=True)
    ]
    left, top, right, bottom = inner
    return (left, top, right, bottom) if left < right and top < bottom else None
