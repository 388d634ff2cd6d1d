"""LoHa: Hyeon-Woo et al. (2022), "FedPara", arXiv 2108.06098, as LyCORIS stores it."""

from dataclasses import dataclass
from typing import ClassVar, Self

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


@KINDS.register("loha")
@dataclass(frozen=True, eq=False)
class LoHa(DeltaAdapter):
    """W + s (a1 b1) * (a2 b2), element by element; with cores t the axes of each times its a and b."""

    needs: ClassVar[Needs] = (frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),)
    takes: ClassVar[frozenset[str]] = frozenset({"hada_t1", "hada_t2", "alpha", "scale", "dora_scale"})

    a1: Tensor  # (out r); with cores (r out)
    b1: Tensor  # (r in) or (r in*k*k)
    a2: Tensor
    b2: Tensor
    t1: Tensor | None = None  # (r r k k)
    t2: Tensor | None = None
    scale: float = 1.0

    @classmethod
    def read(cls, slots: Slots) -> Self:
        a1, b1, a2, b2 = (slots[f"hada_w{name}"] for name in ("1_a", "1_b", "2_a", "2_b"))
        t1, t2 = slots.get("hada_t1"), slots.get("hada_t2")
        return cls(slots.get("dora_scale"), a1, b1, a2, b2, t1, t2, scale_of(slots, len(b1)))

    @property
    def rank(self) -> int:
        return len(self.b1)

    def delta(self, weight: Tensor) -> Tensor:
        first = half(weight, self.a1, self.b1, self.t1)
        second = half(weight, self.a2, self.b2, self.t2)
        return first * second * self.scale

    def delta_shape(self) -> tuple[int, ...]:
        shapes = {half_shape(self.a1, self.b1, self.t1), half_shape(self.a2, self.b2, self.t2)}
        if len(shapes) != 1:
            raise ValueError("two halves of different shapes")
        return shapes.pop()


def half(weight: Tensor, a: Tensor, b: Tensor, core: Tensor | None) -> Tensor:
    a, b = a.to(weight), b.to(weight)
    return product(a, b) if core is None else tucker(core.to(weight), a.T, b)


def half_shape(a: Tensor, b: Tensor, core: Tensor | None) -> tuple[int, ...]:
    return product_shape(a, b) if core is None else tucker_shape(core, a.T, b)
