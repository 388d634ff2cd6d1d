"""Pictures as prompts through the attention of a U-Net: IP-Adapters.

Ye et al. (2023), "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models", equation 5:
attention(q, k, v) + weight * attention(q, k', v'), with keys and values k', v' of the picture's own.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ip_adapter import IPAdapter, Site, sites
from fromnoise.nn.ops import Patch, attention, patching
from fromnoise.nn.unet import UNet
from fromnoise.sampling.areas import Area, cut
from fromnoise.text.ip_adapter_weights import Scaling

PENALTY_DIM = 1280  # channels that a weight with "C penalty" is full at


@dataclass(frozen=True, eq=False)
class PicturePrompt:
    """What one call brings along: the tokens of its picture, and how they act."""

    adapter: IPAdapter
    tokens: Tensor  # (1 n d)
    weights: tuple[float, ...]  # of each site, in the order of `sites`
    others: Tensor | None = None  # (1 n d), other tokens for the sites that `elsewhere` marks
    elsewhere: tuple[bool, ...] = ()
    mask: Tensor | None = None  # (1 1 h w) in [0, 1], of any size: where the picture acts
    mask_scale: Literal["bilinear", "bicubic"] = "bilinear"  # how it becomes as small as a layer's picture
    scaling: Scaling = "V only"
    lora: float = 1.0  # weight of the adapter's LoRA

    def within(self, area: Area, of: tuple[int, int]) -> Self:
        """What acts in a part of the picture: `sampling.guidance_regions.Placed`."""
        return self if self.mask is None else replace(self, mask=cut(self.mask, area, of))

    @property
    def key(self) -> Hashable:
        mask = None if self.mask is None else (self.mask.shape, self.mask_scale)
        others = self.others is not None and (self.others.shape, self.elsewhere)
        return "ip_adapter", id(self.adapter), self.tokens.shape, others, mask, self.scaling, self.lora

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network` looks at the pictures of `batch`, one for each of its calls."""
        places = sites(cast(UNet, network))
        stacked = Stacked(batch)
        with ExitStack() as undo:
            undo.enter_context(patching(network, self._patches(places)))
            for index, site in enumerate(places):
                if any(member.weights[index] for member in batch):
                    look(site, index, stacked, undo)
            yield

    def _patches(self, places: Sequence[Site]) -> dict[str, list[Patch]]:
        """The adapter's LoRA, by parameter."""
        return {
            f"{site.name}.{name}": [partial(changed, up, down, self.lora)]
            for index, site in enumerate(places if self.lora else ())
            for name, (up, down) in self.adapter.lora(index).items()
        }


class Stacked:
    """The tensors of a batch, put together once for all layers."""

    def __init__(self, batch: Sequence[PicturePrompt]) -> None:
        self.batch, self.first = batch, batch[0]
        self.tokens = torch.cat([member.tokens for member in batch])
        self.others, self.masks = together([m.others for m in batch]), together([m.mask for m in batch])

    def said(self, index: int) -> Tensor:
        """(b n d): what the site is told."""
        return self.others if self.others is not None and self.first.elsewhere[index] else self.tokens

    def weights(self, index: int, like: Tensor) -> Tensor:
        """(b 1 1)"""
        return like.new_tensor([member.weights[index] for member in self.batch])[:, None, None]

    def masked(self, answer: Tensor, size: tuple[int, int]) -> Tensor:
        """`answer` (b h*w d) where the masks are 1, and nothing where they are 0."""
        if self.masks is None:
            return answer
        small = F.interpolate(self.masks.to(answer.device), size=size, mode=self.first.mask_scale)
        return answer * small.flatten(1)[:, :, None].to(answer)


def together(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Those of a batch, of which all have one or none has."""
    found = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(found) if found else None


def look(site: Site, index: int, stacked: Stacked, undo: ExitStack) -> None:
    """Until `undo`, the site's cross-attention adds what it sees of the pictures to what it reads of the prompt."""
    attn, adapter = site.block.attn2, stacked.first.adapter
    queries: list[Tensor] = []  # between the two hooks
    size: list[tuple[int, int]] = []

    def enter(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        size[:] = [(args[0].shape[-2], args[0].shape[-1])]

    def keep(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        queries[:] = [output]

    def add(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        q = queries.pop()
        k, v = adapter.keys_and_values(index, stacked.said(index).to(q))
        seen = weighed(q, k, v, attn.heads, stacked.weights(index, q), stacked.first.scaling)
        return (args[0] + stacked.masked(seen, size[0]),)

    undo.callback(site.transformer.register_forward_pre_hook(enter).remove)
    undo.callback(attn.to_q.register_forward_hook(keep).remove)
    undo.callback(attn.to_out.register_forward_pre_hook(add).remove)


def weighed(q: Tensor, k: Tensor, v: Tensor, heads: int, weight: Tensor, scaling: Scaling) -> Tensor:
    """Attention with weights (b 1 1): equation 5's second term, or as ComfyUI's nodes scale it."""
    if scaling == "V only":
        return attention(q, k, v, heads) * weight
    if "C penalty" in scaling:
        weight = weight * (k.shape[-1] / PENALTY_DIM)
    if scaling.startswith("K+mean(V)"):
        mean = v.mean(dim=1, keepdim=True)
        return attention(q, k * weight, v - mean + mean * weight, heads)
    return attention(q, k * weight, v * weight, heads)


def changed(up: Tensor, down: Tensor, share: float, weight: Tensor) -> Tensor:
    """A layer's weight with a share of a change."""
    return weight + (up.to(weight) @ down.to(weight)) * share
