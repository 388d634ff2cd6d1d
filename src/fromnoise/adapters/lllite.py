"""ControlNet-LLLite beside the U-Net: what its attention projects is changed by what small networks see in a hint."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.control_lllite import LLLite, LLLiteModule
from fromnoise.sampling.areas import Area, cut

BLOCKS = ".transformer_blocks."


@dataclass(frozen=True, eq=False)
class LLLiteHint:
    """What one call brings along: the networks, what each sees in the hint, and how strongly they act."""

    network: LLLite
    seen: Mapping[str, Tensor]  # (1 c h w), by module, from `LLLiteModule.look`
    weight: float
    region: Tensor | None = None  # (1 1 H W) in [0, 1], of any size: where it acts

    def within(self, area: Area, of: tuple[int, int]) -> Self:
        """The hint for a part of the picture: `sampling.guidance_regions.Placed`."""
        region = None if self.region is None else cut(self.region, area, of)
        return replace(self, seen={name: cut(one, area, of) for name, one in self.seen.items()}, region=region)

    @property
    def key(self) -> Hashable:
        region = None if self.region is None else self.region.shape
        return "lllite", id(self.network), tuple(tensor.shape for tensor in self.seen.values()), region

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network`, a U-Net, sees the hints of `batch`, one for each of its calls."""
        weights = torch.tensor([one.weight for one in batch])[:, None, None]
        regions = [one.region for one in batch if one.region is not None]
        acting = Acting(weights, torch.cat(regions) if regions else None)
        with ExitStack() as undo:
            for name, target in self.network.targets.items():
                seen = torch.cat([one.seen[name] for one in batch])
                self._beside(network, target, cast(LLLiteModule, self.network[name]), seen, acting, undo)
            yield

    def _beside(
        self, unet: nn.Module, target: str, module: LLLiteModule, seen: Tensor, acting: "Acting", undo: ExitStack
    ) -> None:
        sizes: list[tuple[int, int]] = []  # of the layer's picture, between the two hooks

        def enter(transformer: nn.Module, args: tuple[Tensor, ...]) -> None:
            sizes[:] = [(args[0].shape[-2], args[0].shape[-1])]

        def change(layer: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            (x,) = args
            return (x + module(x, seen.to(x), sizes[0]) * acting.shares(x, sizes[0]),)

        transformer = unet.get_submodule(target.split(BLOCKS)[0])
        undo.callback(transformer.register_forward_pre_hook(enter).remove)
        undo.callback(unet.get_submodule(target).register_forward_pre_hook(change).remove)


@dataclass(frozen=True, eq=False)
class Acting:
    """How strongly and where the hints of a batch act."""

    weights: Tensor  # (b 1 1)
    regions: Tensor | None  # (b 1 H W)

    def shares(self, like: Tensor, size: tuple[int, int]) -> Tensor:
        """(b 1 1), or (b h*w 1) for the places of a layer."""
        weights = self.weights.to(like)
        if self.regions is None:
            return weights
        small = F.interpolate(self.regions.to(like), size=size, mode="bilinear")
        return weights * small.flatten(1)[:, :, None]
