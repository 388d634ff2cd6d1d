"""A network's calls on a GPU as recorded graphs: one launch instead of the thousand kernels of a call.

A graph is recorded for each bucket: the shapes, dtypes and layouts of what goes in, and which layers have weights with
LoRAs. It reads its inputs, and those weights, from places of its own, into which they are copied before it runs; so
another LoRA on the same layers needs no other graph, and the network itself is never written to. Each recording is
checked against the network before it is used.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fromnoise.errors import is_out_of_memory
from fromnoise.nn.ops import Fetching, replacing_in
from fromnoise.nn.unet import UNet

LOG = logging.getLogger(__name__)
WARM_UP = 2  # runs before a recording: kernels choose their algorithms, allocators find their sizes
KINDS = 256  # of calls that are remembered
CLOSE = 0.01  # a recording runs the same kernels: what is further off is something else

Inputs = Sequence[Tensor | None]
Layers = Mapping[Fetching, Mapping[str, Tensor]]  # weights by layer and parameter


class Recorder(Protocol):
    """What a device records with."""

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """What runs it again, and the tensor that then has its result. RuntimeError where it can't be recorded."""
        ...


@dataclass
class Graph:
    """One recording."""

    inputs: list[Tensor | None]
    replay: Callable[[], None]
    out: Tensor

    def __call__(self, inputs: Inputs) -> Tensor:
        for room, given in zip(self.inputs, inputs, strict=True):
            if room is not None and given is not None:
                room.copy_(given)
        self.replay()
        return self.out.clone()


@dataclass
class Slots:
    """Where graphs find the weights of some layers."""

    layers: Layers
    shown: Hashable = None  # whose weights are there now

    def show(self, name: Hashable, layers: Layers) -> None:
        """Copy these weights, which are called `name`, into their places."""
        if self.shown != name:
            for layer, tensors in layers.items():
                for parameter, tensor in tensors.items():
                    self.layers[layer][parameter].copy_(tensor)
            self.shown = name


@dataclass
class Graphs:
    """Of one network. What is asked for only once is not recorded; nor are more than `most` kinds of calls."""

    network: Callable[..., Tensor]
    recorder: Recorder
    most: int = 8
    parts: tuple[nn.Module, ...] = ()  # all modules of the network, to be looked at before each call
    graphs: OrderedDict[tuple[Hashable, ...], Graph] = field(default_factory=OrderedDict)
    slots: dict[Hashable, Slots] = field(default_factory=dict)
    asked: Counter[tuple[Hashable, ...]] = field(default_factory=Counter)
    refused: set[Hashable] = field(default_factory=set)  # could not be recorded

    def __call__(
        self, inputs: Inputs, name: Hashable = None, layers: Layers | None = None, kind: Hashable = None
    ) -> Tensor:
        """The network's answer; `layers` are weights in place of its own, `name` is equal where they are.

        `kind` is equal where the network runs the same code.
        """
        with ExitStack() as stack:
            layers = layers or {}
            places = tuple((id(layer), *tensors) for layer, tensors in layers.items())
            bucket = (places, kind, *(signature(tensor) for tensor in inputs))
            self.asked[bucket] += 1
            if bucket in self.refused or self.asked[bucket] == 1:
                stack.enter_context(replacing_in(layers))
                return self.network(*inputs)
            self._forget(bucket)
            if places not in self.slots:
                self.slots[places] = Slots(copied(layers), name)
            slots = self.slots[places]
            slots.show(name, layers)
            if bucket not in self.graphs:
                stack.enter_context(replacing_in(slots.layers))
                if not self._record(bucket, inputs):
                    return self.network(*inputs)
            self.graphs.move_to_end(bucket)
            return self.graphs[bucket](inputs)

    def clear(self) -> None:
        """Forget all that was recorded: the network's weights are elsewhere now."""
        self.graphs.clear()
        self.slots.clear()

    def _forget(self, bucket: tuple[Hashable, ...]) -> None:
        """Make room for a graph of `bucket`; places of weights that no graph reads any more go, too."""
        while bucket not in self.graphs and len(self.graphs) >= self.most:
            self.graphs.popitem(last=False)
        used = {places for places, *_ in (bucket, *self.graphs)}
        self.slots = {places: slots for places, slots in self.slots.items() if places in used}
        if len(self.asked) > KINDS:
            self.asked = Counter(dict.fromkeys((bucket, *self.graphs), 1))
        if len(self.refused) > KINDS:
            self.refused.clear()

    def _record(self, bucket: tuple[Hashable, ...], inputs: Inputs) -> bool:
        own = [None if tensor is None else tensor.clone(memory_format=torch.preserve_format) for tensor in inputs]
        try:
            wanted = self.network(*own)
            replay, out = self.recorder.record(lambda: self.network(*own))
            replay()
            if not torch.allclose(out, wanted, rtol=CLOSE, atol=CLOSE * float(wanted.abs().max()), equal_nan=True):
                raise RuntimeError("its answers differ")
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            LOG.warning("calls of the network could not be recorded (%s): they go on one kernel at a time", error)
            self.refused.add(bucket)
            return False
        self.graphs[bucket] = Graph(own, replay, out)
        return True


def signature(tensor: Tensor | None) -> Hashable:
    """What a graph depends on of an input."""
    return None if tensor is None else (tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)


def copied(layers: Layers) -> Layers:
    return {layer: {name: tensor.clone() for name, tensor in tensors.items()} for layer, tensors in layers.items()}


def may_be_recorded(parts: Iterable[nn.Module]) -> bool:
    """Whether nothing acts on a call beside weights: hooks and patches of `parts`, all modules of a network, would be
    passed by when it is replayed."""
    return not any(
        module._forward_hooks or module._forward_pre_hooks or getattr(module, "patches", None) for module in parts
    )


class CudaRecorder:
    """CUDA graphs, also on ROCm; all share one pool of memory, as only one runs at a time."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.pool: Any = None

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        current, aside = torch.cuda.current_stream(self.device), torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                run()
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):  # another thread may decode
            out = run()
        self.pool = graph.pool()
        return graph.replay, out


def graphs_for(unet: UNet, device: torch.device) -> Graphs | None:
    """Called with x, timesteps, context, y and guidance, as a U-Net takes them. None where the device has no graphs."""
    return of_unet(unet, CudaRecorder(device)) if device.type == "cuda" else None


def of_unet(unet: UNet, recorder: Recorder) -> Graphs:
    return Graphs(
        lambda x, time, context, y, guidance: unet(x, time, context, y, guidance=guidance),
        recorder,
        parts=tuple(unet.modules()),
    )
