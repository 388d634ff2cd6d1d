"""ControlNet-LLLite beside the U-Net: what its attention projects is changed by what small networks see in a hint."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from fromnoise.nn.control_lllite import LLLite, LLLiteModule
from fromnoise.sampling.areas import Area, cut

BLOCKS = ".transformer_blocks."


@dataclass(frozen=True, eq=False)
class LLLiteHint:
    """What one call brings along: the networks, what each sees in the hint, and how strongly they act."""

    network: LLLite
    seen: Mapping[str, Tensor]  # (1 c h w), by module, from `LLLiteModule.look`
    weight: float

    def within(self, area: Area, of: tuple[int, int]) -> Self:
        """The hint for a part of the picture: `sampling.guidance_regions.Placed`."""
        return replace(self, seen={name: cut(tensor, area, of) for name, tensor in self.seen.items()})

    @property
    def key(self) -> Hashable:
        return "lllite", id(self.network), tuple(tensor.shape for tensor in self.seen.values())

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network`, a U-Net, sees the hints of `batch`, one for each of its calls."""
        weights = torch.tensor([one.weight for one in batch])[:, None, None]
        with ExitStack() as undo:
            for name, target in self.network.targets.items():
                seen = torch.cat([one.seen[name] for one in batch])
                self._beside(network, target, cast(LLLiteModule, self.network[name]), seen, weights, undo)
            yield

    def _beside(
        self, unet: nn.Module, target: str, module: LLLiteModule, seen: Tensor, weights: Tensor, undo: ExitStack
    ) -> None:
        sizes: list[tuple[int, int]] = []  # of the layer's picture, between the two hooks

        def enter(transformer: nn.Module, args: tuple[Tensor, ...]) -> None:
            sizes[:] = [(args[0].shape[-2], args[0].shape[-1])]

        def change(layer: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            (x,) = args
            return (x + module(x, seen.to(x), sizes[0]) * weights.to(x),)

        transformer = unet.get_submodule(target.split(BLOCKS)[0])
        undo.callback(transformer.register_forward_pre_hook(enter).remove)
        undo.callback(unet.get_submodule(target).register_forward_pre_hook(change).remove)
