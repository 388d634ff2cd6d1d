"""A device that is played: its tensors say that they are on `meta`, and hold numbers on the processor all the same.

    with played() as seen:
        x = torch.ones(2).to(ELSEWHERE)
        x + torch.ones(2)     # RuntimeError, as with a GPU: two devices
    seen.brought, seen.waits

Tensors without dimensions may be mixed in from the processor, as on a GPU. Whatever gets numbers back is a wait.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

ELSEWHERE = torch.device("meta")


class Elsewhere(Tensor):
    """A tensor there."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "Elsewhere":
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=ELSEWHERE,
        )  # fmt: skip
        made.held = held
        found: Elsewhere = made
        return found

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        raise AssertionError("used outside of played()")


class Played(TorchDispatchMode):
    """While it is on, ELSEWHERE is a device."""

    def __init__(self) -> None:
        super().__init__()
        self.brought = 0  # tensors that were copied there
        self.waits = 0  # for numbers from there

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        there = [one for one in tensors if isinstance(one, Elsewhere)]
        here = [one for one in tensors if not isinstance(one, Elsewhere) and one.dim()]
        wanted = kwargs.get("device")
        if not there and ELSEWHERE not in (*args, *kwargs.values()):
            return function(*args, **kwargs)
        if torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd"):
            with self:  # what it is made of comes here
                return function.decompose(*args, **kwargs)
        copies = function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        if there and here and not copies:
            raise RuntimeError(f"{function}: tensors on two devices")
        if wanted is not None and wanted.type == ELSEWHERE.type:
            kwargs["device"] = torch.device("cpu")
        goes = bool(there) if wanted is None else wanted.type == ELSEWHERE.type
        if function is torch.ops.aten.copy_.default:
            goes = isinstance(args[0], Elsewhere)
        if copies:
            self.brought += goes and bool(here)
        if there and (not goes or function is torch.ops.aten._local_scalar_dense.default):
            self.waits += 1
        if function is torch.ops.aten._local_scalar_dense.default:
            goes = False
        out = function(*tree_map(opened, args), **tree_map(opened, kwargs))
        own = {id(one.held): one for one in there}  # what an operation in place gives back

        def closed(one: Any) -> Any:
            if not goes or not isinstance(one, Tensor):
                return one
            return own[id(one)] if id(one) in own else Elsewhere(one)

        return tree_map(closed, out)


def opened(one: Any) -> Any:
    return one.held if isinstance(one, Elsewhere) else one


@contextmanager
def played() -> Iterator[Played]:
    with Played() as seen:
        yield seen
