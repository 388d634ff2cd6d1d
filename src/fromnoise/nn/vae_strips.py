"""The autoencoder for large pictures, strip by strip: the same pixels as at once, in much less memory.

A layer's result is kept whole, everything between two of them is computed for a few rows at a time, each row once.
Group norms, whose statistics are those of the whole picture, gather them from all strips first: nothing is
approximated, and no seam can be. Two and a half results of full size are alive at most, where computing at once needs
five and more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d, GroupNorm, attention, image_from, tokens_from
from fromnoise.nn.vae import AttnBlock, AutoencoderKL, Downsample, Level, Middle, ResnetBlock, Upsample

STRIP = 1 << 15  # places in a strip, about
FEWEST = 16  # rows of a strip
SCORES = 1 << 26  # of attention that are alive at once


@dataclass
class Plane:
    """A layer's result (1 c h w), and room for another of its shape where a former result is no longer needed."""

    tensor: Tensor
    spare: Tensor | None = None


def may_be_cut(vae: AutoencoderKL) -> bool:
    """Whether no hook changes a layer of it, which strips would pass by."""
    return not any(module._forward_pre_hooks or module._forward_hooks for module in vae.modules())


def decode(vae: AutoencoderKL, latents: Tensor, strip: int = STRIP) -> Tensor:
    """As `AutoencoderKL.decode`: latents (b c h w) -> image (b 3 8h 8w). `strip`: places computed at once, about."""
    return torch.cat([decoded(vae, one, strip) for one in torch.split(latents, 1)])


def decoded(vae: AutoencoderKL, latents: Tensor, strip: int) -> Tensor:
    decoder = vae.decoder
    x = Plane(decoder.conv_in(vae.post_quant_conv(vae.unscaled(latents))))
    middle(decoder.mid, x, strip)
    for level in reversed(decoder.up):
        blocks(cast(Level, level), x, strip)
        if hasattr(level, "upsample"):
            upsampled(cast(Upsample, level.upsample), x, strip)
    return convolved(decoder.conv_out, x.tensor, strip, normed(decoder.norm_out, x.tensor, strip))


def encode(vae: AutoencoderKL, image: Tensor, noise: Tensor | None = None, strip: int = STRIP) -> Tensor:
    """As `AutoencoderKL.encode`: an image (b 3 8h 8w) in [-1, 1] -> the mean latents, or a sample with unit `noise`."""
    return vae.latents(*moments(vae, image, strip), noise)


def moments(vae: AutoencoderKL, image: Tensor, strip: int = STRIP) -> tuple[Tensor, Tensor]:
    """As `AutoencoderKL.moments`: mean and log-variance of the unscaled latents of an image (b 3 8h 8w)."""
    out = torch.cat([encoded(vae, one, strip) for one in torch.split(image, 1)])
    mean, logvar = vae.quant_conv(out).chunk(2, dim=1)
    return mean, logvar.clamp(-30, 20)


def encoded(vae: AutoencoderKL, image: Tensor, strip: int) -> Tensor:
    encoder = vae.encoder
    x = Plane(convolved(encoder.conv_in, image, strip))
    for level in encoder.down:
        blocks(cast(Level, level), x, strip)
        if hasattr(level, "downsample"):
            downsampled(cast(Downsample, level.downsample), x, strip)
    middle(encoder.mid, x, strip)
    return convolved(encoder.conv_out, x.tensor, strip, normed(encoder.norm_out, x.tensor, strip))


def middle(module: Middle, x: Plane, strip: int) -> None:
    residual(module.block_1, x, strip)
    attended(module.attn_1, x, strip)
    residual(module.block_2, x, strip)


def blocks(level: Level, x: Plane, strip: int) -> None:
    for block in level.block:
        residual(cast(ResnetBlock, block), x, strip)


