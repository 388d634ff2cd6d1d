"""From what a picture encoder tells to tokens that a U-Net's attention reads: the first half of every IP-Adapter.

Module names are the keys under `image_proj.` in the original files. Ye et al. (2023), "IP-Adapter: Text Compatible
Image Prompt Adapter for Text-to-Image Diffusion Models", and the authors' later kinds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from fromnoise.nn.ops import LayerNorm, Linear, attention

Kind = Literal["plain", "full", "plus", "face", "face_plus"]
"""What is read: an embedding; all states; all states, resampled; a face's identity; that and all states."""

HEAD_DIM = 64  # of the resamplers' attention


@dataclass(frozen=True)
class ProjectionConfig:
    """Everything that fixes a projection."""

    kind: Kind
    out_dim: int  # of the tokens: the U-Net's context
    in_dim: int  # of the picture's embedding or states, or of the face's identity
    tokens: int = 4  # that it makes; full: as many as there are states
    dim: int = 0  # plus: within the resampler
    heads: int = 0  # plus and face_plus: of the resampler
    layers: int = 4  # plus and face_plus
    vision_dim: int = 0  # face_plus: of the states; `in_dim` is the identity's
    hidden_dim: int = 0  # face and face_plus: between the identity's two layers
    mlp_ratio: int = 4  # plus and face_plus


class Plain(nn.Module):
    """An embedding (b in_dim) to tokens (b tokens out_dim)."""

    def __init__(self, config: ProjectionConfig) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj = Linear(config.in_dim, config.tokens * config.out_dim)
        self.norm = LayerNorm(config.out_dim)

    def forward(self, embedding: Tensor) -> Tensor:
        out: Tensor = self.norm(self.proj(embedding).unflatten(1, (self.tokens, -1)))
        return out


class Full(nn.Module):
    """All states (b n in_dim), each to a token (b n out_dim)."""

    def __init__(self, config: ProjectionConfig) -> None:
        super().__init__()
        inner, outer = Linear(config.in_dim, config.in_dim), Linear(config.in_dim, config.out_dim)
        self.proj = nn.Sequential(inner, nn.GELU(), outer, LayerNorm(config.out_dim))

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.proj(states)
        return out


class PerceiverAttention(nn.Module):
    """Latents look at the picture and at themselves: Jaegle et al. (2021), as Flamingo has it."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * HEAD_DIM
        self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim)
        self.to_q = Linear(dim, inner, bias=False)
        self.to_kv = Linear(dim, 2 * inner, bias=False)
        self.to_out = Linear(inner, dim, bias=False)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        latents = self.norm2(latents)
        k, v = self.to_kv(torch.cat((self.norm1(x), latents), dim=1)).chunk(2, dim=-1)
        out: Tensor = self.to_out(attention(self.to_q(latents), k, v, self.heads))
        return out


def resampler_layers(dim: int, config: ProjectionConfig) -> nn.ModuleList:
    """Pairs of attention and feed-forward layers."""
    inner = dim * config.mlp_ratio
    return nn.ModuleList(
        nn.ModuleList(
            (
                PerceiverAttention(dim, config.heads),
                nn.Sequential(
                    LayerNorm(dim), Linear(dim, inner, bias=False), nn.GELU(), Linear(inner, dim, bias=False)
                ),
            )
        )
        for _ in range(config.layers)
    )


def resampled(layers: nn.ModuleList, x: Tensor, latents: Tensor) -> Tensor:
    """`latents` (b q d) after looking at x (b n d) in every layer."""
    for attend, feed_forward in cast(Iterable[nn.ModuleList], layers):
        latents = attend(x, latents) + latents
        latents = feed_forward(latents) + latents
    return latents


class Plus(nn.Module):
    """All states (b n in_dim), gathered into tokens (b tokens out_dim)."""

    def __init__(self, config: ProjectionConfig) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(1, config.tokens, config.dim))
        self.proj_in, self.proj_out = Linear(config.in_dim, config.dim), Linear(config.dim, config.out_dim)
        self.norm_out = LayerNorm(config.out_dim)
        self.layers = resampler_layers(config.dim, config)

    def forward(self, states: Tensor) -> Tensor:
        latents = self.latents.to(states).expand(len(states), -1, -1)
        out: Tensor = self.norm_out(self.proj_out(resampled(self.layers, self.proj_in(states), latents)))
        return out


class Face(nn.Module):
    """A face's identity (b in_dim) to tokens (b tokens out_dim)."""

    def __init__(self, config: ProjectionConfig) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj = nn.Sequential(
            Linear(config.in_dim, config.hidden_dim),
            nn.GELU(),
            Linear(config.hidden_dim, config.tokens * config.out_dim),
        )
        self.norm = LayerNorm(config.out_dim)

    def forward(self, identity: Tensor) -> Tensor:
        out: Tensor = self.norm(self.proj(identity).unflatten(1, (self.tokens, -1)))
        return out


class FaceResampler(nn.Module):
    def __init__(self, config: ProjectionConfig) -> None:
        super().__init__()
        self.proj_in, self.proj_out = Linear(config.vision_dim, config.out_dim), Linear(config.out_dim, config.out_dim)
        self.norm_out = LayerNorm(config.out_dim)
        self.layers = resampler_layers(config.out_dim, config)

    def forward(self, latents: Tensor, states: Tensor) -> Tensor:
        out: Tensor = self.norm_out(self.proj_out(resampled(self.layers, self.proj_in(states), latents)))
        return out


class FacePlus(Face):
    """A face's identity (b in_dim), which then looks at the states of its picture (b n vision_dim)."""

    def __init__(self, config: ProjectionConfig) -> None:
        super().__init__(config)
        self.perceiver_resampler = FaceResampler(config)

    def forward(  # type: ignore[override]
        self, identity: Tensor, states: Tensor, structure: float | None = None
    ) -> Tensor:
        """`structure`: how much of what was seen is added to the identity (version 2); None is the sight alone."""
        tokens = super().forward(identity)
        seen: Tensor = self.perceiver_resampler(tokens, states)
        return seen if structure is None else tokens + structure * seen


Projection = Plain | Full | Plus | Face | FacePlus
PROJECTIONS: dict[Kind, type[Projection]] = {
    "plain": Plain,
    "full": Full,
    "plus": Plus,
    "face": Face,
    "face_plus": FacePlus,
}
