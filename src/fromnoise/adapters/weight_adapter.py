"""What all kinds of LoRA have in common: small tensors, and what they make of one weight of a network.

    adapter = read_slots({"lora_up": up, "lora_down": down, "alpha": alpha})[0]
    adapter.merged(weight, 0.8)  # another weight; the first is as it was

A kind is a frozen dataclass in a file of its own, registered under its name. Its tensors, the factors, may have any
dtype and may require gradients: they are brought to the weight's dtype and device, and `merged` is a pure function.
The slots are the names that LyCORIS gives to factors; `checkpoints.adapter_files` translates others'.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Self

import torch
from torch import Tensor

from fromnoise.nn.ops import Product
from fromnoise.registry import Registry

Slots = Mapping[str, Tensor]  # the tensors of a file that belong to one layer
Needs = tuple[frozenset[str], ...]


@dataclass(frozen=True, eq=False)
class WeightAdapter(ABC):
    """One kind's change of one weight (or bias)."""

    needs: ClassVar[Needs]  # the slots of one of these make a layer's tensors this kind
    takes: ClassVar[frozenset[str]] = frozenset()  # slots that it understands besides

    @classmethod
    @abstractmethod
    def read(cls, slots: Slots) -> Self:
        """From the tensors that a file has for a layer."""

    @abstractmethod
    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        """What `weight` (out in) or (out in k k), float32 or float64, becomes; 0 changes nothing, 1 is as trained."""

    def product(self, shape: torch.Size) -> Product | None:
        """Factors whose product is all that full strength adds to a weight of this shape; None where it does more."""
        return None

    @abstractmethod
    def fits(self, shape: torch.Size) -> bool:
        """Whether it can act on a weight of this shape; IndexError or ValueError where its factors are nonsense."""

    @property
    def rank(self) -> int | None:
        """Of kinds that have one."""
        return None

    def limited(self, rank: int) -> Self:
        """With the first `rank` columns and rows alone (AUTOMATIC1111's dyn); itself where it has none."""
        return self

    def rows(self, part: int, parts: int) -> Self:
        """What it does to one of equal parts of the weight's rows; NotImplementedError where rows act on each other."""
        raise NotImplementedError


@dataclass(frozen=True)
class Change:
    """An adapter at a strength, as a function of the weight alone: a patch."""

    adapter: WeightAdapter
    strength: float

    def __call__(self, weight: Tensor) -> Tensor:
        return self.adapter.merged(weight, self.strength)

    def product(self, shape: torch.Size) -> Product | None:
        found = self.adapter.product(shape)
        return found and (found[0], found[1], found[2] * self.strength)


@dataclass(frozen=True, eq=False)
class DeltaAdapter(WeightAdapter):
    """A kind that adds something to the weight, and may then give its rows or columns another length (DoRA)."""

    magnitude: Tensor | None  # DoRA: (out), (out 1 ...) or (1 in ...)

    @abstractmethod
    def delta(self, weight: Tensor) -> Tensor:
        """What full strength adds to the weight."""

    @abstractmethod
    def delta_shape(self) -> tuple[int, ...]:
        """The shape of `delta`, or one with as many rows and numbers. ValueError where the factors don't agree."""

    def fits(self, shape: torch.Size) -> bool:
        own = self.delta_shape()
        lengths = {shape[0], shape[1] if len(shape) > 1 else 1}
        if self.magnitude is not None and self.magnitude.numel() not in lengths:
            return False
        return (own[0] == shape[0] and prod(own) == prod(shape)) or is_narrow(own, shape)

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        changed = torch.add(weight, widened(self.delta(weight), weight), alpha=strength)
        return changed if self.magnitude is None else decomposed(changed, self.magnitude.to(weight), strength)


KINDS: Registry[type[WeightAdapter]] = Registry("kind of adapter", entry_points="fromnoise.adapters")


def read_slots(slots: Slots) -> tuple[list[WeightAdapter], list[str]]:
    """The adapters in a layer's tensors, mostly one, and the slots that none of them understands."""
    found, left = [], dict(slots)
    for kind in KINDS.values():
        needed = next((names for names in kind.needs if names <= left.keys()), None)
        if needed is not None:
            found.append(kind.read(left))
            left = {name: tensor for name, tensor in left.items() if name not in needed | kind.takes}
    return found, list(left)


def scale_of(slots: Slots, rank: int) -> float:
    """alpha / rank, or 1 where there is no alpha or it is 0, as in kohya and LyCORIS; `scale` where it is given."""
    if "scale" in slots:
        return float(slots["scale"])
    alpha = float(slots["alpha"]) if "alpha" in slots else 0.0
    return alpha / rank if alpha and rank else 1.0


def fits(adapter: WeightAdapter, shape: torch.Size) -> bool:
    """Whether an adapter can act on a weight of this shape, whatever its factors are."""
    try:
        return adapter.fits(shape)
    except (IndexError, ValueError):
        return False


def decomposed(changed: Tensor, magnitude: Tensor, strength: float) -> Tensor:
    """DoRA: rows (or, where `magnitude` is (1 in ...), columns) take the length `magnitude`, in part at a strength.

    Liu et al. (2024), arXiv 2402.09353, equation 5. The norm is that of the changed weight; the strength is LyCORIS's.
    """
    dims = list(range(changed.ndim))
    columns = magnitude.ndim == changed.ndim and len(magnitude) == 1 and magnitude.shape[1] == changed.shape[1] != 1
    dims.remove(1 if columns else 0)
    norm = torch.linalg.vector_norm(changed, dim=dims, keepdim=True) + torch.finfo(torch.float32).eps
    scaled: Tensor = changed * (strength * (magnitude.reshape(norm.shape) / norm - 1) + 1)
    return scaled


def widened(delta: Tensor, weight: Tensor) -> Tensor:
    """`delta` in the weight's shape. To an inpainting model's other channels a 4-channel model's delta does nothing."""
    if is_narrow(delta.shape, weight.shape):
        return torch.cat((delta, delta.new_zeros(len(delta), weight.shape[1] - 4, *delta.shape[2:])), dim=1)
    return delta.reshape(weight.shape)


def is_narrow(delta: tuple[int, ...], weight: tuple[int, ...]) -> bool:
    """Whether a delta is for the first layer of a model with 4 channels, and the weight of one with more."""
    alike = len(delta) == len(weight) == 4 and (delta[0], *delta[2:]) == (weight[0], *weight[2:])
    return alike and delta[1] == 4 and weight[1] in (5, 8, 9)


def product_shape(left: Tensor, right: Tensor) -> tuple[int, ...]:
    """That of `product`; ValueError where it can't be taken."""
    if left.shape[1] != len(right) or prod(left.shape[2:]) != 1:
        raise ValueError("factors of different ranks")
    return len(left), *right.shape[1:]


def tucker_shape(core: Tensor, left: Tensor, right: Tensor) -> tuple[int, ...]:
    """That of `tucker`; ValueError where it can't be taken."""
    if core.shape[:2] != (left.shape[1], len(right)) or prod((*left.shape[2:], *right.shape[2:])) != 1:
        raise ValueError("factors of different ranks")
    return len(left), right.shape[1], *core.shape[2:]


def product(left: Tensor, right: Tensor) -> Tensor:
    """(out r ...) and (r in ...) to (out in...): matrices whose spatial sizes, if any, are `right`'s."""
    flat = left.flatten(1) @ right.flatten(1)
    return flat.view(len(left), *right.shape[1:])


def tucker(core: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """core (r s k k), left (out r), right (s in) to (out in k k)."""
    return torch.einsum("rs...,or,si->oi...", core, left.flatten(1), right.flatten(1))
