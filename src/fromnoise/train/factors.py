"""Factors that a LoRA of each kind begins with: they do nothing yet, as their authors begin."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fromnoise.adapters.tlora import singular
from fromnoise.errors import UserError
from fromnoise.train.lora_options import PRODUCTS, RANKED, TURNING, LoRAOptions
from fromnoise.train.sites import Site

Slots = dict[str, Tensor]
BASE = ("base_q", "base_p", "base_lambda")  # what a T-LoRA began with, which no file has
SCALED = ("lora_up", "hada_w1_a", "lokr_w1", "lokr_w1_a", "a2", "b2")  # factors that take in a strength that is learnt


def begin(site: Site, options: LoRAOptions, generator: torch.Generator) -> Slots:
    """Factors that do nothing yet, as each kind's authors begin with them, where the layer is. UserError."""
    weight, wide = site.weight.float(), is_wide(site.weight)
    rank, alpha = (options.conv_rank, options.conv_alpha) if wide else (options.rank, options.alpha)
    if weight.ndim == 1:
        slots = {"diff": torch.zeros_like(weight)}
    else:
        slots = BEGINNINGS[options.kind](weight, max(1, rank), options, generator)
    if weight.ndim > 1 and options.kind in RANKED:
        slots["alpha"] = torch.tensor(strength(slots, max(1, rank), alpha, options))
    if weight.ndim > 1 and options.rescaled and options.kind in TURNING:
        slots["rescale"] = torch.ones(len(weight), *(1,) * (weight.ndim - 1))
    if weight.ndim > 1 and options.dora:
        slots["dora_scale"] = lengths(weight, columns=options.dora_columns)
    if weight.ndim > 1 and options.scalar and options.kind in PRODUCTS:
        slots["scalar"] = torch.tensor(0.0)
    if "on_input" in slots and site.on_input and options.layers == "ia3":
        slots = begin_ia3(weight, rank, options, generator, on_input=True)
    if site.bias is not None and "diff" in slots:
        slots["diff_b"] = torch.zeros_like(site.bias.float())
    read = ("alpha", "on_input")  # as numbers: on a GPU each time would wait for it
    return {slot: tensor if slot in read else tensor.to(site.weight.device) for slot, tensor in slots.items()}


def strength(slots: Mapping[str, Tensor], rank: int, alpha: float, options: LoRAOptions) -> float:
    """What files say it is: `alpha`, of which 1/rank counts; LyCORIS's says of two whole matrices that all of it does.

    UserError where a DyLoRA's ranks can't be learnt in units.
    """
    if options.unit and rank % options.unit:
        raise UserError(f"dylora: {rank} ranks are no multiple of block_size {options.unit}; choose another of them")
    if {"lokr_w1", "lokr_w2"} <= slots.keys():
        return float(rank)
    return alpha * math.sqrt(rank) if options.rs_lora else alpha


def lengths(weight: Tensor, *, columns: bool) -> Tensor:
    """Of rows (out 1 ...), or of columns (1 in 1 ...): DoRA's."""
    dims = tuple(dim for dim in range(weight.ndim) if dim != int(columns))
    found: Tensor = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)
    return found


def folded(slots: Mapping[str, Tensor]) -> Slots:
    """The same with a strength that is learnt as part of a factor, as files have it."""
    scalar = slots.get("scalar")
    if scalar is None:
        return dict(slots)
    return {n: tensor * scalar if n in SCALED else tensor for n, tensor in slots.items() if n != "scalar"}


def is_wide(weight: Tensor) -> bool:
    """Whether it is a convolution of more than a pixel."""
    return weight.ndim == 4 and weight.shape[-1] > 1


