"""A network that enlarges, whoever wrote it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

FLOATS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Network:
    """A network that enlarges pictures (b c h w) in [0, 1]."""

    name: str  # of its kind
    module: nn.Module
    run: Callable[[Tensor], Tensor]  # (b c h w) -> (b c scale*h scale*w)
    scale: int
    channels: int = 3  # 1: grey pictures, colours one by one
    reach: int = 64  # how far, in pixels of the input, one of them can change the output
    multiple: int = 1  # tiles begin at multiples of it
    tiles: bool = True  # it may be shown a part of the picture at a time
    dtypes: tuple[torch.dtype, ...] = FLOATS  # it can compute in

    def dtype(self, wanted: torch.dtype) -> torch.dtype:
        """What it computes in where `wanted` would be best."""
        return wanted if wanted in self.dtypes else torch.float32
