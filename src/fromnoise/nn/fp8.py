"""Matrix products of 8-bit floats, twice as fast as those of bfloat16 on GPUs of NVIDIA's Ada and Hopper, at a price.

Weights are rounded to float8 (e4m3, three bits of mantissa) with a scale for each output, once; what meets them is
rounded at each use with a scale for each token, so that pictures do not depend on their company. The products are
`torch._scaled_mm`'s, row by row, as in torchao's row-wise dynamic quantisation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor, nn

from fromnoise.nn.ops import Linear, Made, standing_in

FLOAT8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FLOAT8).max
NARROW = 512  # layers with fewer channels in or out stay as they are: rounding would take what the product saves
FEW = 128  # tokens of one picture: with fewer a product stays as it is
MULTIPLE = 16  # of which the kernels want channels to be


@dataclass(frozen=True)
class Fp8:
    """The wide linear layers of a network multiply 8-bit floats."""

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        wide = (module for module in network.modules() if isinstance(module, Linear) and suits(module))
        with standing_in((layer, partial(linear, layer)) for layer in wide):
            yield


def suits(layer: Linear) -> bool:
    sides = layer.in_features, layer.out_features
    return min(sides) >= NARROW and not any(side % MULTIPLE for side in sides)


def linear(layer: Linear, x: Tensor) -> Tensor:
    """x (... in) -> (... out)."""
    if x[0].numel() < FEW * layer.in_features:
        return type(layer).forward(layer, x)
    weight, bias = layer.fetch(x)
    rounded, factors = ROUNDED(weight, layer)
    levels, scales = in_float8(x.flatten(0, -2))
    y = torch._scaled_mm(
        levels,
        rounded.t(),
        scale_a=scales,
        scale_b=factors.t(),
        out_dtype=torch.bfloat16 if x.is_cuda else x.dtype,  # GPUs have nothing else for scales by row
    )
    y = y.to(x.dtype).view(*x.shape[:-1], -1)
    return y if bias is None else y.add_(bias)


def in_float8(rows: Tensor) -> tuple[Tensor, Tensor]:
    """rows (n k) in float8, without gaps as the kernels want them, and the factors (n 1) that make `rows` of it."""
    scales = rows.abs().amax(dim=1, keepdim=True).float().clamp_min(torch.finfo(torch.float32).tiny) / LARGEST
    return (rows.float() / scales).clamp_(-LARGEST, LARGEST).to(FLOAT8).contiguous(), scales


ROUNDED = Made(in_float8)


@cache
def is_there(device: torch.device) -> bool:
    """Whether PyTorch multiplies so on a device, and that faster than bfloat16: GPUs since NVIDIA's Ada do."""
    if device.type != "cuda":
        return False
    try:
        with torch.inference_mode():
            layer = Linear(NARROW, NARROW, device=device, dtype=torch.bfloat16)
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)
            x = torch.linspace(-1, 1, FEW * NARROW, device=device, dtype=torch.bfloat16).view(1, FEW, NARROW)
            return bool((linear(layer, x) - x).abs().max() < 0.1)
    except (AttributeError, RuntimeError):
        return False
