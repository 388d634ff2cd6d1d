"""Pictures larger than the model was trained on: the network is asked about tiles, and their answers are averaged.

Bar-Tal et al. (2023), "MultiDiffusion", equation 5, averages evenly; Jiménez (2023), "Mixture of Diffusers", by a
Gaussian about each tile's middle. Memory depends on the tile, as all tiles are equally large and batches are limited.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fromnoise.sampling.areas import Area
from fromnoise.sampling.guidance import Guidance, Guiding, NetworkCall
from fromnoise.sampling.guidance_regions import about
from fromnoise.sampling.samplers import Evaluate

LEAST_STEP = 4  # latents that tiles move on, as in AUTOMATIC1111's extension
VARIANCE = 0.01  # of the Gaussian, in squared tile sides


@dataclass(frozen=True)
class Tiles:
    """How a picture is cut; all lengths in latents."""

    height: int = 96
    width: int = 96
    overlap: int = 48
    weights: Literal["even", "gaussian"] = "even"

    def areas(self, height: int, width: int) -> list[Area]:
        """Tiles of one size, spread evenly over a picture of that size; one where it is no larger than a tile."""
        tile_height, tile_width = min(self.height, height), min(self.width, width)
        overlap = max(0, min(self.overlap, min(tile_height, tile_width) - LEAST_STEP))
        tops, lefts = starts(height, tile_height, overlap), starts(width, tile_width, overlap)
        return [Area(top, left, tile_height, tile_width) for top in tops for left in lefts]

    def weight(self, area: Area, like: Tensor) -> Tensor:
        """(h w): how much each place of a tile counts."""
        if self.weights == "even":
            return like.new_ones(area.height, area.width)
        down, across = (bell(length, like) for length in (area.height, area.width))
        return down[:, None] * across


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin that cover `length` and share at least `overlap`."""
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    step = (length - tile) / (count - 1)
    return [min(int(index * step), length - tile) for index in range(count)]


def bell(length: int, like: Tensor) -> Tensor:
    """(length): a Gaussian about the middle whose deviation is a tenth of the length."""
    at = (torch.arange(length, device=like.device, dtype=like.dtype) - (length - 1) / 2) / length
    return (-(at**2) / (2 * VARIANCE)).exp()


def tiled(guide: Guidance, tiles: Tiles) -> Guidance:
    """`guide`, each of whose calls is answered tile by tile; what is no larger than a tile is asked whole."""

    def guided(ask: Evaluate) -> Guiding:
        guiding = guide(ask)
        try:
            calls = next(guiding)
            while True:
                cut = [(call, tiles.areas(*call.x.shape[-2:])) for call in calls]
                answers = iter((yield [question for call, areas in cut for question in questions(call, areas)]))
                joined = [together(call, areas, [next(answers) for _ in areas], tiles) for call, areas in cut]
                calls = guiding.send(joined)
        except StopIteration as stop:
            denoised: Tensor = stop.value
            return denoised

    return guided


def questions(call: NetworkCall, areas: Sequence[Area]) -> list[NetworkCall]:
    """One about each area; the call itself where there is but one."""
    return [call] if len(areas) == 1 else [about(call, area) for area in areas]


def together(call: NetworkCall, areas: Sequence[Area], answers: Sequence[Tensor], tiles: Tiles) -> Tensor:
    """The answer to a call from those to its tiles, averaged by weight."""
    if len(areas) == 1:
        return answers[0]
    total = answers[0].new_zeros(1, answers[0].shape[1], *call.x.shape[-2:])
    weights = torch.zeros_like(total[:, :1])
    for area, answer in zip(areas, answers, strict=True):
        weight = tiles.weight(area, answer)
        area.of(total).add_(answer * weight)
        area.of(weights).add_(weight)
    return total / weights
