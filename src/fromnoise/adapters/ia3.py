"""(IA)^3: Liu et al. (2022), arXiv 2205.05638, in LyCORIS's form, whose vector is 0 where nothing was learned."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from fromnoise.adapters.weight_adapter import KINDS, Needs, Slots, WeightAdapter


@KINDS.register("ia3")
@dataclass(frozen=True, eq=False)
class IA3(WeightAdapter):
    """W (1 + v) along its rows, or, `on_input`, its columns."""

    needs: ClassVar[Needs] = (frozenset({"weight", "on_input"}),)

    vector: Tensor  # as many numbers as there are rows or columns
    on_input: bool

    @classmethod
    def read(cls, slots: Slots) -> Self:
        return cls(slots["weight"], bool(slots["on_input"]))

    def fits(self, shape: torch.Size) -> bool:
        return self.vector.numel() == shape[int(self.on_input)]

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        axis = int(self.on_input)
        shape = [size if i == axis else 1 for i, size in enumerate(weight.shape)]
        return weight * (1 + strength * self.vector.to(weight).reshape(shape))