def spread(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """He et al. (2015) with a = sqrt(5), as PyTorch begins linear layers: uniform within 1/sqrt(fan in)."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def zeros_or(shape: tuple[int, ...], options: LoRAOptions, generator: torch.Generator) -> Tensor:
    """What makes a product nothing to begin with; where its strength is learnt, that does."""
    return spread(shape, generator) if options.scalar else torch.zeros(shape)


def begin_lora(weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator) -> Slots:
    one = (1,) * (weight.ndim - 2)
    if options.tucker and is_wide(weight):
        return {
            "lora_down": spread((rank, weight.shape[1], 1, 1), generator),
            "lora_mid": spread((rank, rank, *weight.shape[2:]), generator),
            "lora_up": zeros_or((len(weight), rank, 1, 1), options, generator),
        }
    return {
        "lora_down": spread((rank, *weight.shape[1:]), generator),
        "lora_up": zeros_or((len(weight), rank, *one), options, generator),
    }


def begin_loha(weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator) -> Slots:
    rows, columns, some = len(weight), weight[0].numel(), 0.1 if options.scalar else 0.0

    def normal(*shape: int, deviation: float) -> Tensor:
        return torch.empty(shape).normal_(std=deviation, generator=generator)

    if options.tucker and is_wide(weight):
        columns, size = weight.shape[1], weight.shape[2:]
        return {
            "hada_t1": normal(rank, rank, *size, deviation=0.1),
            "hada_w1_a": normal(rank, rows, deviation=0.1),
            "hada_w1_b": normal(rank, columns, deviation=1.0),
            "hada_t2": normal(rank, rank, *size, deviation=0.1),
            "hada_w2_a": normal(rank, rows, deviation=some),
            "hada_w2_b": normal(rank, columns, deviation=1.0),
        }
    return {
        "hada_w1_a": normal(rows, rank, deviation=0.1),
        "hada_w1_b": normal(rank, columns, deviation=1.0),
        "hada_w2_a": normal(rows, rank, deviation=some),
        "hada_w2_b": normal(rank, columns, deviation=1.0),
    }


def begin_lokr(weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator) -> Slots:
    (a, b), (c, d) = split(len(weight), options.factor), split(weight.shape[1], options.factor)
    if options.unbalanced:
        a, b = b, a
    size, inside = weight.shape[2:], d * math.prod(weight.shape[2:])
    if options.decompose_both and rank < max(a, c) / 2:
        first = {"lokr_w1_a": spread((a, rank), generator), "lokr_w1_b": spread((rank, c), generator)}
    else:
        first = {"lokr_w1": spread((a, c), generator)}
    if options.full_matrix or rank >= max(b, d) / 2:
        second = {"lokr_w2": zeros_or((b, d, *size), options, generator)}
    elif options.tucker and is_wide(weight):
        core = {"lokr_t2": spread((rank, rank, *size), generator)}
        second = core | {"lokr_w2_a": spread((rank, b), generator),
                         "lokr_w2_b": zeros_or((rank, d), options, generator)}  # fmt: skip
    else:
        second = {"lokr_w2_a": spread((b, rank), generator),
                  "lokr_w2_b": zeros_or((rank, inside), options, generator)}  # fmt: skip
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


def begin_ia3(
    weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator, *, on_input: bool = False
) -> Slots:
    count = weight.shape[int(on_input)]
    shape = (count,) if weight.ndim == 2 else (1, count, *(1,) * (weight.ndim - 2))
    return {"weight": torch.zeros(shape), "on_input": torch.tensor(on_input)}


def begin_glora(weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator) -> Slots:
    (rows, columns), one = weight.shape[:2], (1,) * (weight.ndim - 2)
    return {
        "a1": spread((columns, rank, *one), generator), "a2": zeros_or((rank, columns, *one), options, generator),
        "b1": spread((rows, rank, *one), generator), "b2": zeros_or((rank, *weight.shape[1:]), options, generator),
    }  # fmt: skip


def begin_full(weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator) -> Slots:
    return {"diff": torch.zeros_like(weight)}


def begin_oft(weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator) -> Slots:
    if options.block_count:
        if len(weight) % options.block_count:
            raise UserError(
                f"oft: {len(weight)} rows can't be shared out among {options.block_count} blocks; take fewer"
            )
        size = len(weight) // options.block_count
    else:
        size = split(len(weight), options.block_size or rank)[0]
    return {"oft_blocks": torch.zeros(len(weight) // size, size, size), "alpha": torch.tensor(options.constraint)}


def begin_boft(weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator) -> Slots:
    size = paired(len(weight), options.block_size or rank)
    count = len(weight) // size
    stages = int(math.log2(count & -count)) + 1  # as often as the blocks can be halved
    return {"boft_blocks": torch.zeros(stages, count, size, size), "alpha": torch.tensor(options.constraint)}


def paired(length: int, size: int) -> int:
    """The largest even side of blocks up to `size` of which there are 2^n, as LyCORIS wants it, else any even one."""
    even = [side for side in range(2, max(size, 2) + 1, 2) if length % side == 0]
    powers = [side for side in even if (length // side).bit_count() == 1]
    if not even:
        raise UserError(f"boft: {length} rows have no blocks of an even side; take another kind, or fewer --layers")
    return (powers or even)[-1]


def begin_tlora(weight: Tensor, rank: int, options: LoRAOptions, generator: torch.Generator) -> Slots:
    p, values, q = singular(weight, rank)
    one = (1,) * (weight.ndim - 2)
    p, q = p.view(*p.shape, *one).contiguous(), q.view(*q.shape, *one).contiguous()
    base = {"base_q": q.clone(), "base_p": p.clone(), "base_lambda": values.clone()}
    return {"q_layer": q, "p_layer": p, "lambda_layer": values, **base}


BEGINNINGS: dict[str, Callable[[Tensor, int, LoRAOptions, torch.Generator], Slots]] = {
    "lora": begin_lora, "loha": begin_loha, "lokr": begin_lokr, "ia3": begin_ia3, "glora": begin_glora,
    "full": begin_full, "oft": begin_oft, "boft": begin_boft, "dylora": begin_lora, "tlora": begin_tlora,
}  # fmt: skip
