"""The quantised number formats of ggml, unpacked by torch on any device.

Each takes blocks (n, bytes) of uint8 and gives the numbers (n, numbers) as float32, bit for bit what ggml's own
reference gives. In a block of the old formats are the scale, perhaps an offset, perhaps the fifth bits, and the low
bits; for the K formats, which have scales of scales, `ggml-common.h` of llama.cpp says what is where.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from fromnoise.nn.quantized import Scheme

IQ4_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def half(raw: Tensor) -> Tensor:
    """(n 2k) bytes -> (n k) numbers stored as float16."""
    return raw.contiguous().view(torch.float16).float()


def shifted(raw: Tensor, shifts: Sequence[int], group: int) -> Tensor:
    """(n k) bytes in groups -> (n k/group shifts group): each group once for every shift to the right."""
    by = torch.tensor(shifts, dtype=torch.uint8, device=raw.device)[:, None]
    return raw.reshape(len(raw), -1, 1, group) >> by


def nibbles(raw: Tensor, group: int) -> Tensor:
    """(n k) bytes -> (n 2k): of each group of bytes the low halves, then the high ones."""
    return (shifted(raw, (0, 4), group) & 15).flatten(1)


def bits(raw: Tensor) -> Tensor:
    """(n k) bytes -> (n 8k), the lowest bit first."""
    by = torch.arange(8, dtype=torch.uint8, device=raw.device)
    return ((raw[..., None] >> by) & 1).flatten(1)


def q4(blocks: Tensor, *, offset: bool) -> Tensor:
    scale, rest = half(blocks[:, :2]), blocks[:, 2:]
    if offset:
        return scale * nibbles(rest[:, 2:], 16).float() + half(rest[:, :2])
    return scale * (nibbles(rest, 16).float() - 8)


def q5(blocks: Tensor, *, offset: bool) -> Tensor:
    scale, rest = half(blocks[:, :2]), blocks[:, 2:]
    low, rest = (half(rest[:, :2]), rest[:, 2:]) if offset else (None, rest)
    numbers = (nibbles(rest[:, 4:], 16) | bits(rest[:, :4]) << 4).float()
    return scale * (numbers - 16) if low is None else scale * numbers + low


def q8_0(blocks: Tensor) -> Tensor:
    return half(blocks[:, :2]) * blocks[:, 2:].view(torch.int8).float()


def q2_k(blocks: Tensor) -> Tensor:
    scales, numbers, ends = blocks[:, :16], blocks[:, 16:80], half(blocks[:, 80:])
    scale, low = ends[:, :1] * (scales & 15).float(), ends[:, 1:] * (scales >> 4).float()
    numbers = (shifted(numbers, (0, 2, 4, 6), 32) & 3).reshape(-1, 16, 16).float()
    return (scale[..., None] * numbers - low[..., None]).flatten(1)


def q3_k(blocks: Tensor) -> Tensor:
    high, numbers, scales, ends = blocks[:, :32], blocks[:, 32:96], blocks[:, 96:108], half(blocks[:, 108:])
    low_scales = nibbles(scales[:, :8], 8)
    high_scales = (shifted(scales[:, 8:], (0, 2, 4, 6), 4) & 3).flatten(1)
    scale = ends * ((low_scales | high_scales << 4).float() - 32)
    numbers = (shifted(numbers, (0, 2, 4, 6), 32) & 3).reshape(-1, 16, 16).float()
    without = (shifted(high, range(8), 32) & 1 ^ 1).reshape(-1, 16, 16).float()
    return (scale[..., None] * (numbers - 4 * without)).flatten(1)


def k_scales(packed: Tensor) -> tuple[Tensor, Tensor]:
    """(n 12) bytes -> scales and offsets (n 8), of six bits each."""
    first, second, third = packed.view(-1, 3, 4).unbind(1)
    scale = torch.cat((first & 63, third & 15 | first >> 2 & 48), 1)
    low = torch.cat((second & 63, third >> 4 | second >> 2 & 48), 1)
    return scale.float(), low.float()


def q4_or_5_k(blocks: Tensor, *, five: bool) -> Tensor:
    ends, rest = half(blocks[:, :4]), blocks[:, 16:]
    scale, low = k_scales(blocks[:, 4:16].contiguous())
    numbers = nibbles(rest[:, 32:] if five else rest, 32)
    if five:
        numbers = numbers | (shifted(rest[:, :32], range(8), 32) & 1).flatten(1) << 4
    numbers = numbers.view(-1, 8, 32).float()
    return ((ends[:, :1] * scale)[..., None] * numbers - (ends[:, 1:] * low)[..., None]).flatten(1)


def q6_k(blocks: Tensor) -> Tensor:
    low, high, scales, end = blocks[:, :128], blocks[:, 128:192], blocks[:, 192:208], half(blocks[:, 208:])
    scale = end * scales.contiguous().view(torch.int8).float()
    numbers = nibbles(low, 64) | (shifted(high, (0, 2, 4, 6), 32) & 3).flatten(1) << 4
    return (scale[..., None] * (numbers.view(-1, 16, 16).float() - 32)).flatten(1)


def iq4(numbers: Tensor) -> Tensor:
    """(n k) bytes of 16 to a group -> (n 2k) values of the table."""
    return torch.tensor(IQ4_VALUES, dtype=torch.float32, device=numbers.device)[nibbles(numbers, 16).int()]


def iq4_nl(blocks: Tensor) -> Tensor:
    return half(blocks[:, :2]) * iq4(blocks[:, 2:])


def iq4_xs(blocks: Tensor) -> Tensor:
    end, high, low = half(blocks[:, :2]), blocks[:, 2:4], blocks[:, 4:8]
    low = (shifted(low, (0, 4), 1) & 15).flatten(1)
    high = (shifted(high, (0, 2, 4, 6), 1) & 3).flatten(1)
    scale = end * ((low | high << 4).float() - 32)
    return (scale[..., None] * iq4(blocks[:, 8:]).view(-1, 8, 32)).flatten(1)


CLAIMED = torch.float16  # the dtype that a packed weight says it has
PLAIN = {  # by ggml's number of the type
    0: torch.float32, 1: torch.float16, 24: torch.int8, 25: torch.int16, 26: torch.int32, 27: torch.int64,
    28: torch.float64, 30: torch.bfloat16,
}  # fmt: skip
SCHEMES = {
    2: Scheme("Q4_0", partial(q4, offset=False), 32, 18),
    3: Scheme("Q4_1", partial(q4, offset=True), 32, 20),
    6: Scheme("Q5_0", partial(q5, offset=False), 32, 22),
    7: Scheme("Q5_1", partial(q5, offset=True), 32, 24),
    8: Scheme("Q8_0", q8_0, 32, 34),
    10: Scheme("Q2_K", q2_k, 256, 84),
    11: Scheme("Q3_K", q3_k, 256, 110),
    12: Scheme("Q4_K", partial(q4_or_5_k, five=False), 256, 144),
    13: Scheme("Q5_K", partial(q4_or_5_k, five=True), 256, 176),
    14: Scheme("Q6_K", q6_k, 256, 210),
    20: Scheme("IQ4_NL", iq4_nl, 32, 18),
    23: Scheme("IQ4_XS", iq4_xs, 256, 136),
}
RARE = {  # left to the package gguf: number of the type to (name, numbers, bytes)
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 29: ("IQ1_M", 256, 56), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip


def rare(number: int, blocks: Tensor) -> Tensor:
    """Of a format that is seldom used for pictures, by ggml's own reference in numpy, on the CPU."""
    import gguf

    numbers = gguf.quants.dequantize(blocks.cpu().numpy(), gguf.GGMLQuantizationType(number))
    return torch.from_numpy(numbers).to(blocks.device)


def scheme(number: int) -> Scheme | None:
    """The scheme of a quantised type; None for a type that is unknown."""
    if number in RARE:
        name, block, nbytes = RARE[number]
        return Scheme(name, partial(rare, number), block, nbytes)
    return SCHEMES.get(number)
