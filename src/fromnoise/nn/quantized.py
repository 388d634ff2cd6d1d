"""Weights that stay packed until they are used: blocks of a few bits and a scale, or float8 and a scale.

`Quantized` stands where a weight stands. It has the weight's shape and a dtype that it claims, moves between devices
packed, and is unpacked by whatever computes with it: by `ops.Fetching` in the ordinary course.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


@dataclass(frozen=True)
class Scheme:
    """How numbers are packed."""

    name: str
    unpack: Callable[..., Tensor]  # the stored tensors -> the numbers, float32 of any shape, in order
    block: int = 1  # numbers packed together, neighbours in the last dimension
    nbytes: int = 1  # that they take


class Quantized(Tensor):
    """A packed weight. `stored` are what its scheme unpacks: for blocks one tensor (blocks, bytes) of uint8."""

    scheme: Scheme
    stored: tuple[Tensor, ...]

    @staticmethod
    def __new__(
        cls, scheme: Scheme, stored: tuple[Tensor, ...], shape: Sequence[int], dtype: torch.dtype = torch.float16
    ) -> "Quantized":
        made: Quantized = torch.Tensor._make_wrapper_subclass(
            cls, tuple(shape), dtype=dtype, device=stored[0].device, requires_grad=False
        )
        made.scheme, made.stored = scheme, stored
        return made

    def unpacked(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """The weight as an ordinary tensor; it is moved before it grows."""
        stored = [part.to(device) for part in self.stored]
        return self.scheme.unpack(*stored).reshape(self.shape).to(dtype or self.dtype)

    def rows(self, numbers: Tensor) -> Tensor:
        """Some rows of a table (n d), for numbers of any shape: (..., d)."""
        width = self.shape[1]
        if self.scheme.block == 1 or width % self.scheme.block:
            return self.unpacked()[numbers]
        blocks = self.stored[0].view(len(self), -1)[numbers].view(-1, self.scheme.nbytes)
        return self.scheme.unpack(blocks).view(*numbers.shape, width).to(self.dtype)

    def packed(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Quantized":
        """The same on another device, or claiming another dtype."""
        return Quantized(self.scheme, tuple(part.to(device) for part in self.stored), self.shape, dtype or self.dtype)

    def __repr__(self, **_: object) -> str:  # type: ignore[override]
        return f"Quantized({self.scheme.name}, {tuple(self.shape)}, {self.dtype}, {self.device})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        own = args[0] if args and isinstance(args[0], Quantized) else None
        if own is not None and function is aten.detach.default:
            return own.packed()
        if own is not None and function is aten._to_copy.default:
            if kwargs.get("dtype") in (None, own.dtype):
                return own.packed(kwargs.get("device"))
            return own.unpacked(kwargs.get("device"), kwargs["dtype"])
        plain = [_plain(arg) for arg in args]
        return function(*plain, **{name: _plain(arg) for name, arg in kwargs.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Quantized):
        return value.unpacked()
    return type(value)(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def unpacked(weight: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Any weight, ready to compute with."""
    return weight.unpacked(device, dtype) if isinstance(weight, Quantized) else weight.to(device, dtype)


def scaled(numbers: Tensor, scale: Tensor) -> Tensor:
    """float8 numbers (o ...) with one scale, or one for each of their rows."""
    return numbers.float() * scale.float().reshape(-1, *[1] * (numbers.ndim - 1))


SCALED_FLOAT8 = Scheme("scaled float8", scaled)
