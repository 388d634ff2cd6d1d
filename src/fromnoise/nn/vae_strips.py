"""The autoencoder for large pictures, strip by strip: the same pixels as at once, in much less memory.

A layer's result is kept whole, everything between two of them is computed for a few rows at a time. Group norms, whose
statistics are those of the whole picture, gather them from all strips first: nothing is approximated, and no seam can
be. Two and a half results of full size are alive at most, where computing at once needs five and more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d, GroupNorm, attention, image_from, tokens_from
from fromnoise.nn.vae import AttnBlock, AutoencoderKL, Downsample, Level, Middle, ResnetBlock, Upsample

STRIP = 1 << 15  # places in a strip, about
FEWEST = 16  # rows of a strip
SCORES = 1 << 26  # of attention that are alive at once


class Plane(Protocol):
    """A layer's result (b c h w): kept, or made when rows of it are asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def rows(self, start: int, stop: int) -> Tensor:
        """(b c stop-start w)."""
        ...


@dataclass(frozen=True)
class Kept:
    """A result that is there."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def rows(self, start: int, stop: int) -> Tensor:
        return self.tensor[..., start:stop, :]


@dataclass(frozen=True)
class Made:
    """A result whose rows are made again whenever they are asked for."""

    shape: tuple[int, ...]
    rows: Callable[[int, int], Tensor]


def may_be_cut(vae: AutoencoderKL) -> bool:
    """Whether no hook changes a layer of it, which strips would pass by."""
    return not any(module._forward_pre_hooks or module._forward_hooks for module in vae.modules())


def decode(vae: AutoencoderKL, latents: Tensor, strip: int = STRIP) -> Tensor:
    """As `AutoencoderKL.decode`: latents (b c h w) -> image (b 3 8h 8w). `strip`: places computed at once, about."""
    decoder = vae.decoder
    x: Plane = Kept(decoder.conv_in(vae.post_quant_conv(vae.unscaled(latents))))
    x = middle(decoder.mid, x, strip)
    for level in reversed(decoder.up):
        x = blocks(cast(Level, level), x, strip)
        if hasattr(level, "upsample"):
            x = upsampled(cast(Upsample, level.upsample), x)
    return convolved(decoder.conv_out, x, strip, normed(decoder.norm_out, x, strip)).tensor


def encode(vae: AutoencoderKL, image: Tensor, noise: Tensor | None = None, strip: int = STRIP) -> Tensor:
    """As `AutoencoderKL.encode`: an image (b 3 8h 8w) in [-1, 1] -> the mean latents, or a sample with unit `noise`."""
    return vae.latents(*moments(vae, image, strip), noise)


def moments(vae: AutoencoderKL, image: Tensor, strip: int = STRIP) -> tuple[Tensor, Tensor]:
    """As `AutoencoderKL.moments`: mean and log-variance of the unscaled latents of an image (b 3 8h 8w)."""
    encoder = vae.encoder
    x: Plane = convolved(encoder.conv_in, Kept(image), strip)
    for level in encoder.down:
        x = blocks(cast(Level, level), x, strip)
        if hasattr(level, "downsample"):
            x = downsampled(cast(Downsample, level.downsample), x, strip)
    x = middle(encoder.mid, x, strip)
    out = convolved(encoder.conv_out, x, strip, normed(encoder.norm_out, x, strip)).tensor
    mean, logvar = vae.quant_conv(out).chunk(2, dim=1)
    return mean, logvar.clamp(-30, 20)


def middle(module: Middle, x: Plane, strip: int) -> Plane:
    return residual(module.block_2, attended(module.attn_1, residual(module.block_1, x, strip), strip), strip)


def blocks(level: Level, x: Plane, strip: int) -> Plane:
    for block in level.block:
        x = residual(cast(ResnetBlock, block), x, strip)
    return x


def residual(block: ResnetBlock, x: Plane, strip: int) -> Kept:
    """A residual block. Where it keeps the number of channels, the result takes the place of `x`."""
    own = isinstance(block.nin_shortcut, nn.Identity)
    if own and not isinstance(x, Kept):
        x = keep(x, strip)
    out = x if isinstance(x, Kept) and own else empty(x, block.conv1.out_channels)
    statistics = Statistics(block.norm1)
    for start, stop in strips(x, strip):
        rows = x.rows(start, stop)
        statistics.add(rows)
        if not own:
            out.rows(start, stop).copy_(block.nin_shortcut(rows))
    norm, statistics = statistics.norm(), Statistics(block.norm2)
    h = empty(x, block.conv1.out_channels)
    for start, stop in strips(x, strip):
        rows = convolution(block.conv1, x, start, stop, norm)
        statistics.add(rows)
        h.rows(start, stop).copy_(rows)
    norm = statistics.norm()
    for start, stop in strips(h, strip):
        out.rows(start, stop).add_(convolution(block.conv2, h, start, stop, norm))
    return out


def attended(block: AttnBlock, x: Plane, strip: int) -> Plane:
    """Self-attention over all places, for some of them at a time."""
    x = keep(x, strip)
    height, width = x.shape[2:]
    norm = normed(block.norm, x, strip, activated=False)
    key, value = (
        torch.cat([tokens_from(layer(norm(x.rows(*rows)))) for rows in strips(x, strip)], dim=1)
        for layer in (block.k, block.v)
    )
    for start, stop in strips(x, min(strip, SCORES // (height * width)), fewest=1):
        rows = x.rows(start, stop)
        queries = tokens_from(block.q(norm(rows)))
        rows.add_(block.proj_out(image_from(attention(queries, key, value, heads=1), stop - start, width)))
    return x


def upsampled(module: Upsample, x: Plane) -> Made:
    """Twice as wide and high. It is made again for each use: kept, it would be the largest of all."""
    batch, _, height, width = x.shape

    def enlarged(start: int, stop: int) -> Tensor:
        large = F.interpolate(x.rows(start // 2, (stop + 1) // 2), scale_factor=2, mode="nearest")
        return large[..., start % 2 : start % 2 + stop - start, :]

    large = Made((batch, module.conv.in_channels, 2 * height, 2 * width), enlarged)
    shape = (batch, module.conv.out_channels, 2 * height, 2 * width)
    return Made(shape, lambda start, stop: convolution(module.conv, large, start, stop))


def downsampled(module: Downsample, x: Plane, strip: int) -> Kept:
    """Half as wide and high; the last row and column see zeros beyond the edge."""
    height = x.shape[2]
    out = empty(x, module.conv.out_channels, 2)
    for start, stop in strips(out, strip):
        rows = x.rows(2 * start, min(height, 2 * stop + 1))
        out.rows(start, stop).copy_(module.conv(F.pad(rows, (0, 1, 0, 2 * (stop - start) + 1 - rows.shape[2]))))
    return out


def convolved(conv: Conv2d, x: Plane, strip: int, norm: "Norm | None" = None) -> Kept:
    out = empty(x, conv.out_channels)
    for start, stop in strips(x, strip):
        out.rows(start, stop).copy_(convolution(conv, x, start, stop, norm))
    return out


def convolution(conv: Conv2d, x: Plane, start: int, stop: int, norm: "Norm | None" = None) -> Tensor:
    """Rows of a 3x3 convolution with zeros around, of `x` or of what a norm and its activation make of it."""
    first, last = max(0, start - 1), min(x.shape[2], stop + 1)
    rows = x.rows(first, last)
    if norm is not None:
        rows = norm(rows)
    if first == start or last == stop:  # the picture ends here
        rows = F.pad(rows, (0, 0, first - start + 1, stop + 1 - last))
    weight, bias = conv.fetch(rows)
    return F.conv2d(rows, weight, bias, padding=(0, 1))


def keep(x: Plane, strip: int) -> Kept:
    if isinstance(x, Kept):
        return x
    out = empty(x, x.shape[1])
    for start, stop in strips(x, strip):
        out.rows(start, stop).copy_(x.rows(start, stop))
    return out


def empty(x: Plane, channels: int, shrink: int = 1) -> Kept:
    """Room for a result of as many rows and columns as `x`, or fewer, in its dtype, device and layout."""
    batch, _, height, width = x.shape
    like = x.rows(0, 1)
    last = like.is_contiguous(memory_format=torch.channels_last)
    shape = (batch, channels, height // shrink, width // shrink)
    layout = torch.channels_last if last else torch.contiguous_format
    return Kept(torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout))


def strips(x: Plane, places: int, fewest: int = FEWEST) -> Iterator[tuple[int, int]]:
    """Rows from and to, which hold about that many places."""
    height, width = x.shape[2:]
    rows = max(fewest, places // width)
    return ((start, min(height, start + rows)) for start in range(0, height, rows))


@dataclass(frozen=True)
class Norm:
    """A group norm whose statistics are known: a factor and a shift for each channel, then perhaps SiLU."""

    factor: Tensor  # (b c 1 1) float32
    shift: Tensor
    activated: bool

    def __call__(self, x: Tensor) -> Tensor:
        normal = torch.addcmul(self.shift, x.float(), self.factor).to(x.dtype)
        return F.silu(normal, inplace=True) if self.activated else normal


class Statistics:
    """Gathers what a group norm needs to know of a whole picture from its strips: Chan et al. (1979)."""

    def __init__(self, norm: GroupNorm) -> None:
        self.norm_layer, self.count = norm, 0
        self.mean = self.deviation = torch.zeros(())  # (b groups) float64; sum of squared differences from the mean

    def add(self, x: Tensor) -> None:
        """More rows (b c h w)."""
        size = x.shape[1] // self.norm_layer.num_groups
        channels = x.float().permute(0, 2, 3, 1)  # a view, and innermost where `x` is channels-last
        groups = channels.reshape(len(x), -1, self.norm_layer.num_groups, size)
        count = groups.shape[1] * size
        variance, mean = (t.double() for t in torch.var_mean(groups, dim=(1, 3), correction=0))
        total = self.count + count
        difference = mean - self.mean
        self.mean = self.mean + difference * (count / total)
        self.deviation = self.deviation + variance * count + difference**2 * (self.count * count / total)
        self.count = total

    def norm(self, activated: bool = True) -> Norm:
        """The norm, once all rows are in."""
        layer = self.norm_layer
        weight, bias = (cast(Tensor, part).float() for part in layer.fetch(self.mean.float()))
        size = len(weight) // layer.num_groups
        scale = (self.deviation / self.count + layer.eps).rsqrt().repeat_interleave(size, 1).float() * weight
        shift = bias - self.mean.repeat_interleave(size, 1).float() * scale
        return Norm(scale[..., None, None], shift[..., None, None], activated)


def normed(layer: GroupNorm, x: Plane, strip: int, activated: bool = True) -> Norm:
    statistics = Statistics(layer)
    for start, stop in strips(x, strip):
        statistics.add(x.rows(start, stop))
    return statistics.norm(activated)
