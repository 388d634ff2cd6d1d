"""ControlNet: a copy of a U-Net's way down that looks at a second picture, the hint, and steers the U-Net.

Module names are the checkpoint's keys under `control_model.`.
Zhang, Rao and Agrawala (2023), "Adding Conditional Control to Text-to-Image Diffusion Models".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.fused_attention import FusedLayer
from fromnoise.nn.ops import Conv2d, Linear
from fromnoise.nn.unet import (
    UNetConfig,
    input_blocks,
    label_embedding,
    middle_block,
    skip_widths,
    time_embedding,
    timestep_embedding,
)

TYPE_SINUSOIDS = 256  # for each type of a union ControlNet
HEADS = 8


@dataclass(frozen=True)
class UnionConfig:
    """What a union ControlNet (xinsir) has besides: it knows several types of hints, and is told which one it gets."""

    types: int = 6  # 8: ProMax
    layers: int = 1  # of the transformer over the hints' means


@dataclass(frozen=True)
class ControlNetConfig:
    """Everything that fixes the shapes of a ControlNet."""

    unet: UNetConfig  # its way down is copied
    hint_channels: int = 3
    hint_widths: tuple[int, ...] = (16, 32, 96, 256)  # each after the first at half the size
    union: UnionConfig | None = None
    pooled: bool = False  # residuals are averaged over the picture (shuffle), and the negative prompt gets none


class ControlNet(nn.Module):
    """Residuals for a U-Net's skip connections and middle, from its own input and a hint."""

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__()
        self.config = config
        unet = config.unet
        self.time_embed = time_embedding(unet)
        if unet.vector_dim:
            self.label_emb = label_embedding(unet)
        self.input_blocks = input_blocks(unet)
        self.middle_block = middle_block(unet)
        self.input_hint_block = hint_block(config)
        widths = skip_widths(unet)
        self.zero_convs = nn.ModuleList(nn.Sequential(Conv2d(width, width, 1)) for width in widths)
        self.middle_block_out = nn.Sequential(Conv2d(widths[-1], widths[-1], 1))
        if config.union:
            width = unet.model_channels
            self.task_embedding = nn.Parameter(torch.empty(config.union.types, width))
            self.transformer_layes = nn.ModuleList(FusedLayer(width, HEADS) for _ in range(config.union.layers))
            self.spatial_ch_projs = Linear(width, width)
            self.control_add_embedding = TypeEmbedding(config.union.types, width * 4)

    def guide(self, hints: Sequence[Tensor], types: Sequence[int] = (), weights: Sequence[float] = ()) -> Tensor:
        """What the network makes of its hints (b hint_channels 8h 8w): (b model_channels h w), the same at every step.

        A union ControlNet takes one hint for each of `types`, or one without a type; any other takes one. `weights`,
        one a hint, are how strongly they act together, as in diffusers' ControlNetUnionModel. The means of its hints
        go through a transformer whose attention, in the original, runs along the batch. As cond and uncond have the
        same hints there, each attends to what is equal to it, and the batch makes no difference here.
        """
        guided = [self.input_hint_block(hint) for hint in hints]
        if not self.config.union or not types:
            return torch.stack(guided).sum(0)
        weights = weights or [1.0] * len(guided)
        means = torch.stack(
            [
                (g.mean(dim=(2, 3)) + self.task_embedding[t].to(g)) * weight
                for g, t, weight in zip(guided, types, weights, strict=True)
            ]
        )
        for layer in self.transformer_layes:  # each mean attends to itself alone, see above
            means = layer(means.flatten(0, 1)[:, None]).view_as(means)
        shift = self.spatial_ch_projs(means)[..., None, None]
        return torch.stack([(g + s) * weight for g, s, weight in zip(guided, shift, weights, strict=True)]).sum(0)

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        guided: Tensor,
        y: Tensor | None = None,
        types: Tensor | None = None,
    ) -> list[Tensor]:
        """The U-Net's own input, and what `guide` returned -> residuals as `UNet.forward` takes them.

        types: (b t) for a union ControlNet, 1 where a hint of that type is given.
        """
        emb = self.time_embed(timestep_embedding(timesteps, self.config.unet.model_channels).to(x.dtype))
        if self.config.unet.vector_dim:
            emb = emb + self.label_emb(y)
        if self.config.union and types is not None:
            emb = emb + self.control_add_embedding(types, x.dtype)

        residuals = []
        for index, (block, zero_conv) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            x = block(x, emb, context)
            x = x if index else x + guided
            residuals.append(zero_conv(x))
        residuals.append(self.middle_block_out(self.middle_block(x, emb, context)))
        return residuals


def hint_block(config: ControlNetConfig) -> nn.Sequential:
    """Convolutions from the hint to the size of the latents."""
    widths = config.hint_widths
    layers: list[nn.Module] = [Conv2d(config.hint_channels, widths[0], 3, padding=1), nn.SiLU()]
    for width, following in pairwise(widths):
        layers += [Conv2d(width, width, 3, padding=1), nn.SiLU()]
        layers += [Conv2d(width, following, 3, padding=1, stride=2), nn.SiLU()]
    return nn.Sequential(*layers, Conv2d(widths[-1], config.unet.model_channels, 3, padding=1))


class TypeEmbedding(nn.Module):
    """Which types of hints a union ControlNet is given, for the timestep embedding."""

    def __init__(self, types: int, emb: int) -> None:
        super().__init__()
        self.linear_1 = Linear(TYPE_SINUSOIDS * types, emb)
        self.linear_2 = Linear(emb, emb)

    def forward(self, types: Tensor, dtype: torch.dtype) -> Tensor:
        """types (b t) of 0 and 1 -> (b emb)."""
        sinusoids = timestep_embedding(types.flatten(), TYPE_SINUSOIDS).view(len(types), -1)
        out: Tensor = self.linear_2(F.silu(self.linear_1(sinusoids.to(dtype))))
        return out
