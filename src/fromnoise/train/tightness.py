"""What a training does about too little memory: it takes more time, or frozen weights take fewer bits.

Tightened step by step: gradient checkpointing; fewer pictures at once, with the same gradient; bfloat16, then float8
for weights that do not learn.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fromnoise.engine.library import Model
from fromnoise.nn.ops import Conv2d, Linear
from fromnoise.train.recompute import recomputing


@dataclass
class Tightness:
    """How little memory a training takes."""

    parts: int = 1  # that a batch is taken in
    recompute: bool = False
    base: torch.dtype | None = None  # of frozen weights; None: as they came
    inside: ExitStack | None = field(default=None, repr=False)  # that lasts as long as the training

    def enter(self, stack: ExitStack, model: Model, *, recompute: bool) -> None:
        """Begin: `stack` is left at the end."""
        self.inside = stack
        if recompute or self.recompute:
            self._checkpoint(model)

    def tighten(self, model: Model, batch: int) -> str | None:
        """The next step, in words; None where none is left. `batch`: pictures of a step."""
        if not self.recompute:
            self._checkpoint(model)
            return "out of memory: from here on with gradient checkpointing, which takes more time"
        if self.parts < batch:
            self.parts = min(batch, 2 * self.parts)
            return f"out of memory: from here on each batch is taken in {self.parts} parts, with the same gradient"
        if self.base is None and frozen(model, above=2):
            self.base = torch.bfloat16
            keep_in_bfloat16(model)
            return "out of memory: from here on weights that do not learn are kept in bfloat16 (--base bfloat16)"
        if frozen(model, above=1):
            self.base = torch.float8_e4m3fn
            keep_in_eight_bits(model)
            return "out of memory: from here on weights that do not learn are kept in float8 (--base fp8)"
        return None

    def _checkpoint(self, model: Model) -> None:
        self.recompute = True
        if self.inside is not None:
            self.inside.enter_context(recomputing((model.unet, *model.text)))


def layers(model: Model) -> list[nn.Module]:
    """Those of the U-Net whose weights are kept in fewer bits: the large ones."""
    return [m for m in model.unet.modules() if isinstance(m, (Linear, Conv2d)) and not m.weight.requires_grad]


def frozen(model: Model, above: int) -> bool:
    """Whether there are weights that do not learn and take more than so many bytes each."""
    return any(weight_of(layer).element_size() > above for layer in layers(model))


def weight_of(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


@torch.no_grad()
def keep_in_bfloat16(model: Model) -> None:
    """Keep weights of the U-Net's layers in bfloat16; they are widened where they are used."""
    keep(model, torch.bfloat16)


@torch.no_grad()
def keep_in_eight_bits(model: Model) -> None:
    """Keep weights of the U-Net's layers in float8; they are widened where they are used."""
    keep(model, torch.float8_e4m3fn)


def keep(model: Model, dtype: torch.dtype) -> None:
    for layer in layers(model):
        layer.weight = nn.Parameter(weight_of(layer).to(dtype), requires_grad=False)
