"""TAESD's decoder: a small network that guesses in one pass what the autoencoder's decoder makes of scaled latents.

Module names are the numbers of its file's keys. Ollin Boer Bohan, "Tiny AutoEncoder for Stable Diffusion" (2023).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d

LIMIT = 3  # latents are pressed softly into -3 to 3
LEVELS = 3  # each twice as wide and high as the one before
BLOCKS = 3  # of a level; one more at the picture's own size


class Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x / LIMIT).tanh() * LIMIT


class Block(nn.Module):
    """Three convolutions beside a straight path."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second, third = (Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.conv = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + x)


class TAESDDecoder(nn.Sequential):
    """From latents (b c h w), scaled as the U-Net has them, to pictures (b 3 8h 8w), about 0 to 1."""

    def __init__(self, latent_channels: int = 4, width: int = 64) -> None:
        layers: list[nn.Module] = [Clamp(), Conv2d(latent_channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(LEVELS):
            layers += [Block(width) for _ in range(BLOCKS)]
            layers += [nn.Upsample(scale_factor=2), Conv2d(width, width, 3, padding=1, bias=False)]
        super().__init__(*layers, Block(width), Conv2d(width, 3, 3, padding=1))
        self.latent_channels = latent_channels
