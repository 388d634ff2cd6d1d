"""Brownian motion over sigma: the step noise of other tools' SDE samplers.

The noise of a step from sigma to sigma_next is the increment of one fixed path, so that shorter steps refine the same
path and a picture keeps its character when the number of steps changes. The path is the one of torchsde's
`BrownianTree` with tolerance 1e-6 (Li et al. 2020, "Scalable Gradients for Stochastic Differential Equations").
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

UnitNoise = Callable[[tuple[int, ...], int], Tensor]  # (shape, seed) -> standard normal float32 on the CPU

_DIGITS = 6  # times are rounded to this many decimal places
_POOL_SIZE = 24
_REMEMBERED = 64  # nodes kept, so that a step finds the upper part of its path


def torch_noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Unit noise of a fresh PyTorch CPU generator, as torchsde draws it."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class _Node(NamedTuple):
    start: float
    end: float
    number: int  # position among the nodes of its depth
    depth: int
    increment: Tensor


class BrownianPath:
    """One path W on [start, end] with W(start) = 0, halved until the time that is asked for is found."""

    def __init__(
        self, start: float, end: float, shape: tuple[int, ...], seed: int, unit_noise: UnitNoise = torch_noise
    ) -> None:
        self._shape, self._seed, self._unit_noise = shape, seed, unit_noise
        scale = math.sqrt(end - start)
        self._top = _Node(_round(start), _round(end), 0, 0, self._noise(()) * scale)
        self._halves: dict[tuple[int, int], Tensor] = {}

    def __call__(self, time: float) -> Tensor:
        """W(time), of `shape`; times outside [start, end] count as the nearer end."""
        node, value = self._top, torch.zeros(self._shape)
        time = min(max(_round(time), node.start), node.end)
        while node.start < time < node.end:
            middle = _round((node.start + node.end) / 2)
            left = self._left_half(node, middle)
            if time >= middle:
                value = value + left
                node = _Node(middle, node.end, 2 * node.number + 1, node.depth + 1, node.increment - left)
            else:
                node = _Node(node.start, middle, 2 * node.number, node.depth + 1, left)
        return value if time <= node.start else value + node.increment

    def _left_half(self, node: _Node, middle: float) -> Tensor:
        key = (node.number, node.depth)
        left = self._halves.pop(key, None)
        if left is None:
            share = (middle - node.start) / (node.end - node.start)
            deviation = math.sqrt((middle - node.start) * (node.end - middle) / (node.end - node.start))
            left = share * node.increment + deviation * self._noise(key)
        self._halves[key] = left  # last, as the most recently used
        if len(self._halves) > _REMEMBERED:
            del self._halves[next(iter(self._halves))]
        return left

    def _noise(self, key: tuple[int, ...]) -> Tensor:
        seeds = np.random.SeedSequence(self._seed, spawn_key=key, pool_size=_POOL_SIZE).generate_state(4)
        return self._unit_noise(self._shape, int(seeds[0]))


def _round(time: float) -> float:
    return round(time, _DIGITS)


class BrownianNoise:
    """A noise source made of one Brownian path over [sigma_min, sigma_max], the range of the steps' sigmas above 0."""

    def __init__(
        self,
        shape: tuple[int, ...],
        sigmas: Tensor,
        seed: int,
        *,
        unit_noise: UnitNoise = torch_noise,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._path = BrownianPath(float(sigmas[sigmas > 0].min()), float(sigmas.max()), shape, seed, unit_noise)
        self._device, self._dtype = device, dtype

    def __call__(self, step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        """The path's increment from `sigma` to `sigma_next`, scaled to unit variance."""
        start, end = float(sigma), float(sigma_next)
        noise = (self._path(end) - self._path(start)) / math.sqrt(abs(end - start))
        return noise.to(self._device, self._dtype)
