"""GLoRA: Chavan et al. (2023), "One-for-All", arXiv 2306.07967, in LyCORIS's form."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from fromnoise.adapters.weight_adapter import (
    KINDS,
    DeltaAdapter,
    Needs,
    Slots,
    product,
    product_shape,
    scale_of,
    tucker,
    tucker_shape,
)


@KINDS.register("glora")
@dataclass(frozen=True, eq=False)
class GLoRA(DeltaAdapter):
    """W + s (W a1 a2 + b1 b2); with a core m the axes of m times b1 and b2."""

    needs: ClassVar[Needs] = (frozenset({"a1", "a2", "b1", "b2"}),)
    takes: ClassVar[frozenset[str]] = frozenset({"bm", "alpha", "scale", "dora_scale"})

    a1: Tensor  # (in r) or (in r 1 1)
    a2: Tensor  # (r in)
    b1: Tensor  # (out r)
    b2: Tensor  # (r in) or (r in k k)
    bm: Tensor | None = None  # (r r k k)
    scale: float = 1.0

    @classmethod
    def read(cls, slots: Slots) -> Self:
        a1, a2, b1, b2 = (slots[name] for name in ("a1", "a2", "b1", "b2"))
        now, before = (len(a2), len(b2), a1.shape[1], b1.shape[1]), (len(a1), len(b1), a2.shape[1], b2.shape[1])
        if len(set(now)) > 1 and len(set(before)) == 1:  # where the rank is
            a1, a2, b1, b2 = a2, a1, b2, b1  # LyCORIS before 2.0 named them the other way round
        return cls(slots.get("dora_scale"), a1, a2, b1, b2, slots.get("bm"), scale_of(slots, len(a2)))

    @property
    def rank(self) -> int:
        return len(self.a2)

    def delta(self, weight: Tensor) -> Tensor:
        a1, a2, b1, b2 = (factor.to(weight) for factor in (self.a1, self.a2, self.b1, self.b2))
        along = torch.einsum("oi...,ir,rj->oj...", weight, a1.flatten(1), a2.flatten(1))
        added = product(b1, b2) if self.bm is None else tucker(self.bm.to(weight), b1, b2)
        return (along + added.reshape(weight.shape)) * self.scale

    def delta_shape(self) -> tuple[int, ...]:
        added = product_shape(self.b1, self.b2) if self.bm is None else tucker_shape(self.bm, self.b1, self.b2)
        along = product_shape(self.a1, self.a2)
        if along[0] != along[1] or along[1] != added[1]:
            raise ValueError("two halves of different shapes")
        return added
