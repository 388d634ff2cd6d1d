"""GLIGEN: boxes with a text for each, which a U-Net heeds by a gated self-attention in every transformer block.

Module names are those of the original files. Li et al. (2023), "GLIGEN: Open-Set Grounded Text-to-Image Generation".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from fromnoise.nn.ops import LayerNorm, Linear, attention
from fromnoise.nn.unet import CrossAttention, FeedForward

MAX_BOXES = 30  # that its authors trained it with; a picture with fewer has empty ones besides
TEMPERATURE = 100.0  # of the boxes' sinusoids


@dataclass(frozen=True)
class GligenConfig:
    """Everything that fixes a GLIGEN model."""

    blocks: tuple[tuple[str, int], ...]  # names of the U-Net's transformer blocks and their widths
    text_dim: int = 768  # of a text's pooled state
    object_dim: int = 768  # of what the position net makes of a box
    frequencies: int = 8
    hidden_dim: int = 512  # of the position net


class PositionNet(nn.Module):
    """Boxes and texts to objects: equation 5."""

    def __init__(self, config: GligenConfig) -> None:
        super().__init__()
        self.frequencies = config.frequencies
        places, hidden = config.frequencies * 8, config.hidden_dim  # sine and cosine of four sides each
        self.linears = nn.Sequential(
            Linear(config.text_dim + places, hidden),
            nn.SiLU(),
            Linear(hidden, hidden),
            nn.SiLU(),
            Linear(hidden, config.object_dim),
        )
        self.null_positive_feature = nn.Parameter(torch.zeros(config.text_dim))
        self.null_position_feature = nn.Parameter(torch.zeros(places))

    def forward(self, boxes: Tensor, texts: Tensor, count: int) -> Tensor:
        """boxes (b n 4), left, top, right and bottom as shares of the picture, and texts (b n text_dim), of which the
        first `count` are there -> (b n object_dim)."""
        there = (torch.arange(boxes.shape[1], device=boxes.device) < count)[:, None]
        places = torch.where(there, sinusoids(boxes, self.frequencies), self.null_position_feature.to(boxes))
        texts = torch.where(there, texts, self.null_positive_feature.to(texts))
        out: Tensor = self.linears(torch.cat((texts, places), dim=-1))
        return out


def sinusoids(boxes: Tensor, frequencies: int) -> Tensor:
    """boxes (b n 4) -> (b n 8 frequencies): for each frequency the sines of all sides, then the cosines."""
    rates = TEMPERATURE ** (torch.arange(frequencies, device=boxes.device) / frequencies)
    angles = boxes[:, :, None] * rates[:, None].to(boxes)  # b n f 4
    return torch.stack((angles.sin(), angles.cos()), dim=3).flatten(2)


class Fuser(nn.Module):
    """Gated self-attention over the picture's places and the objects, then a gated feed-forward layer: equation 8."""

    def __init__(self, dim: int, object_dim: int) -> None:
        super().__init__()
        self.linear = Linear(object_dim, dim)
        self.attn = CrossAttention(dim, dim, 1)  # as many heads as the block it is in
        self.ff = FeedForward(dim)
        self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim)
        self.alpha_attn, self.alpha_dense = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, objects: Tensor, heads: int) -> Tensor:
        """x (b n dim), objects (b m object_dim) -> (b n dim)."""
        h, attn = self.norm1(torch.cat((x, self.linear(objects)), dim=1)), self.attn
        seen = attn.to_out(attention(attn.to_q(h[:, : x.shape[1]]), attn.to_k(h), attn.to_v(h), heads))
        x = x + self.alpha_attn.to(x).tanh() * seen
        out: Tensor = x + self.alpha_dense.to(x).tanh() * self.ff(self.norm2(x))
        return out


class Gligen(nn.Module):
    """A position net, and fusers under the names of the blocks that they are for."""

    def __init__(self, config: GligenConfig) -> None:
        super().__init__()
        self.config = config
        self.position_net = PositionNet(config)
        for name, dim in config.blocks:
            planted(self, f"{name}.fuser", Fuser(dim, config.object_dim))

    def fuser(self, block: str) -> Fuser:
        """Of the U-Net's transformer block of that name."""
        return cast(Fuser, self.get_submodule(f"{block}.fuser"))

    def objects(self, boxes: Sequence[tuple[Sequence[float], Tensor]]) -> Tensor:
        """(1 MAX_BOXES object_dim) of boxes, each with its text's pooled state (text_dim)."""
        device = self.position_net.null_position_feature.device
        places, texts = torch.zeros(1, MAX_BOXES, 4), torch.zeros(1, MAX_BOXES, self.config.text_dim)
        for i, (box, text) in enumerate(boxes):
            places[0, i], texts[0, i] = torch.tensor(box), text.float()
        made: Tensor = self.position_net(places.to(device), texts.to(device), len(boxes))
        return made


def planted(root: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` into `root` under a name with dots."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = cast(nn.Module, root._modules[part])
    root.add_module(last, module)
