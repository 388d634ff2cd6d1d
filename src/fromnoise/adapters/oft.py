"""Rotations of a weight's rows.

OFT: Qiu et al. (2023), arXiv 2306.07280. BOFT: Liu et al. (2024), arXiv 2311.06243.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from fromnoise.adapters.weight_adapter import KINDS, Needs, Slots, WeightAdapter


@KINDS.register("oft")
@dataclass(frozen=True, eq=False)
class OFT(WeightAdapter):
    """R W with R block by block, R = (1 + Q) / (1 - Q), Q = B - B^T; then each row times its `rescale`."""

    needs: ClassVar[Needs] = (frozenset({"oft_blocks"}), frozenset({"oft_diag"}))
    takes: ClassVar[frozenset[str]] = frozenset({"rescale", "alpha"})

    blocks: Tensor  # (n b b), n b = out
    rescale: Tensor | None = None  # (out 1 ...)
    constraint: float = 0.0  # times `out`, the greatest norm that Q may have; 0: any
    finished: bool = False  # the blocks are R already (LyCORIS before 2.0: oft_diag)

    @classmethod
    def read(cls, slots: Slots) -> Self:
        (name,) = next(names for names in cls.needs if names <= slots.keys())
        return cls(slots[name], slots.get("rescale"), float(slots.get("alpha", 0.0)), name == "oft_diag")

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        blocks = weight.reshape(*self.blocks.shape[:2], *weight.shape[1:])
        turned = torch.einsum("knm,kn...->km...", self.rotation(weight), blocks).flatten(0, 1)
        return torch.lerp(weight, self.rescaled(turned), strength)

    def fits(self, shape: torch.Size) -> bool:
        *_, count, size, other = self.blocks.shape
        rescaled = self.rescale is None or self.rescale.numel() == shape[0]
        return rescaled and self.blocks.ndim == 3 and size == other and count * size == shape[0]

    def rotation(self, weight: Tensor) -> Tensor:
        """R, a rotation in each block: Cayley's transform of what is left of B when it is made antisymmetric."""
        blocks = self.blocks.to(weight)
        if self.finished:
            return blocks
        q = blocks - blocks.mT
        if self.constraint > 0:
            norm = torch.linalg.vector_norm(q) + 1e-8
            q = q * (self.constraint * len(weight) / norm).clamp(max=1)
        one = torch.eye(q.shape[-1], dtype=q.dtype, device=q.device)
        rotation: Tensor = (one + q) @ torch.linalg.inv(one - q)
        return rotation

    def rescaled(self, weight: Tensor) -> Tensor:
        return (
            weight if self.rescale is None else weight * self.rescale.to(weight).reshape(-1, *[1] * (weight.ndim - 1))
        )


@KINDS.register("boft")
@dataclass(frozen=True, eq=False)
class BOFT(OFT):
    """Several such rotations in turn, stage i of rows that are 2^i half blocks apart: together they mix all rows.

    A strength weakens each of the stages, and `rescale` not at all, as in LyCORIS.
    """

    needs: ClassVar[Needs] = (frozenset({"boft_blocks"}),)

    blocks: Tensor  # (stages n b b), n b = out

    def fits(self, shape: torch.Size) -> bool:
        stages, count, size, other = self.blocks.shape
        rescaled = self.rescale is None or self.rescale.numel() == shape[0]
        whole = size % 2 == 0 and shape[0] % (2 ** min(stages - 1, 32) * size) == 0
        return rescaled and whole and size == other and count * size == shape[0]

    def merged(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        rotations = self.rotation(weight)
        size = rotations.shape[-1]
        one = torch.eye(size, dtype=weight.dtype, device=weight.device)
        changed = weight
        for stage, rotation in enumerate(rotations):
            paired = changed.reshape(-1, 2, 2**stage * (size // 2), *weight.shape[1:]).transpose(1, 2)
            blocks = paired.reshape(-1, size, *weight.shape[1:])
            turned = torch.einsum("nij,nj...->ni...", torch.lerp(one, rotation, strength), blocks)
            changed = turned.reshape(paired.shape).transpose(1, 2).flatten(0, 2)
        return self.rescaled(changed)
