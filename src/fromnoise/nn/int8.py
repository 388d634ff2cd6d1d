"""Matrix products of 8-bit integers, twice as fast as those of bfloat16 on processors with VNNI or AMX, at a price.

Weights are rounded to 255 levels for each output, once; what meets them is rounded to 255 levels at each use, for each
token of a linear layer and for each picture of a convolution, so that pictures do not depend on their company. Sums are
exact. The products are oneDNN's, through PyTorch (`torch.ops.onednn`).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial

import torch
from torch import Tensor, nn

from fromnoise.nn.ops import Conv2d, Linear, Made, standing_in, tokens_from

NARROW = 64  # channels: layers with fewer in or out stay as they are, such as the first and the last
FEW = 1 << 26  # multiplications for one picture: a product with fewer stays as it is
SHAPES = 4  # for which a layer keeps its weights ready
ZERO = 128  # of the unsigned numbers that inputs become


@dataclass
class Rounded:
    """The weights of one layer as integers."""

    scales: Tensor  # (out): the integers times these are nearly the weights
    packed: dict[tuple[int, ...], Tensor] = field(default_factory=dict)  # for inputs of a shape, as oneDNN likes it

    def for_shape(self, shape: tuple[int, ...], weight: Tensor, pack: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The integers; made anew of `weight` for each shape, as it is there anyway."""
        if shape not in self.packed:
            if len(self.packed) >= SHAPES:
                self.packed.pop(next(iter(self.packed)))
            factors = self.scales.view(-1, *[1] * (weight.ndim - 1))
            levels = (weight.detach().float() / factors).round_().to(torch.int8)
            self.packed[shape] = pack(levels, self.scales)
        return self.packed[shape]


@dataclass(frozen=True)
class Int8:
    """The wide layers of a network on a CPU multiply 8-bit integers."""

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        with standing_in(products(network)):
            yield


def products(network: nn.Module) -> Iterator[tuple[nn.Module, Callable[[Tensor], Tensor]]]:
    """The wide layers, and what they answer by."""
    for module in network.modules():
        if isinstance(module, Linear) and min(module.weight.shape) >= NARROW:
            yield module, partial(linear, module)
        elif isinstance(module, Conv2d) and min(module.weight.shape[:2]) >= NARROW:
            yield module, partial(convolution, module)


def linear(layer: Linear, x: Tensor) -> Tensor:
    """x (... in) -> (... out)."""
    if x[0].numel() * layer.out_features < FEW:
        return type(layer).forward(layer, x)
    weight, bias = layer.fetch(x)
    rounded = ROUNDED(weight, layer)
    levels, scale = as_levels(x, x.abs().amax(dim=-1, keepdim=True))
    packed = rounded.for_shape((), weight, lambda levels, _: torch.ops.onednn.qlinear_prepack(levels, None))
    y = torch.ops.onednn.qlinear_pointwise(
        levels, 1.0, ZERO, packed, rounded.scales, zeros(layer.out_features), None, 1.0, 0, x.dtype, "none", [], ""
    )
    return scaled(y, scale, bias)


def convolution(layer: Conv2d, x: Tensor) -> Tensor:
    """x (b in h w) -> (b out h' w')."""
    weights = layer.out_channels * math.prod(layer.kernel_size) // layer.groups  # that each number of x meets
    if x[0].numel() * weights < FEW * layer.stride[0] ** 2 or isinstance(layer.padding, str):
        return type(layer).forward(layer, x)
    weight, bias = layer.fetch(x)
    rounded = ROUNDED(weight, layer)
    x = x.contiguous(memory_format=torch.channels_last)
    levels, scale = as_levels(x, tokens_from(x).flatten(1).abs().amax(dim=1)[:, None, None, None])
    how = list(layer.stride), list(layer.padding), list(layer.dilation), layer.groups
    packed = rounded.for_shape(
        tuple(x.shape),
        weight,
        lambda levels, scales: torch.ops.onednn.qconv_prepack(levels, scales, 1.0, ZERO, *how, list(x.shape)),
    )
    y = torch.ops.onednn.qconv2d_pointwise(
        levels,
        1.0,
        ZERO,
        packed,
        rounded.scales,
        zeros(layer.out_channels),
        None,
        *how,
        1.0,
        0,
        x.dtype,
        "none",
        [],
        "",
    )
    return scaled(y, scale, None if bias is None else bias[:, None, None])


def rounded(weight: Tensor) -> Rounded:
    """A layer's weights as integers, to be made for inputs of a shape."""
    return Rounded(weight.flatten(1).float().abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127)


ROUNDED = Made(rounded)


def as_levels(x: Tensor, largest: Tensor) -> tuple[Tensor, Tensor]:
    """x as numbers of 1 to 255 about `ZERO`, and the factors that make it of them; `largest` are its magnitudes."""
    scale = largest.float().clamp_min(torch.finfo(torch.float32).tiny) / 127
    return x.to(torch.float32, copy=True).mul_(1 / scale).add_(ZERO + 0.5).to(torch.uint8), scale


def scaled(y: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    scale = scale.to(y.dtype)
    return y.mul_(scale) if bias is None else torch.addcmul(bias, y, scale)


@cache
def zeros(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.int32)


@cache
def is_there() -> bool:
    """Whether PyTorch and the processor multiply so."""
    try:
        with torch.inference_mode():
            layer = Linear(NARROW, NARROW)
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)
            x = torch.linspace(-1, 1, FEW // NARROW).view(-1, NARROW)
            return bool((linear(layer, x) - x).abs().max() < 0.02)
    except (AttributeError, RuntimeError):
        return False
