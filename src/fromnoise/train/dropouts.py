"""What a LoRA leaves out by chance while it trains: parts of its inner size, rows, whole layers, later ranks."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.adapters.lora import LoRA
from fromnoise.adapters.weight_adapter import WeightAdapter
from fromnoise.nn.ops import Conv2d
from fromnoise.train.lora_options import LoRAOptions


@dataclass(frozen=True)
class Dropouts:
    """Shares."""

    outputs: float = 0.0  # of what comes out of the inner size
    ranks: float = 0.0  # of the parts of the inner size, for each picture
    modules: float = 0.0  # of layers
    unit: int = 0  # ranks of a DyLoRA that learn together; 0: all ranks learn

    @classmethod
    def of(cls, options: LoRAOptions) -> "Dropouts":
        return cls(options.dropout, options.rank_dropout, options.module_dropout, options.unit)

    @property
    def thins(self) -> bool:
        """Whether weights that are made anew for each step are other ones by chance."""
        return bool(self.ranks or self.modules)

    def skips(self) -> bool:
        """Whether the layer is left out this time."""
        return self.modules > 0 and torch.is_grad_enabled() and float(torch.rand(())) < self.modules

    def applied(self, inner: Tensor, axis: int) -> Tensor:
        """To what comes out of the inner size, whose parts lie along `axis`; what is left is made larger for it."""
        if not torch.is_grad_enabled():
            return inner
        if self.outputs:
            inner = F.dropout(inner, self.outputs)
        if self.ranks:
            shape = [1] * inner.ndim
            shape[0], shape[axis] = len(inner), inner.shape[axis]
            inner = inner * F.dropout(inner.new_ones(shape), self.ranks)
        return inner

    def shortened(self, lora: LoRA) -> LoRA:
        """A DyLoRA's first ranks, as many units as chance says, of which the last unit alone learns.

        Valipour et al. (2023), "DyLoRA", algorithm 1 with the update of the last rank alone: it is divided by the
        ranks in use, so that a file that is cut off there has the strength that was trained.
        """
        if not self.unit or not torch.is_grad_enabled():
            return lora
        start = self.unit * int(torch.randint(lora.rank // self.unit, ()))
        end = start + self.unit
        up = torch.cat((lora.up[:, :start].detach(), lora.up[:, start:end]), dim=1)
        down = torch.cat((lora.down[:start].detach(), lora.down[start:end]))
        return replace(lora, up=up, down=down, scale=lora.scale * lora.rank / end)


@dataclass
class Thinned:
    """What changes in a layer this time: some of its rows, or nothing, as LyCORIS leaves out rows and layers.

    Its bias goes with its weight, which is asked for before.
    """

    dropouts: Dropouts
    stay: Tensor | None = None  # rows that change (out); None: none does

    def __call__(self, adapter: WeightAdapter, tensor: Tensor, *, again: bool = False) -> Tensor:
        """What an adapter makes of a weight, or `again` of its bias."""
        if not torch.is_grad_enabled():
            return adapter.merged(tensor)
        if not again:
            rows = torch.rand(len(tensor), device=tensor.device) >= self.dropouts.ranks
            self.stay = None if self.dropouts.skips() else rows
        if self.stay is None:
            return tensor
        return torch.where(self.stay.view(-1, *(1,) * (tensor.ndim - 1)), adapter.merged(tensor), tensor)


def by_the_way(
    lora: Callable[[], LoRA], dropouts: Dropouts, on: Callable[[], bool]
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    """A hook that adds s up (down x) to what a layer answers: Hu et al. (2021), equation 3."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not on() or dropouts.skips():
            return output
        x, adapter = inputs[0], dropouts.shortened(lora())
        down, up = adapter.down.to(x), adapter.up.to(x)
        if isinstance(layer, Conv2d):
            inner = F.conv2d(x, down.view(len(down), *layer.weight.shape[1:]), None, layer.stride, layer.padding)
            return output + F.conv2d(dropouts.applied(inner, 1), up.view(*up.shape[:2], 1, 1)) * adapter.scale
        inner = F.linear(x, down.flatten(1))
        return output + F.linear(dropouts.applied(inner, -1), up.flatten(1)) * adapter.scale

    return hook
