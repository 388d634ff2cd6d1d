"""Less of the U-Net at some steps, for speed: what its inner blocks made at an earlier step stands in for them.

Ma et al. (2024), "DeepCache: Accelerating Diffusion Models for Free", section 3.3: from step to step the inner features
change little, so that the outermost blocks on either side can go on from kept ones.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from fromnoise.nn.unet import Block, UNet, UNetConfig


@dataclass
class Kept:
    """What the inner blocks made for one call."""

    inner: Tensor | None = None  # (1 c h w)


@dataclass(frozen=True, eq=False)
class StepReuse:
    """What one call brings along: where its inner features are kept, and whether to go on from them.

    It takes blocks out of the network, so it is attached last, nearest to it. Control networks add to blocks that may
    not be there, and the middle tells no attention: leave those out.
    """

    blocks: int  # that always run, outermost, on either side: 1 to `most_blocks`
    kept: Kept
    again: bool = False  # the kept features stand in; otherwise all of the network runs, and they are kept

    def copied(self) -> Self:
        """The same for a copy of its call, of which nothing is kept."""
        return replace(self, kept=Kept(self.kept.inner))

    @property
    def key(self) -> Hashable:
        return "step reuse", self.blocks, self.again

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network`, a U-Net, keeps or uses the features of `batch`, one for each of its calls."""
        unet = cast(UNet, network)
        if not self.again:
            hook = unet.output_blocks[-self.blocks - 1].register_forward_hook(keeping(batch))
            try:
                yield
            finally:
                hook.remove()
            return
        whole = unet.input_blocks, unet.middle_block, unet.output_blocks
        inner = torch.cat([one.kept.inner for one in batch if one.kept.inner is not None])
        unet.input_blocks = unet.input_blocks[: self.blocks]
        unet.output_blocks = unet.output_blocks[-self.blocks :]
        unet.middle_block = Remembered(inner)
        try:
            yield
        finally:
            unet.input_blocks, unet.middle_block, unet.output_blocks = whole


class Remembered(Block):
    """Stands where blocks were left out and puts out what they made earlier (b c h w)."""

    def __init__(self, inner: Tensor) -> None:
        super().__init__()
        self.inner = inner

    def forward(  # type: ignore[override]
        self, x: Tensor, emb: Tensor, context: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        return self.inner


def keeping(batch: Sequence[StepReuse]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """A hook that hands each call its part of a block's output."""

    def keep(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        for one, row in zip(batch, torch.split(output, 1), strict=True):
            one.kept.inner = row

    return keep


def most_blocks(config: UNetConfig) -> int:
    """How many blocks can always run while at least one does not."""
    return len(config.output_depths) - 1
