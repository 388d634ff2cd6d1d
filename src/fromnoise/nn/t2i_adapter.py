"""T2I-Adapter: small networks that turn a hint into features for a U-Net's way down, once for all steps.

Module names are those of the original files. Mou et al. (2023), "T2I-Adapter: Learning Adapters to Dig out More
Controllable Ability for Text-to-Image Diffusion Models".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.fused_attention import FusedLayer
from fromnoise.nn.ops import Conv2d, LayerNorm
from fromnoise.nn.unet import UNetConfig


@dataclass(frozen=True)
class T2IAdapterConfig:
    """Everything that fixes the shapes of an adapter."""

    hint_channels: int = 3  # 1: grey hints
    widths: tuple[int, ...] = (320, 640, 1280, 1280)  # of the features
    blocks: int = 2  # residual blocks for each of them
    light: bool = False
    kernel: int = 1  # of the second convolution of a block
    conv_downs: bool = False  # sizes are halved by convolutions, not by averaging
    xl: bool = False  # for SDXL: begins at a sixteenth of the picture and halves it only once

    @property
    def unshuffle(self) -> int:
        """How many pixels wide the squares are that become channels at first."""
        return 16 if self.xl else 8

    def halves(self, level: int) -> bool:
        """Whether the features of this level are half as large as those before."""
        return level == 2 if self.xl else level > 0


class T2IAdapter(nn.Module):
    """Features of a hint, for the ends of a U-Net's levels."""

    def __init__(self, config: T2IAdapterConfig) -> None:
        super().__init__()
        self.config = config
        cin = config.hint_channels * config.unshuffle**2
        if config.light:
            levels = [cin, *config.widths]
            self.body = nn.ModuleList(
                LightBlock(a, b, config.blocks, config.halves(i)) for i, (a, b) in enumerate(pairwise(levels))
            )
        else:
            self.conv_in = Conv2d(cin, config.widths[0], 3, padding=1)
            self.body = nn.ModuleList(full_blocks(config))

    def forward(self, hint: Tensor) -> list[Tensor]:
        """hint (b hint_channels H W) in [0, 1], sides multiples of `unshuffle` -> features, the largest first."""
        x = F.pixel_unshuffle(hint, self.config.unshuffle)
        if self.config.light:
            return list(passed(self.body, x, every=1))
        return list(passed(self.body, self.conv_in(x), every=self.config.blocks))


def passed(blocks: nn.ModuleList, x: Tensor, every: int) -> Iterator[Tensor]:
    """What comes out of every so manieth of `blocks`."""
    for index, block in enumerate(blocks):
        x = block(x)
        if (index + 1) % every == 0:
            yield x


def places(adapter: T2IAdapterConfig, unet: UNetConfig) -> list[int]:
    """To which blocks of the U-Net the features are added, as numbered by `UNet.forward`."""
    per_level = unet.res_blocks + 1
    ends = [per_level * level + unet.res_blocks for level in range(len(unet.channel_mult))]
    if not adapter.xl:
        return ends
    first_down, middle = per_level, per_level * len(unet.channel_mult)
    return [first_down, *ends[1:], middle]


def full_blocks(config: T2IAdapterConfig) -> Iterator["FullBlock"]:
    for level, width in enumerate(config.widths):
        before = config.widths[max(level - 1, 0)]
        for index in range(config.blocks):
            yield FullBlock(width if index else before, width, config, halves=index == 0 and config.halves(level))


class FullBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int, config: T2IAdapterConfig, *, halves: bool) -> None:
        super().__init__()
        kernel, padding = config.kernel, config.kernel // 2
        if halves:
            self.down_opt: nn.Module = ConvDown(channels) if config.conv_downs else average()
        if channels != out_channels:
            self.in_conv = Conv2d(channels, out_channels, kernel, padding=padding)
        self.block1 = Conv2d(out_channels, out_channels, 3, padding=1)
        self.block2 = Conv2d(out_channels, out_channels, kernel, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down_opt(x) if hasattr(self, "down_opt") else x
        x = self.in_conv(x) if hasattr(self, "in_conv") else x
        out: Tensor = self.block2(F.relu(self.block1(x))) + x
        return out


class ConvDown(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.op(x)
        return out


def average() -> nn.AvgPool2d:
    """Half the size, rounded up as the U-Net rounds it."""
    return nn.AvgPool2d(2, stride=2, ceil_mode=True)


class LightBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int, blocks: int, halves: bool) -> None:
        super().__init__()
        inner = out_channels // 4
        self.down = average() if halves else nn.Identity()
        self.in_conv = Conv2d(channels, inner, 1)
        self.body = nn.Sequential(*(LightResBlock(inner) for _ in range(blocks)))
        self.out_conv = Conv2d(inner, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out_conv(self.body(self.in_conv(self.down(x))))
        return out


class LightResBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block1 = Conv2d(channels, channels, 3, padding=1)
        self.block2 = Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block2(F.relu(self.block1(x))) + x
        return out


@dataclass(frozen=True)
class StyleAdapterConfig:
    width: int = 1024  # of CLIP's vision states
    context_dim: int = 768
    layers: int = 3
    tokens: int = 8
    heads: int = 8


class StyleAdapter(nn.Module):
    """Tokens of a picture's style, which follow those of the prompt."""

    def __init__(self, config: StyleAdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.style_embedding = nn.Parameter(torch.empty(1, config.tokens, config.width))
        self.transformer_layes = nn.ModuleList(FusedLayer(config.width, config.heads) for _ in range(config.layers))
        self.ln_pre, self.ln_post = LayerNorm(config.width), LayerNorm(config.width)
        self.proj = nn.Parameter(torch.empty(config.width, config.context_dim))

    def forward(self, states: Tensor) -> Tensor:
        """All states of CLIP's last vision layer (b n width) -> tokens (b tokens context_dim)."""
        x = torch.cat((states, self.style_embedding.to(states).expand(len(states), -1, -1)), dim=1)
        x = self.ln_pre(x)
        for layer in self.transformer_layes:
            x = layer(x)
        tokens: Tensor = self.ln_post(x[:, -self.config.tokens :])
        return tokens @ self.proj.to(tokens)