def residual(block: ResnetBlock, x: Plane, strip: int) -> None:
    """A residual block: its result replaces `x`, and takes its room where that is large enough."""
    given, channels = x.tensor, block.conv1.out_channels
    own = isinstance(block.nin_shortcut, nn.Identity)
    if own:
        out, h = given, empty(given, channels) if x.spare is None else x.spare
    elif 2 * channels <= given.shape[1]:
        out, h = given[:, :channels], given[:, channels : 2 * channels]
    else:
        out, h = empty(given, channels), empty(given, channels)
    norm, statistics = normed(block.norm1, given, strip), Statistics(block.norm2, given)
    weight, bias = block.conv1.fetch(dense(given[..., :1, :]))
    for start, stop, rows in windows(given, strip, norm):
        rows = F.conv2d(rows, weight, bias, padding=(0, 1))
        statistics.add(rows)
        if not own:
            out[..., start:stop, :] = block.nin_shortcut(dense(given[..., start:stop, :]))
        h[..., start:stop, :] = rows
    x.tensor, x.spare = out, h
    del given
    weight, bias = block.conv2.fetch(dense(h[..., :1, :]))
    for start, stop, rows in windows(h, strip, statistics.norm()):
        out[..., start:stop, :] += F.conv2d(rows, weight, bias, padding=(0, 1))


