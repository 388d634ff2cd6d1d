"""The autoencoder of latent diffusion: pictures to latents an eighth as wide and high, and back.

Module names are the checkpoint's keys under `first_stage_model.`. Rombach et al. (2022), section 3.1.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d, GroupNorm, attention, image_from, tokens_from


@dataclass(frozen=True)
class VAEConfig:
    """Everything that fixes an autoencoder. The defaults are Stable Diffusion 1.x and 2.x."""

    channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 2  # per level in the encoder; one more in the decoder
    latent_channels: int = 4
    scale_factor: float = 0.18215  # brings the latents to unit variance; 0.13025 for SDXL
    groups: int = 32  # of channels that are normalised together; not in the shapes
    mean: tuple[float, ...] | None = None  # of each channel of the unscaled latents, where they are also centred
    std: tuple[float, ...] | None = None

    @property
    def downscale(self) -> int:
        """Pixels per latent, along each side."""
        return int(2 ** (len(self.channel_mult) - 1))


SD_VAE = VAEConfig()
SDXL_VAE = VAEConfig(scale_factor=0.13025)


def norm(channels: int, groups: int) -> GroupNorm:
    return GroupNorm(groups, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(channels, groups), Conv2d(channels, out_channels, 3, padding=1)
        self.norm2, self.conv2 = norm(out_channels, groups), Conv2d(out_channels, out_channels, 3, padding=1)
        same = channels == out_channels
        self.nin_shortcut = nn.Identity() if same else Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        out: Tensor = self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(h)))
        return out


class AttnBlock(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = norm(channels, groups)
        self.q, self.k, self.v, self.proj_out = (Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (tokens_from(project(h)) for project in (self.q, self.k, self.v))
        out: Tensor = x + self.proj_out(image_from(attention(q, k, v, heads=1), *x.shape[-2:]))
        return out


class Middle(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, groups)
        self.attn_1 = AttnBlock(channels, groups)
        self.block_2 = ResnetBlock(channels, channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return out


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv.doubled(x)


class Level(nn.Module):
    """The residual blocks of one resolution, then what leads to the next."""

    def __init__(self, blocks: list[ResnetBlock], **resample: nn.Module) -> None:
        super().__init__()
        self.block = nn.ModuleList(blocks)
        for name, module in resample.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        for name, module in self.named_children():
            if name != "block":
                x = module(x)
        return x


class Encoder(nn.Module):
    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        ch, last = config.channels, len(config.channel_mult) - 1
        self.conv_in = Conv2d(3, ch, 3, padding=1)
        self.down = nn.ModuleList()
        for level, mult in enumerate(config.channel_mult):
            out = config.channels * mult
            blocks = [ResnetBlock(ch if i == 0 else out, out, config.groups) for i in range(config.res_blocks)]
            ch = out
            self.down.append(Level(blocks, **({"downsample": Downsample(ch)} if level != last else {})))
        self.mid = Middle(ch, config.groups)
        self.norm_out = norm(ch, config.groups)
        self.conv_out = Conv2d(ch, 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        out: Tensor = self.conv_out(F.silu(self.norm_out(self.mid(x))))
        return out


class Decoder(nn.Module):
    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        ch = config.channels * config.channel_mult[-1]
        self.conv_in = Conv2d(config.latent_channels, ch, 3, padding=1)
        self.mid = Middle(ch, config.groups)
        levels = []
        for level, mult in reversed(list(enumerate(config.channel_mult))):
            out = config.channels * mult
            blocks = [ResnetBlock(ch if i == 0 else out, out, config.groups) for i in range(config.res_blocks + 1)]
            ch = out
            levels.append(Level(blocks, **({"upsample": Upsample(ch)} if level else {})))
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out = norm(ch, config.groups)
        self.conv_out = Conv2d(ch, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        z = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            z = level(z)
        out: Tensor = self.conv_out(F.silu(self.norm_out(z)))
        return out


class AutoencoderKL(nn.Module):
    """Images in [-1, 1] to scaled latents and back."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = Conv2d(config.latent_channels, config.latent_channels, 1)

    def moments(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the unscaled latents; image (b 3 8h 8w) -> two of (b c h w)."""
        mean, logvar = self.quant_conv(self.encoder(image)).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def encode(self, image: Tensor, noise: Tensor | None = None) -> Tensor:
        """The mean latents, or a sample when unit `noise` (b c h w) is given; image (b 3 8h 8w) in [-1, 1]."""
        return self.latents(*self.moments(image), noise)

    def latents(self, mean: Tensor, logvar: Tensor, noise: Tensor | None = None) -> Tensor:
        """Scaled latents (b c h w): the mean, or with unit `noise` a draw of that mean and variance."""
        if noise is not None:
            mean = mean + (0.5 * logvar).exp() * noise
        return self.scaled(mean)

    def decode(self, latents: Tensor) -> Tensor:
        """latents (b c h w) -> image (b 3 8h 8w), about [-1, 1], not clamped."""
        out: Tensor = self.decoder(self.post_quant_conv(self.unscaled(latents)))
        return out

    def scaled(self, latents: Tensor) -> Tensor:
        """The encoder's latents (b c h w) as the U-Net knows them."""
        mean, factor = self._statistics(latents)
        return (latents - mean) * factor

    def unscaled(self, latents: Tensor) -> Tensor:
        """The U-Net's latents (b c h w) as the decoder knows them."""
        mean, factor = self._statistics(latents)
        return latents / factor + mean

    def _statistics(self, latents: Tensor) -> tuple[Tensor | float, Tensor | float]:
        config = self.config
        if config.mean is None or config.std is None:
            return 0.0, config.scale_factor
        mean, std = (latents.new_tensor(numbers).view(1, -1, 1, 1) for numbers in (config.mean, config.std))
        return mean, config.scale_factor / std
