"""A network with LoRAs on, for some of its calls: weights are computed once, kept for a while, and never written to.

copies = Copies()
with Patched("unet", ((adapter, Strengths(unet=0.8)),), copies).applied(unet):
    out = unet(x, timesteps, context)
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from fromnoise.adapters.adapter import Adapter, Strengths
from fromnoise.nn.ops import Fetching, Patch, by_layer, merged, patching, replacing_in

Use = tuple[Adapter, Strengths]
Layers = Mapping[Fetching, Mapping[str, Tensor]]  # tensors by layer and parameter


@dataclass
class Copies:
    """Patched copies of a model's weights, those used last; the newest stay whatever their size."""

    times: float = 2.0  # the size of the largest network is what there is room for
    largest: int = 0  # bytes of that network
    kept: OrderedDict[Hashable, Layers] = field(default_factory=OrderedDict)
    computed: int = 0  # sets so far
    room: bool = True  # if not, no copies are made, and patches act at each use

    @property
    def size(self) -> int:
        """Bytes of what is kept."""
        layers = [tensors for layers in self.kept.values() for tensors in layers.values()]
        return sum(tensor.nbytes for tensors in layers for tensor in tensors.values())

    def of(self, key: Hashable, network: nn.Module, patches: Mapping[str, tuple[Patch, ...]]) -> Layers:
        """The parameters of `network` that `patches` change, changed; `key` is equal where they are."""
        if key not in self.kept:
            self.largest = max(self.largest, sum(parameter.nbytes for parameter in network.parameters()))
            self.make_room(sum(network.get_parameter(name).nbytes for name in patches))
            self.kept[key] = by_layer(network, changed(network, patches))
            self.computed += 1
        self.kept.move_to_end(key)
        return self.kept[key]

    def do_without(self) -> None:
        """Drop all copies, and make no others."""
        self.room = False
        self.kept.clear()

    def make_room(self, size: int) -> None:
        """Drop what was used longest ago, until there is room for `size` more bytes."""
        while self.kept and self.size + size > self.times * self.largest:
            self.kept.popitem(last=False)


@torch.inference_mode(False)  # tensors like those of files: to compiled code, inference tensors are others
@torch.no_grad()
def changed(network: nn.Module, patches: Mapping[str, tuple[Patch, ...]]) -> dict[str, Tensor]:
    return {name: merged(network.get_parameter(name), some) for name, some in patches.items()}


@dataclass(frozen=True)
class Patched:
    """Several LoRAs on one network, in this order: a network variant."""

    network: str  # unet, text0 or text1
    uses: tuple[Use, ...]
    copies: Copies = field(compare=False, repr=False)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        layers = by_layer(network, self.patches)
        if not self.copies.room or any(layer.replaced or layer.patches for layer in layers):
            with patching(network, self.patches):  # on top of what is there already
                yield
        else:
            with replacing_in(self.layers(network)):
                yield

    def layers(self, network: nn.Module) -> Layers:
        """The weights to use in place of the network's own, which are kept for a while."""
        return self.copies.of(self, network, self.patches)

    @cached_property
    def patches(self) -> dict[str, tuple[Patch, ...]]:
        """What the LoRAs, one after the other, do to each parameter."""
        found: dict[str, tuple[Patch, ...]] = {}
        for adapter, strengths in self.uses:
            for parameter, patches in adapter.patches(self.network, strengths).items():
                found[parameter] = (*found.get(parameter, ()), *patches)
        return found
