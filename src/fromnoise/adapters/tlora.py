"""T-LoRA: Soboleva et al. (2025), "T-LoRA: Single Image Diffusion Model Customization Without Overfitting", by LyCORIS.

It begins with the largest singular values and vectors of the weight itself, so what a file adds is measured from them.
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Self

import torch
from torch import Tensor

from fromnoise.adapters.weight_adapter import KINDS, Needs, Slots, WeightAdapter, scale_of

Base = tuple[Tensor, Tensor, Tensor]  # p (out r), l (r) and q (r in) of the weight


@KINDS.register("tlora")
@dataclass(frozen=True, eq=False)
class TLoRA(WeightAdapter):
    """W + s (p diag(l) q - p0 diag(l0) q0), where p0, l0, q0 are the first singular vectors and values of W.

    W has to be the weight that it was trained on: put it before other LoRAs. LyCORIS applies its files at all ranks,
    and so does this; the mask by timesteps that the paper has besides is in no file.
    """

    needs: ClassVar[Needs] = (frozenset({"q_layer", "p_layer", "lambda_layer"}),)
    takes: ClassVar[frozenset[str]] = frozenset({"alpha", "scale", "base_q", "base_p", "base_lambda"})

    p: Tensor  # (out r) or (out r 1 1)
    values: Tensor  # l: (1 r)
    q: Tensor  # (r in) or (r in 1 1)
    scale: float = 1.0
    base: Base | None = None  # what it began with; None: it is taken from the weight

    @classmethod
    def read(cls, slots: Slots) -> Self:
        p, values, q = slots["p_layer"], slots["lambda_layer"], slots["q_layer"]
        base = (slots["base_p"], slots["base_lambda"], slots["base_q"]) if "base_q" in slots else None
        return cls(p, values, q, scale_of(slots, len(q)), base)

    @property
    def rank(self) -> int:
        return len(self.q)

    def fits(self, shape: torch.Size) -> bool:
        ranks = {len(self.q), self.p.shape[1], self.values.numel()}
        return len(ranks) == 1 and len(self.p) == shape[0] and self.q[0].numel() == prod(shape[1:])

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        base = singular(weight, self.rank) if self.base is None else self.base
        now, before = (together(weight, *parts) for parts in ((self.p, self.values, self.q), base))
        return torch.add(weight, (now - before).view(weight.shape), alpha=strength * self.scale)


def together(like: Tensor, p: Tensor, values: Tensor, q: Tensor) -> Tensor:
    """p diag(l) q: (out in)."""
    p, values, q = (part.to(like) for part in (p, values, q))
    return (p.flatten(1) * values.flatten()) @ q.flatten(1)


@torch.no_grad()
def singular(weight: Tensor, rank: int) -> Base:
    """The first `rank` singular vectors and values of a weight (out in) or (out in 1 1); zeros where it has fewer."""
    u, values, vh = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    found = min(rank, len(values))
    p, q, kept = u.new_zeros(len(u), rank), vh.new_zeros(rank, vh.shape[1]), values.new_zeros(1, rank)
    p[:, :found], q[:found], kept[0, :found] = u[:, :found], vh[:found], values[:found]
    return p, kept, q
