"""Factors that a LoRA of each kind begins with: they do nothing yet, as their authors begin."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fromnoise.train.lora import LoRAOptions

Slots = dict[str, Tensor]
RANKED = ("lora", "loha", "lokr", "glora")  # kinds that have an inner size
WITH_CORE = ("lora", "loha", "lokr")  # those whose convolutions may have a core
TURNING = ("oft", "boft")


def begin(weight: Tensor, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    """Factors that do nothing yet, as each kind's authors begin with them."""
    if weight.ndim == 1:
        return {"diff": torch.zeros_like(weight)}
    wide = is_wide(weight)
    rank = options.conv_rank if wide else options.rank
    slots = BEGINNINGS[options.kind](weight, max(1, rank), options, generator)
    if options.kind in RANKED:
        alpha = options.conv_alpha if wide else options.alpha
        slots["alpha"] = torch.tensor(alpha * math.sqrt(max(1, rank)) if options.rs_lora else alpha)
    if options.rescaled and options.kind in TURNING:
        slots["rescale"] = torch.ones(len(weight), *(1,) * (weight.ndim - 1))
    if options.dora and options.kind in ("lora", "loha", "lokr"):
        norm = torch.linalg.vector_norm(weight.flatten(1), dim=1)
        slots["dora_scale"] = norm.view(-1, *(1,) * (weight.ndim - 1))
    return slots


def is_wide(weight: Tensor) -> bool:
    """Whether it is a convolution of more than a pixel."""
    return weight.ndim == 4 and weight.shape[-1] > 1


def spread(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """He et al. (2015) with a = sqrt(5), as PyTorch begins linear layers: uniform within 1/sqrt(fan in)."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def begin_lora(weight: Tensor, rank: int, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    one = (1,) * (weight.ndim - 2)
    if options.tucker and is_wide(weight):
        return {
            "lora_down": spread((rank, weight.shape[1], 1, 1), generator),
            "lora_mid": spread((rank, rank, *weight.shape[2:]), generator),
            "lora_up": torch.zeros(len(weight), rank, 1, 1),
        }
    return {
        "lora_down": spread((rank, *weight.shape[1:]), generator),
        "lora_up": torch.zeros(len(weight), rank, *one),
    }


def begin_loha(weight: Tensor, rank: int, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    rows, columns = len(weight), weight[0].numel()

    def normal(*shape: int, deviation: float) -> Tensor:
        return torch.empty(shape).normal_(std=deviation, generator=generator)

    if options.tucker and is_wide(weight):
        columns, size = weight.shape[1], weight.shape[2:]
        return {
            "hada_t1": normal(rank, rank, *size, deviation=0.1),
            "hada_w1_a": normal(rank, rows, deviation=0.1),
            "hada_w1_b": normal(rank, columns, deviation=1.0),
            "hada_t2": normal(rank, rank, *size, deviation=0.1),
            "hada_w2_a": torch.zeros(rank, rows),
            "hada_w2_b": normal(rank, columns, deviation=1.0),
        }
    return {
        "hada_w1_a": normal(rows, rank, deviation=0.1),
        "hada_w1_b": normal(rank, columns, deviation=1.0),
        "hada_w2_a": torch.zeros(rows, rank),
        "hada_w2_b": normal(rank, columns, deviation=1.0),
    }


def begin_lokr(weight: Tensor, rank: int, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    (a, b), (c, d) = split(len(weight), options.factor), split(weight.shape[1], options.factor)
    size = weight.shape[2:]
    if options.decompose_both and rank < max(a, c) / 2:
        first = {"lokr_w1_a": spread((a, rank), generator), "lokr_w1_b": spread((rank, c), generator)}
    else:
        first = {"lokr_w1": spread((a, c), generator)}
    if options.tucker and is_wide(weight) and rank < max(b, d) / 2:
        core = {"lokr_t2": spread((rank, rank, *size), generator)}
        second = core | {"lokr_w2_a": spread((rank, b), generator), "lokr_w2_b": torch.zeros(rank, d)}
    elif rank < max(b, d * math.prod(size)) / 2:
        second = {"lokr_w2_a": spread((b, rank), generator), "lokr_w2_b": torch.zeros(rank, d * math.prod(size))}
    else:
        second = {"lokr_w2": torch.zeros(b, d, *size)}
    return first | second


def split(length: int, factor: int) -> tuple[int, int]:
    """Two divisors, the smaller first: one near `factor`, or both near the square root (LyCORIS's factorization)."""
    if factor > 0 and length % factor == 0:
        return (factor, length // factor) if factor <= length // factor else (length // factor, factor)
    limit = length if factor < 0 else factor
    small, large = 1, length
    divisors = [m for m in range(1, length + 1) if length % m == 0]
    for divisor in divisors:
        other = length // divisor
        if divisor <= limit and divisor <= other and divisor + other <= small + large:
            small, large = divisor, other
    return small, large


def begin_ia3(weight: Tensor, rank: int, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    return {"weight": torch.zeros(len(weight)), "on_input": torch.tensor(False)}


def begin_glora(weight: Tensor, rank: int, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    (rows, columns), one = weight.shape[:2], (1,) * (weight.ndim - 2)
    return {
        "a1": spread((columns, rank, *one), generator), "a2": torch.zeros(rank, columns, *one),
        "b1": spread((rows, rank, *one), generator), "b2": torch.zeros(rank, *weight.shape[1:]),
    }  # fmt: skip


def begin_full(weight: Tensor, rank: int, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    return {"diff": torch.zeros_like(weight)}


def begin_oft(weight: Tensor, rank: int, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    size = block(len(weight), options.block_size)
    return {"oft_blocks": torch.zeros(len(weight) // size, size, size), "alpha": torch.tensor(options.constraint)}


def begin_boft(weight: Tensor, rank: int, options: "LoRAOptions", generator: torch.Generator) -> Slots:
    size = block(len(weight), options.block_size)
    count = len(weight) // size
    stages = int(math.log2(count & -count)) + 1  # as often as the blocks can be halved
    return {"boft_blocks": torch.zeros(stages, count, size, size), "alpha": torch.tensor(options.constraint)}


def block(length: int, size: int) -> int:
    """The size, or the next smaller one that divides the length."""
    return next(s for s in range(size, 0, -1) if length % s == 0)


BEGINNINGS: dict[str, Callable[[Tensor, int, "LoRAOptions", torch.Generator], Slots]] = {
    "lora": begin_lora, "loha": begin_loha, "lokr": begin_lokr, "ia3": begin_ia3, "glora": begin_glora,
    "full": begin_full, "oft": begin_oft, "boft": begin_boft,
}  # fmt: skip
