"""Weights that wait in a file, on their way one part of a network ahead of its use.

ahead = Ahead(network, waiting, carrier)    # hooks; what order parts are used in is learned from the first pass
network(x)
ahead.close()

On a processor the next part's pages are asked for while this part computes. On a GPU the next part is copied through
memory that cannot be moved (pinned), by a stream of its own; it is dropped when it has been used.
"""

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fromnoise.nn.ops import Fetching
from fromnoise.nn.quantized import Quantized

Place = tuple[Fetching, str]  # a layer and the name of a parameter
Waiting = Callable[[Fetching], Sequence[str]]  # which of a layer's parameters are not where they are used


class Carrier(Protocol):
    """Brings weights; called in a thread."""

    def bring(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Begin; copies of these where they are used, or nothing where they can be used where they are."""
        ...

    def wait(self, copies: Sequence[Tensor]) -> None:
        """Whoever calls may use the copies from now on."""
        ...


@dataclass
class Ahead:
    """Watches the parts of a network at work, each of at most `most` weights where layers are not larger."""

    network: nn.Module
    waiting: Waiting
    carrier: Carrier
    most: int = 1 << 24
    after: dict[nn.Module, nn.Module] = field(default_factory=dict)  # what came after each part the last time
    coming: dict[nn.Module, "Future[Sequence[Tensor]]"] = field(default_factory=dict)
    here: dict[nn.Module, list[Place]] = field(default_factory=dict)  # replaced for now
    before: nn.Module | None = None

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="weights")
        self.hooks = []
        for part in parts(self.network, self.most):
            if self.places(part):
                self.hooks.append(part.register_forward_pre_hook(self._starts))
                self.hooks.append(part.register_forward_hook(self._ends, always_call=True))

    def close(self) -> None:
        """Leave the network as it was."""
        for hook in self.hooks:
            hook.remove()
        for part in list(self.here):
            self._ends(part)
        self.coming.clear()
        self.pool.shutdown(wait=True, cancel_futures=True)

    def places(self, part: nn.Module) -> list[Place]:
        """What of a part has to be brought."""
        layers = [layer for layer in part.modules() if isinstance(layer, Fetching)]
        return [(layer, name) for layer in layers for name in self.waiting(layer)]

    def _starts(self, part: nn.Module, *_: object) -> None:
        if self.before is not None:
            self.after[self.before] = part
        self.before = part
        arriving, places = self.coming.pop(part, None), self.places(part)
        if arriving is not None and (copies := arriving.result()):
            self.carrier.wait(copies)
            self.here[part] = places
            for (layer, name), copy in zip(places, copies, strict=True):
                layer.replaced = {name: copy, **layer.replaced}
        following = self.after.get(part)
        self.coming.clear()  # of another order than this time's
        if following is not None:
            tensors = [getattr(layer, name).data for layer, name in self.places(following)]
            self.coming[following] = self.pool.submit(self.carrier.bring, tensors)

    def _ends(self, part: nn.Module, *_: object) -> None:
        for layer, name in self.here.pop(part, ()):
            layer.replaced = {other: tensor for other, tensor in layer.replaced.items() if other != name}


def parts(network: nn.Module, most: int) -> Iterator[nn.Module]:
    """The network in parts that are called as one, of at most `most` weights where layers are not larger."""
    inside = [child for child in network.children() if any(True for _ in child.parameters())]
    if not inside or sum(parameter.numel() for parameter in network.parameters()) <= most:
        yield network
        return
    for child in inside:
        yield from parts(child, most)


class Pages:
    """For weights that are used in the file's memory map: asks the system to read them."""

    def bring(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        for tensor in tensors:
            for one in tensor.stored if isinstance(tensor, Quantized) else (tensor,):
                advise(one)
        return ()

    def wait(self, copies: Sequence[Tensor]) -> None:
        """There are none."""


def advise(tensor: Tensor) -> None:
    """Have the system read the pages of a tensor soon; where it cannot be asked, nothing happens."""
    if sys.platform == "win32":
        return
    start = tensor.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
    size = tensor.data_ptr() + tensor.nbytes - start
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), ctypes.c_int(mmap.MADV_WILLNEED))


@dataclass
class Room:
    """Pinned memory, and when what was last put there has left."""

    memory: Tensor
    left: Any = None


class Pinned:
    """For weights that are used on a GPU: two rooms in turns, one being filled while the other is emptied."""

    def __init__(self, device: torch.device, streams: Any = None, allocate: Callable[[int], Tensor] | None = None):
        self.device = device
        self.streams = streams or torch.get_device_module(device)
        self.allocate = allocate or (lambda size: torch.empty(size, dtype=torch.uint8, pin_memory=True))
        self.stream = self.streams.Stream(device=device)
        self.rooms = [Room(torch.empty(0, dtype=torch.uint8)) for _ in range(2)]
        self.newest: Any = None

    @torch.no_grad()
    def bring(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        self.rooms.reverse()
        room = self.rooms[0]
        if room.left is not None:
            room.left.synchronize()
        starts = [0]
        for tensor in tensors:
            starts.append(starts[-1] + -(-tensor.nbytes // 64) * 64)
        if len(room.memory) < starts[-1]:
            room.memory = self.allocate(starts[-1])
        copies = []
        with self.streams.stream(self.stream):
            for tensor, start in zip(tensors, starts, strict=False):
                staged = room.memory[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
                copies.append(staged.copy_(tensor).to(self.device, non_blocking=True, copy=True))
            room.left = self.streams.Event()
            room.left.record(self.stream)
        self.newest = room.left
        return copies

    def wait(self, copies: Sequence[Tensor]) -> None:
        now = self.streams.current_stream(self.device)
        now.wait_event(self.newest)
        for copy in copies:
            if copy.device.type != "cpu":
                copy.record_stream(now)  # freed only when what uses it has run


def carrier(device: torch.device) -> Carrier:
    """What suits a device."""
    return Pinned(device) if device.type in ("cuda", "xpu") else Pages()
