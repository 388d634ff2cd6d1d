"""ESRGAN and its children: residual-in-residual dense blocks, then doublings with a convolution after each.

Module names are the keys of Real-ESRGAN's files; `checkpoints.upscale_models` brings older files' keys to them.
Wang et al. (2018), "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks".
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d

SLOPE = 0.2  # of the activations below 0
RESIDUAL = 0.2  # of what a block adds to its input


@dataclass(frozen=True)
class RRDBConfig:
    """Everything that fixes the shapes. The defaults are ESRGAN and Real-ESRGAN x4plus."""

    in_channels: int = 3
    out_channels: int = 3
    width: int = 64
    growth: int = 32  # channels that each convolution of a dense block adds
    blocks: int = 23
    doublings: int = 2
    unshuffle: int = 1  # so many pixels each way are folded into channels first: 2 for Real-ESRGAN x2plus
    plus: bool = False  # ESRGAN+ has two more paths in each dense block

    @property
    def scale(self) -> int:
        """Output pixels for each input pixel, along each side."""
        return int(2**self.doublings) // self.unshuffle

    @property
    def reach(self) -> int:
        """How far away, in input pixels, an input pixel can change the output."""
        after = sum(0.5**level for level in range(1, self.doublings + 1)) + 2 * 0.5**self.doublings
        return math.ceil(self.unshuffle * (2 + 15 * self.blocks + after)) + self.unshuffle


class DenseBlock(nn.Module):
    def __init__(self, config: RRDBConfig) -> None:
        super().__init__()
        width, growth = config.width, config.growth
        for i in range(4):
            self.add_module(f"conv{i + 1}", Conv2d(width + i * growth, growth, 3, padding=1))
        self.conv5 = Conv2d(width + 4 * growth, width, 3, padding=1)
        self.conv1x1 = Conv2d(width, growth, 1, bias=False) if config.plus else None

    def forward(self, x: Tensor) -> Tensor:
        """ESRGAN+: Rakotonirina and Rasoanaivo (2020), figure 2, without its noise, which is for training."""
        seen = [x]
        for i in range(4):
            grown = F.leaky_relu(self.get_submodule(f"conv{i + 1}")(torch.cat(seen, 1)), SLOPE)
            if self.conv1x1 is not None and i == 1:
                grown = grown + self.conv1x1(x)
            elif self.conv1x1 is not None and i == 3:
                grown = grown + seen[2]
            seen.append(grown)
        out: Tensor = self.conv5(torch.cat(seen, 1)) * RESIDUAL + x
        return out


class RRDB(nn.Module):
    def __init__(self, config: RRDBConfig) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(config) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.rdb3(self.rdb2(self.rdb1(x))) * RESIDUAL + x
        return out


class RRDBNet(nn.Module):
    def __init__(self, config: RRDBConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.conv_first = Conv2d(config.in_channels, width, 3, padding=1)
        self.body = nn.ModuleList(RRDB(config) for _ in range(config.blocks))
        self.conv_body = Conv2d(width, width, 3, padding=1)
        for i in range(config.doublings):
            self.add_module(f"conv_up{i + 1}", Conv2d(width, width, 3, padding=1))
        self.conv_hr = Conv2d(width, width, 3, padding=1)
        self.conv_last = Conv2d(width, config.out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x (b c h w) in [0, 1] -> (b c scale*h scale*w), not clamped; c is in_channels without the folding."""
        height, width = x.shape[-2:]
        fold, scale = self.config.unshuffle, self.config.scale
        if fold > 1:
            x = F.pad(x, (0, -width % fold, 0, -height % fold), mode="reflect")
            x = F.pixel_unshuffle(x, fold)
        first = h = self.conv_first(x)
        for block in self.body:
            h = block(h)
        h = first + self.conv_body(h)
        for i in range(self.config.doublings):
            doubled = F.interpolate(h, scale_factor=2, mode="nearest")
            h = F.leaky_relu(self.get_submodule(f"conv_up{i + 1}")(doubled), SLOPE)
        out: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(h), SLOPE))
        return out[..., : height * scale, : width * scale]
