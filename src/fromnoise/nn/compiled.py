"""A U-Net's blocks compiled: one compilation for all blocks of a kind, whatever their weights.

A compiled block is a function of its weights, so that LoRAs are other arguments and no other code. On processors it is
compiled ahead of time (`ahead.py`), elsewhere by `torch.compile`; either way it is kept in a folder (`keep_in`), where
the next process finds it.
"""

import copy
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from fromnoise.nn import ahead, kernels
from fromnoise.nn.ahead import run
from fromnoise.nn.ops import Fetching, standing_in
from fromnoise.nn.quantized import Quantized
from fromnoise.nn.unet import ResBlock, TransformerBlock

LOG = logging.getLogger(__name__)
KINDS = 256  # of blocks and sizes of pictures that one process compiles; dynamo's own bound is 8

_failed = False  # nothing more is compiled by this process


def keep_in(folder: Path | None) -> None:
    """Where what is compiled is kept; None: by this process alone, or where inductor keeps it by itself."""
    ahead.keep_in(None if folder is None else folder / "blocks")
    if folder is not None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "compiled"))


@dataclass(frozen=True)
class Compiled:
    """Transformer and residual blocks run compiled, where nothing but LoRAs acts on what is inside of them."""

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        kernels.prepare()
        with standing_in((block.module, block) for block in blocks_of(network)):
            yield


@dataclass(frozen=True)
class Compilable:
    """One block of a network: stands in for its `forward`."""

    module: nn.Module
    outline: nn.Module  # that of all blocks of its kind, without weights
    facts: str  # of the kind
    inside: tuple[nn.Module, ...]
    layers: tuple[tuple[str, Fetching, str], ...]  # parameter in the block; its layer, and its name there

    def __call__(self, *given: Tensor) -> Tensor:
        weights = {name: layer.replaced.get(own, getattr(layer, own)) for name, layer, own in self.layers}
        if _failed or not self.is_plain(given[0], weights):
            return type(self.module).forward(self.module, *given)  # type: ignore[no-any-return]
        return compiled(self, given, {name: weight.data for name, weight in weights.items()})

    def is_plain(self, x: Tensor, weights: dict[str, Tensor]) -> bool:
        """Whether its weights are ready, and nothing else has a part in what it computes or learns from it."""
        return not (torch.is_grad_enabled() and x.requires_grad) and not any(
            one._forward_hooks or one._forward_pre_hooks or "forward" in one.__dict__ or getattr(one, "patches", None)
            for one in self.inside
        ) and all(
            weight.dtype == x.dtype and weight.device == x.device and not isinstance(weight, Quantized)
            for weight in weights.values()
        )  # fmt: skip


def compiled(block: Compilable, given: tuple[Tensor, ...], weights: dict[str, Tensor]) -> Tensor:
    """The block's answer; not compiled, from now on, where that fails."""
    global _failed
    try:
        if is_ahead(given[0].device):
            return ahead.answer(block.outline, block.facts, weights, given)
        return traced(block.outline, weights, given)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # of dynamo, inductor, a compiler of the system: there are many kinds
        if "allocate memory" in str(error):  # torch's, on a processor
            raise
        _failed = True
        why = " ".join(str(error).split())[:200] or type(error).__name__
        LOG.warning("the network could not be compiled (%s): it goes on without", why)
    return type(block.module).forward(block.module, *given)  # type: ignore[no-any-return]


def is_ahead(device: torch.device) -> bool:
    """Whether blocks are compiled ahead of time: elsewhere that takes more than a compiler, such as CUDA's headers."""
    return device.type == "cpu"


def traced(outline: nn.Module, weights: dict[str, Tensor], given: tuple[Tensor, ...]) -> Tensor:
    """The same by `torch.compile`."""
    tell_once()
    for tensor in given:
        torch._dynamo.maybe_mark_dynamic(tensor, 0)  # the same code for all sizes of batches
    with torch._dynamo.config.patch(recompile_limit=KINDS, accumulated_recompile_limit=KINDS):
        return run_compiled()(outline, weights, *given)


@cache
def tell_once() -> None:
    """What a person waits for, where nothing was compiled before."""
    if not Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")).joinpath("fxgraph").is_dir():
        ahead.tell_once()


@cache
def run_compiled() -> Callable[..., Tensor]:
    return torch.compile(run, dynamic=False, fullgraph=True)


BLOCKS: WeakKeyDictionary[nn.Module, tuple[Compilable, ...]] = WeakKeyDictionary()
OUTLINES: dict[str, nn.Module] = {}


def blocks_of(network: nn.Module) -> tuple[Compilable, ...]:
    """The blocks of a network that are compiled."""
    if network not in BLOCKS:
        found = (module for module in network.modules() if type(module) in (TransformerBlock, ResBlock))
        BLOCKS[network] = tuple(compilable(module) for module in found)
    return BLOCKS[network]


def compilable(module: nn.Module) -> Compilable:
    layers = tuple(
        (f"{prefix}.{own}", layer, own)
        for prefix, layer in module.named_modules()
        if isinstance(layer, Fetching)
        for own, _ in layer.named_parameters(recurse=False)
    )
    facts = repr((type(module).__name__, repr(module), getattr(module, "crossed", None), heads_of(module)))
    if facts not in OUTLINES:
        OUTLINES[facts] = outline(module)
    return Compilable(module, OUTLINES[facts], facts, tuple(module.modules())[1:], layers)


def heads_of(module: nn.Module) -> tuple[Any, ...]:
    """What the printed form of a block does not tell."""
    return tuple(getattr(one, "heads", None) for one in module.modules())


def outline(module: nn.Module) -> nn.Module:
    """A copy without weights, and without what acts on the module now."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach().to("meta"), False) for p in module.parameters()}
    made = copy.deepcopy(module, memo)
    for one in made.modules():
        one._forward_hooks.clear()
        one._forward_pre_hooks.clear()
        for name in ("forward", "replaced", "patches"):
            one.__dict__.pop(name, None)
    return made
