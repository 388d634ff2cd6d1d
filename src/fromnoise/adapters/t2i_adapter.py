"""T2I-Adapters beside the U-Net: features of a hint, made once, are added to what its blocks put out."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from fromnoise.adapters.controlnet import within
from fromnoise.sampling.areas import Area, cut


@dataclass(frozen=True, eq=False)
class AdapterHint:
    """What one call brings along: features, where they go, and how strongly they act."""

    features: tuple[Tensor, ...]  # (1 c h w) each, from `T2IAdapter`
    places: tuple[int, ...]  # of each, from `nn.t2i_adapter.places`
    scales: tuple[float, ...]  # of each
    region: Tensor | None = None  # (1 1 H W) in [0, 1], of any size: where they act

    def within(self, area: Area, of: tuple[int, int]) -> Self:
        """The hint for a part of the picture: `sampling.guidance_regions.Placed`."""
        region = None if self.region is None else cut(self.region, area, of)
        return replace(self, features=tuple(cut(feature, area, of) for feature in self.features), region=region)

    @property
    def key(self) -> Hashable:
        region = None if self.region is None else self.region.shape
        return "t2i_adapter", self.places, tuple(feature.shape for feature in self.features), region

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network`, a U-Net, is given the features of `batch`, one for each of its calls."""
        region = None if self.region is None else torch.cat([one.region for one in batch if one.region is not None])
        features = {}
        for index, place in enumerate(self.places):
            scales = torch.tensor([one.scales[index] for one in batch])[:, None, None, None]
            stacked = torch.cat([one.features[index] for one in batch])
            features[place] = within(stacked * scales.to(stacked), region)

        def put(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            before = kwargs.get("features") or {}
            mine = {place: feature.to(args[0]) for place, feature in features.items()}
            both = {place: before[place] + mine[place] for place in before.keys() & mine.keys()}
            return args, {**kwargs, "features": {**before, **mine, **both}}

        hook = network.register_forward_pre_hook(put, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()
