"""Boxes that say what is where, through GLIGEN's layers beside a U-Net.

Li et al. (2023), "GLIGEN: Open-Set Grounded Text-to-Image Generation".
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import Tensor, nn

from fromnoise.nn.gligen import Gligen
from fromnoise.nn.ip_adapter import Site, sites
from fromnoise.nn.unet import UNet


@dataclass(frozen=True, eq=False)
class Boxes:
    """What one call brings along: a GLIGEN model, and what it made of the boxes."""

    network: Gligen
    objects: Tensor  # (1 MAX_BOXES d), from `Gligen.objects`

    @property
    def key(self) -> Hashable:
        return "gligen", id(self.network), self.objects.shape

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network`, a U-Net, heeds the boxes of `batch`, one set for each of its calls."""
        objects = torch.cat([member.objects for member in batch])
        with ExitStack() as undo:
            for site in sites(cast(UNet, network)):
                self._wrap(site, objects, undo)
            yield

    def _wrap(self, site: Site, objects: Tensor, undo: ExitStack) -> None:
        fuser, heads = self.network.fuser(site.name), site.block.attn1.heads
        inputs: list[Tensor] = []  # of the block, between the two hooks

        def enter(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            inputs[:] = [args[0]]

        def fuse(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            x = inputs.pop()  # the block adds it to what attends to itself
            fused: Tensor = fuser(x + output, objects.to(x), heads)
            return fused - x

        undo.callback(site.block.register_forward_pre_hook(enter).remove)
        undo.callback(site.block.attn1.register_forward_hook(fuse).remove)
