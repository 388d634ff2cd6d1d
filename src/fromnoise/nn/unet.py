"""The denoising U-Net of latent diffusion, for SD 1.x, SD 2.x, SDXL and the SDXL refiner.

Module names are the checkpoint's keys under `model.diffusion_model.`.
Rombach et al. (2022), "High-Resolution Image Synthesis with Latent Diffusion Models".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d, Embedding, GroupNorm, LayerNorm, Linear, attention, image_from, tokens_from

MANY = 1 << 10  # places: an up-sampling to fewer has the largest weights, whose sums are not worth their memory


@dataclass(frozen=True)
class UNetConfig:
    """Everything that fixes the shapes of a U-Net. The defaults are Stable Diffusion 1.x."""

    in_channels: int = 4  # 9: inpainting (latents, mask, masked image); 8: instruct-pix2pix; 5: depth
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)  # width of each level, in units of model_channels
    res_blocks: int = 2  # per level on the way down; one more on the way up
    depths: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 0, 0)  # transformer blocks after each residual block, going down
    middle_depth: int = 1  # -1: a residual block stands alone in the middle (SSD-1B); -2: there is no middle (KOALA)
    output_depths: tuple[int, ...] = (0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1)  # the same, going up
    context_dim: int = 768
    heads: int | None = 8  # attention heads; None: as many as fit heads of `head_dim` channels
    head_dim: int = 64
    vector_dim: int | None = None  # length of the pooled conditioning vector y (SDXL, unCLIP)
    linear_proj: bool = False  # the transformer's projections are linear layers, not 1x1 convolutions
    classes: int | None = None  # it is told one of so many numbers: the noise level of x4 upscalers
    crossed: tuple[bool, ...] = ()  # of each level: what would be self-attention reads the prompt, too
    guidance_dim: int | None = None  # length of the embedded guidance scale that a distilled network is told (LCM)

    @classmethod
    def uniform(
        cls,
        *,
        channel_mult: tuple[int, ...],
        level_depths: tuple[int, ...],
        res_blocks: int = 2,
        middle_depth: int | None = None,
        in_channels: int = 4,
        model_channels: int = 320,
        context_dim: int = 768,
        heads: int | None = 8,
        vector_dim: int | None = None,
        linear_proj: bool = False,
    ) -> "UNetConfig":
        """A U-Net whose transformer depth is the same throughout each level."""
        deepest = next((d for d in reversed(level_depths) if d), 1)
        return cls(
            in_channels=in_channels,
            model_channels=model_channels,
            channel_mult=channel_mult,
            res_blocks=res_blocks,
            depths=tuple(d for d in level_depths for _ in range(res_blocks)),
            middle_depth=deepest if middle_depth is None else middle_depth,
            output_depths=tuple(d for d in reversed(level_depths) for _ in range(res_blocks + 1)),
            context_dim=context_dim,
            heads=heads,
            vector_dim=vector_dim,
            linear_proj=linear_proj,
        )


SD1 = UNetConfig()
SD2 = UNetConfig(context_dim=1024, heads=None, linear_proj=True)
SDXL = UNetConfig.uniform(
    channel_mult=(1, 2, 4),
    level_depths=(0, 2, 10),
    context_dim=2048,
    heads=None,
    vector_dim=2816,
    linear_proj=True,
)
SDXL_REFINER = UNetConfig.uniform(
    model_channels=384,
    channel_mult=(1, 2, 4, 4),
    level_depths=(0, 4, 4, 0),
    context_dim=1280,
    heads=None,
    vector_dim=2560,
    linear_proj=True,
)


def timestep_embedding(t: Tensor, dim: int, max_period: float = 10_000.0) -> Tensor:
    """Sinusoids of the timestep, cosines first; t (b) -> (b dim) float32. Vaswani et al. (2017), section 3.5."""
    half = dim // 2
    frequencies = max_period ** (-torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


def guidance_embedding(scale: Tensor, dim: int) -> Tensor:
    """Sinusoids of the guidance scale, sines first; scale (b) -> (b dim) float32.

    Meng et al. (2023), "On Distillation of Guided Diffusion Models"; Luo et al. (2023), LCM.
    """
    half = dim // 2
    step = math.log(10_000.0) / max(1, half - 1)  # of the exponent: the angles are so large that roundings show
    frequencies = (torch.arange(half, device=scale.device, dtype=torch.float32) * -step).exp()
    angles = 1000 * (scale.float()[:, None] - 1) * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


class TimeEmbed(nn.Sequential):
    """The embedded timestep's layers; `cond_proj` adds an embedded guidance scale to what goes into them."""

    def __init__(self, width: int, emb_channels: int, guidance_dim: int | None) -> None:
        super().__init__(Linear(width, emb_channels), nn.SiLU(), Linear(emb_channels, emb_channels))
        if guidance_dim:
            self.cond_proj = Linear(guidance_dim, width, bias=False)

    def forward(self, t: Tensor, guidance: Tensor | None = None) -> Tensor:
        if guidance is not None:
            t = t + self.cond_proj(guidance)
        out: Tensor = self[2](self[1](self[0](t)))
        return out


