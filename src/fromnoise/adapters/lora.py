"""LoRA: Hu et al. (2021), arXiv 2106.09685. LoCon is the same for convolutions, with or without a core."""

from dataclasses import dataclass, replace
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
    tucker,
    tucker_shape,
)
from fromnoise.nn.ops import Product


@KINDS.register("lora")
@dataclass(frozen=True, eq=False)
class LoRA(DeltaAdapter):
    """W + s up down, s = alpha / rank; with a core (LyCORIS's Tucker form) the core's axes times both."""

    needs: ClassVar[Needs] = (frozenset({"lora_up", "lora_down"}),)
    takes: ClassVar[frozenset[str]] = frozenset({"lora_mid", "alpha", "scale", "dora_scale"})

    up: Tensor  # (out r) or (out r 1 1)
    down: Tensor  # (r in) or (r in k k); with a core (r in 1 1)
    mid: Tensor | None = None  # (r r k k)
    scale: float = 1.0

    @classmethod
    def read(cls, slots: Slots) -> Self:
        down = slots["lora_down"]
        return cls(slots.get("dora_scale"), slots["lora_up"], down, slots.get("lora_mid"), scale_of(slots, len(down)))

    @property
    def rank(self) -> int:
        return len(self.down)

    def delta(self, weight: Tensor) -> Tensor:
        up, down = self.up.to(weight), self.down.to(weight)
        delta = product(up, down) if self.mid is None else tucker(self.mid.to(weight), up, down)
        return delta * self.scale

    def delta_shape(self) -> tuple[int, ...]:
        return product_shape(self.up, self.down) if self.mid is None else tucker_shape(self.mid, self.up, self.down)

    def product(self, shape: torch.Size) -> Product | None:
        alone = self.mid is None and self.magnitude is None
        return (self.up, self.down, self.scale) if alone and self.down[0].numel() == prod(shape[1:]) else None

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        if self.product(weight.shape) is not None:
            up, down = self.up.to(weight).flatten(1), self.down.to(weight).flatten(1)
            return torch.addmm(weight.flatten(1), up, down, alpha=strength * self.scale).view(weight.shape)
        return super().merged(weight, strength)

    def limited(self, rank: int) -> Self:
        if self.mid is not None:
            return self
        return replace(self, up=self.up[:, :rank], down=self.down[:rank])

    def rows(self, part: int, parts: int) -> Self:
        magnitude = self.magnitude
        if magnitude is not None and len(magnitude) == len(self.up):
            magnitude = magnitude.chunk(parts)[part]
        return replace(self, up=self.up.chunk(parts)[part], magnitude=magnitude)
