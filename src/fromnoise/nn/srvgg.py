"""Real-ESRGAN's compact networks: a plain stack of convolutions at the picture's own size, then one pixel shuffle.

Module names are the files' keys. Wang et al. (2021), "Real-ESRGAN", and its release notes of version 0.2.3.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d


@dataclass(frozen=True)
class CompactConfig:
    """Everything that fixes the shapes. The defaults are realesr-animevideov3."""

    in_channels: int = 3
    out_channels: int = 3
    width: int = 64
    convolutions: int = 16  # between the first and the last
    scale: int = 4  # output pixels for each input pixel, along each side

    @property
    def reach(self) -> int:
        """How far away, in input pixels, an input pixel can change the output."""
        return self.convolutions + 2


class PReLU(nn.PReLU):
    """With a slope for each channel, in the dtype and on the device of its input."""

    def reset_parameters(self) -> None:
        """No initialisation: weights come from a file."""

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight.to(x.device, x.dtype))


class SRVGGNetCompact(nn.Module):
    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        before = config.in_channels
        for _ in range(config.convolutions + 1):
            layers += [Conv2d(before, config.width, 3, padding=1), PReLU(config.width)]
            before = config.width
        layers.append(Conv2d(before, config.out_channels * config.scale**2, 3, padding=1))
        self.body = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """x (b c h w) in [0, 1] -> (b c scale*h scale*w), not clamped."""
        h = x
        for layer in self.body:
            h = layer(h)
        return F.pixel_shuffle(h, self.config.scale) + F.interpolate(x, scale_factor=self.config.scale, mode="nearest")
