"""Whole differences and whole weights: what extractors, LyCORIS's full and norm kinds, and ComfyUI store."""

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, Self

import torch
from torch import Tensor

from fromnoise.adapters.weight_adapter import KINDS, Needs, Slots, WeightAdapter, is_narrow, widened


@KINDS.register("full")
@dataclass(frozen=True, eq=False)
class Difference(WeightAdapter):
    """W + d, for weights of any shape, norms' and biases too."""

    needs: ClassVar[Needs] = (frozenset({"diff"}),)

    diff: Tensor  # of the weight's shape

    @classmethod
    def read(cls, slots: Slots) -> Self:
        return cls(slots["diff"])

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        return torch.add(weight, widened(self.diff.to(weight), weight), alpha=strength)

    def fits(self, shape: torch.Size) -> bool:
        alike = len(self.diff) == shape[0] and self.diff.numel() == prod(shape)
        return alike or is_narrow(self.diff.shape, shape)

    def rows(self, part: int, parts: int) -> Self:
        return replace(self, diff=self.diff.chunk(parts)[part])


@KINDS.register("set")
@dataclass(frozen=True, eq=False)
class Replacement(WeightAdapter):
    """Another weight, on the way to it at a strength below 1."""

    needs: ClassVar[Needs] = (frozenset({"set_weight"}),)

    value: Tensor

    @classmethod
    def read(cls, slots: Slots) -> Self:
        return cls(slots["set_weight"])

    def fits(self, shape: torch.Size) -> bool:
        return len(self.value) == shape[0] and self.value.numel() == prod(shape)

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        return torch.lerp(weight, self.value.to(weight).reshape(weight.shape), strength)
