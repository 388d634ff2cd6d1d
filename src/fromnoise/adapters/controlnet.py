"""A ControlNet beside the U-Net: it sees what the U-Net sees and a hint, and adds to what the U-Net has in between."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.controlnet import ControlNet
from fromnoise.sampling.areas import Area, cut


@dataclass(frozen=True, eq=False)
class ControlHint:
    """What one call brings along: a ControlNet, what it made of the hint, and how strongly it acts."""

    network: ControlNet
    guided: Tensor  # (1 c h w), from `ControlNet.guide`
    scales: tuple[float, ...]  # of each residual, that of the middle last
    types: tuple[int, ...] = ()  # of the hint, where the ControlNet is a union
    region: Tensor | None = None  # (1 1 H W) in [0, 1], of any size: where it acts

    def within(self, area: Area, of: tuple[int, int]) -> Self:
        """The hint for a part of the picture: `sampling.guidance_regions.Placed`."""
        region = None if self.region is None else cut(self.region, area, of)
        return replace(self, guided=cut(self.guided, area, of), region=region)

    @property
    def key(self) -> Hashable:
        region = None if self.region is None else self.region.shape
        return "controlnet", id(self.network), self.guided.shape, region

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network`, a U-Net, is given the residuals for the hints of `batch`, one for each of its calls."""
        guided = torch.cat([one.guided for one in batch])
        scales = torch.tensor([one.scales for one in batch])
        types = type_rows(self.network, [one.types for one in batch])
        region = None if self.region is None else torch.cat([one.region for one in batch if one.region is not None])
        channels = self.network.config.unet.in_channels

        def steer(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            x, timesteps, context, *rest = args
            y = rest[0] if rest else kwargs.get("y")
            given = x[:, :channels]  # an inpainting model has more
            residuals = self.network(given, timesteps, context, guided.to(x), y, None if types is None else types.to(x))
            columns = scales.to(x)[:, :, None, None, None].unbind(1)
            acting = [within(r * scale, region) for r, scale in zip(residuals, columns, strict=True)]
            if self.network.config.pooled:
                acting = [residual.mean(dim=(2, 3), keepdim=True) for residual in acting]
            return args, {**kwargs, "control": added(kwargs.get("control"), acting)}

        hook = network.register_forward_pre_hook(steer, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


def type_rows(network: ControlNet, types: Sequence[Sequence[int]]) -> Tensor | None:
    """(b t), 1 for each type of each hint; None where the network knows no types."""
    if network.config.union is None:
        return None
    rows = torch.zeros(len(types), network.config.union.types)
    for row, known in zip(rows, types, strict=True):
        row[list(known)] = 1
    return rows


def within(residual: Tensor, region: Tensor | None) -> Tensor:
    """`residual` (b c h w) where `region` (b 1 H W) is 1, and nothing where it is 0."""
    if region is None:
        return residual
    return residual * F.interpolate(region.to(residual), size=residual.shape[-2:], mode="bilinear")


def added(before: Sequence[Tensor] | None, residuals: Sequence[Tensor]) -> Sequence[Tensor]:
    """Those of several control networks together."""
    return residuals if before is None else [a + b for a, b in zip(before, residuals, strict=True)]
