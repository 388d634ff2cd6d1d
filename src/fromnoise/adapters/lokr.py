"""LoKr: a Kronecker product, Yeh et al. (2023), "Navigating Text-To-Image Customization", arXiv 2309.14859."""

from dataclasses import dataclass
from math import prod
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
    tucker_shape,
)

FIRST = (frozenset({"lokr_w1"}), frozenset({"lokr_w1_a", "lokr_w1_b"}))
SECOND = (frozenset({"lokr_w2"}), frozenset({"lokr_w2_a", "lokr_w2_b"}))


@KINDS.register("lokr")
@dataclass(frozen=True, eq=False)
class LoKr(DeltaAdapter):
    """W + s (w1 (x) w2), each whole or the product of two; s is 1 where both are whole (LyCORIS, not peft)."""

    needs: ClassVar[Needs] = tuple(first | second for first in FIRST for second in SECOND)
    takes: ClassVar[frozenset[str]] = frozenset({"lokr_t2", "alpha", "scale", "dora_scale"})

    w1: tuple[Tensor, ...]  # (a c), or (a r) and (r c)
    w2: tuple[Tensor, ...]  # (b d) or (b d k k), or (b r) and (r d ...); with a core (r b) and (r d)
    t2: Tensor | None = None  # (r r k k)
    scale: float = 1.0

    @classmethod
    def read(cls, slots: Slots) -> Self:
        w1, w2 = whole_or_two(slots, "lokr_w1"), whole_or_two(slots, "lokr_w2")
        return cls(slots.get("dora_scale"), w1, w2, slots.get("lokr_t2"), scale_of(slots, rank_of(w1, w2) or 0))

    @property
    def rank(self) -> int | None:
        return rank_of(self.w1, self.w2)

    def delta(self, weight: Tensor) -> Tensor:
        w1, w2 = (tuple(factor.to(weight) for factor in pair) for pair in (self.w1, self.w2))
        first = w1[0] if len(w1) == 1 else w1[0] @ w1[1]
        if self.t2 is not None and len(w2) == 2:
            second = torch.einsum("ij...,ip,jr->pr...", self.t2.to(weight), *w2)
        else:
            second = w2[0] if len(w2) == 1 else product(*w2)
        inside = len(second), weight.shape[1] // first.shape[1], *weight.shape[2:]  # some files have it flat
        first = first.reshape(*first.shape, *[1] * (weight.ndim - 2))
        return torch.kron(first, second.reshape(inside).contiguous()) * self.scale

    def delta_shape(self) -> tuple[int, ...]:
        (a, c), (b, *d) = shape_of(self.w1), shape_of(self.w2, self.t2)
        return a * b, c * prod(d)


def shape_of(factors: tuple[Tensor, ...], core: Tensor | None = None) -> tuple[int, ...]:
    if len(factors) == 1:
        return tuple(factors[0].shape)
    return product_shape(*factors) if core is None else tucker_shape(core, factors[0].T, factors[1])


def whole_or_two(slots: Slots, name: str) -> tuple[Tensor, ...]:
    return (slots[name],) if name in slots else (slots[f"{name}_a"], slots[f"{name}_b"])


def rank_of(w1: tuple[Tensor, ...], w2: tuple[Tensor, ...]) -> int | None:
    """The inner size of the second product, product_shape, else of the first."""
    return len(w2[1]) if len(w2) == 2 else len(w1[1]) if len(w1) == 2 else None