class ResBlock(nn.Module):
    def __init__(self, channels: int, emb_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(GroupNorm(32, channels), nn.SiLU(), Conv2d(channels, out_channels, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), Linear(emb_channels, out_channels))
        self.out_layers = nn.Sequential(
            GroupNorm(32, out_channels),
            nn.SiLU(),
            nn.Identity(),  # dropout in the original; it keeps the numbering of the keys
            Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = channels == out_channels
        self.skip_connection = nn.Identity() if same else Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        out: Tensor = self.skip_connection(x) + self.out_layers(h)
        return out


class CrossAttention(nn.Module):
    def __init__(self, dim: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = Linear(dim, dim, bias=False)
        self.to_k = Linear(context_dim, dim, bias=False)
        self.to_v = Linear(context_dim, dim, bias=False)
        self.to_out = nn.Sequential(Linear(dim, dim))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        out: Tensor = self.to_out(attention(self.to_q(x), self.to_k(context), self.to_v(context), self.heads))
        return out


class GEGLU(nn.Module):
    """Shazeer (2020), "GLU Variants Improve Transformer"."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.proj = Linear(dim, inner * 2)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(dim, dim * 4), nn.Identity(), Linear(dim * 4, dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class TransformerBlock(nn.Module):
    def __init__(self, dim: int, context_dim: int, heads: int, crossed: bool = False) -> None:
        super().__init__()
        self.crossed = crossed
        self.attn1 = CrossAttention(dim, context_dim if crossed else dim, heads)  # of the picture with itself
        self.ff = FeedForward(dim)
        self.attn2 = CrossAttention(dim, context_dim, heads)  # of the picture with the prompt
        self.norm1, self.norm2, self.norm3 = LayerNorm(dim), LayerNorm(dim), LayerNorm(dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        h = self.norm1(x)
        x = x + self.attn1(h, context if self.crossed else h)
        x = x + self.attn2(self.norm2(x), context)
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class SpatialTransformer(nn.Module):
    def __init__(self, channels: int, depth: int, config: UNetConfig, crossed: bool = False) -> None:
        super().__init__()
        heads = config.heads or channels // config.head_dim
        self.linear_proj = config.linear_proj
        self.norm = GroupNorm(32, channels, eps=1e-6)
        self.proj_in = Linear(channels, channels) if config.linear_proj else Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, config.context_dim, heads, crossed) for _ in range(depth)
        )
        self.proj_out = Linear(channels, channels) if config.linear_proj else Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        h = self.norm(x)
        h = self.proj_in(tokens_from(h)) if self.linear_proj else tokens_from(self.proj_in(h))
        for block in self.transformer_blocks:
            h = block(h, context)
        if self.linear_proj:
            return x + image_from(self.proj_out(h), height, width)
        out: Tensor = x + self.proj_out(image_from(h, height, width))
        return out


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.op(x)
        return out


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if size == (2 * x.shape[-2], 2 * x.shape[-1]) and math.prod(size) >= MANY:
            return self.conv.doubled(x)
        out: Tensor = self.conv(F.interpolate(x, size=size, mode="nearest"))
        return out


class Block(nn.Sequential):
    """One numbered block: its layers in order, each given what it takes."""

    def forward(  # type: ignore[override]
        self, x: Tensor, emb: Tensor, context: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """`size`: height and width to grow to, where the block ends in an up-sampling."""
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, emb)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, context)
            elif isinstance(layer, Upsample):
                x = layer(x, size or (2 * x.shape[-2], 2 * x.shape[-1]))
            else:
                x = layer(x)
        return x


def skip_widths(config: UNetConfig) -> list[int]:
    """Channels of each skip connection, in the order of `input_blocks`."""
    levels = [config.model_channels * mult for mult in config.channel_mult]
    widths = [config.model_channels]
    for level, width in enumerate(levels):
        widths += [width] * (config.res_blocks + (level < len(levels) - 1))
    return widths


def residual_layers(
    config: UNetConfig, channels_in: int, channels: int, depth: int, level: int | None = None
) -> list[nn.Module]:
    """A residual block and, where `depth` is not 0, a transformer; `level` is None in the middle."""
    crossed = level is not None and level < len(config.crossed) and config.crossed[level]
    transformer = [SpatialTransformer(channels, depth, config, crossed)] if depth else []
    return [ResBlock(channels_in, config.model_channels * 4, channels), *transformer]


def time_embedding(config: UNetConfig) -> TimeEmbed:
    return TimeEmbed(config.model_channels, config.model_channels * 4, config.guidance_dim)


def label_embedding(config: UNetConfig) -> nn.Sequential:
    """Of the pooled conditioning vector."""
    assert config.vector_dim is not None
    emb = config.model_channels * 4
    return nn.Sequential(nn.Sequential(Linear(config.vector_dim, emb), nn.SiLU(), Linear(emb, emb)))


def input_blocks(config: UNetConfig) -> nn.ModuleList:
    """The way down."""
    width, depths = config.model_channels, iter(config.depths)
    blocks = nn.ModuleList([Block(Conv2d(config.in_channels, width, 3, padding=1))])
    ch = width
    for level, mult in enumerate(config.channel_mult):
        for _ in range(config.res_blocks):
            blocks.append(Block(*residual_layers(config, ch, width * mult, next(depths), level)))
            ch = width * mult
        if level != len(config.channel_mult) - 1:
            blocks.append(Block(Downsample(ch)))
    return blocks


def middle_block(config: UNetConfig) -> Block:
    ch = config.model_channels * config.channel_mult[-1]
    first = residual_layers(config, ch, ch, max(config.middle_depth, 0)) if config.middle_depth > -2 else []
    second = [ResBlock(ch, config.model_channels * 4, ch)] if config.middle_depth > -1 else []
    return Block(*first, *second)


class UNet(nn.Module):
    """Predicts the noise (or v) in noisy latents."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.time_embed = time_embedding(config)
        if config.vector_dim:
            self.label_emb: nn.Module = label_embedding(config)
        elif config.classes:
            self.label_emb = Embedding(config.classes, config.model_channels * 4)
        self.input_blocks = input_blocks(config)
        self.middle_block = middle_block(config)

        levels = [config.model_channels * mult for mult in config.channel_mult]
        skips, output_depths, ch = skip_widths(config), iter(config.output_depths), levels[-1]
        self.output_blocks = nn.ModuleList()
        for level, channels in reversed(list(enumerate(levels))):
            for i in range(config.res_blocks + 1):
                block = residual_layers(config, ch + skips.pop(), channels, next(output_depths), level)
                ch = channels
                if level and i == config.res_blocks:
                    block.append(Upsample(ch))
                self.output_blocks.append(Block(*block))

        self.out = nn.Sequential(GroupNorm(32, ch), nn.SiLU(), Conv2d(ch, config.out_channels, 3, padding=1))

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        control: Sequence[Tensor] | None = None,
        features: Mapping[int, Tensor] | None = None,
        guidance: Tensor | None = None,
    ) -> Tensor:
        """x (b in_channels h w), timesteps (b), context (b n context_dim), y (b vector_dim) -> (b out_channels h w).
        Where there are classes, y is what `label_emb` has for one of them.

        `control` holds one residual for each skip connection, in the order of `input_blocks`, then one for the
        middle (ControlNet; Zhang et al., 2023). `features` are added to what blocks put out, so that later blocks see
        them, too: by the number of the input block, and the number after the last is the middle (T2I-Adapter; Mou et
        al., 2023). `guidance` (b guidance_dim) is the embedded guidance scale, where the network is told one.
        """
        features = features or {}
        emb = self.time_embed(timestep_embedding(timesteps, self.config.model_channels).to(x.dtype), guidance)
        if self.config.vector_dim:
            emb = emb + self.label_emb(y)
        elif self.config.classes and y is not None:
            emb = emb + y

        skips: list[Tensor] = []
        for index, block in enumerate(self.input_blocks):
            x = block(x, emb, context)
            x = x + features[index] if index in features else x
            skips.append(x)
        x = self.middle_block(x, emb, context)
        x = x + features[len(skips)] if len(skips) in features else x

        if control is not None:
            *residuals, middle = control
            skips = [skip + residual for skip, residual in zip(skips, residuals, strict=True)]
            x = x + middle
        for block in self.output_blocks:
            skip = skips.pop()
            following = skips[-1].shape[-2:] if skips else skip.shape[-2:]
            x = block(torch.cat((x, skip), dim=1), emb, context, size=following)
        out: Tensor = self.out(x)
        return out
