"""Fewer tokens in self-attention, for speed: alike ones are averaged before it, and its answer is copied back after it.

Bolya and Hoffman (2023), "Token Merging for Fast Stable Diffusion". As in AUTOMATIC1111 only self-attention merges.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fromnoise.nn.unet import SpatialTransformer, TransformerBlock, UNet


@dataclass(frozen=True)
class TokenMerging:
    """Merge a share of the tokens in the self-attention of the U-Net's highest resolutions."""

    ratio: float  # of the tokens to do without: 0 to 1 - 1 / stride**2, more counts as that; 0 changes nothing
    stride: int = 2  # in each cell of stride x stride tokens one stays, to be merged into
    max_downsample: int = 1  # merge where the picture is at most this many times smaller than the latents
    seed: int | None = None  # chooses which token of a cell stays; None: the one at the top left

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as undo:
            if self.ratio > 0:
                self._hook(network, Site(), undo)
            yield

    def _hook(self, network: nn.Module, site: "Site", undo: ExitStack) -> None:
        def arrive(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            site.latents = args[0].shape[-2] * args[0].shape[-1]

        def enter(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            site.size = (args[0].shape[-2], args[0].shape[-1])

        def match(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            few = math.ceil(math.sqrt(site.latents / math.prod(site.size))) > self.max_downsample
            site.matching = None if few else self.match(args[0], *site.size)

        def merge(module: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor] | None:
            if site.matching is None:
                return None
            merged = site.matching.merge(args[0])
            return merged, merged

        def unmerge(module: nn.Module, args: tuple[Tensor, Tensor], output: Tensor) -> Tensor:
            return output if site.matching is None else site.matching.unmerge(output)

        for module in network.modules():
            if isinstance(module, UNet):
                undo.callback(module.register_forward_pre_hook(arrive).remove)
            elif isinstance(module, SpatialTransformer):
                undo.callback(module.register_forward_pre_hook(enter).remove)
            elif isinstance(module, TransformerBlock):
                undo.callback(module.register_forward_pre_hook(match).remove)
                undo.callback(module.attn1.register_forward_pre_hook(merge).remove)
                undo.callback(module.attn1.register_forward_hook(unmerge).remove)

    def match(self, tokens: Tensor, height: int, width: int) -> "Matching":
        """Which of `tokens` (b height*width d) to merge, and into which: section 4.1, by cosine similarity."""
        stay = self._staying(height, width).to(tokens.device)
        sources, destinations = (~stay).nonzero()[:, 0], stay.nonzero()[:, 0]
        count = min(int(height * width * self.ratio), len(sources))
        directions = tokens / tokens.norm(dim=-1, keepdim=True)
        likeness, nearest = (directions[:, sources] @ directions[:, destinations].transpose(1, 2)).max(dim=-1)
        order = likeness.argsort(dim=-1, descending=True, stable=True)
        merged, kept = order[:, :count], order[:, count:]
        return Matching(sources[kept], sources[merged], nearest.gather(1, merged), destinations)

    def _staying(self, height: int, width: int) -> Tensor:
        """Boolean (height*width): the tokens to be merged into."""
        rows, columns = height // self.stride, width // self.stride
        chosen = torch.zeros(rows, columns, dtype=torch.int64)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed)
            chosen = torch.randint(self.stride**2, (rows, columns), generator=generator)
        y = torch.arange(rows)[:, None] * self.stride + chosen // self.stride
        x = torch.arange(columns) * self.stride + chosen % self.stride
        stay = torch.zeros(height, width, dtype=torch.bool)
        stay[y, x] = True
        return stay.flatten()


@dataclass(frozen=True)
class Matching:
    """Indices into the n tokens of each picture, which `merge` turns into n - r and `unmerge` back into n."""

    kept: Tensor  # (b k) tokens that stay as they are
    merged: Tensor  # (b r) tokens to do without
    into: Tensor  # (b r) the destination of each, counted among `destinations`
    destinations: Tensor  # (d)

    def merge(self, x: Tensor) -> Tensor:
        """(b n d) -> (b k+d d): each destination becomes the mean of itself and what is merged into it."""
        means = x[:, self.destinations].scatter_reduce(1, wide(self.into, x), x.gather(1, wide(self.merged, x)), "mean")
        return torch.cat((x.gather(1, wide(self.kept, x)), means), dim=1)

    def unmerge(self, x: Tensor) -> Tensor:
        """(b k+d d) -> (b n d): merged tokens get what their destination has."""
        kept, means = torch.split(x, [self.kept.shape[1], len(self.destinations)], dim=1)
        whole = x.new_empty(len(x), self.merged.shape[1] + x.shape[1], x.shape[2])
        whole[:, self.destinations] = means
        whole.scatter_(1, wide(self.kept, x), kept)
        return whole.scatter_(1, wide(self.merged, x), means.gather(1, wide(self.into, x)))


def wide(index: Tensor, x: Tensor) -> Tensor:
    """index (b n) for all features of x (b m d)."""
    return index[:, :, None].expand(-1, -1, x.shape[2])


@dataclass
class Site:
    """Where a forward pass is, from hook to hook."""

    latents: int = 0  # places of the U-Net's input
    size: tuple[int, int] = (0, 0)  # of the transformer at hand
    matching: Matching | None = field(default=None)
