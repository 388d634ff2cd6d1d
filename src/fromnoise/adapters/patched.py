"""A network with LoRAs on, for some of its calls: weights are computed once, kept for a while, and never written to.

copies = Copies(limit=4 << 30)
with Patched("unet", ((adapter, Strengths(unet=0.8)),), copies).applied(unet):
    out = unet(x, timesteps, context)
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fromnoise.adapters.adapter import Adapter, Strengths
from fromnoise.nn.ops import Patch, by_layer, merged, patching, replacing

Use = tuple[Adapter, Strengths]


@dataclass
class Copies:
    """Patched copies of a model's weights, those used last; the newest stay whatever their size."""

    limit: int  # bytes
    kept: OrderedDict[Hashable, Mapping[str, Tensor]] = field(default_factory=OrderedDict)
    computed: int = 0  # sets so far

    @property
    def size(self) -> int:
        return sum(tensor.nbytes for tensors in self.kept.values() for tensor in tensors.values())

    def of(self, key: Hashable, network: nn.Module, patches: Mapping[str, tuple[Patch, ...]]) -> Mapping[str, Tensor]:
        """The parameters of `network` that `patches` change, changed; `key` is equal where they are."""
        if key not in self.kept:
            self.make_room(sum(network.get_parameter(name).nbytes for name in patches))
            self.kept[key] = changed(network, patches)
            self.computed += 1
        self.kept.move_to_end(key)
        return self.kept[key]

    def make_room(self, size: int) -> None:
        """Drop what was used longest ago, until `size` more bytes are within the limit."""
        while self.kept and self.size + size > self.limit:
            self.kept.popitem(last=False)


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
        patches = self.patches()
        if any(layer.replaced or layer.patches for layer in by_layer(network, patches)):
            with patching(network, patches):  # on top of what is there already
                yield
        else:
            with replacing(network, self.copies.of(self, network, patches)):
                yield

    def patches(self) -> dict[str, tuple[Patch, ...]]:
        """What the LoRAs, one after the other, do to each parameter."""
        found: dict[str, tuple[Patch, ...]] = {}
        for adapter, strengths in self.uses:
            for parameter, patches in adapter.patches(self.network, strengths).items():
                found[parameter] = (*found.get(parameter, ()), *patches)
        return found
