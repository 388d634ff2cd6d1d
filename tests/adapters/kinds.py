"""Random adapters of every kind for the layers of a network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fromnoise.adapters.full import Difference, Replacement
from fromnoise.adapters.glora import GLoRA
from fromnoise.adapters.ia3 import IA3
from fromnoise.adapters.loha import LoHa
from fromnoise.adapters.lokr import LoKr
from fromnoise.adapters.lora import LoRA
from fromnoise.adapters.oft import BOFT, OFT
from fromnoise.adapters.tlora import TLoRA
from fromnoise.adapters.weight_adapter import WeightAdapter
from fromnoise.nn.ops import Fetching

LAYERS = ("attn1.to_q", "ff.net.0.proj", "out_layers.3", "proj_in")


def factor(*shape: int) -> Tensor:
    return torch.randn(shape) * 0.3


MAKERS: dict[str, Callable[[int, int, int], WeightAdapter]] = {  # from rows, columns, and size of the kernel
    "lora": lambda o, i, k: LoRA(factor(o).abs() + 1, factor(o, 2), factor(2, i, k, k)),
    "loha": lambda o, i, k: LoHa(None, factor(o, 2), factor(2, i * k * k), factor(o, 2), factor(2, i * k * k)),
    "lokr": lambda o, i, k: LoKr(None, (factor(4, 4),), (factor(o // 4, 2), factor(2, i // 4 * k * k))),
    "glora": lambda o, i, k: GLoRA(None, factor(i, 2), factor(2, i), factor(o, 2), factor(2, i, k, k)),
    "ia3": lambda o, i, k: IA3(factor(o), False),
    "full": lambda o, i, k: Difference(factor(o, i, k, k)),
    "set": lambda o, i, k: Replacement(factor(o, i, k, k)),
    "oft": lambda o, i, k: OFT(factor(o // 8, 8, 8), factor(o) + 1),
    "tlora": lambda o, i, k: TLoRA(factor(o, 2), factor(1, 2), factor(2, i * k * k)),
    "boft": lambda o, i, k: BOFT(factor(2, o // 8, 8, 8), factor(o) + 1),
}


def some_of_each_kind(network: nn.Module, kind: str) -> dict[str, tuple[WeightAdapter, ...]]:
    """Adapters of one kind for linear layers and convolutions of `network`, by parameter."""
    torch.manual_seed(0)
    found: dict[str, tuple[WeightAdapter, ...]] = {}
    for name, module in network.named_modules():
        if isinstance(module, Fetching) and name.endswith(LAYERS):
            out, inner, *kernel = module.weight.shape
            adapter = MAKERS[kind](out, inner, kernel[0] if kernel else 1)
            assert adapter.fits(module.weight.shape), (name, kind)
            found[f"{name}.weight"] = (adapter,)
    return found