def attended(block: AttnBlock, x: Plane, strip: int) -> None:
    """Self-attention over all places, for some of them at a time."""
    tensor = x.tensor
    height, width = tensor.shape[2:]
    norm = normed(block.norm, tensor, strip, activated=False)
    key, value = (
        torch.cat([tokens_from(layer(norm(tensor[..., a:b, :]))) for a, b in strips(tensor, strip)], dim=1)
        for layer in (block.k, block.v)
    )
    for start, stop in strips(tensor, min(strip, SCORES // (height * width)), fewest=1):
        rows = tensor[..., start:stop, :]
        queries = tokens_from(block.q(norm(rows)))
        rows += block.proj_out(image_from(attention(queries, key, value, heads=1), stop - start, width))


def upsampled(module: Upsample, x: Plane, strip: int) -> None:
    """Twice as wide and high."""
    x.spare = None
    out = empty(x.tensor, module.conv.out_channels, 2.0)
    doubled = module.conv.doubling(x.tensor)
    for start, stop, rows in windows(x.tensor, strip // 4):
        out[..., 2 * start : 2 * stop, :] = doubled(rows)[..., 2:-2, :]
    x.tensor = out


def downsampled(module: Downsample, x: Plane, strip: int) -> None:
    """Half as wide and high; the last row and column see zeros beyond the edge."""
    x.spare = None
    height = x.tensor.shape[2]
    out = empty(x.tensor, module.conv.out_channels, 0.5)
    for start, stop in strips(out, strip):
        rows = dense(x.tensor[..., 2 * start : min(height, 2 * stop + 1), :])
        out[..., start:stop, :] = module.conv(F.pad(rows, (0, 1, 0, 2 * (stop - start) + 1 - rows.shape[2])))
    x.tensor = out


def convolved(conv: Conv2d, x: Tensor, strip: int, norm: "Norm | None" = None) -> Tensor:
    """A 3x3 convolution, of `x` or of what a norm makes of it."""
    out = empty(x, conv.out_channels)
    weight, bias = conv.fetch(dense(x[..., :1, :]))
    for start, stop, rows in windows(x, strip, norm):
        out[..., start:stop, :] = F.conv2d(rows, weight, bias, padding=(0, 1))
    return out


def windows(x: Tensor, strip: int, norm: "Norm | None" = None) -> Iterator[tuple[int, int, Tensor]]:
    """Strips with a row more above and below, zeros where the picture ends, after `norm`: from, to, (1 c to-from+2 w).

    Rows before `to` of `x` are not read again: they may be written over.
    """
    height = x.shape[2]
    zeros = dense(x.new_zeros(()).expand(1, x.shape[1], 1, x.shape[3]), layout(x))
    above = zeros
    for start, stop in strips(x, strip):
        fresh = dense(x[..., start + bool(start) : stop + 1, :])  # the first of a strip came along with those before
        if norm is not None and fresh.shape[2]:
            fresh = norm(fresh)
        rows = torch.cat((above, fresh, zeros) if stop == height else (above, fresh), dim=2)
        del fresh
        above = dense(rows[..., -2:, :].clone())
        yield start, stop, rows


def layout(x: Tensor) -> torch.memory_format:
    """Of `x`, or of what it is a part of."""
    return torch.channels_last if x.stride(1) == 1 else torch.contiguous_format


def dense(x: Tensor, wanted: torch.memory_format | None = None) -> Tensor:
    """The same without gaps in memory; kernels are many times slower on parts of channels."""
    return x.contiguous(memory_format=wanted or layout(x))


def empty(x: Tensor, channels: int, scale: float = 1) -> Tensor:
    """Room for a result in the dtype and layout of `x`, with `scale` times its rows and columns."""
    height, width = (int(side * scale) for side in x.shape[2:])
    return torch.empty((1, channels, height, width), dtype=x.dtype, device=x.device, memory_format=layout(x))


def strips(x: Tensor, places: int, fewest: int = FEWEST) -> Iterator[tuple[int, int]]:
    """Rows from and to, which hold about that many places."""
    height, width = x.shape[2:]
    count = -(-height // max(fewest, places // width))
    return ((index * height // count, (index + 1) * height // count) for index in range(count))


@dataclass(frozen=True)
class Norm:
    """A group norm whose statistics are known, as a norm of each channel, then perhaps SiLU."""

    mean: Tensor  # (c) float32
    variance: Tensor
    weight: Tensor
    bias: Tensor
    eps: float
    activated: bool

    def __call__(self, x: Tensor) -> Tensor:
        if x.device.type in ("cpu", "meta"):
            normal = F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, eps=self.eps)
        else:
            normal = self.written_out(x)
        return F.silu(normal, inplace=True) if self.activated else normal

    def written_out(self, x: Tensor) -> Tensor:
        """The same where a device has no kernel for numbers and statistics of two dtypes."""
        factor = (self.variance + self.eps).rsqrt() * self.weight
        shift = self.bias - self.mean * factor
        return torch.addcmul(shift[:, None, None], x.float(), factor[:, None, None]).to(x.dtype)


class Statistics:
    """Gathers what a group norm needs to know of a whole picture from its strips: Chan et al. (1979)."""

    def __init__(self, norm: GroupNorm, like: Tensor) -> None:
        self.norm_layer, self.count = norm, 0
        self.wide = torch.float32 if like.device.type == "mps" else torch.float64
        self.mean = torch.zeros(norm.num_groups, dtype=self.wide, device=like.device)
        self.deviation = torch.zeros_like(self.mean)  # sum of squared differences from the mean

    def add(self, x: Tensor) -> None:
        """More rows (1 c h w), without gaps in memory."""
        one = torch.ones(x.shape[1], device=x.device)
        # the kernel for statistics of channels takes a fiftieth of the time that `var_mean` takes over groups
        _, *found = torch.native_batch_norm(x, one, one - 1, None, None, True, 0.0, 0.0)
        means, inverse = (t.to(self.wide).view(len(self.mean), -1) for t in found)
        mean = means.mean(dim=1)
        variance = (inverse.pow(-2) + (means - mean[:, None]) ** 2).mean(dim=1)
        count = x.numel() // len(self.mean)
        total = self.count + count
        difference = mean - self.mean
        self.mean += difference * (count / total)
        self.deviation += variance * count + difference**2 * (self.count * count / total)
        self.count = total

    def norm(self, activated: bool = True) -> Norm:
        """The norm, once all rows are in."""
        layer = self.norm_layer
        weight, bias = (cast(Tensor, part) for part in layer.fetch(self.mean.float()))
        size = len(weight) // layer.num_groups
        mean, variance = (t.repeat_interleave(size).float() for t in (self.mean, self.deviation / self.count))
        return Norm(mean, variance, weight, bias, layer.eps, activated)


def normed(layer: GroupNorm, x: Tensor, strip: int, activated: bool = True) -> Norm:
    statistics = Statistics(layer, x)
    for start, stop in strips(x, strip):
        statistics.add(dense(x[..., start:stop, :]))
    return statistics.norm(activated)
