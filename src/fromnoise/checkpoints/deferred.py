"""Tensors that are made when they are written, so that files larger than the memory can be taken apart and mixed.

later = deferred(lambda: a.float() * 0.7 + b.float() * 0.3, a.shape, torch.float32)
torch.cat((later, later)).T  # still nothing is computed
computed(later)  # now
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fromnoise.nn.quantized import Quantized

aten = torch.ops.aten
POSTPONED = {  # what changes the layout of weights from one file to another; anything else computes
    aten.cat.default,
    aten.detach.default,
    aten.permute.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.t.default,
    aten.unsqueeze.default,
    aten.view.default,
}


class Deferred(Tensor):
    """Stands for a tensor of a known shape and dtype. Each use makes it anew and keeps nothing."""

    make: Callable[[], Tensor]

    @staticmethod
    def __new__(cls, make: Callable[[], Tensor], shape: Sequence[int], dtype: torch.dtype) -> "Deferred":
        made: Deferred = torch.Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=dtype, requires_grad=False)
        made.make = make
        return made

    def __repr__(self, **_: object) -> str:  # type: ignore[override]
        return f"Deferred({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}

        def now() -> Any:
            return function(*map(_computed, args), **{name: _computed(arg) for name, arg in kwargs.items()})

        if function not in POSTPONED:
            return now()
        outcome = function(*map(_outlined, args), **kwargs)
        return Deferred(now, outcome.shape, outcome.dtype)


def deferred(make: Callable[[], Tensor], shape: Iterable[int], dtype: torch.dtype) -> Tensor:
    """The tensor that `make` will return, which must be of this shape and dtype."""
    return Deferred(make, tuple(shape), dtype)


def computed(tensor: Tensor) -> Tensor:
    """An ordinary tensor of what is deferred or packed."""
    if isinstance(tensor, Deferred):
        return computed(tensor.make())
    return tensor.unpacked() if isinstance(tensor, Quantized) else tensor


def postponed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, of which nothing is joined, turned or unpacked before it is written."""
    return {name: later(tensor) for name, tensor in state.items()}


def later(tensor: Tensor) -> Tensor:
    return tensor if isinstance(tensor, Deferred) else deferred(lambda: tensor, tensor.shape, tensor.dtype)


def _computed(value: Any) -> Any:
    if isinstance(value, (Deferred, Quantized)):
        return computed(value)
    return type(value)(map(_computed, value)) if isinstance(value, (list, tuple)) else value


def _outlined(value: Any) -> Any:
    """A tensor without content in the place of each."""
    if isinstance(value, Tensor):
        return torch.empty(value.shape, dtype=value.dtype, device="meta")
    return type(value)(map(_outlined, value)) if isinstance(value, (list, tuple)) else value
